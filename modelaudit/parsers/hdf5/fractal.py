"""Fractal heaps: blocks of doubling sizes that hold the links and attributes of objects with many."""

import msgspec

from modelaudit.errors import ParseError
from modelaudit.parsers.hdf5.heaps import enc_bytes
from modelaudit.parsers.hdf5.reading import File, Reader, expect, number
from modelaudit.parsers.hdf5.trees import records

_DEPTH = 64  # indirect blocks in indirect blocks; each doubles what the heap spans


class Fractal(msgspec.Struct, frozen=True):
    """The header of a fractal heap, as much of it as finding an object needs."""

    address: int
    id_bytes: int
    filtered: bool
    checked: bool
    width: int
    block_bytes: int
    direct_most: int
    offset_bytes: int
    length_bytes: int
    root: int
    rows: int
    huge: int

    @property
    def direct_rows(self) -> int:
        """How many rows of an indirect block are direct blocks."""
        return self.direct_most.bit_length() - self.block_bytes.bit_length() + 2


def fractal(file: File, address: int) -> Reader[Fractal]:
    """The fractal heap at `address`."""
    o, n = file.offset_bytes, file.length_bytes
    data = yield from file.at(address, 22 + 12 * n + 3 * o + 4)
    expect(data, b"FRHP", file.base + address)
    most_managed = number(data, 10, 4)
    at = 14 + n + o + n + o + 8 * n
    width, block, most = number(data, at, 2), file.length(data, at + 2), file.length(data, at + 2 + n)
    bits = number(data, at + 2 + 2 * n, 2)
    root = file.offset(data, at + 6 + 2 * n)
    rows = number(data, at + 6 + 2 * n + o, 2)
    if width == 0 or block == 0 or block & (block - 1) or width & (width - 1) or most < block or bits > 64:
        raise ParseError("a heap with impossible blocks", file.base + address)
    return Fractal(
        address, number(data, 5, 2), number(data, 7, 2) != 0, bool(data[9] & 2), width, block, most,
        -(-bits // 8), min(enc_bytes(most), enc_bytes(most_managed)), root, rows,
        file.offset(data, 14 + n),
    )  # fmt: skip


def object_of(file: File, heap: Fractal, id_: bytes) -> Reader[bytes]:
    """The object with that heap ID. Raises `ParseError` for those that are kept in ways nobody uses for names."""
    kind = id_[0] >> 4 & 3
    if id_[0] >> 6:
        raise ParseError("a heap ID of unknown version", file.base + heap.address)
    if kind == 2:
        return id_[1 : 2 + (id_[0] & 15)]
    if kind != 0:
        return (yield from _huge(file, heap, id_))
    if heap.filtered:
        raise ParseError("a heap whose blocks are packed", file.base + heap.address)
    offset = number(id_, 1, heap.offset_bytes)
    length = number(id_, 1 + heap.offset_bytes, heap.length_bytes)
    place = yield from _managed(file, heap, offset)
    return (yield from file.at(place, length))


def _huge(file: File, heap: Fractal, id_: bytes) -> Reader[bytes]:
    """An object too large for the heap's blocks: its place stands in the ID, or in an index of such objects."""
    o, n = file.offset_bytes, file.length_bytes
    if heap.filtered:
        raise ParseError("a heap whose objects are packed", file.base + heap.address)
    if len(id_) >= 1 + o + n:
        return (yield from file.at(file.offset(id_, 1), file.length(id_, 1 + o)))
    kind, found = yield from records(file, heap.huge)
    key = int.from_bytes(id_[1 : 1 + n], "little")
    for record in found if kind == 1 else ():
        if len(record) >= o + 2 * n and file.length(record, o + n) == key:
            return (yield from file.at(file.offset(record, 0), file.length(record, o)))
    raise ParseError("a large object that is not in its heap", file.base + heap.address)


def _managed(file: File, heap: Fractal, offset: int) -> Reader[int]:
    """The address of the byte at `offset` of the heap, found through its indirect blocks."""
    block, rows = heap.root, heap.rows
    if rows == 0:
        if offset >= heap.direct_most:
            raise ParseError("an object lies outside its heap", file.base + heap.address)
        return block + offset
    for _ in range(_DEPTH):
        row, column, rest, size = _place(heap, offset)
        if row >= rows:
            raise ParseError("an object lies outside its heap", file.base + heap.address)
        head = 5 + file.offset_bytes + heap.offset_bytes
        at = head + (row * heap.width + column) * file.offset_bytes
        data = yield from file.at(block, at + file.offset_bytes)
        expect(data, b"FHIB", file.base + block)
        block = file.offset(data, at)
        if row < heap.direct_rows:
            return block + rest
        offset = rest
        rows = size.bit_length() - (heap.block_bytes * heap.width).bit_length() + 1
    raise ParseError("a heap nested without end", file.base + heap.address)


def _place(heap: Fractal, offset: int) -> tuple[int, int, int, int]:
    """Row and column of the block that holds `offset`, the offset in that block, and the block's size."""
    first = heap.width * heap.block_bytes
    if offset < first:
        return 0, offset // heap.block_bytes, offset % heap.block_bytes, heap.block_bytes
    row = (offset // first).bit_length()
    size = heap.block_bytes << (row - 1)
    within = offset - (first << (row - 1))
    return row, within // size, within % size, size
