"""Sparse members: which pieces of the file are stored (GNU tar manual, Storing Sparse Files).

The old GNU format keeps the map in the header and in blocks behind it; pax 0.0 and 0.1 in records; pax 1.0 as
decimal lines before the data.
"""

from collections.abc import Iterator

import msgspec

from modelaudit.blob import Blob, read
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.parsers.tar.header import BLOCK_BYTES, number, padded
from modelaudit.parsers.tar.pax import Records, map_of, whole

_PIECES = 65_536  # pieces of one member; each is at least a block of a real file system
_MAP_BYTES = 4 << 20  # the map in front of the data, in pax 1.0


class Sparse(msgspec.Struct, frozen=True):
    """A member of `size` bytes of which `pieces` (offset, length) are stored, one after the other, at `data`."""

    size: int
    pieces: tuple[tuple[int, int], ...]
    data: int

    def expanded(self, blob: Blob, stored: int) -> bytes:
        """The member as it is unpacked, from at most `stored` bytes. Raises `Missing`."""
        out = bytearray(self.size)
        place, end = self.data, self.data + stored
        for offset, length in self.pieces:
            here = max(0, min(length, end - place, self.size - offset))
            piece = blob.view(place, here)
            out[offset : offset + len(piece)] = piece
            place += length
        return bytes(out)


def old_gnu(blob: Blob, header: int, block: bytes) -> Sparse:
    """The map of a header of kind `S`. Raises `Missing`, `ParseError`, `LimitExceeded`."""
    size, _ = number(block[483:495])
    pieces = list(_entries(block[386:482]))
    place, more = header + BLOCK_BYTES, block[482]
    while more:
        extension = read(blob, place, BLOCK_BYTES)
        if len(extension) < BLOCK_BYTES:
            raise ParseError("the map of a sparse member is cut off", place)
        pieces += _entries(extension[:504])
        place, more = place + BLOCK_BYTES, extension[504]
        if len(pieces) > _PIECES or place - header > _MAP_BYTES:
            raise LimitExceeded("tar_sparse_pieces", len(pieces), _PIECES)
    return Sparse(size, tuple(pieces), place)


def _entries(table: bytes) -> Iterator[tuple[int, int]]:
    for place in range(0, len(table) - 23, 24):
        entry = table[place : place + 24]
        if entry.strip(b"\0"):
            yield number(entry[:12])[0], number(entry[12:])[0]


def of_pax(blob: Blob, records: Records, data: int, stored: int) -> Sparse | None:
    """The map that `records`, or the data they announce, hold; None for members that are not sparse.

    Raises `Missing`, `LimitExceeded`.
    """
    if not any(key.startswith("GNU.sparse.") for key, _ in records.pairs):
        return None
    size = records.number("GNU.sparse.realsize")
    if size is None:
        size = records.number("GNU.sparse.size") or 0
    if records.number("GNU.sparse.major") == 1:
        return _in_front(blob, data, stored, size)
    listed = records.get("GNU.sparse.map")
    if listed is not None:
        numbers = [whole(part) or 0 for part in listed.split(",", 2 * _PIECES)]
    else:
        kinds = ("GNU.sparse.offset", "GNU.sparse.numbytes")
        numbers = [whole(value) or 0 for key, value in records.pairs if key in kinds]
    return Sparse(size, tuple(map_of(iter(numbers))), data)


def _in_front(blob: Blob, data: int, stored: int, size: int) -> Sparse:
    most = min(stored, _MAP_BYTES)
    first = read(blob, data, min(most, BLOCK_BYTES)).partition(b"\n")[0]
    count = min(whole(first.decode("latin-1")) or 0, _PIECES)
    # Two numbers a piece, twenty digits at most: read as far as they need, and not the data behind them.
    lines = read(blob, data, min(most, padded(42 * count + 42))).split(b"\n", 2 * count + 1)
    numbers = [whole(line.decode("latin-1")) or 0 for line in lines[1 : 2 * count + 1]]
    taken = sum(len(line) + 1 for line in lines[: 2 * count + 1])
    return Sparse(size, tuple(map_of(iter(numbers))), data + padded(taken))
