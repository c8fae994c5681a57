"""Looking for pickles at many places of the same bytes, without going over the same opcodes again and again.

Bytes can be made in which every second one looks like the beginning of a pickle. What one look has gone over is
left out by those that begin on its way: with less on their stack they come no further than it did. The rest has a
bound that grows with the stream.
"""

from typing import Final

from modelaudit.parsers.pickle.probe import Probe, Probing

LOOKED_BYTES: Final = 4096  # from each place
_LEAST: Final = 8192  # opcodes that are followed in any stream, however small
_MOST: Final = 1 << 20  # and in the largest, two seconds
_DEAD_MOST: Final = 200_000  # places that are remembered


class Search:
    """The looks into one stream of `size` bytes; `spent` is whether there were too many to go on, `told` whether that
    has been said.
    """

    __slots__ = ("_dead", "_left", "spent", "told")

    def __init__(self, size: int) -> None:
        self._left = min(_MOST, _LEAST + size // 2)
        self._dead: set[int] = set()
        self.spent = self.told = False

    def look(self, data: bytes, at: int, base: int, last: bool) -> Probe | None:
        """What begins at `at` of `data`, which begins at `base` of the stream; None where that leads nowhere.

        `last` is whether nothing comes behind `data`.
        """
        if base + at in self._dead:
            return None
        if self._left <= 0:
            self.spent = True
            return None
        way: list[int] = []
        probing = Probing(0, way=way)
        end = probing.over(data[at : at + LOOKED_BYTES])
        found = probing.found
        self._left -= found.opcodes + 1
        over = end < 0 or (last and at + LOOKED_BYTES >= len(data))
        if over and not found.imports and not found.stopped and len(self._dead) < _DEAD_MOST:
            self._dead.update(base + at + place for place in way)
        return found
