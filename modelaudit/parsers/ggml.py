"""The files that llama.cpp had before GGUF (ggml, ggmf and ggjt for models, ggla for adapters), and Whisper's.

Four bytes of magic; a version but for the oldest; numbers of the model; the vocabulary; then tensors, each behind its
own description, so that one can only be found by the one before. Which numbers and which vocabulary the oldest kind
has depends on the program that wrote it: of that kind only the first numbers are read.
Source: llama.cpp at 5f939498 (llama.cpp, llama-util.h), convert-llama-ggml-to-gguf.py.
"""

import struct
from collections.abc import Iterator

import msgspec

from modelaudit.blob import Blob, read
from modelaudit.errors import ParseError

GGML, GGMF, GGJT, GGLA = b"lmgg", b"fmgg", b"tjgg", b"algg"
VERSIONS = {GGMF: (1,), GGJT: (1, 2, 3), GGLA: (1,)}
NAMES = ("n_vocab", "n_embd", "n_mult", "n_head", "n_layer", "n_rot", "ftype")
_MOST = (1 << 24, 1 << 20, 1 << 20, 1 << 16, 1 << 14, 1 << 20, 1 << 16)  # far beyond any model of that time
_RWKV = (100, 101)  # versions of ggmf that rwkv.cpp has; its numbers are others
_PIECE_BYTES = 1 << 20  # of a vocabulary, read at a time
_TOKEN_BYTES_MOST = 1 << 16
_NAME_BYTES_MOST = 1 << 12
# Elements and bytes of a block by type, as they were in the last of these formats.
TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 4: (16, 10), 5: (16, 12), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
}  # fmt: skip


class Header(msgspec.Struct, frozen=True):
    """`numbers` are those of a model (or an adapter's two); `end` (bytes) is where the vocabulary begins.

    `whole` says that the layout behind is known.
    """

    magic: bytes
    version: int
    numbers: tuple[int, ...]
    end: int
    whole: bool


class Tensor(msgspec.Struct, frozen=True):
    """One tensor: its data from `begin` to `end` in bytes, which may lie past the file's end. `end` is None for a
    type of unknown size.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    begin: int
    end: int | None


def header(blob: Blob) -> Header:
    """The first numbers. Raises `Missing`, `ParseError`."""
    head = read(blob, 0, 40)
    magic = head[:4]
    versioned = magic in VERSIONS
    if len(head) < (16 if magic == GGLA else 32 + 4 * versioned):
        raise ParseError("the file ends inside its header", len(head))
    version = int.from_bytes(head[4:8], "little") if versioned else 0
    start = 8 if versioned else 4
    count = 2 if magic == GGLA else len(NAMES)
    numbers = struct.unpack_from(f"<{count}I", head, start)
    return Header(magic, version, numbers, start + 4 * count, versioned and version not in _RWKV)


def odd(found: Header) -> str | None:
    """What in the header makes no sense, as a sentence's end."""
    if not found.whole:
        return None
    if found.version not in VERSIONS[found.magic]:
        return f"that it is of version {found.version}, which there never was"
    if found.magic == GGLA:
        return None
    for name, value, most in zip(NAMES, found.numbers, _MOST, strict=True):
        if value > most:
            return f"{name} = {value}"
    return None if found.numbers[0] else "n_vocab = 0"


def vocabulary_end(blob: Blob, found: Header) -> int:
    """Where the vocabulary ends. Raises `Missing`, `ParseError` (with the place of the token that does not fit)."""
    if found.magic == GGLA:
        return found.end
    place, window, base = found.end, memoryview(b""), 0
    for _ in range(found.numbers[0]):
        if place + 8 > base + len(window):
            if place + 8 > blob.size:
                raise ParseError("the file ends inside its vocabulary", place)
            window, base = blob.view(place, _PIECE_BYTES), place
        length = int.from_bytes(window[place - base : place - base + 4], "little")
        if length > _TOKEN_BYTES_MOST:
            raise ParseError(f"a token of {length} bytes", place)
        place += 4 + length + 4
    return place


def tensors(blob: Blob, found: Header, place: int, most: int) -> Iterator[Tensor]:
    """The first `most` tensors, from `place` on. Raises `Missing`, `ParseError`."""
    for _ in range(most):
        if place >= blob.size:
            return
        fixed = read(blob, place, 12)
        if len(fixed) < 12:
            raise ParseError("the file ends inside a tensor's description", place)
        rank, length, kind = struct.unpack("<3I", fixed)
        if rank > 4 or length > _NAME_BYTES_MOST:
            raise ParseError(f"a tensor of {rank} dimensions with a name of {length} bytes", place)
        rest = read(blob, place + 12, 4 * rank + length)
        if len(rest) < 4 * rank + length:
            raise ParseError("the file ends inside a tensor's description", place)
        shape = struct.unpack_from(f"<{rank}I", rest)
        name = rest[4 * rank :].decode("utf-8", "backslashreplace")
        begin = place + 12 + len(rest)
        if found.magic in (GGJT, GGLA):
            begin = -(-begin // 32) * 32
        end = _end(begin, shape, kind)
        yield Tensor(name, shape, kind, begin, end)
        if end is None or end > blob.size:
            return
        place = end


def _end(begin: int, shape: tuple[int, ...], kind: int) -> int | None:
    if kind not in TYPES:
        return None
    elements = 1
    for size in shape:
        elements *= size
    block, block_bytes = TYPES[kind]
    return begin + -(-elements // block) * block_bytes
