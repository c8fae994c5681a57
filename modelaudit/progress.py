"""How far a run has come, for a person at a terminal. Never written into a pipe."""

import time
from typing import Protocol

from modelaudit.model import FileReport


class Progress(Protocol):
    """What the flow tells while it works. Calls are cheap; whoever listens decides how often to draw."""

    def listed(self, count: int, size: int) -> None:
        """`count` more objects of together `size` bytes were listed."""

    def done(self, report: FileReport) -> None:
        """One object has its record."""

    def listing_done(self) -> None:
        """Nothing more will be listed: from now on the end can be estimated."""


class Silent:
    """Nobody watches."""

    def listed(self, count: int, size: int) -> None:
        """Nothing."""

    def done(self, report: FileReport) -> None:
        """Nothing."""

    def listing_done(self) -> None:
        """Nothing."""


class Bar:
    """A line on standard error: objects, bytes read, rate, findings, time left once the listing is done."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._begun = time.monotonic()
        self._listed = self._done = self._bytes = self._findings = 0
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=4,
        )
        self._task = self._bar.add_task("Listing and scanning", total=None, numbers="")
        self._bar.start()

    def listed(self, count: int, size: int) -> None:
        """Count more objects; the total is not yet known, so no end is estimated."""
        self._listed += count

    def done(self, report: FileReport) -> None:
        """Move on by one object."""
        self._done += 1
        self._bytes += report.bytes_read
        self._findings += len(report.findings)
        rate = self._done / max(time.monotonic() - self._begun, 0.001)
        numbers = f"{self._bytes / 1e6:,.1f} MB read, {rate:,.0f}/s, {self._findings} findings"
        self._bar.update(self._task, completed=self._done, numbers=numbers)

    def listing_done(self) -> None:
        """From now on there is an end to wait for."""
        self._bar.update(self._task, total=self._listed, description="Scanning")

    def close(self) -> None:
        """Take the line away."""
        self._bar.stop()
