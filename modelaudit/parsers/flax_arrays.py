"""Flax's arrays in MessagePack: extension 1 holds shape, name of the dtype and bytes; 2 a complex number, 3 a scalar.

Source: `flax.serialization` (`_ndarray_to_bytes`, `_MsgpackExtType`), and numpy's and ml_dtypes' names of dtypes.
"""

import msgspec

from modelaudit.blob import Blob
from modelaudit.errors import ParseError
from modelaudit.late import late
from modelaudit.parsers.msgpack import Body

NDARRAY, COMPLEX, SCALAR = 1, 2, 3
TIMESTAMP = -1  # of MessagePack itself
_HEAD_BYTES = 512  # more than the header of an array of 32 dimensions
_DIMENSIONS = 64  # numpy's most; more is no array
_BITS = late(r"(?:u?int|float|complex|str|bytes|void)(\d+)(?:_e\dm\d\w*)?|(bfloat)16\w*")
_NAMED = {"bool": 8, "datetime64": 64, "timedelta64": 64}
_INTEGERS = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_LENGTHS = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}


class Array(msgspec.Struct, frozen=True):
    """An array: its bytes are at `start` of the blob, `length` of them."""

    shape: tuple[int, ...]
    dtype: str
    start: int
    length: int

    @property
    def count(self) -> int:
        """How many elements the shape makes."""
        count = 1
        for size in self.shape:
            count *= size
        return count

    @property
    def needed(self) -> int | None:
        """How many bytes the shape makes, or None where the dtype is not known."""
        bits = dtype_bits(self.dtype)
        return None if bits is None else (self.count * bits + 7) // 8


def dtype_bits(name: str) -> int | None:
    """Bits of one element as flax writes them (what is smaller than a byte takes one), or None where unknown."""
    name = name.partition("[")[0]
    if name in _NAMED:
        return _NAMED[name]
    found = _BITS.fullmatch(name)
    if found is None:
        return None
    return max(8, 16 if found[2] else int(found[1]))


def is_object(name: str) -> bool:
    """Whether elements of the dtype are Python objects."""
    return name.startswith("object") or name in ("O", "|O", "O8")


def read(blob: Blob, body: Body) -> Array:
    """The array in an extension. Raises `ParseError` where there is none, and `Missing`."""
    head = bytes(blob.view(body.start, min(_HEAD_BYTES, body.length), min(64, body.length)))
    try:
        return _read(head, body)
    except IndexError:
        raise ParseError("an array's header does not end", body.start) from None


def _read(head: bytes, body: Body) -> Array:
    if head[0] != 0x93:
        raise ParseError("an array that is no triple of shape, dtype and bytes", body.start)
    if head[1] & 0xF0 == 0x90:
        dimensions, at = head[1] & 0x0F, 2
    elif head[1] == 0xDC:
        dimensions, at = int.from_bytes(head[2:4], "big"), 4
    else:
        raise ParseError("an array without a shape", body.start)
    if dimensions > _DIMENSIONS:
        raise ParseError(f"an array of {dimensions} dimensions", body.start)
    shape = []
    for _ in range(dimensions):
        width = _INTEGERS.get(head[at], 0)
        if head[at] >= 0x80 and not width:
            raise ParseError("a dimension that is no size", body.start + at)
        value = int.from_bytes(head[at + 1 : at + 1 + width], "big") if width else head[at]
        shape.append(value)
        at += 1 + width
    length, at = _length(head, at, body)
    dtype = head[at : at + length].decode("utf-8", "backslashreplace")
    if len(head) < at + length:
        raise IndexError
    length, at = _length(head, at + length, body)
    return Array(tuple(shape), dtype, body.start + at, length)


def _length(head: bytes, at: int, body: Body) -> tuple[int, int]:
    """The length of the string or binary at `at`, and where it begins."""
    first = head[at]
    if 0xA0 <= first <= 0xBF:
        return first & 0x1F, at + 1
    width = _LENGTHS.get(first)
    if width is None:
        raise ParseError("an array's dtype or bytes are of another kind", body.start + at)
    head[at + width]  # all of the length has to be here
    return int.from_bytes(head[at + 1 : at + 1 + width], "big"), at + 1 + width
