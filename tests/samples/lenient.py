"""A zip reader that believes the central directory, as PyTorch's does, and lets everything else pass.

Flags, CRCs, names in local headers and data between members are not looked at. Only for the proofs.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

END = b"PK\x05\x06"
CENTRAL = struct.Struct("<4s6H3I5H2I")


class Member(NamedTuple):
    """Where the central directory says that a member is."""

    name: str
    method: int
    packed: int
    offset: int


def directory(data: bytes) -> Iterator[Member]:
    """The central directory that the last end record points at."""
    end = data.rindex(END)
    count, _, start = struct.unpack_from("<HII", data, end + 10)
    if data[end - 20 : end - 16] == b"PK\x06\x07":
        record = struct.unpack_from("<Q", data, end - 20 + 8)[0]
        count, _, start = struct.unpack_from("<3Q", data, record + 32)
    position = start
    for _ in range(count):
        fields = CENTRAL.unpack_from(data, position)
        method, packed, unpacked, offset = fields[4], fields[8], fields[9], fields[16]
        name_length, extra_length, comment_length = fields[10:13]
        name = data[position + 46 : position + 46 + name_length]
        extra = data[position + 46 + name_length : position + 46 + name_length + extra_length]
        wide = [value == 0xFFFFFFFF for value in (unpacked, packed, offset)]
        if any(wide) and extra[:2] == b"\x01\x00":
            values = iter(struct.unpack_from(f"<{sum(wide)}Q", extra, 4))
            unpacked, packed, offset = (
                next(values) if is_wide else value
                for is_wide, value in zip(wide, (unpacked, packed, offset), strict=True)
            )
        yield Member(name.decode("utf-8", "replace"), method, packed, offset)
        position += 46 + name_length + extra_length + comment_length


def content(data: bytes, member: Member) -> bytes:
    """A member's bytes, by the sizes of the central directory."""
    name_length, extra_length = struct.unpack_from("<HH", data, member.offset + 26)
    start = member.offset + 30 + name_length + extra_length
    packed = data[start : start + member.packed]
    return packed if member.method == 0 else zlib.decompressobj(-15).decompress(packed)


def data_pickle(data: bytes) -> bytes:
    """The pickle that torch.load reads: data.pkl under the directory of the first member."""
    found = list(directory(data))
    root = found[0].name.split("/")[0]
    return content(data, next(member for member in found if member.name.casefold() == f"{root}/data.pkl".casefold()))


def members(data: bytes) -> Iterator[bytes]:
    """Every member's bytes."""
    for member in directory(data):
        yield content(data, member)
