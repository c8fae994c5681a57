"""The memo: eight bytes an entry, whatever the indices that a hostile stream puts things at."""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

import msgspec

from modelaudit.parsers.pickle.values import Instance, Special, Unknown, Value

# Codes below every literal (>= 0) and every container (small and negative).
OPAQUE: Final = -(1 << 62)  # None
UNSET: Final = OPAQUE - 1
_FIRST_KEPT: Final = OPAQUE - 2  # minus the place in `kept`
_ASIDE: Final = OPAQUE - (1 << 60)  # minus the place in `kept` of what no pickler takes out again
_LATE: Final = OPAQUE - (1 << 61)  # what stands there is worked out when it is asked for

KEPT: Final = 1 << 20  # calls and tuples remembered as objects; later ones count as unknown: nothing is lost silently
FAR: Final = 1 << 20  # entries whose index leaves a gap; a pickler makes none

Kept: TypeAlias = list[Special | tuple[Value, ...]]


class AsideError(IndexError):
    """The entry is joblib's wrapper of an array, which joblib never takes out of the memo; see `Memo.aside`."""


class Shape(Protocol):
    """What many stretches of opcodes have in common, see `repeats`."""

    memoized: list[Value]

    def shifted(self, value: Value, begin: int, end: int) -> Value:
        """What stands in place of one of `memoized` in the stretch from `begin` to `end`."""


class _Late(msgspec.Struct, frozen=True):
    """Entries that stretches of one shape made: the first begins at `begin`, each next one where one ends."""

    shape: Shape
    begin: int
    ends: "array[int]"

    def value(self, place: int) -> Value:
        index, slot = divmod(place, len(self.shape.memoized))
        begin = self.ends[index - 1] if index else self.begin
        return self.shape.shifted(self.shape.memoized[slot], begin, self.ends[index])


class Memo:
    """Index to value as the C unpickler keeps it.

    `cells` holds the codes of the entries without gap; the machine appends to it directly while `dense`,
    that is while every index below its length is set and none above. `kept` are the objects that codes stand
    for; a stream has one such list, because its globals, with their places in it, outlive each of its pickles.
    `overwritten` counts the entries that were set again.
    """

    __slots__ = ("_firsts", "_late", "cells", "count", "dense", "far", "kept", "overwritten")

    def __init__(self, kept: Kept) -> None:
        self.cells = array("q")
        self.count = 0  # entries that are set, valid while not `dense`
        self.dense = True
        self.far: dict[int, int] = {}
        self.kept = kept
        self.overwritten = 0
        self._late: list[_Late] = []
        self._firsts: list[int] = []  # the index of the first entry of each of those

    def code(self, value: Value) -> int:
        """What stands for `value` in `cells`."""
        if value is None:
            return OPAQUE
        if isinstance(value, int):
            return value
        if isinstance(value, tuple):
            if len(self.kept) >= KEPT:
                value = Unknown()
            self.kept.append(value)
            return _FIRST_KEPT - len(self.kept) + 1
        if value.slot < 0:
            if len(self.kept) >= 2 * KEPT:
                return OPAQUE
            value.slot = len(self.kept)
            self.kept.append(value)
        if isinstance(value, Instance) and value.of.wraps:
            return _ASIDE - value.slot
        return _FIRST_KEPT - value.slot

    def value(self, code: int, index: int) -> Value:
        """The value that `code`, the entry at `index`, stands for.

        Raises `IndexError` when nothing was put there, `AsideError` when it is set aside.
        """
        if code > OPAQUE:
            return code
        if code == OPAQUE:
            return None
        if code > _ASIDE:
            if code == UNSET:
                raise IndexError("memo entry is not set")
            return self.kept[_FIRST_KEPT - code]
        if code == _LATE:
            number = bisect_right(self._firsts, index) - 1
            return self._late[number].value(index - self._firsts[number])
        raise AsideError

    def aside(self, index: int) -> Value:
        """The entry at `index`, at which `get` raised `AsideError`."""
        code = self.cells[index] if 0 <= index < len(self.cells) else self.far[index]
        return self.kept[_ASIDE - code]

    def copy(self) -> "Memo":
        """Another one with the same entries; they have `kept` in common."""
        other = Memo(self.kept)
        other.cells, other.count, other.dense = self.cells[:], self.count, self.dense
        other.overwritten = self.overwritten
        other.far, other._late, other._firsts = dict(self.far), list(self._late), list(self._firsts)
        return other

    def late(self, shape: Shape, begin: int, ends: Sequence[int]) -> None:
        """Set the entries that stretches of one shape make, one behind the other from `begin`; only while `dense`."""
        count = len(shape.memoized) * len(ends)
        if count:
            self._firsts.append(len(self.cells))
            self._late.append(_Late(shape, begin, array("q", ends)))
            self.cells.extend(array("q", (_LATE,)) * count)

    def get(self, index: int) -> Value:
        """The entry at `index`. Raises as `value` does."""
        if 0 <= index < len(self.cells):
            return self.value(self.cells[index], index)
        code = self.far.get(index)
        if code is None:
            if len(self.far) >= FAR:
                return Unknown()
            raise IndexError("memo entry is not set")
        return self.value(code, index)

    def put(self, index: int, value: Value) -> None:
        """Set the entry at `index`. Raises `ValueError` when it is negative."""
        if index < 0:
            raise ValueError("negative memo index")
        cells, code = self.cells, self.code(value)
        if self.dense:
            self.count = len(cells)
        if index == len(cells) and self.dense:
            cells.append(code)
            return
        if index >= len(cells) and index <= 2 * len(cells) + 256 and not self.far:
            cells.extend([UNSET] * (index - len(cells) + 1))
        if index < len(cells):
            self.overwritten += 1
            self.count += cells[index] == UNSET
            cells[index] = code
        elif index in self.far or len(self.far) < FAR:
            self.count += index not in self.far
            self.far[index] = code
        self.dense = self.count == len(cells) and not self.far

    def memoize(self, value: Value) -> None:
        """Set the entry whose index is the number of entries, as MEMOIZE does."""
        self.put(len(self.cells) if self.dense else self.count, value)
