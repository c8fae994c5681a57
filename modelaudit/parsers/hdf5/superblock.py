"""The superblock: where it is, how wide addresses are, and where the root group lies."""

import msgspec

from modelaudit.blob import Blob, read
from modelaudit.errors import ParseError
from modelaudit.limits import Limits
from modelaudit.parsers.hdf5.reading import File

MAGIC = b"\x89HDF\r\n\x1a\n"
FIRST_PLACE = 512  # bytes; a user block may stand before the file, and its size is a power of two
_HEAD_BYTES = 512
_SIZES = (2, 4, 8)


class Superblock(msgspec.Struct, frozen=True):
    """What the superblock says. `end` is where the file ends by its own account, in bytes of the blob.

    `stab` are the addresses of the root group's B-tree and heap where the superblock keeps them too.
    """

    file: File
    version: int
    root: int
    end: int
    stab: tuple[int, int] | None
    extension: int


def places(size: int, most: int) -> list[int]:
    """Where a superblock can be in a blob of `size` bytes, up to `most`."""
    found = [0]
    place = FIRST_PLACE
    while place < min(size, most):
        found.append(place)
        place *= 2
    return found


def find(blob: Blob, most: int) -> int | None:
    """Where the superblock is, looked for up to `most` bytes. Raises `Missing`.

    Within the head of a blob only as far as it is here: asking for more of every other file is not worth it.
    """
    if most < blob.size:
        head = bytes(blob.view(0, most + len(MAGIC), min(blob.size, len(MAGIC))))
        return next((place for place in places(len(head), most) if head.startswith(MAGIC, place)), None)
    for place in places(blob.size, most):
        if bytes(blob.view(place, len(MAGIC))) == MAGIC:
            return place
    return None


def parse(blob: Blob, place: int, limits: Limits) -> Superblock:
    """The superblock at `place`. Raises `ParseError`."""
    data = read(blob, place, min(_HEAD_BYTES, blob.size - place))
    if len(data) < 24:
        raise ParseError("the superblock is cut off", place)
    version = data[8]
    if version > 3:
        raise ParseError(f"superblock of unknown version {version}", place + 8)
    offset_bytes, length_bytes = (data[13], data[14]) if version < 2 else (data[9], data[10])
    if offset_bytes not in _SIZES or length_bytes not in _SIZES:
        raise ParseError(f"addresses of {offset_bytes} and lengths of {length_bytes} bytes", place + 9)
    file = File(blob, place, offset_bytes, length_bytes, limits)
    return _old(file, data, version, place) if version < 2 else _new(file, data, version, place)


def _old(file: File, data: bytes, version: int, place: int) -> Superblock:
    file.leaf_entries = 2 * int.from_bytes(data[16:18], "little")
    file.node_entries = 2 * int.from_bytes(data[18:20], "little")
    at = 24 if version == 0 else 28
    width = file.offset_bytes
    base, end = file.offset(data, at), file.offset(data, at + 2 * width)
    entry = at + 4 * width
    root, scratch = file.offset(data, entry + width), entry + 2 * width + 8
    cached = int.from_bytes(data[entry + 2 * width : entry + 2 * width + 4], "little")
    stab = (file.offset(data, scratch), file.offset(data, scratch + width)) if cached == 1 else None
    return Superblock(file, version, root, _end(file, end, base, place), stab, file.undefined)


def _new(file: File, data: bytes, version: int, place: int) -> Superblock:
    width = file.offset_bytes
    base, extension, end, root = (file.offset(data, 12 + index * width) for index in range(4))
    return Superblock(file, version, root, _end(file, end, base, place), None, extension)


def _end(file: File, end: int, base: int, place: int) -> int:
    """libhdf5 takes the place of the superblock for the base, whatever the base is said to be."""
    return file.blob.size if end == file.undefined else max(0, end + place - base)
