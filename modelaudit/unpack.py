"""The only place that decompresses, always under a budget, and only as far as somebody reads.

Checksums are not believed in either direction: a wrong one must not hide what a loader would have acted on
before it noticed, so deflate streams are unpacked raw and their frames are read here (RFC 1950, 1951, 1952).
"""

import bz2
import lzma
import zlib
from collections.abc import Sequence
from typing import Protocol

import lz4.frame
import zstandard

from modelaudit.blob import Blob, BytesBlob, SliceBlob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import MIB, Limits
from modelaudit.model import Child

_PIECE_BYTES = 256 * 1024  # packed bytes taken from the parent at a time, at the most
_FIRST_PIECE_BYTES = 4 * 1024  # the first of a frame, doubled with each: a million tiny frames stay cheap
_HEAD_BYTES = 1024  # enough for the header of a frame and the name in it
_LEAST_BYTES = 16 * 1024  # fewer than that are only taken where the packed bytes end
_STEP_BYTES = 256 * 1024  # unpacked bytes produced at a time
_ZSTD_PIECE_BYTES = 1024  # zstandard gives no bound on output: 1 KiB of packed bytes is at most 32 MiB
_SAMPLE_BYTES = 1 * MIB
_PROOF_BYTES = 1024  # unpacked bytes that chance does not give
_WINDOW_BYTES = 256 * MIB  # the most memory that a decoder may ask for; xz -9 needs 65 MiB
_VERIFIED_BYTES = 1 * MIB  # declared sizes up to this are checked by unpacking; larger ones are believed
_BROKEN = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, RuntimeError, ValueError)


