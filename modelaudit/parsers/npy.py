"""The header of an .npy file (numpy.lib.format, versions 1.0 to 3.0). Only the header is read.

The header is a Python literal; it is parsed with `ast.literal_eval`, under a bound on its length. What numpy takes
for a dtype is taken here too, odd spellings included, because the bytes behind a header that numpy reads as one of
objects are a pickle that it loads.
"""

import ast
import io
import itertools
import tokenize
import warnings
from collections.abc import Sequence

import msgspec

from modelaudit.blob import Blob, read
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.late import late

MAGIC = b"\x93NUMPY"
HEADER_MOST_BYTES = 10_000  # numpy's own max_header_size; longer ones it only reads when told to trust the file
_READ_MOST_BYTES = 1 << 17  # the parser of literals takes 500 bytes for one, and quadratic time for f-strings
_DESCR_NODES = 100_000  # dtype fields, over all levels
_SHOWN_CHARS = 200
_ADDRESSES = 1 << 64  # more bytes than that are not counted on

_SIMPLE = late(r"[<>|=]?([?bBhHiIlLqQefdgFDGSUVaOcmMpP]|[?biufcmMOSUVa])(\d*)(\[[^\]]*\])?")
# Spellings that numpy never writes and still reads, their sizes left alone.
_NAMED = late(r"(?:bool|u?int|float|complex|str|bytes|void|datetime|timedelta|u?long|half|single|double|c?long)\w*")


class Header(msgspec.Struct, frozen=True):
    """`item_bytes` is the size of one element, None for a dtype of unknown size; `objects` whether any part of it
    is a Python object. `descr` and `shape_text` are for people, cut short.
    """

    version: tuple[int, int]
    descr: str
    shape: tuple[int, ...]
    shape_text: str
    fortran_order: bool
    item_bytes: int | None
    objects: bool
    header_length: int
    data_start: int

    @property
    def data_bytes(self) -> int | None:
        """Bytes that shape and dtype need, 2^64 for all that is more. None when that cannot be said."""
        if self.item_bytes is None or any(size < 0 for size in self.shape):
            return None
        return _product((self.item_bytes, *self.shape))


def extent(blob: Blob) -> tuple[int, int]:
    """Where the header's text begins and how long it says that it is. Raises `Missing`, `ParseError`."""
    prefix = read(blob, 0, 12)
    if prefix[:6] != MAGIC or len(prefix) < 10:
        raise ParseError("no .npy header", 0)
    if (prefix[6], prefix[7]) not in ((1, 0), (2, 0), (3, 0)):
        raise ParseError(f"unknown .npy version {prefix[6]}.{prefix[7]}", 6)
    start = 10 if prefix[6] == 1 else 12
    return start, int.from_bytes(prefix[8:start], "little")


def parse(blob: Blob) -> Header:
    """Read the header. Raises `Missing`, `ParseError`, `LimitExceeded` (a header or dtype too large)."""
    start, length = extent(blob)
    if length > _READ_MOST_BYTES:
        raise LimitExceeded("header_bytes", length, _READ_MOST_BYTES)
    major = read(blob, 6, 1)[0]
    text = read(blob, start, length)
    if len(text) < length:
        raise ParseError("the file ends inside its header", start + len(text))
    fields = _literal(text.decode("utf-8" if major == 3 else "latin-1", "replace"), start)
    descr, shape = fields.get("descr"), fields.get("shape")
    if not isinstance(shape, tuple) or not all(isinstance(size, int) for size in shape):
        raise ParseError(f"the shape {shown(shape)} is no tuple of sizes", start)
    item_bytes, objects = _Descr(start).measure(descr)
    order = bool(fields.get("fortran_order"))
    return Header(
        (major, 0), shown(descr), shape, shown(shape), order, item_bytes, objects, length, start + length
    )  # fmt: skip


def shown(value: object) -> str:
    """`value` as Python writes it, cut short. Numbers of thousands of digits are not written out."""
    try:
        return str(value)[:_SHOWN_CHARS]
    except ValueError:
        return "with a number of thousands of digits"


