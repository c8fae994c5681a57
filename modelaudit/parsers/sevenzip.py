"""The header of a 7z archive (7zFormat.txt of the LZMA SDK): which blocks there are and what files lie in them.

The header itself may be packed; then it is the only file of the first block, and whoever calls must unpack it.
"""

import struct
import zlib
from collections.abc import Callable

import msgspec

from modelaudit.blob import Blob, read
from modelaudit.errors import LimitExceeded, ParseError

MAGIC = b"7z\xbc\xaf\x27\x1c"
START_BYTES = 32
_END, _HEADER, _PROPERTIES, _ADDITIONAL, _MAIN, _FILES, _PACK, _UNPACK, _SUBSTREAMS = range(9)
_SIZE, _CRC, _FOLDER, _UNPACK_SIZES, _NUM_STREAMS, _EMPTY, _EMPTY_FILE, _ANTI, _NAMES = range(9, 18)
_ATTRIBUTES, _ENCODED = 0x15, 0x17
_CODERS = 32  # of one block; what 7-Zip itself accepts
_LARGEST = 1 << 62


class Start(msgspec.Struct, frozen=True):
    """The first 32 bytes: where the header is, in bytes of the file, and whether the checksum here is right."""

    offset: int
    size: int
    crc: int
    right: bool


class Coder(msgspec.Struct, frozen=True):
    """One step of unpacking. `size` is what it gives, in bytes."""

    method: bytes
    properties: bytes
    size: int
    inputs: int
    outputs: int


class Block(msgspec.Struct):
    """A block (folder, in the words of 7z): packed streams (offset, size) in the file, and coders in their order.

    `chain` is empty where the coders are no simple chain. `sizes` are those of the files in it.
    """

    coders: list[Coder]
    chain: list[Coder] = msgspec.field(default_factory=list)
    packed: list[tuple[int, int]] = msgspec.field(default_factory=list)
    sizes: list[int] = msgspec.field(default_factory=list)
    size: int = 0
    streams: int = 0
    sums: bool = False


class File(msgspec.Struct):
    """One file: in `block` from `offset`, or without data (`block` is -1). `mode` is that of Unix, 0 if unknown."""

    name: str
    block: int = -1
    offset: int = 0
    size: int = 0
    mode: int = 0
    folder: bool = False
    anti: bool = False


class Header(msgspec.Struct):
    """What the header says. `encoded` is set when it was packed, and then `blocks[0]` holds the real one."""

    blocks: list[Block]
    files: list[File]
    encoded: bool = False


def start(blob: Blob) -> Start:
    """The signature header. Raises `Missing`, `ParseError`."""
    data = read(blob, 0, START_BYTES)
    if len(data) < START_BYTES or data[:6] != MAGIC:
        raise ParseError("a 7z archive that is cut off in its first header")
    check, offset, size, crc = struct.unpack_from("<IQQI", data, 8)
    return Start(START_BYTES + offset, size, crc, check == zlib.crc32(data[12:]))


