"""Opening local files: in a thread, because a disk may be slow, and many in one go, because a thread is."""

import os
from collections.abc import Sequence

import anyio
import anyio.to_thread

from modelaudit.errors import SourceError
from modelaudit.model import Target
from modelaudit.sources.interface import LocalSource


class _Slot:
    """One file on its way: what to open, and then the descriptor or what went wrong."""

    def __init__(self, source: LocalSource, target: Target) -> None:
        self.source = source
        self.target = target
        self.descriptor: int | None = None
        self.error: Exception | None = None
        self.wanted = True

    def open(self) -> None:
        if self.wanted:
            try:
                self.descriptor = self.source.open(self.target)
            except (SourceError, OSError) as error:  # carried to the caller, who raises it
                self.error = error


class Opener:
    """Gathers the files that tasks want opened while a batch is under way, and opens them as the next one."""

    def __init__(self) -> None:
        self._waiting: list[_Slot] = []
        self._turn = anyio.Lock()

    async def open(self, source: LocalSource, target: Target) -> int:
        """A descriptor of `target`, to be closed by the caller. Raises what `source.open` raises."""
        slot = _Slot(source, target)
        self._waiting.append(slot)
        try:
            async with self._turn:
                if slot.descriptor is None and slot.error is None:
                    batch, self._waiting = self._waiting, []
                    await anyio.to_thread.run_sync(_open_all, batch)
        except BaseException:
            slot.wanted = False
            if slot.descriptor is not None:
                os.close(slot.descriptor)
            raise
        if slot.error is not None:
            raise slot.error
        assert slot.descriptor is not None  # noqa: S101  opened, or the error was raised
        return slot.descriptor


def _open_all(slots: Sequence[_Slot]) -> None:
    for slot in slots:
        slot.open()