class Budget:
    """What one object may unfold to, over all depths. Raises `LimitExceeded` when it is spent."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._members = 0
        self._unpacked = 0

    def add_member(self) -> None:
        """One more child."""
        self._members += 1
        if self._members > self._limits.members:
            raise LimitExceeded("members", self._members, self._limits.members)

    def add_unpacked(self, count: int) -> None:
        """`count` more decompressed bytes."""
        self._unpacked += count
        if self._unpacked > self._limits.unpacked_bytes:
            raise LimitExceeded("unpacked_bytes", self._unpacked, self._limits.unpacked_bytes)


def open_child(blob: Blob, child: Child, budget: Budget, limits: Limits) -> Blob:
    """The bytes of `child`, which lies in `blob`. Raises `ParseError` for a codec that nobody knows."""
    if child.data is not None:
        return BytesBlob(child.data)
    if child.codec == "stored":
        return SliceBlob(blob, child.offset, child.length)
    if child.codec not in _FRAMES:
        raise ParseError(f"no decoder for {child.codec!r}", child.offset)
    return UnpackedBlob(blob, child, budget, limits)


def unpacks(blob: Blob, codec: str, limits: Limits) -> bool:
    """Whether `blob` really begins with a `codec` stream: its first bytes unpack. Reads no further.

    For codecs without a magic. Random bytes behind a header that checks by chance do not get so far.
    """
    inner = UnpackedBlob(blob, Child("", length=blob.size, codec=codec), Budget(limits), limits)
    begun = len(inner.view(0, _PROOF_BYTES))
    return begun == _PROOF_BYTES or (begun > 0 and inner.broken is None)


class UnpackedBlob:
    """Compressed bytes as a blob: unpacked on demand, kept, never further than a read needs.

    A stream that breaks, or asks for more than the budget, ends there: what came before stays readable, and
    `broken` or `exceeded` says why. `packed_end` is where the last frame ends in the parent, once that is known.
    """

    def __init__(self, parent: Blob, child: Child, budget: Budget, limits: Limits) -> None:
        self._parent = parent
        self._codec = child.codec
        self._declared = child.size
        self._begin = self._next = child.offset
        self._stop = child.offset + child.length
        self._budget = budget
        self._limits = limits
        self._out = bytearray()
        self._decoder: _Decoder | None = None
        self._finished = False
        self._piece_bytes = _FIRST_PIECE_BYTES
        self.broken: ParseError | None = None
        self.exceeded: LimitExceeded | None = None
        self.packed_end: int | None = None

    @property
    def size(self) -> int:
        """The declared size where that is large, else what unpacking to the end gives."""
        declared = self._declared
        if not self._finished and declared is not None and declared > max(_VERIFIED_BYTES, len(self._out)):
            return declared
        while not self._finished:
            self._step()
        return len(self._out)

    def view(self, offset: int, length: int, least: int | None = None) -> memoryview:
        """See `Blob.view`. A copy, because what is kept still grows."""
        wanted = offset + (length if least is None else min(least, length))
        while len(self._out) < wanted and not self._finished:
            self._step()
        return memoryview(bytes(self._out[offset : offset + max(0, length)]))

    def sample(self) -> None:
        """Unpack what the first mebibyte of packed bytes gives: contents that nobody reads may still be a bomb."""
        while not self._finished and self._next - self._begin < _SAMPLE_BYTES:
            self._step()

    def require(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Packed bytes are asked for when they are needed: which ones, only unpacking tells."""

    def _step(self) -> None:
        """Produce some bytes, or find out that there are no more. Raises `Missing`."""
        try:
            if self._decoder is None and not self._open_frame():
                return
            assert self._decoder is not None  # noqa: S101  just opened
            piece = b""
            if self._decoder.needs_input:
                piece = self._take(_ZSTD_PIECE_BYTES if self._codec == "zstd" else self._piece_bytes)
                self._piece_bytes = min(2 * self._piece_bytes, _PIECE_BYTES)
                if not piece:
                    self._end(ParseError(f"the {self._codec} stream ends in the middle", self._next))
                    return
            self._keep(self._decoder.step(piece))
            if self._decoder.eof:
                self._next -= len(self._decoder.unused)
                self._decoder = None
        except LimitExceeded as limit:
            self.exceeded = limit
            self._end(None)
        except _BROKEN as error:
            self._end(ParseError(f"broken {self._codec} stream: {error}", self._next))

    def _take(self, most: int) -> bytes:
        most = min(most, self._stop - self._next)
        piece = bytes(self._parent.view(self._next, most, min(_LEAST_BYTES, most))) if most > 0 else b""
        self._next += len(piece)
        return piece

    def _open_frame(self) -> bool:
        """Begin the next frame; False when the stream has ended."""
        frame = _FRAMES[self._codec]
        first = self._next == self._begin
        if not first:
            self._next = min(self._next + frame.trailer_bytes, self._stop)
        place, head = self._skip(frame, self._next, 0 if first else frame.padding)
        if not first and (frame.magic is None or not head.startswith(frame.magic)):
            self.packed_end = self._next
            self._end(None)
            return False
        skipped, self._decoder = frame.open(head)
        self._next = place + skipped
        self._piece_bytes = _FIRST_PIECE_BYTES
        return True

    def _skip(self, frame: "_Frame", place: int, padding: int) -> tuple[int, bytes]:
        """Where the next frame may begin, and its first bytes: readers skip padding and frames for others."""
        head = self._head(place)
        while padding and head and not head.strip(b"\0"):
            place += len(head)
            head = self._head(place)
        if padding:
            zeros = len(head) - len(head.lstrip(b"\0"))
            place += zeros - zeros % padding
            head = self._head(place)
        while frame.skippable and len(head) >= 8 and head[0] & 0xF0 == 0x50 and head[1:4] == b"\x2a\x4d\x18":
            place += 8 + int.from_bytes(head[4:8], "little")
            head = self._head(place)
        return place, head

    def _head(self, place: int) -> bytes:
        return bytes(self._parent.view(place, max(0, min(_HEAD_BYTES, self._stop - place))))

    def _keep(self, out: bytes) -> None:
        self._budget.add_unpacked(len(out))
        self._out += out
        packed = max(1, self._next - self._begin)
        limits = self._limits
        if len(self._out) > limits.unpack_ratio_floor_bytes and len(self._out) > limits.unpack_ratio * packed:
            raise LimitExceeded("unpack_ratio", len(self._out) // packed, limits.unpack_ratio)

    def _end(self, broken: ParseError | None) -> None:
        self._finished = True
        self.broken = broken


# --- decoders: one frame each, with bounded steps ------------------------------------------------------------


class _Decoder(Protocol):
    needs_input: bool
    eof: bool
    unused: bytes

    def step(self, piece: bytes) -> bytes:
        """Some unpacked bytes, after taking in `piece`."""


class _Deflate:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        self.needs_input = True
        self.eof = False
        self.unused = b""

    def step(self, piece: bytes) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + piece, _STEP_BYTES)
        self.eof = self._inner.eof
        self.unused = self._inner.unused_data
        self.needs_input = not self._inner.unconsumed_tail and len(out) < _STEP_BYTES
        return out


