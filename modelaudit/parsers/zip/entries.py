"""Entries of a zip: the directory's headers, the local headers, data descriptors, and their extra fields.

Nothing here is believed: a length that does not fit ends the reading with what was read before.
Source: PKWARE APPNOTE 6.3.10 sections 4.3.7–4.3.12, 4.4, 4.5; Info-ZIP proginfo/extrafld.txt.
"""

import struct
import zlib
from collections.abc import Iterator

import msgspec

from modelaudit.blob import Blob
from modelaudit.parsers.zip.ends import CENTRAL_MAGIC, LOCAL_MAGIC

CENTRAL_BYTES = 46
LOCAL_BYTES = 30
DESCRIPTOR_BYTES = (12, 16, 20, 24)  # of a data descriptor: with or without signature, short or long sizes
ENCRYPTED = 0x0001
DESCRIPTOR = 0x0008  # sizes and CRC follow the data
PATCHED = 0x0020
STRONG = 0x0040
UTF8 = 0x0800
MASKED = 0x2000  # parts of the local header are hidden by strong encryption
RESERVED = 0xD790  # bits 4, 7–10, 12, 14, 15: no writer sets them

_CHUNK_BYTES = 1 << 20
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_SATURATED = frozenset((0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF))


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One header of the directory, at `position`. Sizes and `offset` are resolved through zip64.

    `packed` and `size` are the bytes of the member as stored and as unpacked; `host` is the system that
    made it (3 is Unix); `comment` is `(offset, length)` in the blob.
    """

    position: int
    host: int
    version: int
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    attributes: int
    offset: int
    name: bytes
    extra: bytes
    comment: tuple[int, int]

    @property
    def mode(self) -> int:
        """Unix file mode, or 0 when the entry was not made on Unix."""
        return self.attributes >> 16 if self.host in {3, 19} else 0


class Local(msgspec.Struct, frozen=True, gc=False):
    """One local header, at `position`; the data starts at `data`. Sizes are resolved through zip64."""

    position: int
    data: int
    version: int
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    name: bytes
    extra: bytes


def entries(blob: Blob, start: int, limit: int) -> Iterator[Entry]:
    """Every entry of the directory at `start`, as long as one follows the other, none beyond `limit`.

    Neither a count nor a size is asked for: what stands there is what some reader reads. Of a last entry whose
    names reach beyond `limit`, zipfile takes what is there. Raises `Missing` for the whole directory at once.
    """
    blob.require([(start, limit - start)])
    position = start
    chunk, base = memoryview(b""), start
    while position + CENTRAL_BYTES <= limit:
        if position + CENTRAL_BYTES + 3 * 0xFFFF > base + len(chunk) and base + len(chunk) < limit:
            chunk, base = blob.view(position, min(_CHUNK_BYTES, limit - position)), position
        at = position - base
        fields = _CENTRAL.unpack_from(chunk, at)
        name_length, extra_length, comment_length = fields[10:13]
        if fields[0] != CENTRAL_MAGIC:
            return
        end = min(limit, position + CENTRAL_BYTES + name_length + extra_length + comment_length)
        at += CENTRAL_BYTES
        name = bytes(chunk[at : at + name_length])
        extra = bytes(chunk[at + name_length : at + name_length + extra_length])
        comment = min(position + CENTRAL_BYTES + name_length + extra_length, limit)
        yield _entry(position, fields, name, extra, (comment, end - comment))
        position = end


def _entry(position: int, fields: tuple[int, ...], name: bytes, extra: bytes, comment: tuple[int, int]) -> Entry:
    _, made, version, flags, method, _, _, crc, packed, size, *_, attributes, offset = fields
    if extra and not _SATURATED.isdisjoint((packed, size, offset)):
        size, packed, offset = _widened(extra, size, packed, offset)
    return Entry(
        position, made >> 8, version, flags, method, crc, packed, size, attributes, offset, name, extra, comment
    )


def _widened(extra: bytes, *values: int) -> tuple[int, ...]:
    """`values` with each saturated one replaced by the next number of the zip64 field, as far as it goes.

    Where that is saturated too, zipfile goes on to a second field.
    """
    for id_, field in extra_fields(extra):
        if id_ == 0x0001:
            wide = iter(struct.unpack_from(f"<{len(field) // 8}Q", field))
            values = tuple(next(wide, value) if value in _SATURATED else value for value in values)
    return values


def extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """`(id, value)` of each extra field; a tail that is no field comes with the id -1."""
    at = 0
    while at + 4 <= len(extra):
        id_, length = struct.unpack_from("<HH", extra, at)
        if at + 4 + length > len(extra):
            break
        yield id_, extra[at + 4 : at + 4 + length]
        at += 4 + length
    if at < len(extra):
        yield -1, extra[at:]


def unicode_path(name: bytes, extra: bytes) -> bytes | None:
    """The name that Info-ZIP's field 0x7075 gives instead of `name`, if the field is valid for it."""
    for id_, value in extra_fields(extra):
        valid = id_ == 0x7075 and len(value) >= 5 and value[0] == 1
        if valid and int.from_bytes(value[1:5], "little") == zlib.crc32(name):
            return value[5:]
    return None


def local(blob: Blob, position: int) -> Local | None:
    """The local header at `position`; `None` when none stands there. Raises `Missing`."""
    head = blob.view(position, LOCAL_BYTES) if position >= 0 else b""
    if len(head) < LOCAL_BYTES or bytes(head[:4]) != LOCAL_MAGIC:
        return None
    _, version, flags, method, _, _, crc, packed, size, name_length, extra_length = _LOCAL.unpack(head)
    names = bytes(blob.view(position + LOCAL_BYTES, name_length + extra_length))
    if len(names) < name_length + extra_length:
        return None
    extra = names[name_length:]
    if extra and not _SATURATED.isdisjoint((packed, size)):
        size, packed = _widened(extra, size, packed)
    data = position + LOCAL_BYTES + name_length + extra_length
    return Local(position, data, version, flags, method, crc, packed, size, names[:name_length], extra)


def local_bytes(blob: Blob, position: int) -> int:
    """Length of the local header at `position` with its name and extra field, whatever stands there."""
    head = blob.view(position, LOCAL_BYTES)
    if len(head) < LOCAL_BYTES:
        return LOCAL_BYTES
    return LOCAL_BYTES + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")


def descriptor_bytes(blob: Blob, entry: Entry, end: int) -> int:
    """Length of the data descriptor of `entry` after its data, which ends at `end`; 0 when there is none.

    It has a signature or not, and 32-bit or 64-bit sizes, and nothing says which: the one that repeats what
    the directory says is it. Raises `Missing`.
    """
    if not entry.flags & DESCRIPTOR:
        return 0
    here = bytes(blob.view(end, 24))
    for signature in (b"PK\7\10", b""):
        for layout in ("<LQQ", "<LLL"):
            try:
                wanted = signature + struct.pack(layout, entry.crc, entry.packed, entry.size)
            except struct.error:  # sizes of 4 GiB and more do not fit the short form
                continue
            if here.startswith(wanted):
                return len(wanted)
    return 0
