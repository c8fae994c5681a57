"""The outermost fields of a Core ML model (coremltools/mlmodel/format/Model.proto), a protobuf message.

Each field is a tag, for messages a length, and the value. Only tags and lengths are read, and the few small values
that say what runs; weights are stepped over.
"""

from collections.abc import Iterator

import msgspec

from modelaudit.blob import Blob, read
from modelaudit.errors import ParseError

VERSION, DESCRIPTION, UPDATABLE = 1, 2, 10
PIPELINES = frozenset((200, 201, 202))
CUSTOM, LINKED = 555, 556
# What may stand behind the description: the kinds of models, by the number of their field.
KINDS = frozenset((UPDATABLE, *range(200, 700), 900, *range(2000, 2100), *range(3000, 3100)))
_VERSION_MOST = 50
_DESCRIPTION_BYTES_MOST = 1 << 20
_VARINT_BYTES = 10
_FIELDS_MOST = 10_000  # of one message; pipelines have some tens of models
_LENGTHS = {1: 8, 5: 4}


class Field(msgspec.Struct, frozen=True):
    """One field: its value is `length` bytes at `start`, or the number `value`."""

    number: int
    wire: int
    start: int
    length: int
    value: int = 0


def is_model(blob: Blob) -> bool:
    """Whether a version, a description and a kind of model follow one another. Raises `Missing`."""
    try:
        version = field(blob, 0, blob.size)
        about = field(blob, version.start + version.length, blob.size)
        if (version.number, about.number, about.wire) != (VERSION, DESCRIPTION, 2):
            return False
        if not 1 <= version.value <= _VERSION_MOST or about.length > _DESCRIPTION_BYTES_MOST:
            return False
        kind, _ = _varint(blob, about.start + about.length, blob.size)
    except ParseError:
        return False
    return kind >> 3 in KINDS


def field(blob: Blob, place: int, end: int) -> Field:
    """The field at `place` of a message that ends at `end`. Raises `Missing`, `ParseError`."""
    tag, start = _varint(blob, place, end)
    number, wire = tag >> 3, tag & 7
    if number == 0:
        raise ParseError("a field without a number", place)
    if wire == 0:
        value, after = _varint(blob, start, end)
        return Field(number, wire, start, after - start, value)
    if wire == 2:
        length, start = _varint(blob, start, end)
    elif wire in _LENGTHS:
        length = _LENGTHS[wire]
    else:
        raise ParseError(f"a field of the unknown wire type {wire}", place)
    if start + length > end:
        raise ParseError(f"a field of {length} bytes at {start}, in {end} bytes", place)
    return Field(number, wire, start, length)


def fields(blob: Blob, start: int, end: int) -> Iterator[Field]:
    """All fields of the message from `start` to `end`. Raises `Missing`, `ParseError`."""
    for _ in range(_FIELDS_MOST):
        if start >= end:
            return
        found = field(blob, start, end)
        yield found
        start = found.start + found.length
    raise ParseError(f"a message of more than {_FIELDS_MOST} fields", start)


def _varint(blob: Blob, place: int, end: int) -> tuple[int, int]:
    """A number and where it ends."""
    value = 0
    for shift, byte in enumerate(read(blob, place, min(_VARINT_BYTES, max(0, end - place)))):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, place + shift + 1
    raise ParseError("a number without an end", min(place, blob.size))
