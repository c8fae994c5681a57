"""Object headers of both versions: the messages of an object, wherever they are continued."""

import struct
from collections.abc import Iterator

import msgspec

from modelaudit.errors import ParseError
from modelaudit.parsers.hdf5.reading import File, Reader, expect, number

SPACE, LINK_INFO, DATATYPE, LINK, EXTERNAL, LAYOUT, ATTRIBUTE = 0x01, 0x02, 0x03, 0x06, 0x07, 0x08, 0x0C
SHARED_TABLE, CONTINUATION, SYMBOLS, ATTRIBUTE_INFO = 0x0F, 0x10, 0x11, 0x15
_FIRST_BYTES = 512  # read of each header at first: that of a tensor fits in
_CHUNKS = 10_000  # continuations of one header


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message: its type, flags, data, and the offset of the data in the blob."""

    kind: int
    flags: int
    data: bytes
    offset: int

    @property
    def is_shared(self) -> bool:
        """Whether `data` only say where the message is kept."""
        return bool(self.flags & 2)


def messages(file: File, address: int) -> Reader[list[Message]]:
    """Every message of the object at `address`. Raises `ParseError`."""
    head = yield from file.at(address, _FIRST_BYTES, 16)
    if head[:4] == b"OHDR":
        chunk, start, flags = yield from _first_new(file, address, head)
    elif head[0] == 1:
        size = int.from_bytes(head[8:12], "little")
        start, flags = address + 16, -1
        chunk = head[16 : 16 + size] if 16 + size <= len(head) else (yield from file.at(start, size))
    else:
        raise ParseError("no object header where one should be", file.base + address)
    found: list[Message] = []
    pending, seen = [(start, chunk)], {address}
    while pending:
        start, chunk = pending.pop(0)
        for message in _split(file, chunk, file.base + start, flags):
            file.spend()
            if message.kind != CONTINUATION:
                found.append(message)
                continue
            place, length = file.offset(message.data, 0), file.length(message.data, file.offset_bytes)
            if place in seen:
                continue
            seen.add(place)
            if len(seen) > _CHUNKS:
                raise ParseError("a header is continued without end", file.base + address)
            pending.append((yield from _continued(file, place, length, flags)))
    return found


def _first_new(file: File, address: int, head: bytes) -> Reader[tuple[bytes, int, int]]:
    if head[4] != 2:
        raise ParseError(f"object header of unknown version {head[4]}", file.base + address + 4)
    flags = head[5]
    at = 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
    width = 1 << (flags & 3)
    size = number(head, at, width)
    start = address + at + width
    chunk = (
        head[at + width : at + width + size] if at + width + size <= len(head) else (yield from file.at(start, size))
    )
    return chunk, start, flags


def _continued(file: File, place: int, length: int, flags: int) -> Reader[tuple[int, bytes]]:
    chunk = yield from file.at(place, length)
    if flags < 0:
        return place, chunk
    expect(chunk, b"OCHK", file.base + place)
    return place + 4, chunk[4:-4]


def _split(file: File, chunk: bytes, start: int, flags: int) -> Iterator[Message]:
    """The messages of one chunk; `flags` are those of a new header, or negative for an old one."""
    at, size = 0, len(chunk)
    head = 8 if flags < 0 else 6 if flags & 4 else 4
    while at + head <= size:
        if flags < 0:
            kind, length, marks = struct.unpack_from("<HHB", chunk, at)
        else:
            kind, length, marks = struct.unpack_from("<BHB", chunk, at)
        data = chunk[at + head : at + head + length]
        if len(data) < length:
            raise ParseError("a message is longer than its header", start + at)
        if kind:
            yield Message(kind, marks, data, start + at + head)
        else:
            file.spend()
        at += head + length