def header(data: bytes, most: int) -> Header:
    """`data` as a header. Raises `ParseError`, and `LimitExceeded` for more than `most` files."""
    reader = _Reader(data)
    kind = reader.byte()
    if kind == _ENCODED:
        return Header(_streams(reader, most), [], encoded=True)
    if kind != _HEADER:
        raise ParseError(f"a 7z header of kind {kind}")
    blocks: list[Block] = []
    files: list[File] = []
    while (kind := reader.byte()) != _END:
        if kind == _PROPERTIES:
            while reader.byte() != _END:
                reader.take(reader.number())
        elif kind == _ADDITIONAL:
            _streams(reader, most)
        elif kind == _MAIN:
            blocks = _streams(reader, most)
        elif kind == _FILES:
            files = _files(reader, most)
        else:
            raise ParseError(f"an unknown part {kind} in the 7z header", reader.place)
    _place(blocks, files)
    return Header(blocks, files)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    @property
    def left(self) -> int:
        return len(self._data) - self.place

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise ParseError("the 7z header is cut off", self.place)
        self.place += count
        return self._data[self.place - count : self.place]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """The leading ones of the first byte count the bytes that follow, little end first."""
        first = self.byte()
        extra = 8 - (~first & 0xFF).bit_length()
        value = int.from_bytes(self.take(extra), "little")
        if extra < 7:
            value += (first & (0x7F >> extra)) << (8 * extra)
        if value > _LARGEST:
            raise ParseError("a number beyond all files in the 7z header", self.place)
        return value

    def count(self, bits: bool = False) -> int:
        """The number of things that follow: each takes a byte at least, or a bit."""
        value = self.number()
        if value > self.left * (8 if bits else 1):
            raise ParseError(f"{value} things in {self.left} bytes of the 7z header", self.place)
        return value

    def flags(self, count: int) -> list[bool]:
        data = self.take((count + 7) // 8)
        return [bool(data[index >> 3] & 0x80 >> (index & 7)) for index in range(count)]

    def defined(self, count: int) -> list[bool]:
        return [True] * count if self.byte() else self.flags(count)

    def digests(self, count: int) -> list[bool]:
        known = self.defined(count)
        self.take(4 * sum(known))
        return known


def _streams(reader: _Reader, most: int) -> list[Block]:
    packed: list[tuple[int, int]] = []
    blocks: list[Block] = []
    while (kind := reader.byte()) != _END:
        if kind == _PACK:
            packed = _packed(reader)
        elif kind == _UNPACK:
            blocks = _blocks(reader)
        elif kind == _SUBSTREAMS:
            _substreams(reader, blocks, most)
        else:
            raise ParseError(f"an unknown part {kind} in the 7z header", reader.place)
    place = 0
    for block in blocks:
        count = len(block.packed)
        block.packed = packed[place : place + count]
        place += count
        if len(block.packed) < count:
            raise ParseError("a 7z block without packed bytes")
        if not block.sizes and block.streams == 1:
            block.sizes = [block.size]
    return blocks


def _packed(reader: _Reader) -> list[tuple[int, int]]:
    place = START_BYTES + reader.number()
    count = reader.count()
    found: list[tuple[int, int]] = []
    while (kind := reader.byte()) != _END:
        if kind == _SIZE:
            for _ in range(count):
                size = reader.number()
                found.append((place, size))
                place += size
        elif kind == _CRC:
            reader.digests(count)
        else:
            raise ParseError(f"an unknown part {kind} among the packed streams", reader.place)
    return found


def _blocks(reader: _Reader) -> list[Block]:
    if reader.byte() != _FOLDER:
        raise ParseError("no blocks in the 7z header", reader.place)
    count = reader.count()
    if reader.byte():
        raise ParseError("blocks that are described elsewhere", reader.place)
    shapes = [_block(reader) for _ in range(count)]
    if reader.byte() != _UNPACK_SIZES:
        raise ParseError("no sizes of blocks in the 7z header", reader.place)
    blocks = [_finish(reader, *shape) for shape in shapes]
    while (kind := reader.byte()) != _END:
        if kind != _CRC:
            raise ParseError(f"an unknown part {kind} among the blocks", reader.place)
        for block, known in zip(blocks, reader.digests(count), strict=True):
            block.sums = known
    return blocks


_Shape = tuple[list[tuple[bytes, bytes, int, int]], dict[int, int], list[int]]


def _block(reader: _Reader) -> _Shape:
    """Coders, which input takes which output, and which inputs take packed streams."""
    coders = []
    count = reader.count()
    if not 1 <= count <= _CODERS:
        raise ParseError(f"{count} coders in one block", reader.place)
    for _ in range(count):
        flags = reader.byte()
        method = reader.take(flags & 0x0F)
        inputs, outputs = (reader.count(), reader.count()) if flags & 0x10 else (1, 1)
        properties = reader.take(reader.count()) if flags & 0x20 else b""
        if inputs > _CODERS or outputs > _CODERS or not outputs:
            raise ParseError(f"a coder with {inputs} inputs", reader.place)
        coders.append((method, properties, inputs, outputs))
    inputs, outputs = sum(coder[2] for coder in coders), sum(coder[3] for coder in coders)
    if inputs < outputs - 1:
        raise ParseError("coders that do not fit together", reader.place)
    bound = {}
    for _ in range(outputs - 1):
        taker = reader.number()
        bound[taker] = reader.number()
    free = inputs - (outputs - 1)
    taken = [reader.number() for _ in range(free)] if free > 1 else [i for i in range(inputs) if i not in bound][:1]
    return coders, bound, taken


def _finish(
    reader: _Reader, shape: list[tuple[bytes, bytes, int, int]], bound: dict[int, int], taken: list[int]
) -> Block:
    """The block, its coders in the order in which they unpack."""
    sizes = [[reader.number() for _ in range(outputs)] for *_, outputs in shape]
    coders = [
        Coder(method, properties, size[0], inputs, outputs)
        for (method, properties, inputs, outputs), size in zip(shape, sizes, strict=True)
    ]
    block = Block(coders, packed=[(0, 0)] * len(taken), streams=1)
    final = [index for index in range(sum(coder.outputs for coder in coders)) if index not in bound.values()]
    flat = [size for group in sizes for size in group]
    block.size = flat[final[0]] if final else 0
    if all(coder.inputs == coder.outputs == 1 for coder in coders) and len(taken) == 1:
        following = {giver: taker for taker, giver in bound.items()}
        index: int | None = taken[0]
        while index is not None and index < len(coders) and len(block.chain) < len(coders):
            block.chain.append(coders[index])
            index = following.get(index)
        if len(block.chain) < len(coders):
            block.chain = []
    return block


def _substreams(reader: _Reader, blocks: list[Block], most: int) -> None:
    kind = reader.byte()
    if kind == _NUM_STREAMS:
        for block in blocks:
            block.streams = reader.number()
        kind = reader.byte()
    total = sum(block.streams for block in blocks)
    if total > most:
        raise LimitExceeded("members", total, most)
    for block in blocks:
        if block.streams:
            sizes = [reader.number() for _ in range(block.streams - 1)] if kind == _SIZE else []
            block.sizes = [*sizes, max(0, block.size - sum(sizes))]
    if kind == _SIZE:
        kind = reader.byte()
    while kind != _END:
        if kind != _CRC:
            raise ParseError(f"an unknown part {kind} among the files of blocks", reader.place)
        reader.digests(sum(block.streams for block in blocks if block.streams != 1 or not block.sums))
        kind = reader.byte()


def _files(reader: _Reader, most: int) -> list[File]:
    count = reader.number()
    if count > most:
        raise LimitExceeded("members", count, most)
    if count > 8 * reader.left:
        raise ParseError(f"{count} files in {reader.left} bytes of the 7z header", reader.place)
    files = [File("") for _ in range(count)]
    parts: dict[int, bytes] = {}
    while (kind := reader.byte()) != _END:
        parts[kind] = reader.take(reader.number())
    empty = _Reader(parts.get(_EMPTY, b"")).flags(count) if _EMPTY in parts else [False] * count
    without = [file for file, flag in zip(files, empty, strict=True) if flag]
    plain = _Reader(parts[_EMPTY_FILE]).flags(len(without)) if _EMPTY_FILE in parts else [False] * len(without)
    anti = _Reader(parts[_ANTI]).flags(len(without)) if _ANTI in parts else [False] * len(without)
    for file, is_file, is_anti in zip(without, plain, anti, strict=True):
        file.folder, file.anti, file.block = not is_file, is_anti, -2
    if _NAMES in parts:
        _names(parts[_NAMES], files)
    if _ATTRIBUTES in parts:
        _attributes(_Reader(parts[_ATTRIBUTES]), files)
    return files


def _names(data: bytes, files: list[File]) -> None:
    if data[:1] != b"\0":
        raise ParseError("names that stand elsewhere")
    names = data[1:].decode("utf-16-le", "backslashreplace").split("\0")
    if len(names) < len(files):
        raise ParseError(f"{len(names)} names for {len(files)} files")
    for file, name in zip(files, names, strict=False):
        file.name = name.encode("utf-8", "backslashreplace").decode()


def _attributes(reader: _Reader, files: list[File]) -> None:
    known = reader.defined(len(files))
    if reader.byte():
        return
    for file, there in zip(files, known, strict=True):
        if there:
            value = int.from_bytes(reader.take(4), "little")
            file.mode = value >> 16 if value & 0x8000 else 0
            if value & 0x400:  # a reparse point of Windows: a link
                file.mode = file.mode or 0o120777
            file.folder |= bool(value & 0x10) and file.block == -2


def _place(blocks: list[Block], files: list[File]) -> None:
    """Give each file with data its place: they fill the blocks in order."""
    slots = ((index, block, size) for index, block in enumerate(blocks) for size in block.sizes)
    offset, last = 0, -1
    for file in files:
        if file.block == -2:
            file.block = -1
            continue
        index, _, size = next(slots, (-1, None, 0))
        if index < 0:
            raise ParseError(f"no block holds {file.name}")
        offset = offset if index == last else 0
        last = index
        file.block, file.offset, file.size = index, offset, size
        offset += size


def chain(block: Block, name: Callable[[bytes], str | None]) -> str | None:
    """The coders of `block` as `modelaudit.unpack` wants them written; None when one of them has no name."""
    stages = []
    for coder in block.chain:
        called = name(coder.method)
        if called is None:
            return None
        stages.append(
            f"{called}={coder.properties.hex()}:{coder.size}" if coder.properties else f"{called}:{coder.size}"
        )
    return "|".join(stages) or None