class _Bounded:
    """bz2, lzma and lz4 decompressors, which share one interface."""

    def __init__(self, inner: "bz2.BZ2Decompressor | lzma.LZMADecompressor | lz4.frame.LZ4FrameDecompressor") -> None:
        self._inner = inner
        self.needs_input = True
        self.eof = False
        self.unused = b""

    def step(self, piece: bytes) -> bytes:
        out = bytes(self._inner.decompress(piece, max_length=_STEP_BYTES))
        self.eof = self._inner.eof
        self.unused = self._inner.unused_data or b""
        self.needs_input = self._inner.needs_input
        return out


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).decompressobj()
        self.needs_input = True
        self.eof = False
        self.unused = b""

    def step(self, piece: bytes) -> bytes:
        out = self._inner.decompress(piece)
        self.eof = self._inner.eof
        self.unused = self._inner.unused_data
        return out


class _Frame:
    """How a codec's frames begin and end: `magic` of a further frame, None where there is only one."""

    magic: bytes | None = None
    trailer_bytes = 0
    padding = 0  # further frames may stand behind zeros, in multiples of this
    skippable = False  # frames that are for somebody else may stand before and between (RFC 8878, 3.1.2)

    def open(self, head: bytes) -> tuple[int, _Decoder]:
        """Bytes to skip before the decoder's input, and the decoder. Raises one of `_BROKEN`."""
        return 0, _Deflate()


class _ZlibFrame(_Frame):
    trailer_bytes = 4

    def open(self, head: bytes) -> tuple[int, _Decoder]:
        if len(head) < 2 or head[0] & 0x0F != 8 or int.from_bytes(head[:2], "big") % 31 or head[1] & 0x20:
            raise ValueError("not a zlib header")
        return 2, _Deflate()


class _GzipFrame(_Frame):
    magic = b"\x1f\x8b\x08"
    padding = 1
    trailer_bytes = 8

    def open(self, head: bytes) -> tuple[int, _Decoder]:
        return gzip_header(head)[0], _Deflate()


class _Bz2Frame(_Frame):
    magic = b"BZh"

    def open(self, head: bytes) -> tuple[int, _Decoder]:
        return 0, _Bounded(bz2.BZ2Decompressor())


class _LzmaFrame(_Frame):
    def open(self, head: bytes) -> tuple[int, _Decoder]:
        return 0, _Bounded(lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_WINDOW_BYTES))


class _XzFrame(_Frame):
    magic = b"\xfd7zXZ\x00"
    padding = 4

    def open(self, head: bytes) -> tuple[int, _Decoder]:
        return 0, _Bounded(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_WINDOW_BYTES))


class _ZstdFrame(_Frame):
    magic = b"\x28\xb5\x2f\xfd"
    skippable = True

    def open(self, head: bytes) -> tuple[int, _Decoder]:
        return 0, _Zstd()


class _Lz4Frame(_Frame):
    magic = b"\x04\x22\x4d\x18"
    skippable = True

    def open(self, head: bytes) -> tuple[int, _Decoder]:
        return 0, _Bounded(lz4.frame.LZ4FrameDecompressor())


_FRAMES: dict[str, _Frame] = {
    "deflate": _Frame(),
    "zlib": _ZlibFrame(),
    "gzip": _GzipFrame(),
    "bz2": _Bz2Frame(),
    "lzma": _LzmaFrame(),
    "xz": _XzFrame(),
    "zstd": _ZstdFrame(),
    "lz4": _Lz4Frame(),
}


def gzip_header(head: bytes) -> tuple[int, str | None]:
    """Length in bytes of the gzip header that `head` begins with, and the file name in it (RFC 1952, 2.3).

    Raises `ValueError` when `head` is none, or its header is longer than `head`.
    """
    if len(head) < 10 or head[:3] != b"\x1f\x8b\x08":
        raise ValueError("not a gzip header")
    flags, place, name = head[3], 10, None
    if flags & 4:
        place += 2 + int.from_bytes(head[place : place + 2], "little")
    for flag in (8, 16):
        if flags & flag:
            end = head.index(b"\0", place)
            if flag == 8:
                name = head[place:end].decode("latin-1")
            place = end + 1
    if flags & 2:
        place += 2
    if place > len(head):
        raise ValueError("the gzip header does not end")
    return place, name
