"""What the whole run may spend: bytes in flight at a time, and bytes read in total."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Tokens:
    """A bounded amount that many tasks take from and give back, first come, first served.

    A request for more than the whole amount gets the whole amount, alone.
    """

    def __init__(self, amount: int) -> None:
        self._amount = amount
        self._free = amount
        self._waiting: deque[tuple[int, anyio.Event]] = deque()

    @asynccontextmanager
    async def hold(self, count: int) -> AsyncIterator[None]:
        """Wait until `count` is free, and hold it for the length of the block."""
        count = min(count, self._amount)
        if self._waiting or count > self._free:
            turn = anyio.Event()
            entry = (count, turn)
            self._waiting.append(entry)
            try:
                await turn.wait()
            except BaseException:
                if turn.is_set():
                    self._give(count)
                else:
                    self._waiting.remove(entry)
                    self._wake()
                raise
        else:
            self._free -= count
        try:
            yield
        finally:
            self._give(count)

    def _give(self, count: int) -> None:
        self._free += count
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            count, turn = self._waiting.popleft()
            self._free -= count
            turn.set()


class TotalBudget:
    """Bytes that the run may still read from its sources. `allowed` None means no bound."""

    def __init__(self, allowed: int | None) -> None:
        self._allowed = allowed
        self._used = 0
        self._reserved = 0
        self._settled = anyio.Event()
        self.spent = False

    async def take(self, count: int) -> bool:
        """Reserve `count` bytes; False, and `spent` from then on, when they are not there.

        Reservations are larger than what is read in the end: while there are others, theirs may come back.
        """
        while self._allowed is not None and self._used + self._reserved + count > self._allowed:
            if self.spent or self._used + count > self._allowed:
                self.spent = True
                return False
            await self._settled.wait()
        self._reserved += count
        return True

    def settle(self, taken: int, used: int) -> None:
        """Turn a reservation of `taken` bytes into the `used` bytes that were read."""
        self._reserved -= taken
        self._used += used
        self._settled.set()
        self._settled = anyio.Event()


class Backlog:
    """Findings that are known and not yet written. Records of clean objects weigh nothing."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._lifted = False
        self._lighter = anyio.Event()

    async def take(self, count: int) -> None:
        """Wait until there is room for `count` more; a record of more than `most` waits until it is alone."""
        while not self.fits(count):
            await self._lighter.wait()

    def fits(self, count: int) -> bool:
        """Take room for `count` more, if there is any now."""
        if count and self._held and self._held + count > self._most and not self._lifted:
            return False
        self._held += count
        return True

    def lift(self) -> None:
        """Nothing is written any more: nobody waits."""
        self._lifted = True
        self._lighter.set()

    def give(self, count: int) -> None:
        """So many have been written."""
        self._held -= count
        self._lighter.set()
        self._lighter = anyio.Event()
