"""The typer application: which commands there are."""

import functools
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from modelaudit import __version__
from modelaudit.cli import configuration, doctor, knowledge, reporting, scan

EPILOG = """
Examples:

  modelaudit scan models/

  modelaudit scan hf://owner/repo

A bucket every night, reading what is new, failing on critical findings only:

  modelaudit scan s3://my-bucket --state audit.db --output audit.ndjson --fail-on critical

  modelaudit report audit.ndjson -o report.html

Exit codes: 0 nothing found, 1 findings, 2 something could not be scanned or the usage was wrong.
"""

app = typer.Typer(
    name="modelaudit",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"modelaudit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Audit AI model files for attacks: single files, folders, whole buckets."""


P = ParamSpec("P")


def _exits(command: Callable[P, int]) -> Callable[P, None]:
    """`command` with its result as exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        raise typer.Exit(command(*args, **kwargs))

    return run


app.command("scan", epilog=scan.EPILOG)(_exits(scan.scan))
app.command("report", epilog=reporting.EPILOG)(_exits(reporting.report))
app.command("rules", epilog=knowledge.RULES_EPILOG)(_exits(knowledge.rules))
app.command("formats")(_exits(knowledge.formats))
app.command("schema")(_exits(knowledge.schema))
app.command("config", epilog=configuration.EPILOG)(_exits(configuration.config))
app.command("doctor", epilog=doctor.EPILOG)(_exits(doctor.doctor))
