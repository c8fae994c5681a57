"""What a pickle does again and again: the opcodes from behind one call to behind the next, many times over.

A table of small arrays, of dates or of NumPy numbers is some thirty opcodes, a hundred thousand times; only the
literals differ. Once the machine has followed two such stretches of the same shape, one regular expression finds the
rest, and what they do to stack and memo is done for all of them at once. Nothing is left out: a stretch that differs
in an opcode, in a place of the memo or in the length of a literal (but the first short text, say a key) does not
match and is followed as ever, and so is all that imports, that calls something for the first time, or that makes or
changes a container.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from struct import Struct
from typing import TYPE_CHECKING, Final

import msgspec

from modelaudit.parsers.pickle.memo import AsideError
from modelaudit.parsers.pickle.opcodes import BYTES, CODES, COUNT_BYTES, SIZE, TEXTS
from modelaudit.parsers.pickle.payloads import SUSPECT, beginnings
from modelaudit.parsers.pickle.skim import LOOK_BYTES, short_literal
from modelaudit.parsers.pickle.values import Global, Instance, Persistent, Value

if TYPE_CHECKING:
    from modelaudit.parsers.pickle.state import State

_STRETCH_BYTES: Final = 1 << 16  # the longest stretch that is learnt
_STRETCH_OPCODES: Final = 200
_MISSES: Final = 8  # in a row, after which a stretch is forgotten
_PAUSE_MOST: Final = 1 << 20  # calls between two attempts to learn, where those before failed
_COST: Final = (
    500  # stretches that must have been found so for each pattern beyond the first ones: it costs a millisecond
)
_CREDIT: Final = 20 * _COST
_LOOKS_MOST: Final = 4  # literals of one stretch that are looked into
_LOOK_AT_BYTES: Final = LOOK_BYTES - 12  # bytes literals of this length and more are looked into

_PUTS: Final = {CODES["BINPUT"]: "B", CODES["LONG_BINPUT"]: "I"}  # and how their argument is read
_MEMOIZE: Final = CODES["MEMOIZE"]
_MARK: Final = CODES["MARK"]
_TUPLE: Final = CODES["TUPLE"]
_TUPLE1: Final = CODES["TUPLE1"]
_NUMBERS: Final = frozenset(CODES[name] for name in ("BININT", "BININT1", "BININT2", "BINFLOAT"))
_NONE: Final = CODES["NONE"]
_TRUTHS: Final = frozenset(CODES[name] for name in ("NEWTRUE", "NEWFALSE"))
_GETS: Final = frozenset(CODES[name] for name in ("BINGET", "LONG_BINGET"))
_TUPLES: Final = frozenset(CODES[name] for name in ("TUPLE1", "TUPLE2", "TUPLE3"))
_CALLS: Final = frozenset(CODES[name] for name in ("REDUCE", "NEWOBJ"))
_COUNTED: Final = frozenset(
    CODES[name]
    for names in (
        ("SHORT_BINUNICODE", "BINUNICODE", "LONG1"),
        ("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
    for name in names
)


class _Unlike(Exception):
    """The stretch does something that only the machine follows."""


class _Literal(msgspec.Struct, frozen=True):
    """A literal that is looked into: its opcode, the place of its argument in the stretch learnt, its length."""

    op: int
    offset: int
    length: int


class Stretch:
    """The opcodes from `begin` to `end`, offsets in bytes, followed by way of trial; what they are and leave behind.

    Literals of the stretch lie at offsets of their own in each that is like it: those before `pivot`, the end of its
    one literal of free length, keep their distance from its begin, the others theirs from its end.
    """

    def __init__(self, state: "State", begin: int, end: int) -> None:
        self.begin = begin
        self.end = end
        self.pivot = begin
        self.left: list[Value] = []  # on the stack
        self.memoized: list[Value] = []
        self.calls: list[Global] = []
        self.looks: list[_Literal] = []
        self.opcodes = bytearray()
        self._marks: list[int] = []
        self._parts: list[bytes] = []
        self._gets = -1  # the highest index that it takes from the memo
        self._puts: list[int] = []  # the indices that it names itself
        self._layout = "<"  # how those are read from the pivot on
        self._laid = self.begin
        self._overwritten = state.memo.overwritten
        self._pattern: re.Pattern[bytes] | None = None
        self._follow(state)

    # --- by way of trial ----------------------------------------------------------------------------------

    def _follow(self, state: "State") -> None:
        """Do what the opcodes do, to a stack and memo of their own. Raises `_Unlike`."""
        data, base = state.window.data, state.window.base
        i, end = self.begin - base, self.end - base
        while i < end:
            op = data[i]
            self.opcodes.append(op)
            if len(self.opcodes) > _STRETCH_OPCODES:
                raise _Unlike
            i = self._literal(data, i, base) if op in _COUNTED else self._step(state, data, i, base)
        own = len(state.memo.cells) - len(self.memoized)  # the first index of its own entries
        if self._marks or i != end or self._gets >= own:
            raise _Unlike
        if self._puts and self._puts != list(range(own, len(state.memo.cells))):
            raise _Unlike

    def _literal(self, data: bytes, i: int, base: int) -> int:
        op, width = data[i], COUNT_BYTES[data[i]]
        place = i + 1 + width
        length = int.from_bytes(data[i + 1 : place], "little")
        self.left.append(base + i)
        if op in TEXTS and length >= LOOK_BYTES:
            raise _Unlike
        if op in TEXTS and self.pivot == self.begin and width in (1, 4):
            if self._puts:
                raise _Unlike
            self._parts.append(short_literal(bytes((op,)), bytes(width - 1)))
            self.pivot = self._laid = base + place + length
            return place + length
        self._parts.append(re.escape(data[i:place]))
        if op in BYTES and length >= _LOOK_AT_BYTES:
            self._parts.append(b"(?:(?=" + SUSPECT + b")())?")  # an empty group, set for what is to be looked into
            self.looks.append(_Literal(op, base + place, length))
            if len(self.looks) > _LOOKS_MOST:
                raise _Unlike
        self._parts.append(b".{%d}" % length)
        return place + length

    def _step(self, state: "State", data: bytes, i: int, base: int) -> int:
        op, left = data[i], self.left
        size = SIZE[op]
        fixed = data[i : i + size]
        if op in _NUMBERS:
            left.append(base + i)
            self._parts.append(re.escape(fixed[:1]) + b".{%d}" % (size - 1))
            return i + size
        if op in _PUTS:
            self._parts.append(re.escape(fixed[:1]) + b".{%d}" % (size - 1))
            self._put(int.from_bytes(fixed[1:], "little"), base + i, op)
            return i + size
        self._parts.append(re.escape(fixed))
        if op == _MEMOIZE:
            self.memoized.append(self._top(1)[0])
        elif op == _NONE:
            left.append(None)
        elif op in _TRUTHS:
            left.append(base + i)
        elif op in _GETS:
            index = int.from_bytes(fixed[1:], "little")
            self._gets = max(self._gets, index)
            left.append(self._got(state, index))
        elif op == _MARK:
            self._marks.append(len(left))
        elif op == _TUPLE:
            if not self._marks:
                raise _Unlike
            mark = self._marks.pop()
            left[mark:] = [tuple(left[mark:])]
        elif op in _TUPLES:
            count = op - _TUPLE1 + 1
            left[-count:] = [tuple(self._top(count))]
        elif op in _CALLS:
            self._call()
        elif op == CODES["BUILD"]:
            self._build()
        else:
            raise _Unlike
        return i + size

    def _got(self, state: "State", index: int) -> Value:
        try:
            return state.memo.get(index)
        except AsideError:
            raise _Unlike from None

    def _put(self, index: int, offset: int, op: int) -> None:
        self.memoized.append(self._top(1)[0])
        self._puts.append(index)
        self._layout += f"{offset + 1 - self._laid}x{_PUTS[op]}"
        self._laid = offset + SIZE[op]

    def _top(self, count: int) -> list[Value]:
        if len(self.left) - (self._marks[-1] if self._marks else 0) < count:
            raise _Unlike
        return self.left[-count:]

    def _call(self) -> None:
        """A call that `machine` would do without leaving its loop."""
        func, args = self._top(2)
        if not isinstance(func, Global) or not func.repeats or func.instance is None or not isinstance(args, tuple):
            raise _Unlike
        if args and isinstance(args[0], Persistent):
            raise _Unlike
        self.left[-2:] = [func.instance]
        self.calls.append(func)

    def _build(self) -> None:
        """BUILD of an instance whose class does nothing out of the ordinary with a state that is no dict."""
        target, value = self._top(2)
        if not isinstance(target, Instance) or target.of.executes or target.of.wraps:
            raise _Unlike
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, int) and part < 0:
                raise _Unlike
        del self.left[-1]

    # --- again and again ----------------------------------------------------------------------------------

    def shifted(self, value: Value, begin: int, end: int) -> Value:
        """What stands in place of `value` in a stretch like this one from `begin` to `end`."""
        if isinstance(value, int):
            if not self.begin <= value < self.end:
                return value
            return value - self.begin + begin if value < self.pivot else value - self.end + end
        if isinstance(value, tuple):
            return tuple(self.shifted(part, begin, end) for part in value)
        return value

    def take(self, state: "State", data: bytes, i: int, limit: int) -> int:
        """Do all stretches like this one that stand at `i` of `data`, before `limit`; gives where the last one ends."""
        if self._overwritten != state.memo.overwritten:
            return i
        if self._pattern is None:
            self._pattern = re.compile(b"".join(self._parts), re.S)
        match, place = self._pattern.match, i
        ends: list[int] = []
        suspects: set[int] = set()
        while (found := match(data, place, limit)) is not None:
            if found.lastindex:
                suspects.add(len(ends))
            place = found.end()
            ends.append(place)
        if self._puts:
            del ends[self._in_order(data, ends, len(state.memo.cells)) :]
        if not ends:
            return i
        place = ends[-1]
        if self.looks:
            for begin, end in beginnings(data, i, place):
                suspects.update(range(bisect_right(ends, begin), bisect_right(ends, end - 1) + 1))
        base = state.window.base
        begins = [base + i, *(base + end for end in ends[:-1])]
        ends = [base + end for end in ends]
        for index in sorted(suspects):
            if index >= len(ends):
                break
            for look in self.looks:
                where = self.shifted(look.offset, begins[index], ends[index])
                assert isinstance(where, int)  # noqa: S101  an offset shifted is an offset
                state.look(look.op, where, look.length)
        for func in self.calls:
            func.called += len(ends)
        state.stack.extend(chain.from_iterable(zip(*self._columns(begins, ends), strict=False)))
        state.memo.late(self, begins[0], ends)
        return place

    def _in_order(self, data: bytes, ends: Sequence[int], index: int) -> int:
        """How many of the stretches put into the memo what comes next there, from `index` on."""
        read, count, back = Struct(self._layout).unpack_from, len(self._puts), self.end - self.pivot
        for number, end in enumerate(ends):
            if read(data, end - back) != tuple(range(index, index + count)):
                return number
            index += count
        return len(ends)

    def _columns(self, begins: Sequence[int], ends: Sequence[int]) -> Iterator[Iterator[Value]]:
        """What the stretches leave on the stack: for each place in one of them, the values of all of them."""
        for value in self.left:
            if isinstance(value, int) and self.begin <= value < self.end:
                away = value - (self.begin if value < self.pivot else self.end)
                yield (place + away for place in (begins if value < self.pivot else ends))
            elif isinstance(value, tuple):
                yield (self.shifted(value, begin, end) for begin, end in zip(begins, ends, strict=True))
            else:
                yield repeat(value, len(ends))


class Repeats:
    """Watches for stretches that come again. The machine tells it when `wait` calls have gone by."""

    __slots__ = ("_before", "_begin", "_credit", "_known", "_misses", "_pause", "wait")

    def __init__(self) -> None:
        self.wait = 1
        self._pause = 1
        self._begin = -1  # where the stretch under way began, if the one before it is being compared
        self._before = b""  # the opcodes of the stretch before
        self._known: Stretch | None = None
        self._misses = 0
        self._credit = _CREDIT

    def passed(self, state: "State", data: bytes, i: int) -> int:
        """A call ends at `i` of `data`. Gives where the machine goes on, behind all that is done here.

        Raises `Missing` as `state.look` does.
        """
        limit = min(len(data) - 9, state.frames.end - state.window.base)
        self.wait = 1
        if not state.memo.dense or state.shared.watched or state.broken or i >= limit:
            self._begin = -1
            return i
        i = _put_behind(state, data, i)
        if self._known is not None:
            return self._again(state, self._known, data, i, limit)
        offset = state.window.base + i
        if 0 <= state.window.base <= self._begin and offset - self._begin <= _STRETCH_BYTES:
            self._learn(state, offset)
            if self._known is not None:
                return self._again(state, self._known, data, i, limit)
        self._begin = offset if self.wait == 1 else -1
        return i

    def _again(self, state: "State", known: Stretch, data: bytes, i: int, limit: int) -> int:
        place = known.take(state, data, i, limit)
        self._misses += 1
        if place > i:
            self._misses, self._pause = 0, 1
            self._credit += (place - i) // (known.end - known.begin)
        elif self._misses > _MISSES:
            self._forget()
        return place

    def _learn(self, state: "State", end: int) -> None:
        """The stretch that ends at `end` is known once the one before it had the same opcodes."""
        try:
            stretch = Stretch(state, self._begin, end)
        except _Unlike:
            self._forget()
            return
        opcodes = bytes(stretch.opcodes)
        if opcodes == self._before and self._credit >= _COST:
            self._known, self._misses = stretch, 0
            self._credit -= _COST
        elif self._before:
            self._forget()
        self._before = opcodes

    def _forget(self) -> None:
        self._known, self._before, self._begin = None, b"", -1
        self._pause = min(2 * self._pause, _PAUSE_MOST)
        self.wait = self._pause


def _put_behind(state: "State", data: bytes, i: int) -> int:
    """Do the opcode at `i` if it puts what the call gave into the memo's next place; gives where the next one is."""
    op, cells = data[i], state.memo.cells
    if op in _PUTS and int.from_bytes(data[i + 1 : i + SIZE[op]], "little") != len(cells):
        return i
    if op in _PUTS or op == _MEMOIZE:
        value = state.stack[-1]
        cells.append(value if type(value) is int else state.memo.code(value))
        return i + SIZE[op]
    return i
