"""Builds zips by hand, with any field of any header as the test wants it."""

import struct
import zlib
from dataclasses import dataclass, field

DESCRIPTOR = 0x0008
Fields = dict[str, int | bytes]


@dataclass
class Member:
    """One member; `local` and `central` override single fields of its two headers."""

    name: bytes
    data: bytes
    method: int = 0
    flags: int = 0
    mode: int = 0
    comment: bytes = b""
    descriptor: bool = False
    packed: bytes | None = None
    before: bytes = b""  # stands before the local header and belongs to nothing
    listed: bool = True  # whether the directory has it
    local: Fields = field(default_factory=dict)
    central: Fields = field(default_factory=dict)

    def stored(self) -> bytes:
        """The member's data as they stand in the archive."""
        if self.packed is not None:
            return self.packed
        if self.method == 8:
            packer = zlib.compressobj(9, zlib.DEFLATED, -15)
            return packer.compress(self.data) + packer.flush()
        return self.data

    def fields(self) -> Fields:
        """What both headers say where nothing is overridden."""
        flags = self.flags | (DESCRIPTOR if self.descriptor else 0)
        return {
            "name": self.name, "extra": b"", "version": 20, "flags": flags,
            "method": self.method, "crc": zlib.crc32(self.data), "packed": len(self.stored()), "size": len(self.data),
        }  # fmt: skip


def local_header(member: Member) -> bytes:
    """The local header of `member` with its name and extra field."""
    values = member.fields()
    if member.descriptor:
        values |= {"crc": 0, "packed": 0, "size": 0}
    values |= member.local
    head = struct.pack(
        "<4s5H3L2H", b"PK\3\4", values["version"], values["flags"], values["method"], 0, 0x21,
        values["crc"], values["packed"], values["size"], len(values["name"]), len(values["extra"]),
    )  # fmt: skip
    return head + values["name"] + values["extra"]


def central_header(member: Member, offset: int) -> bytes:
    """The directory's header of `member`, whose local header stands at `offset`."""
    values: Fields = member.fields() | {"attributes": member.mode << 16, "offset": offset, "made": 3 << 8 | 20}
    values |= member.central
    head = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", values["made"], values["version"], values["flags"], values["method"], 0, 0x21,
        values["crc"], values["packed"], values["size"], len(values["name"]), len(values["extra"]),
        len(member.comment), 0, 0, values["attributes"], values["offset"],
    )  # fmt: skip
    return head + values["name"] + values["extra"] + member.comment


def end_record(count: int, size: int, offset: int, comment: bytes = b"", declared: int | None = None) -> bytes:
    """An end record; `declared` is the comment's length as the record tells it."""
    length = len(comment) if declared is None else declared
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, offset, length) + comment


def zip64_records(count: int, size: int, offset: int, position: int, pointed: int | None = None) -> bytes:
    """The zip64 end record, to stand at `position`, and its locator, which may point elsewhere."""
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    return record + struct.pack("<4sLQL", b"PK\6\7", 0, position if pointed is None else pointed, 1)


def build(
    *members: Member,
    prefix: bytes = b"",
    comment: bytes = b"",
    appended: bytes = b"",
    shift: int | None = None,
    zip64: bool = False,
    count: int | None = None,
    between: bytes = b"",
) -> bytes:
    """A whole archive. Offsets count from `shift` (default: from the archive's start, after `prefix`)."""
    base = len(prefix) if shift is None else shift
    out = bytearray(prefix)
    places = []
    for member in members:
        out += member.before
        places.append(len(out) - base)
        out += local_header(member) + member.stored()
        if member.descriptor:
            crc = member.central.get("crc", zlib.crc32(member.data))
            out += struct.pack("<4sLLL", b"PK\7\10", crc, len(member.stored()), len(member.data))
    out += between
    start = len(out)
    for member, place in zip(members, places, strict=True):
        if member.listed:
            out += central_header(member, place)
    size = len(out) - start
    listed = sum(member.listed for member in members) if count is None else count
    if zip64:
        out += zip64_records(listed, size, start - base, len(out) - base)
    return bytes(out) + end_record(min(listed, 0xFFFF), size, start - base, comment) + appended


def torch_padding(position: int, name: bytes, alignment: int = 64) -> bytes:
    """The extra field with which PyTorch moves the data of a local header at `position` to a multiple of 64."""
    start = position + 30 + len(name) + 4
    length = -start % alignment
    return struct.pack("<2sH", b"FB", length) + b"Z" * length


def torch_zip(members: dict[str, bytes], root: str = "archive", crc: bool = True) -> bytes:
    """An archive as `torch.save` writes it: stored, aligned, with data descriptors and zip64 records."""
    built: list[Member] = []
    position = 0
    for name, data in members.items():
        full = f"{root}/{name}".encode()
        padding = torch_padding(position, full)
        sums: Fields = {} if crc else {"crc": 0}
        built.append(
            Member(full, data, flags=0x0800, descriptor=True, local={"extra": padding}, central={"made": 0, **sums})
        )
        position += 30 + len(full) + len(padding) + len(data) + 16
    return build(*built, zip64=True)
