"""The typer application and its top: no traceback reaches the user unless it is asked for."""

import functools
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, ParamSpec

import typer

from modelaudit import __version__
from modelaudit.cli import info, scan
from modelaudit.errors import ModelauditError

app = typer.Typer(
    name="modelaudit",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Audit AI model files for attacks: single files, folders, whole buckets.",
    epilog="Exit codes: 0 nothing found, 1 findings, 2 something could not be scanned or the usage was wrong.",
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
    def run_it(*args: P.args, **kwargs: P.kwargs) -> None:
        raise typer.Exit(command(*args, **kwargs))

    return run_it


app.command("scan", epilog=scan.EPILOG)(_exits(scan.scan))
app.command("rules")(_exits(info.rules))
app.command("formats")(_exits(info.formats))
app.command("doctor")(_exits(info.doctor))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and give the exit code."""
    verbose = "--verbose" in (arguments or sys.argv) or "-v" in (arguments or sys.argv)
    try:
        app(args=arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:  # noqa: BLE001  the command line's top
        return _explain(error, verbose)
    return 0


def _explain(error: BaseException, verbose: bool) -> int:
    """One line for people; the traceback only with --verbose."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, ModelauditError):
        line = f"modelaudit: {error}"
    else:
        line = f"modelaudit: unexpected {type(error).__name__}: {error}"
        line += "" if verbose else " (run with --verbose for the traceback, and please report it)"
    if verbose:
        traceback.print_exception(error)
    sys.stderr.write(line + "\n")
    return 2