def _literal(text: str, offset: int) -> dict[object, object]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fields = ast.literal_eval(text.strip())
            except SyntaxError:
                fields = ast.literal_eval(_without_longs(text).strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise ParseError(f"the header is no Python literal: {type(error).__name__}", offset) from None
    if not isinstance(fields, dict):
        raise ParseError("the header is no dictionary", offset)
    return fields


def _without_longs(text: str) -> str:
    """`text` without the L that Python 2 wrote behind long integers: numpy leaves out such a name behind any number.

    Raises `SyntaxError` for what cannot be Python.
    """
    lines, last = io.StringIO(text).readlines(), tokenize.NEWLINE
    starts = list(itertools.accumulate(map(len, lines), initial=0))
    parts, kept = [], 0
    try:
        for token in tokenize.generate_tokens(iter(lines).__next__):
            if last == tokenize.NUMBER and token.type == tokenize.NAME and token.string == "L":
                place = starts[token.start[0] - 1] + token.start[1]
                parts.append(text[kept:place])
                kept = place + 1
            else:
                last = token.type
    except tokenize.TokenError as error:
        raise SyntaxError(*error.args) from None
    return "".join((*parts, text[kept:]))


def _product(sizes: Sequence[int]) -> int:
    """The product of `sizes`, none of them negative, or 2^64 when it is larger than that."""
    if 0 in sizes:
        return 0
    total = 1
    for size in sizes:
        total *= size
        if total >= _ADDRESSES:
            return _ADDRESSES
    return total


def _mentions_objects(value: object) -> bool:
    try:
        text = repr(value)
    except ValueError:
        return True  # a number of thousands of digits; numpy takes no such dtype
    return "O" in text or "object" in text


class _Descr:
    """Measures a dtype description as numpy.lib.format.descr_to_dtype reads it."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._nodes = 0

    def measure(self, descr: object) -> tuple[int | None, bool]:
        """Bytes of one element, and whether it holds Python objects. Raises `ParseError`, `LimitExceeded`."""
        self._nodes += 1
        if self._nodes > _DESCR_NODES:
            raise LimitExceeded("dtype_fields", self._nodes, _DESCR_NODES)
        if isinstance(descr, str):
            return self._simple(descr)
        if isinstance(descr, tuple):
            if len(descr) < 2:
                raise ParseError(f"the dtype {shown(descr)} is none", self._offset)
            return self._times(descr[0], descr[1])
        if isinstance(descr, list | set | dict):  # of the last, numpy takes the keys
            return self._fields(list(descr))
        raise ParseError(f"the dtype {shown(descr)} is none", self._offset)

    def _fields(self, fields: list[object]) -> tuple[int | None, bool]:
        total: int | None = 0
        any_objects = False
        for field in fields:
            parts = tuple(field) if isinstance(field, tuple | list | str) else ()
            if len(parts) not in (2, 3):
                raise ParseError(f"the dtype field {shown(field)} is none", self._offset)
            size, objects = self._times(parts[1], parts[2]) if len(parts) == 3 else self.measure(parts[1])
            total = None if total is None or size is None else total + size
            any_objects = any_objects or objects
        return total, any_objects

    def _times(self, descr: object, shape: object) -> tuple[int | None, bool]:
        """A sub-array, or another dtype over the same bytes, of which numpy takes hardly any."""
        size, objects = self.measure(descr)
        sizes = shape if isinstance(shape, tuple) else (shape,)
        if not all(isinstance(count, int) for count in sizes):
            return None, objects or _mentions_objects(shape)
        if any(count < 0 for count in sizes):
            raise ParseError(f"the sub-array shape {shown(shape)} is none", self._offset)
        return None if size is None else _product((size, *sizes)), objects

    def _simple(self, text: str) -> tuple[int | None, bool]:
        match = _SIMPLE.fullmatch(text)
        if match is None:
            if "O" in text or "object" in text or text == "T":  # T: strings of any length, which are pickled
                return 8, True
            if _NAMED.fullmatch(text) or "," in text:
                return None, False
            raise ParseError(f"the dtype {text[:80]!r} is none", self._offset)
        kind, digits = match[1], match[2][:18]
        if kind == "O":
            return 8, True
        if kind == "U":
            return 4 * int(digits or 0), False
        if digits:
            return int(digits), False
        return _SIZES.get(kind, 8), False


_SIZES = {"?": 1, "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "e": 2, "f": 4, "d": 8, "g": 16, "F": 8, "D": 16}
_SIZES |= {"G": 32, "S": 0, "a": 0, "V": 0, "c": 1}
