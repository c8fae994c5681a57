"""One member of a zip: how its two headers differ, and its data as children."""

import zlib
from collections.abc import Iterator

from msgspec.structs import replace

from modelaudit.blob import Blob, SliceBlob, read
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Child, Hit, Note
from modelaudit.parsers.zip import entries
from modelaudit.parsers.zip.entries import Entry, Local
from modelaudit.unpack import Budget, open_child, unpacks

Item = Hit | Child | Note

TEXT = late(rb"[\t\n\r -~\x80-\xff]*")  # what a comment may be without a word

HEAD_BYTES = 512  # of a stored member: what identifying it needs
WHOLE_BYTES = 64 << 10  # packed members and pickles up to this size are fetched whole with their head
SMALL_BYTES = 4 << 10  # any member up to this size is; a request costs as much as it does

_CODECS = {0: "stored", 8: "deflate", 12: "bz2", 20: "zstd", 93: "zstd", 95: "xz"}
_LZMA = 14
_METHODS = {
    1: "shrink",
    6: "implode",
    9: "deflate64",
    10: "IBM TERSE",
    96: "JPEG",
    97: "WavPack",
    98: "PPMd",
    99: "AES",
}
_LZMA_HEADER_BYTES = 9
_LZMA_MOST_BYTES = 1 << 62  # unpacked, where no header says how many
_PEEK_BYTES = 256 << 10  # unpacked here to check a member; the engine unpacks it again under the budget
# Extra fields that writers really use, with the most bytes that they put there: zip64, NTFS times, Unix owners.
_KNOWN_FIELDS = {0x0001: 32, 0x000A: 36, 0x7875: 19}
_PADDING = 0x4246  # "FB": what PyTorch aligns its tensors with
_FIELD_BYTES = 16  # any other extra field of this size may hold something


def fetch_bytes(entry: Entry) -> int:
    """How many bytes of a member's data are worth asking for before it is known what they are."""
    if entry.method != 0 or entry.name.endswith((b".pkl", b"_pkl")):
        return min(entry.packed, WHOLE_BYTES)
    return entry.packed if entry.packed <= SMALL_BYTES else HEAD_BYTES


def differences(entry: Entry, header: Local) -> list[str]:
    """What the local header says otherwise than the directory. Fields that it may leave empty do not count."""
    fields = [
        ("name", header.name, entry.name),
        ("method", header.method, entry.method),
        ("encryption", header.flags & 0x2041, entry.flags & 0x2041),
    ]
    measured = [
        ("CRC", header.crc, entry.crc),
        ("packed size", header.packed, entry.packed),
        ("size", header.size, entry.size),
    ]
    if not header.flags & entries.DESCRIPTOR:
        fields += measured
    else:
        fields += [(what, mine, other) for what, mine, other in measured if mine not in {0, 0xFFFFFFFF}]
    return [what for what, mine, other in fields if mine != other]


def contents(blob: Blob, name: str, entry: Entry | Local, data: int, packed: int) -> Iterator[Item]:
    """The member's `packed` bytes at `data` as a child, packed as `entry` says they are."""
    packed = max(0, min(packed, blob.size - data))
    if entry.flags & entries.ENCRYPTED:
        if not _is_plain(blob, entry, data, packed):
            yield Note("encrypted_member", f"{name}: encrypted, cannot be looked into", data)
            yield Child(f"{name} (encrypted)", data, packed)
            return
        yield Hit("zip-encryption-flag", data, {"name": name})
    codec = _CODECS.get(entry.method)
    if codec is not None:
        yield Child(name, data, packed, codec, _declared(entry))
    elif entry.method == _LZMA and (codec := _lzma(blob, entry, data, packed)):
        yield Child(name, data + _LZMA_HEADER_BYTES, packed - _LZMA_HEADER_BYTES, codec, _declared(entry))
    else:
        kind = _METHODS.get(entry.method, str(entry.method))
        yield Note("unsupported_method", f"{name}: packed by a method that is not supported: {kind}", data)
        yield Child(f"{name} (packed)", data, packed)


def _declared(entry: Entry | Local) -> int | None:
    """The unpacked size that the header declares; a local header may leave it to the data descriptor."""
    if entry.method == 0 or (not entry.size and entry.flags & entries.DESCRIPTOR):
        return None
    return entry.size


def _lzma(blob: Blob, entry: Entry | Local, data: int, packed: int) -> str:
    """How the member's LZMA stream is unpacked, behind zip's own header of it (APPNOTE 5.8.8); empty without one."""
    head = read(blob, data, min(packed, _LZMA_HEADER_BYTES))
    if len(head) < _LZMA_HEADER_BYTES or head[2:4] != b"\5\0":
        return ""
    size = _declared(entry)
    return f"lzma={head[4:].hex()}:{_LZMA_MOST_BYTES if size is None else size}"


def _is_plain(blob: Blob, entry: Entry | Local, data: int, packed: int) -> bool:
    """Whether a member that is marked as encrypted is not: a trick that stops some readers and not others."""
    if entry.method == 0:
        return packed == entry.size  # encryption adds a header of twelve bytes
    if entry.method not in _CODECS:
        return False
    return unpacks(SliceBlob(blob, data, packed), _CODECS[entry.method], Limits())


def _unpacked(blob: Blob, child: Child, least: int) -> memoryview | None:
    """The first bytes of `child`, at least `least` of them; `None` when they cannot be had for little."""
    limits = replace(Limits(), unpacked_bytes=_PEEK_BYTES, unpack_ratio_floor_bytes=_PEEK_BYTES)
    try:
        return open_child(blob, child, Budget(limits), limits).view(0, WHOLE_BYTES, least)
    except (ParseError, LimitExceeded):
        return None


def link_target(blob: Blob, entry: Entry, data: int) -> str | None:
    """Where a symbolic link leads; `None` when that cannot be read."""
    if entry.packed > SMALL_BYTES or entry.method not in _CODECS:
        return None
    target = _unpacked(blob, Child("", data, entry.packed, _CODECS[entry.method]), entry.size)
    return None if target is None else bytes(target).decode("utf-8", "replace")


def checksum_differs(blob: Blob, entry: Entry, data: int) -> bool:
    """Whether a member that is here whole and is small has another CRC than the directory says."""
    if entry.packed > fetch_bytes(entry) or entry.size > WHOLE_BYTES or entry.method not in _CODECS:
        return False
    if entry.method == 0:
        return zlib.crc32(blob.view(data, entry.packed)) != entry.crc
    bytes_ = _unpacked(blob, Child("", data, entry.packed, _CODECS[entry.method]), entry.size)
    return bytes_ is not None and zlib.crc32(bytes_) != entry.crc


def hidden_fields(name: str, extra: bytes, end: int) -> Iterator[Child]:
    """Extra fields, of the header whose fields are `extra` and end at `end`, that may hold something."""
    place = end - len(extra)
    for id_, value in entries.extra_fields(extra):
        place += 4 if id_ >= 0 else 0
        held = value.strip(b"Z\0" if id_ == _PADDING else b"\0")
        if len(held) >= _FIELD_BYTES and len(value) > _KNOWN_FIELDS.get(id_, 0):
            yield Child(f"{name} (extra field)", place, len(value))
        place += len(value)
