"""Attributes: names, and the values of those that are text or bytes."""

import math

import msgspec

from modelaudit.errors import ParseError
from modelaudit.parsers.hdf5.headers import DATATYPE, Message, messages
from modelaudit.parsers.hdf5.heaps import Collection, collection
from modelaudit.parsers.hdf5.reading import File, Reader, number, together

STRING, OPAQUE, INTEGER, FLOATING, VARIABLE = 3, 5, 0, 1, 9
_EXPONENT_BITS = {2: 5, 4: 8, 8: 11}  # of IEEE numbers, by their bytes
_COLLECTIONS = 4096  # heaps that the values of one attribute lie in
_ELEMENTS = 1_000_000  # texts of one attribute
_VALUE_BYTES = 64 << 20  # of one attribute; a model's configuration stays below 10 MiB


class Datatype(msgspec.Struct, frozen=True):
    """Class and size in bytes of one element; `is_text` for strings, of fixed or variable length; `is_byte`
    for integers of one byte; `floating` is numpy's name of IEEE floating numbers, `<f4`."""

    kind: int
    size: int
    is_text: bool
    is_byte: bool = False
    floating: str = ""

    @property
    def is_opaque(self) -> bool:
        """Whether elements are bytes without a meaning, of fixed length."""
        return self.kind == OPAQUE


class Attribute(msgspec.Struct, frozen=True):
    """One attribute. `values` are its texts or bytes, and empty for numbers; `offset` is in the blob."""

    name: str
    values: tuple[bytes, ...]
    is_text: bool
    offset: int


def datatype(data: bytes) -> Datatype:
    """The datatype that a message describes."""
    kind, bits, size = number(data, 0, 1) & 15, number(data, 1, 3), number(data, 4, 4)
    if kind == VARIABLE:
        return Datatype(kind, size, bits & 15 == 1)
    ieee = kind == FLOATING and number(data, 13, 1) == _EXPONENT_BITS.get(size) and not bits & 0x40
    floating = f"{'>' if bits & 1 else '<'}f{size}" if ieee else ""
    return Datatype(kind, size, kind == STRING, kind == INTEGER and size == 1, floating)


def elements(file: File, data: bytes) -> int:
    """How many elements a dataspace message describes."""
    sizes = dimensions(file, data)
    return 0 if sizes is None else math.prod(sizes)


def dimensions(file: File, data: bytes) -> tuple[int, ...] | None:
    """The dimensions that a dataspace message describes; None for a dataspace without any element."""
    version, rank = number(data, 0, 1), number(data, 1, 1)
    if version == 2 and number(data, 3, 1) == 2:
        return None
    at = 8 if version == 1 else 4
    return tuple(file.length(data, at + index * file.length_bytes) for index in range(rank))


def committed(file: File, data: bytes) -> Reader[bytes]:
    """The datatype message that a shared message refers to. Raises `ParseError`."""
    version, kind = number(data, 0, 1), number(data, 1, 1)
    if version == 3 and kind != 2:
        raise ParseError("a datatype in the heap of shared messages")
    at = {1: 8, 2: 2, 3: 2}.get(version, 2)
    if version == 1 and len(data) < 8 + file.offset_bytes:
        at = 2
    for message in (yield from messages(file, file.offset(data, at))):
        if message.kind == DATATYPE:
            return message.data
    raise ParseError("a shared datatype that is none")


def attribute(file: File, message: Message) -> Reader[Attribute]:
    """The attribute of one message."""
    data = message.data
    version, flags = number(data, 0, 1), number(data, 1, 1)
    if version not in (1, 2, 3) or message.is_shared:
        raise ParseError("an attribute of unknown version, or one in the heap of shared messages", message.offset)
    name_bytes, type_bytes, space_bytes = (number(data, at, 2) for at in (2, 4, 6))
    at = 9 if version == 3 else 8
    step = 8 if version == 1 else 1
    name = data[at : at + name_bytes].partition(b"\0")[0].decode("utf-8", "replace")
    at += -(-name_bytes // step) * step
    type_data = data[at : at + type_bytes]
    at += -(-type_bytes // step) * step
    space_data = data[at : at + space_bytes]
    at += -(-space_bytes // step) * step
    if version > 1 and flags & 1:
        type_data = yield from committed(file, type_data)
    kind = datatype(type_data)
    count = elements(file, space_data) if space_bytes else 1
    wanted = kind.is_text or kind.kind == OPAQUE or kind.is_byte or kind.kind == VARIABLE
    if not wanted or count * kind.size > len(data) - at or count > _ELEMENTS:
        return Attribute(name, (), kind.is_text, message.offset)
    raw = data[at : at + count * kind.size]
    if kind.kind == VARIABLE:
        values = yield from _variable(file, raw, kind.size)
    elif kind.is_byte:
        values = (raw,)
    else:
        values = tuple(raw[index : index + kind.size] for index in range(0, len(raw), max(1, kind.size)))
    return Attribute(name, values, kind.is_text, message.offset + at)


def _variable(file: File, raw: bytes, size: int) -> Reader[tuple[bytes, ...]]:
    """The values of elements that refer to the global heap."""
    if size < 8 + file.offset_bytes:
        return ()
    places = [(file.offset(raw, at + 4), number(raw, at + 4 + file.offset_bytes, 4)) for at in range(0, len(raw), size)]
    addresses = [place for place in dict.fromkeys(place for place, _ in places) if place not in (0, file.undefined)]
    heaps: dict[int, Collection] = {}
    for address, heap in zip(
        addresses[:_COLLECTIONS],
        (yield from together([collection(file, one) for one in addresses[:_COLLECTIONS]])),
        strict=True,
    ):
        heaps[address] = heap
    values: list[bytes] = []
    total = 0
    for place, index in places:
        found = heaps.get(place)
        value = b"" if found is None else found.get(index)
        total += len(value)
        if total > _VALUE_BYTES:
            break
        values.append(value)
    return tuple(values)
