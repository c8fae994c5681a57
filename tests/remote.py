"""An object that is read by ranges, the way the pipeline does it, with the requests counted."""

from collections.abc import Callable

from modelaudit.blob import Blob, RootBlob
from modelaudit.errors import Missing
from modelaudit.limits import Limits
from modelaudit.pipeline.spool import ReadAhead, merge


class Remote:
    """`data` at a distance. `requests` and `bytes_fetched` count what `run` has read so far.

    `tail_bytes` is the hint of the format that the object's name promises.
    """

    def __init__(self, data: bytes, limits: Limits, tail_bytes: int = 0) -> None:
        self.requests = 0
        self.rounds = 0
        self._data = data
        self._limits = limits
        self._ahead = ReadAhead(limits)
        self._extents: list[tuple[int, int]] = []
        self._fetch(self._ahead.first(len(data), 0, tail_bytes))

    @property
    def bytes_fetched(self) -> int:
        return sum(length for _, length in self._extents)

    def run(self, work: Callable[[Blob], object]) -> None:
        """Call `work` with what is here, fetch what it misses, and call it again, until it misses nothing."""
        while True:
            try:
                work(RootBlob(self._data, len(self._data), self._extents))
            except Missing as missing:
                assert self.rounds < self._limits.rounds
                self._fetch(self._ahead.next(missing.ranges, self._extents, len(self._data)))
            else:
                return

    def _fetch(self, ranges: list[tuple[int, int]]) -> None:
        self.rounds += 1
        self.requests += len(ranges)
        self._extents = merge([*self._extents, *ranges])
