"""The header of an .npy file (numpy.lib.format, versions 1.0 to 3.0). Only the header is read.

The header is a Python literal; it is parsed with `ast.literal_eval`, under a bound on its length and depth.
"""

import ast
import math
import re
import warnings
from dataclasses import dataclass

from modelaudit.blob import Blob, read
from modelaudit.errors import LimitExceeded, ParseError

MAGIC = b"\x93NUMPY"
HEADER_MOST_BYTES = 10_000  # numpy's own max_header_size; longer ones it only reads when told to trust the file
_READ_MOST_BYTES = 1 << 20
_NESTING = 60  # brackets inside brackets; keeps the literal's parser off its own limits
_DESCR_NODES = 100_000  # dtype fields, over all levels

_SIMPLE = re.compile(r"[<>|=]?([?bBhHiIlLqQefdgFDGSUVOaOcmMpP]|[?biufcmMOSUVat])(\d*)(\[[^\]]*\])?")


@dataclass(frozen=True, slots=True)
class Header:
    """`item_bytes` is the size of one element; `objects` whether any part of it is a Python object."""

    version: tuple[int, int]
    descr: str
    shape: tuple[int, ...]
    fortran_order: bool
    item_bytes: int
    objects: bool
    header_length: int
    data_start: int

    @property
    def data_bytes(self) -> int:
        """Bytes that shape and dtype need."""
        return 0 if 0 in self.shape else math.prod(self.shape) * self.item_bytes


def parse(blob: Blob) -> Header:
    """Read the header. Raises `Missing`, `ParseError`, `LimitExceeded` (a header or dtype too large)."""
    prefix = read(blob, 0, 12)
    if prefix[:6] != MAGIC or len(prefix) < 10:
        raise ParseError("no .npy header", 0)
    version = (prefix[6], prefix[7])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ParseError(f"unknown .npy version {version[0]}.{version[1]}", 6)
    start = 10 if version == (1, 0) else 12
    length = int.from_bytes(prefix[8:start], "little")
    if length > _READ_MOST_BYTES:
        raise LimitExceeded("header_bytes", length, _READ_MOST_BYTES)
    text = read(blob, start, length)
    if len(text) < length:
        raise ParseError("the file ends inside its header", start + len(text))
    fields = _literal(text.decode("utf-8" if version == (3, 0) else "latin-1", "replace"), start)
    descr, shape, order = fields.get("descr"), fields.get("shape"), fields.get("fortran_order")
    if not isinstance(shape, tuple) or not all(isinstance(n, int) and not isinstance(n, bool) for n in shape):
        raise ParseError(f"the shape {str(shape)[:80]} is no tuple of sizes", start)
    item_bytes, objects = _Descr(start).measure(descr)
    return Header(version, str(descr)[:400], shape, bool(order), item_bytes, objects, length, start + length)


def _literal(text: str, offset: int) -> dict[object, object]:
    depth = deepest = 0
    for mark in text:
        depth += (mark in "([{") - (mark in ")]}")
        deepest = max(deepest, depth)
    if deepest > _NESTING:
        raise ParseError(f"the header nests {deepest} brackets", offset)
    text = re.sub(r"(?<=\d)L\b", "", text)  # Python 2 wrote long integers so
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fields = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError) as error:
        raise ParseError(f"the header is no Python literal: {type(error).__name__}", offset) from None
    if not isinstance(fields, dict):
        raise ParseError("the header is no dictionary", offset)
    return fields


class _Descr:
    """Measures a dtype description as numpy.lib.format.descr_to_dtype reads it."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._nodes = 0

    def measure(self, descr: object) -> tuple[int, bool]:
        """Bytes of one element, and whether it holds Python objects. Raises `ParseError`, `LimitExceeded`."""
        self._nodes += 1
        if self._nodes > _DESCR_NODES:
            raise LimitExceeded("dtype_fields", self._nodes, _DESCR_NODES)
        if isinstance(descr, str):
            return self._simple(descr)
        if isinstance(descr, tuple) and len(descr) == 2:
            size, objects = self.measure(descr[0])
            return size * self._count(descr[1]), objects
        if isinstance(descr, list):
            return self._fields(descr)
        raise ParseError(f"the dtype {str(descr)[:80]} is none", self._offset)

    def _fields(self, fields: list[object]) -> tuple[int, bool]:
        total, any_objects = 0, False
        for field in fields:
            if not isinstance(field, tuple) or len(field) not in (2, 3):
                raise ParseError(f"the dtype field {str(field)[:80]} is none", self._offset)
            size, objects = self.measure(field[1])
            total += size * (self._count(field[2]) if len(field) == 3 else 1)
            any_objects = any_objects or objects
        return total, any_objects

    def _count(self, shape: object) -> int:
        sizes = shape if isinstance(shape, tuple) else (shape,)
        if not all(isinstance(size, int) and size >= 0 for size in sizes):
            raise ParseError(f"the sub-array shape {str(shape)[:80]} is none", self._offset)
        return math.prod(sizes)

    def _simple(self, text: str) -> tuple[int, bool]:
        match = _SIMPLE.fullmatch(text)
        if match is None:
            if "O" in text or "object" in text:
                return 8, True
            raise ParseError(f"the dtype {text[:80]!r} is none", self._offset)
        kind, digits = match[1], int(match[2] or 0)
        if kind == "O":
            return 8, True
        if kind == "U":
            return 4 * digits, False
        if digits:
            return digits, False
        return _SIZES.get(kind, 8), False


_SIZES = {"?": 1, "b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "e": 2, "f": 4, "d": 8, "g": 16, "F": 8, "D": 16}
_SIZES |= {"G": 32, "S": 0, "a": 0, "V": 0, "c": 1}
