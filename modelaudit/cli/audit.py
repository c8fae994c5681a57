"""One audit from the command line: the flow, its sink, its numbers, and what is said on standard error."""

import sys
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from modelaudit import __version__
from modelaudit.cli import stopping
from modelaudit.cli.descriptors import within
from modelaudit.cli.heartbeat import Listed, beating
from modelaudit.cli.outputs import leaving_out, need_a_place, spare_inputs
from modelaudit.cli.trouble import explain, tell
from modelaudit.errors import SinkClosed, SinkFailed
from modelaudit.logs import Log, redacted
from modelaudit.model import Ended, FileReport, RunRecord, Summary
from modelaudit.pipeline import remembering
from modelaudit.pipeline import run as run_pipeline
from modelaudit.pipeline.policy import Policy
from modelaudit.pipeline.statistics import Statistics
from modelaudit.progress import watched
from modelaudit.settings import Settings
from modelaudit.sinks import open_sink
from modelaudit.sinks.interface import Sink
from modelaudit.sinks.ndjson import written
from modelaudit.sinks.output import Output
from modelaudit.sinks.tee import Tee
from modelaudit.sources import source_for
from modelaudit.sources.interface import shown
from modelaudit.workers.launch import Nursery

if TYPE_CHECKING:
    from modelaudit.pipeline.history import History


def execute(settings: Settings, nursery: Nursery | None = None) -> int:
    """Run the audit that `settings` describe; gives the exit code. Raises `UsageError` before anything is written."""
    for path in settings.paths:
        source_for(path, settings.access)
    need_a_place(settings)
    spare_inputs(settings)
    with stopping.Noted() as signals, remembering(settings) as history:
        return _execute(settings, history, nursery, signals)


def _execute(settings: Settings, history: "History | None", nursery: Nursery | None, signals: stopping.Noted) -> int:
    lines = settings.format in (None, "ndjson")
    killed = history.run.place if history is not None and lines else None
    place = None if killed is None else (killed.offset, killed.tail)
    output = Output.standard() if settings.output in (None, "-") else Output.file(str(settings.output), place)
    settings = within(leaving_out(settings, output))
    if history is not None:
        history.start(output.mark if lines else None, output.kept_bytes > 0)
    with (
        closing(open_sink(settings, output)) as sink,
        Log(verbose=settings.verbose, quiet=settings.quiet, colour=settings.colour) as log,
    ):
        for notice in settings.notices:
            log.warning(notice)
        return _Audit(settings, output, sink, log, nursery, history).run(signals)


