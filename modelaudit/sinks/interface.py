"""What every sink can do: take the first record, any number of file records, and the last one."""

from typing import Protocol

from modelaudit.model import FileReport, Heartbeat, RunRecord, Summary


class Sink(Protocol):
    """Synchronous; called from one place at a time; holds no more than a bounded part of what it was given.

    Every method raises `SinkClosed` when whoever reads the output has gone away, and `SinkFailed` when it
    cannot be written.
    """

    def start(self, run: RunRecord) -> None:
        """The run begins."""

    def write(self, report: FileReport) -> None:
        """One object has ended."""

    def beat(self, heartbeat: Heartbeat) -> bool:
        """The run goes on; False where the format has no place for that, and it is to be told elsewhere."""

    def finish(self, summary: Summary) -> None:
        """The run has ended, one way or another; nothing comes after this."""

    def close(self) -> None:
        """Give back what is held. Never raises; may be called without `finish`."""
