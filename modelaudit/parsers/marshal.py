"""Python's marshal format, in which compiled code is kept: read into values, never into code that could run.

Versions 0 to 5 and the code objects of CPython 2.7 and 3.0 to 3.14. Nothing in the bytes says which CPython wrote
them unless a `.pyc` header stands before them, so a reading is tried with each layout, and all that fit are given.
Source: CPython's Python/marshal.c and Objects/codeobject.c of those versions; PEP 552 (`.pyc` headers).
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits

# How many 32-bit numbers stand before the bytecode, and whether the locals are one list with kinds.
LAYOUTS: Final = {"3.11": (5, True), "3.8": (6, False), "3.0": (5, False), "2.7": (4, False)}
_FLAG_REF: Final = 0x80
_DIGITS_MOST: Final = 4096  # 15-bit digits of one integer; longer ones are nobody's constant
_PLAIN: Final = {ord("N"): None, ord("T"): True, ord("F"): False, ord("S"): None, ord("."): ..., ord("0"): None}


class Code(msgspec.Struct, frozen=True, gc=False, eq=False):
    """One code object. `offset` is that of its bytecode in the bytes that were read.

    `layout` is a key of `LAYOUTS`. `locals` are those of the frame in the order of the opcodes' arguments, `cells`
    those of enclosing functions. `constants` hold text, bytes, numbers, tuples, and code objects.
    """

    layout: str
    name: str
    filename: str
    offset: int
    bytecode: bytes
    constants: tuple[object, ...]
    names: tuple[str, ...]
    locals: tuple[str, ...]
    cells: tuple[str, ...]


class Header(msgspec.Struct, frozen=True):
    """What stands before the code in a `.pyc`: its magic number, and where the code begins, in bytes."""

    magic: int
    length: int


def header(head: bytes) -> Header | None:
    """The header of a `.pyc` that begins with `head` (17 bytes are enough), or None."""
    if len(head) < 9 or head[2:4] != b"\r\n":
        return None
    magic = int.from_bytes(head[:2], "little")
    if 62011 <= magic <= 62218 or 3000 <= magic < 3200:  # Python 2.3 to 2.7: a time
        length = 8
    elif 3200 <= magic < 3390:  # 3.3: the source's size too
        length = 12
    elif 3390 <= magic < 4000:  # 3.7: flags, and a time or a hash
        length = 16
        if len(head) > 8 and int.from_bytes(head[4:8], "little") > 3:
            return None
    else:
        return None
    return Header(magic, length) if head[length : length + 1] in (b"c", b"\xe3") else None


def is_code(head: bytes) -> bool:
    """Whether bytes that begin with `head` can be a marshalled code object: its marker, and small numbers."""
    if len(head) < 21 or head[0] not in (0x63, 0xE3):
        return False
    arguments, second = struct.unpack_from("<ii", head, 1)
    return bool(0 <= arguments < 1 << 16 and 0 <= second < 1 << 16)


def read(data: bytes, limits: Limits, magic: int = 0) -> list[Code]:
    """The code object that `data` begin with, once for each layout that fits; `magic` is that of a `.pyc`.

    Raises `ParseError` when none fits, `LimitExceeded` when values nest too deep.
    """
    found: list[Code] = []
    trouble: ParseError | LimitExceeded | None = None
    for layout in _layouts(magic):
        try:
            value = _Reader(data, layout, limits.text_depth).value()
        except (ParseError, LimitExceeded) as error:
            if trouble is None or isinstance(error, LimitExceeded) or _later(error, trouble):
                trouble = error
            continue
        if isinstance(value, Code):
            found.append(value)
    if not found:
        raise trouble or ParseError("no code object")
    return found


def nested(code: Code) -> Iterator[Code]:
    """`code` and every code object among its constants, outer ones first, each once."""
    seen: set[int] = set()
    pending: list[object] = [code]
    while pending:
        value = pending.pop(0) if isinstance(pending[0], Code) else pending.pop()
        if not isinstance(value, Code | tuple) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Code):
            yield value
            pending.extend(value.constants)
        else:
            pending.extend(value)


def texts(code: Code) -> Iterator[str | bytes]:
    """The texts and bytes among the constants of `code` itself, tuples looked into."""
    seen: set[int] = set()
    pending: list[object] = list(reversed(code.constants))
    while pending:
        value = pending.pop()
        if isinstance(value, str | bytes):
            yield value
        elif isinstance(value, tuple) and id(value) not in seen:
            seen.add(id(value))
            pending.extend(reversed(value))


def _layouts(magic: int) -> Sequence[str]:
    if not magic:
        return tuple(LAYOUTS)
    if magic >= 62000:
        return ("2.7",)
    if magic < 3400:
        return ("3.0",)
    return ("3.8",) if magic < 3450 else ("3.11", "3.8")  # the first alphas of 3.11 still had the old one


def _later(error: ParseError, other: ParseError | LimitExceeded) -> bool:
    return isinstance(other, ParseError) and error.offset > other.offset


class _Reader:
    """One pass over the bytes; every value is at least one byte, so there are no more values than bytes."""

    def __init__(self, data: bytes, layout: str, depth: int) -> None:
        self._data = data
        self._at = 0
        self._layout = layout
        self._depth = depth
        self._references: list[object] = []
        self._interned: list[str] = []
        self._readers: dict[int, Callable[[int, int], object]] = {
            ord(mark): reader
            for marks, reader in (
                ("i", self._int), ("I", self._int64), ("l", self._long), ("f", self._float_text), ("g", self._float),
                ("x", self._complex_text), ("y", self._complex), ("s", self._bytes), ("t", self._interned_bytes),
                ("R", self._interned_reference), ("u", self._text), ("aA", self._ascii), ("zZ", self._short_ascii),
                ("([<>", self._sequence), (")", self._small_tuple), ("{", self._mapping), (":", self._slice),
                ("c", self._code),
            )
            for mark in marks
        }  # fmt: skip

    def value(self, depth: int = 0) -> object:
        """The next value. Raises `ParseError` and `LimitExceeded`."""
        if depth > self._depth:
            raise LimitExceeded("text_depth", depth, self._depth)
        kind = self._take(1)[0]
        flagged, kind = kind & _FLAG_REF, kind & ~_FLAG_REF
        if kind == 0x72:  # r
            return self._reference()
        if kind in _PLAIN:
            return _PLAIN[kind]
        reader = self._readers.get(kind)
        if reader is None:
            raise ParseError(f"no marshalled value begins with {kind:#04x}", self._at - 1)
        index = len(self._references)
        if flagged:
            self._references.append(None)
        value = reader(kind, depth)
        if flagged:
            self._references[index] = value
        return value

    def _take(self, length: int) -> bytes:
        piece = self._data[self._at : self._at + length]
        if length < 0 or len(piece) < length:
            raise ParseError("the marshalled value is cut off", self._at)
        self._at += length
        return piece

    def _number(self) -> int:
        return int.from_bytes(self._take(4), "little", signed=True)

    def _reference(self) -> object:
        index = self._number()
        if not 0 <= index < len(self._references):
            raise ParseError(f"a reference to value {index} of {len(self._references)}", self._at - 4)
        return self._references[index]

    # --- numbers ------------------------------------------------------------------------------------------

    def _int(self, kind: int, depth: int) -> int:
        return self._number()

    def _int64(self, kind: int, depth: int) -> int:
        return int.from_bytes(self._take(8), "little", signed=True)

    def _long(self, kind: int, depth: int) -> int | None:
        count = self._number()
        digits = self._take(2 * abs(count))
        if abs(count) > _DIGITS_MOST:
            return None
        value = 0
        for at in range(len(digits) - 2, -2, -2):
            value = value << 15 | int.from_bytes(digits[at : at + 2], "little")
        return -value if count < 0 else value

    def _float(self, kind: int, depth: int) -> float:
        return float(struct.unpack("<d", self._take(8))[0])

    def _float_text(self, kind: int, depth: int) -> None:
        self._take(self._take(1)[0])

    def _complex(self, kind: int, depth: int) -> None:
        self._take(16)

    def _complex_text(self, kind: int, depth: int) -> None:
        self._float_text(kind, depth)
        self._float_text(kind, depth)

    # --- texts --------------------------------------------------------------------------------------------

    def _bytes(self, kind: int, depth: int) -> bytes:
        return self._take(self._number())

    def _interned_bytes(self, kind: int, depth: int) -> str:
        text = self._take(self._number()).decode("latin-1")
        self._interned.append(text)
        return text

    def _interned_reference(self, kind: int, depth: int) -> str:
        index = self._number()
        if not 0 <= index < len(self._interned):
            raise ParseError(f"a reference to text {index} of {len(self._interned)}", self._at - 4)
        return self._interned[index]

    def _text(self, kind: int, depth: int) -> str:
        return self._take(self._number()).decode("utf-8", "replace")

    def _ascii(self, kind: int, depth: int) -> str:
        return self._take(self._number()).decode("latin-1")

    def _short_ascii(self, kind: int, depth: int) -> str:
        return self._take(self._take(1)[0]).decode("latin-1")

    # --- containers ---------------------------------------------------------------------------------------

    def _sequence(self, kind: int, depth: int) -> tuple[object, ...]:
        return self._items(self._number(), depth)

    def _small_tuple(self, kind: int, depth: int) -> tuple[object, ...]:
        return self._items(self._take(1)[0], depth)

    def _items(self, count: int, depth: int) -> tuple[object, ...]:
        if not 0 <= count <= len(self._data) - self._at:
            raise ParseError(f"{count} items in {len(self._data) - self._at} bytes", self._at)
        return tuple([self.value(depth + 1) for _ in range(count)])

    def _mapping(self, kind: int, depth: int) -> tuple[object, ...]:
        found: list[object] = []
        while self._data[self._at : self._at + 1] not in (b"0", b"\xb0"):
            found += [self.value(depth + 1), self.value(depth + 1)]
        self._at += 1
        return tuple(found)

    def _slice(self, kind: int, depth: int) -> tuple[object, ...]:
        return self._items(3, depth)

    def _code(self, kind: int, depth: int) -> Code:
        numbers, merged = LAYOUTS[self._layout]
        for _ in range(numbers):
            if self._number() < 0:
                raise ParseError("a negative number in a code object", self._at - 4)
        start = self._at + 5
        bytecode = self._bytes_of(self.value(depth + 1))
        constants = self._tuple_of(self.value(depth + 1))
        names = self._names_of(self.value(depth + 1))
        variables = self._names_of(self.value(depth + 1))
        if merged:
            self._bytes_of(self.value(depth + 1))
            cells: tuple[str, ...] = variables
        else:
            free = self._names_of(self.value(depth + 1))
            cells = (*self._names_of(self.value(depth + 1)), *free)  # cells come first in the opcodes' arguments
        filename, name = self._text_of(self.value(depth + 1)), self._text_of(self.value(depth + 1))
        if merged:
            self._text_of(self.value(depth + 1))
        self._number()
        for _ in range(2 if merged else 1):
            self._bytes_of(self.value(depth + 1))
        return Code(self._layout, name, filename, start, bytecode, constants, names, variables, cells)

    def _bytes_of(self, value: object) -> bytes:
        if isinstance(value, str) and self._layout == "2.7":
            return value.encode("latin-1")
        if not isinstance(value, bytes):
            raise ParseError("a code object has something else where bytes should be", self._at)
        return value

    def _text_of(self, value: object) -> str:
        if isinstance(value, bytes) and self._layout == "2.7":
            return value.decode("latin-1")
        if not isinstance(value, str):
            raise ParseError("a code object has something else where text should be", self._at)
        return value

    def _tuple_of(self, value: object) -> tuple[object, ...]:
        if not isinstance(value, tuple):
            raise ParseError("a code object has something else where a tuple should be", self._at)
        return value

    def _names_of(self, value: object) -> tuple[str, ...]:
        return tuple([self._text_of(item) for item in self._tuple_of(value)])
