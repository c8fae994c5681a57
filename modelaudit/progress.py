"""How far a run has come, for a person at a terminal. Never written into a pipe."""

import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from modelaudit.model import FileReport

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_SHOW_AFTER_SECONDS = 0.5  # a run that is over by then needs no bar, and not the time to load one
_RATE_SECONDS = 5.0  # the rate shown is that of about the last so many seconds


class Progress(Protocol):
    """What the flow tells while it works. Calls are cheap; whoever listens decides how often to draw."""

    def listed(self, count: int, size: int, /) -> None:
        """`count` more objects of together `size` bytes were listed."""

    def done(self, report: FileReport, /) -> None:
        """One object has its record."""

    def listing_done(self) -> None:
        """Nothing more will be listed: from now on the end can be estimated."""


class Silent:
    """Nobody watches."""

    def listed(self, count: int, size: int, /) -> None:
        """Nothing."""

    def done(self, report: FileReport, /) -> None:
        """Nothing."""

    def listing_done(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class Bar:
    """A line on standard error: objects, bytes read, rate, findings, and time left once the listing is done.

    It appears when a run takes longer than a moment, and is gone after `close`.
    """

    def __init__(self, show_after_seconds: float = _SHOW_AFTER_SECONDS) -> None:
        self._begun = time.monotonic()
        self._listed = self._done = self._bytes = self._findings = 0
        self._all_listed = False
        self._marks = [(self._begun, 0, 0)]  # (time, objects, bytes) now and then, for the rate of late
        self._live: Live | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._timer = threading.Timer(show_after_seconds, self._show)
        self._timer.daemon = True
        self._timer.start()

    def listed(self, count: int, size: int, /) -> None:
        """Count more objects."""
        self._listed += count

    def done(self, report: FileReport, /) -> None:
        """Move on by one object."""
        self._done += 1
        self._bytes += report.bytes_read
        self._findings += len(report.findings) + report.findings_cut

    def listing_done(self) -> None:
        """From now on there is an end to wait for."""
        self._all_listed = True

    def close(self) -> None:
        """Take the line away, for good."""
        self._timer.cancel()
        with self._lock:
            self._closed = True
            if self._live is not None:
                with suppress(OSError):  # the terminal may be gone
                    self._live.stop()

    def line(self, now: float) -> str:
        """What the bar says at `now` (of `time.monotonic`)."""
        objects, size = self._rates(now)
        total = f"{self._listed:,}" if self._all_listed else f"{self._listed:,}+"
        parts = [f"{self._done:,} of {total} objects, {objects:,.0f}/s", f"{sized(self._bytes)} read, {sized(size)}/s"]
        parts.append(f"{self._findings:,} finding{'' if self._findings == 1 else 's'}")
        left = self._listed - self._done
        if self._all_listed and objects > 0 and left > 0:
            minutes, seconds = divmod(round(left / objects), 60)
            parts.append(f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left")
        return " · ".join(parts)

    def _rates(self, now: float) -> tuple[float, float]:
        """Objects and bytes a second."""
        if now - self._marks[-1][0] >= _RATE_SECONDS:
            self._marks = [self._marks[-1], (now, self._done, self._bytes)]
        begun, done, size = self._marks[0]
        seconds = max(now - begun, 0.001)
        return (self._done - done) / seconds, (self._bytes - size) / seconds

    def _show(self) -> None:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        live = Live(
            get_renderable=self._drawn,
            console=console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,  # results are no business of the bar's; log lines are put above it
        )
        with self._lock:
            if not self._closed:
                self._live = live
                live.start()
                console.show_cursor(True)  # a process that is killed could not bring it back

    def _drawn(self) -> "RenderableType":
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        row = Table.grid(padding=(0, 1))
        total = self._listed if self._all_listed and self._listed else None
        row.add_row(ProgressBar(total=total, completed=self._done, width=20), Text(self.line(time.monotonic())))
        return row


def watched(quiet: bool) -> Bar | Silent:
    """A bar where standard error is a terminal and nobody asked for silence."""
    return Bar() if not quiet and sys.stderr is not None and sys.stderr.isatty() else Silent()


def sized(count: float) -> str:
    """`count` bytes for people: `1.5 MB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} PB"
