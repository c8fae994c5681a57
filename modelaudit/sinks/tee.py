"""Several sinks as one."""

from collections.abc import Sequence

from modelaudit.model import FileReport, Heartbeat, RunRecord, Summary
from modelaudit.sinks.interface import Sink


class Tee:
    """Hands everything to each of `sinks`, the first one first."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks

    def start(self, run: RunRecord) -> None:
        """The run begins, for all."""
        for sink in self._sinks:
            sink.start(run)

    def write(self, report: FileReport) -> None:
        """One object has ended, for all."""
        for sink in self._sinks:
            sink.write(report)

    def again(self, report: FileReport) -> None:
        """For all but the first, which has it from before the run was killed."""
        for sink in self._sinks[1:]:
            sink.write(report)

    def beat(self, heartbeat: Heartbeat) -> bool:
        """Whether any of them has a place for it; all are asked."""
        return any([sink.beat(heartbeat) for sink in self._sinks])

    def finish(self, summary: Summary) -> None:
        """The run has ended, for all."""
        for sink in self._sinks:
            sink.finish(summary)

    def close(self) -> None:
        """Give back what they hold."""
        for sink in self._sinks:
            sink.close()
