"""Which bytes of a zip belong to something, which to two things, and which to nothing."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

import msgspec


class Gap(msgspec.Struct, frozen=True):
    """Bytes from `start` to `end` that nothing claims."""

    start: int
    end: int


class Overlap(msgspec.Struct, frozen=True):
    """`length` bytes from `start` that are claimed twice."""

    start: int
    length: int


class Spans:
    """Spans of bytes, sixteen bytes of memory for each, so that a million members fit."""

    def __init__(self) -> None:
        self._starts = array("Q")
        self._ends = array("Q")

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, start: int, end: int) -> None:
        """Claim the bytes from `start` to `end`; empty spans are nothing."""
        if end > start:
            self._starts.append(start)
            self._ends.append(end)

    def sweep(self, size: int) -> Iterator[Gap | Overlap]:
        """What no span and what two spans cover of `size` bytes, from the start."""
        order: range | list[int] = range(len(self._starts))
        if any(before > after for before, after in pairwise(self._starts)):
            order = sorted(order, key=self._starts.__getitem__)
        covered = 0
        for index in order:
            start, end = self._starts[index], min(self._ends[index], size)
            if covered < min(start, size):
                yield Gap(covered, min(start, size))
            elif start < min(covered, end):
                yield Overlap(start, min(covered, end) - start)
            covered = max(covered, end)
        if covered < size:
            yield Gap(covered, size)


class Shared(msgspec.Struct, frozen=True):
    """`count` spans begin in bytes that another claims; `length` bytes in all, the first at `start`."""

    count: int
    length: int
    start: int


def shared(spans: Spans, size: int) -> Shared | None:
    """The overlaps of `spans` in `size` bytes, together; `None` when there are none."""
    count = length = start = 0
    for found in spans.sweep(size):
        if isinstance(found, Overlap):
            start = start if count else found.start
            count, length = count + 1, length + found.length
    return Shared(count, length, start) if count else None


class Starts:
    """Where members begin, eight bytes of memory for each; add them all before the first question."""

    def __init__(self) -> None:
        self._starts = array("Q")
        self._sorted = False

    def add(self, start: int) -> None:
        """A member, directory or record begins at `start`."""
        self._starts.append(start)

    def after(self, place: int) -> int | None:
        """The first start beyond `place`, unless something else starts at `place` too; `None` where there is none."""
        if not self._sorted:
            self._starts = array("Q", sorted(self._starts))
            self._sorted = True
        index = bisect_right(self._starts, place)
        if index == len(self._starts) or (index > 1 and self._starts[index - 2] == place):
            return None
        return self._starts[index]


class Ranges:
    """Ranges to ask for, those near each other as one, so that a million small ones cost little."""

    def __init__(self, gap: int) -> None:
        self._gap = gap
        self._ranges: list[tuple[int, int]] = []

    def add(self, offset: int, length: int) -> None:
        """Ask for `length` bytes at `offset`."""
        if self._ranges:
            start, before = self._ranges[-1]
            if start <= offset <= start + before + self._gap:
                self._ranges[-1] = (start, max(before, offset + length - start))
                return
        self._ranges.append((offset, length))

    def merged(self) -> list[tuple[int, int]]:
        """The ranges asked for, sorted, with small gaps filled."""
        whole = Ranges(self._gap)
        for offset, length in sorted(self._ranges):
            whole.add(offset, length)
        return whole._ranges
