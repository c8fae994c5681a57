"""A zip writer that writes what it is told, true or not. From PKWARE's APPNOTE, with nothing but `struct`."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
DATE = 0x5821  # 2024-01-01: the same bytes every time
WIDE = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Lies:
    """What one of the two headers says instead of the truth. None: the truth."""

    name: bytes | None = None
    flags: int | None = None
    method: int | None = None
    crc: int | None = None
    packed: int | None = None
    size: int | None = None
    extra: bytes = b""
    offset: int | None = None
    attributes: int = 0
    comment: bytes = b""
    version: int = 20


TRUTH = Lies()


@dataclass(frozen=True, slots=True)
class Entry:
    """A member: its bytes, and what the local header and the central directory say of it.

    `packed` replaces the packed bytes; `descriptor` writes a data descriptor and zeros in the local header;
    `gap` comes before the local header; `central_only` and `local_only` leave the other record out.
    """

    name: str | bytes
    data: bytes = b""
    method: int = 0
    local: Lies = TRUTH
    central: Lies = TRUTH
    packed: bytes | None = None
    descriptor: bool = False
    gap: bytes = b""
    central_only: bool = False
    local_only: bool = False

    @property
    def raw_name(self) -> bytes:
        return self.name if isinstance(self.name, bytes) else self.name.encode()

    @property
    def payload(self) -> bytes:
        """The bytes between the headers."""
        if self.packed is not None:
            return self.packed
        return deflate(self.data) if self.method == 8 else self.data


def deflate(data: bytes) -> bytes:
    """Raw deflate."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def _pick(value: int | None, truth: int) -> int:
    return truth if value is None else value


def _local(entry: Entry) -> bytes:
    said, payload = entry.local, entry.payload
    name = entry.raw_name if said.name is None else said.name
    truth = (0, 0, 0) if entry.descriptor else (zlib.crc32(entry.data), len(payload), len(entry.data))
    flags = (0 if name.isascii() else 0x800) | (8 if entry.descriptor else 0)
    header = LOCAL.pack(
        b"PK\x03\x04",
        said.version,
        _pick(said.flags, flags),
        _pick(said.method, entry.method),
        0,
        DATE,
        _pick(said.crc, truth[0]),
        _pick(said.packed, truth[1]),
        _pick(said.size, truth[2]),
        len(name),
        len(said.extra),
    )
    tail = b""
    if entry.descriptor:
        tail = struct.pack("<4s3I", b"PK\x07\x08", zlib.crc32(entry.data), len(payload), len(entry.data))
    return header + name + said.extra + payload + tail


def _central(entry: Entry, offset: int) -> bytes:
    said, payload = entry.central, entry.payload
    name = entry.raw_name if said.name is None else said.name
    flags = (0 if name.isascii() else 0x800) | (8 if entry.descriptor else 0)
    header = CENTRAL.pack(
        b"PK\x01\x02",
        0x0314,
        said.version,
        _pick(said.flags, flags),
        _pick(said.method, entry.method),
        0,
        DATE,
        _pick(said.crc, zlib.crc32(entry.data)),
        _pick(said.packed, len(payload)),
        _pick(said.size, len(entry.data)),
        len(name),
        len(said.extra),
        len(said.comment),
        0,
        0,
        said.attributes,
        _pick(said.offset, offset),
    )
    return header + name + said.extra + said.comment


def archive(
    entries: Sequence[Entry],
    *,
    prefix: bytes = b"",
    shift: int | None = None,
    before_directory: bytes = b"",
    between: bytes = b"",
    comment: bytes = b"",
    comment_length: int | None = None,
    count: int | None = None,
    directory_size: int | None = None,
    directory_offset: int | None = None,
    zip64: bool = False,
    after: bytes = b"",
) -> bytes:
    """A whole zip. `shift` is added to every offset (default: the prefix's length, as honest tools do)."""
    shift = len(prefix) if shift is None else shift
    body, offsets = bytearray(), []
    for entry in entries:
        body += entry.gap
        offsets.append(len(body) + shift)
        if not entry.central_only:
            body += _local(entry)
    body += before_directory
    directory = b"".join(
        _central(entry, offset) for entry, offset in zip(entries, offsets, strict=True) if not entry.local_only
    )
    listed = sum(not entry.local_only for entry in entries)
    start = len(body) + shift
    wide = b""
    if zip64:
        where = len(prefix) + len(body) + len(directory) + len(between)
        wide = struct.pack(
            "<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, listed, listed, len(directory), start
        ) + struct.pack("<4sIQI", b"PK\x06\x07", 0, where, 1)
    end = struct.pack(
        "<4s4H2IH",
        b"PK\x05\x06",
        0,
        0,
        0xFFFF if zip64 else _pick(count, listed) & 0xFFFF,
        0xFFFF if zip64 else _pick(count, listed) & 0xFFFF,
        WIDE if zip64 else _pick(directory_size, len(directory)),
        WIDE if zip64 else _pick(directory_offset, start),
        _pick(comment_length, len(comment)),
    )
    return prefix + bytes(body) + directory + between + wide + end + comment + after
