"""`--heartbeat`: signs of life from a long run, for whoever must tell a slow one from a dead one."""

from collections.abc import Callable

import anyio
import anyio.to_thread

from modelaudit.model import FileReport
from modelaudit.progress import Progress


class Listed:
    """Counts what is listed, and tells it on to whoever watches."""

    def __init__(self, watcher: Progress) -> None:
        self._watcher = watcher
        self.count = 0
        self.is_all = False

    def listed(self, count: int, size: int, /) -> None:
        """Count more objects."""
        self.count += count
        self._watcher.listed(count, size)

    def done(self, report: FileReport, /) -> None:
        """Tell it on."""
        self._watcher.done(report)

    def listing_done(self) -> None:
        """From now on `count` is final."""
        self.is_all = True
        self._watcher.listing_done()


async def beating(seconds: float, beat: Callable[[], None]) -> None:
    """Call `beat` every `seconds`, in a thread, for ever. Raises what it raises."""
    while True:
        await anyio.sleep(seconds)
        await anyio.to_thread.run_sync(beat)