class _Audit:
    """One run with its sink and its numbers."""

    def __init__(
        self,
        settings: Settings,
        output: Output,
        sink: Sink,
        log: Log,
        nursery: Nursery | None = None,
        history: "History | None" = None,
    ) -> None:
        self._history = history
        self._forgets = False
        self._nursery = nursery
        self._settings = settings
        self._output = output
        self._sink = sink
        self._log = log
        self._statistics = Statistics(settings.fail_on, dry_run=settings.dry_run)
        self._run = _record(settings, history)
        self._policy = Policy.of(settings)
        self._writing = threading.Lock()

    def run(self, signals: stopping.Noted) -> int:
        """Scan, write the last record, say what there is to say; gives the exit code."""
        run = self._run
        ended: Ended = "failed"
        try:
            self._sink.start(run)
            self._begin()
            if signals.stop is None:
                ended = self._scan()
            if signals.stop is not None:
                ended = _stopped(signals.stop)
            summary = self._statistics.summary(run.run_id, ended)
            self._sink.finish(summary)
            if self._history is not None:
                self._history.finish(ended)
                self._tell_trouble()
            self._say(summary)
        except SinkClosed:
            ended = "closed"
        except SinkFailed as error:
            ended = "failed"
            explain(error, verbose=False)
        except KeyboardInterrupt as stop:  # while the last of the output was written
            ended = _stopped(stop)
        return self._statistics.exit_code(ended)

    def _begin(self) -> None:
        """Count what the output has already from before the run was killed; note where it goes on."""
        if self._output.kept_bytes:
            for report in written(self._output.name, self._output.kept_bytes):
                self._statistics.add(report)
                if isinstance(self._sink, Tee):
                    self._sink.again(report)
        if self._history is not None:
            self._history.begun()

    def _tell_trouble(self) -> None:
        """Say once that nothing more is remembered."""
        if self._history is not None and self._history.trouble is not None and not self._forgets:
            self._forgets = True
            self._log.warning(self._history.trouble)

    def _scan(self) -> Ended:
        """How the run ended. What fails and is neither an object nor the output is told, not raised."""
        trouble: BaseException
        run = partial(
            run_pipeline,
            self._settings,
            nursery=self._nursery,
            signals=True,
            history=self._history,
            policy=self._policy,
        )
        unwatched = self._settings.quiet or (self._output.terminal and self._writes_on)
        try:
            # Held until the flow heeds them; first, so that the bar's thread, which begins here, takes none of them.
            with stopping.held(), closing(watched(unwatched)) as progress:
                listed = Listed(progress)
                return anyio.run(partial(run, beside=self._heart(listed)), self._deliver, listed)
        except (SinkClosed, SinkFailed):
            raise
        except KeyboardInterrupt as stop:  # before the flow heeded signals
            return _stopped(stop)
        except Exception as error:  # noqa: BLE001  the command line's top: what was found before is still written
            trouble = error
        explain(trouble, verbose=self._settings.verbose)
        return "failed"

    def _heart(self, listed: Listed) -> Callable[[], Coroutine[Any, Any, None]] | None:
        """What tells that the run goes on, if that is wanted."""
        if self._settings.heartbeat is None:
            return None
        return partial(beating, self._settings.heartbeat, partial(self._beat, listed))

    def _beat(self, listed: Listed) -> None:
        with self._writing:
            heartbeat = self._statistics.heartbeat(self._run.run_id, listed.count, listed.is_all)
            if not self._sink.beat(heartbeat):
                told = ("objects", "listed", "findings_total", "bytes_read")
                numbers = {name: getattr(heartbeat, name) for name in told}
                self._log.asked("scanning", seconds=round(heartbeat.duration_seconds), **numbers)

    @property
    def _writes_on(self) -> bool:
        """Whether the sink writes during the run, so that a bar on the same terminal would be torn."""
        return self._settings.verbose or self._settings.dry_run or self._settings.format in ("ndjson", "ocsf")

    async def _deliver(self, batch: Sequence[FileReport]) -> None:
        # In a thread: a reader that is slow to take lines must not stop the clock that watches the workers.
        await anyio.to_thread.run_sync(self._write, batch)

    def _write(self, batch: Sequence[FileReport]) -> None:
        with self._writing:
            for report in batch:
                self._statistics.add(report)
                self._sink.write(report)
        self._tell_trouble()

    def _say(self, summary: Summary) -> None:
        """What whoever started the run should hear of, where the output itself is not in front of them."""
        if summary.ended == "complete" and not self._settings.dry_run:
            for each in self._policy.unused:
                if not each.where.startswith("--"):
                    self._log.warning(f"{each.where}: the suppression of {each.what} matched nothing; remove it")
        if self._output.terminal or self._settings.format == "text":
            return
        if summary.exit_code == 2 or summary.incomplete:
            what = "not everything was scanned" if summary.files_scanned else "nothing was scanned"
            reasons = {reason: count for reason, count in summary.reasons.items() if count}
            self._log.warning(what, ended=summary.ended, incomplete=summary.incomplete, reasons=reasons)
        watched = sys.stderr is not None and sys.stderr.isatty() and not self._settings.quiet
        if watched and self._settings.output is not None:
            found = ", ".join(f"{count} {level}" for level, count in summary.by_severity.items() if count)
            tell(f"{found or 'no findings'} in {summary.objects} objects; see {self._output.name}")


def _stopped(stop: KeyboardInterrupt) -> Ended:
    return "terminated" if isinstance(stop, stopping.Terminated) else "interrupted"


def _record(settings: Settings, history: "History | None") -> RunRecord:
    return RunRecord(
        version=__version__,
        run_id=uuid.uuid4().hex if history is None else history.run.run_id,
        started=round(time.time(), 6),
        paths=tuple(shown(redacted(path)) for path in settings.paths),
        settings=settings.worth_knowing(),
        resumed=history is not None and history.run.resumed,
    )
