"""One HTML page from the NDJSON of one or more runs: `modelaudit report`.

`reading` finds the runs in the files, `comparing` says what is new, fixed and gone since the earlier ones, `gathering`
counts and lays out the rows, `page` writes it all down, with what stands in `charts` and `escaping`. The page's style
and program are the files beside this one.
"""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from modelaudit import catalogue
from modelaudit.errors import UsageError
from modelaudit.report.comparing import Earlier
from modelaudit.report.gathering import Gathering
from modelaudit.report.page import written
from modelaudit.report.reading import Log, runs_of
from modelaudit.sinks.output import Output

__all__ = ["make"]


def make(paths: Sequence[str], output: str | None) -> None:
    """Write the page on the last run in the files `paths` to the file `output`, or to standard output.

    Earlier runs, in the order of the files, are what it is compared with. `-` is standard input.
    Raises `UsageError`, `SinkFailed`, `SinkClosed`.
    """
    with ExitStack() as held:
        logs = [held.enter_context(closing(Log(path))) for path in paths]
        *before, last = runs_of(logs)
        earlier = Earlier(before, last)
        gathering = held.enter_context(closing(Gathering(catalogue.load(), last.record, earlier)))
        gathering.take(last)
        _refuse_own_input(paths, output)
        target = held.enter_context(closing(Output.standard() if output is None else Output.file(output)))
        with target.whole():
            for piece in written(gathering, last, earlier, logs):
                target.write(piece)


def _refuse_own_input(paths: Sequence[str], output: str | None) -> None:
    if output is None or not Path(output).exists():
        return
    for path in paths:
        if path != "-" and Path(output).samefile(path):
            raise UsageError(f"--output {output} is what the report is made of; name another file")
