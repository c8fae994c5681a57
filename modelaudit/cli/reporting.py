"""`modelaudit report`: a page for people from the records of runs."""

from typing import Annotated

import typer

from modelaudit.errors import UsageError

EPILOG = (
    "Examples: modelaudit report results.ndjson -o report.html · "
    "modelaudit report yesterday.ndjson today.ndjson -o report.html · "
    "modelaudit scan models/ --format ndjson | modelaudit report - -o report.html"
)


def report(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULTS...",
            help="NDJSON of modelaudit scan, oldest first; - is standard input. The last run in them is reported, "
            "the earlier ones are what it is compared with.",
        ),
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the page there, not to standard output.")
    ] = None,
) -> int:
    """Make one HTML page from the records of a run: what was found, what is new, fixed and gone."""
    import os

    from modelaudit.report import make

    if output is None and os.isatty(1):
        raise UsageError("a page is nothing for a terminal; name a file with --output")
    make(results, None if output == "-" else output)
    return 0
