"""How each kind of compressed stream begins, goes on and ends; the decoders, with bounds on what one step gives.

Checksums are not believed in either direction: a wrong one must not hide what a loader would have acted on
before it noticed, so deflate streams are unpacked raw and their frames are read here (RFC 1950, 1951, 1952).
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

import lz4.frame
import msgspec
import zstandard

from modelaudit.limits import MIB

WINDOW_BYTES = 256 * MIB  # the most memory that a decoder may ask for; xz -9 needs 65 MiB
_HEADER_BYTES = (4096, 256 * 1024, 16 * MIB, 256 * MIB)  # what is tried in turn to find the end of a gzip header
_LZMA_SIZE_BYTES = 1 << 38  # a larger size in an LZMA header is taken for chance, as by liblzma
_ALONE_BYTES = 13  # properties, dictionary size, unpacked size
ZSTD_PIECES = (1024, 32, 1)  # packed bytes taken at a time: 1 KiB of them gives at most 32 MiB
_UNKNOWN_SIZE = (1 << 64) - 1

BROKEN = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, RuntimeError, ValueError)

Head = Callable[[int], bytes]  # the first bytes of what may be a frame, at most as many as asked for


class Decoder(Protocol):
    """Unpacks one frame. `unused` are the bytes behind it that `step` was given, once `eof` is true."""

    needs_input: bool
    eof: bool
    unused: bytes
    checksum: int | None

    def step(self, piece: bytes, most: int) -> bytes:
        """Some unpacked bytes after taking in `piece`; `most` bounds them where the library can. Raises `BROKEN`."""

    def fresh(self) -> "Decoder":
        """Another one, that has seen nothing."""


class _Deflate:
    def __init__(self, check: Callable[[bytes, int], int] | None = None) -> None:
        self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        self._check = check
        self.checksum = None if check is None else check(b"", check is zlib.adler32)
        self.needs_input = True
        self.eof = False
        self.unused = b""

    def fresh(self) -> Decoder:
        return _Deflate(self._check)

    def step(self, piece: bytes, most: int) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail + piece, most)
        if self._check is not None and self.checksum is not None:
            self.checksum = self._check(out, self.checksum)
        self.eof = self._inner.eof
        self.unused = self._inner.unused_data
        self.needs_input = not self._inner.unconsumed_tail and len(out) < most
        return out


class _Bounded:
    """bz2, lzma and lz4 decompressors, which share one interface."""

    def __init__(
        self, make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor | lz4.frame.LZ4FrameDecompressor]
    ) -> None:
        self._make = make
        self._inner = make()
        self.checksum: int | None = None
        self.needs_input = True
        self.eof = False
        self.unused = b""

    def fresh(self) -> Decoder:
        return _Bounded(self._make)

    def step(self, piece: bytes, most: int) -> bytes:
        out = bytes(self._inner.decompress(piece, max_length=most))
        self.eof = self._inner.eof
        self.unused = self._inner.unused_data or b""
        self.needs_input = self._inner.needs_input or not out  # or else it might never go on
        return out


class _Zstd:
    """The library gives no bound on what it unpacks at once: packed bytes must come in small pieces."""

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).decompressobj()
        self.checksum: int | None = None
        self.needs_input = True
        self.eof = False
        self.unused = b""

    def fresh(self) -> Decoder:
        return _Zstd()

    def step(self, piece: bytes, most: int) -> bytes:
        out = self._inner.decompress(piece)
        self.eof = self._inner.eof
        self.unused = self._inner.unused_data
        return out


class Opened(msgspec.Struct, frozen=True):
    """A frame: bytes to skip before what `decoder` takes, and the bytes of the trailer behind that."""

    skipped: int
    decoder: Decoder
    trailer_bytes: int = 0


class Codec:
    """How frames of one kind begin and follow each other. This base is raw deflate, which has no frame."""

    pieces = (256 * 1024, 4096, 1)  # packed bytes taken at a time: in general, then where a stream breaks
    paddings: tuple[int, ...] = ()  # further frames may stand behind zeros, in multiples of one of these
    zeros_prove = True  # False where small numbers unpack to small numbers
    skippable = False  # frames that are for somebody else may stand before and between (RFC 8878, 3.1.2)

    def begins(self, head: bytes) -> bool:
        """Whether a frame, the first or a further one, begins with the 16 bytes of `head`."""
        return False

    def open(self, head: Head) -> Opened:
        """The frame that begins at `head`. Raises one of `BROKEN` when none does."""
        return Opened(0, _Deflate())

    def checks(self, trailer: bytes, decoder: Decoder) -> bool:
        """Whether the checksum in `trailer` is right, or there is none that is checked here."""
        return True


class _Zlib(Codec):
    def open(self, head: Head) -> Opened:
        first = head(2)
        if len(first) < 2 or first[0] & 0x0F != 8 or int.from_bytes(first, "big") % 31 or first[1] & 0x20:
            raise ValueError("not a zlib header")
        return Opened(2, _Deflate(zlib.adler32), 4)

    def checks(self, trailer: bytes, decoder: Decoder) -> bool:
        return int.from_bytes(trailer, "big") == decoder.checksum


class _Gzip(Codec):
    paddings = (1,)

    def begins(self, head: bytes) -> bool:
        return head.startswith(b"\x1f\x8b\x08")

    def open(self, head: Head) -> Opened:
        return Opened(gzip_header(head)[0], _Deflate(zlib.crc32), 8)

    def checks(self, trailer: bytes, decoder: Decoder) -> bool:
        return int.from_bytes(trailer[:4], "little") == decoder.checksum


class _Bz2(Codec):
    def begins(self, head: bytes) -> bool:
        # a block or, where nothing is packed, the end of the stream
        kinds = (b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90")
        return head[:3] == b"BZh" and head[3:4] in b"123456789" and head[4:10] in kinds

    def open(self, head: Head) -> Opened:
        return Opened(0, _Bounded(bz2.BZ2Decompressor))


class _Lzma(Codec):
    """xz, lzip and LZMA alone: readers take any of them for the next stream, whatever the first one was."""

    paddings = (18, 4)  # 18 zeros are LZMA alone of nothing; those of xz come in fours
    zeros_prove = False

    def begins(self, head: bytes) -> bool:
        return head.startswith((b"\xfd7zXZ\x00", b"LZIP\x00", b"LZIP\x01")) or _lzma_alone(head)

    def open(self, head: Head) -> Opened:
        first = head(6)
        if first.startswith(b"LZIP"):
            if len(first) < 6:
                raise ValueError("the header breaks off")
            code = first[5]
            size = (1 << (code & 31)) - (1 << (code & 31)) // 16 * (code >> 5)
            if not 1 << 12 <= size <= WINDOW_BYTES:
                raise ValueError(f"a dictionary of {size} bytes")
            filters = [{"id": lzma.FILTER_LZMA1, "dict_size": size, "lc": 3, "lp": 0, "pb": 2}]
            trailer_bytes = 20 if first[4] else 12  # liblzma reads version 0 too
            return Opened(6, _Bounded(lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)), trailer_bytes)
        if first.startswith(b"\xfd"):
            return Opened(0, _Bounded(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=WINDOW_BYTES)))
        header = bytearray(head(_ALONE_BYTES))
        if int.from_bytes(header[1:5], "little") > WINDOW_BYTES:
            # a dictionary is as large as the header says and not as large as the contents need: hardly any need this
            header[1:5] = WINDOW_BYTES.to_bytes(4, "little")
        return Opened(len(header), _Bounded(lambda: _alone(bytes(header))))


class _ZstdFrames(Codec):
    pieces = ZSTD_PIECES
    skippable = True

    def begins(self, head: bytes) -> bool:
        return head.startswith(b"\x28\xb5\x2f\xfd")

    def open(self, head: Head) -> Opened:
        return Opened(0, _Zstd())


class _Lz4(Codec):
    skippable = True

    def begins(self, head: bytes) -> bool:
        return head.startswith(b"\x04\x22\x4d\x18")

    def open(self, head: Head) -> Opened:
        return Opened(0, _Bounded(lz4.frame.LZ4FrameDecompressor))


def deflate() -> Decoder:
    """Raw deflate."""
    return _Deflate()


def bounded(
    make: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor | lz4.frame.LZ4FrameDecompressor],
) -> Decoder:
    """What `make` makes."""
    return _Bounded(make)


def zstd() -> Decoder:
    """One frame of zstd."""
    return _Zstd()


CODECS: dict[str, Codec] = {
    "deflate": Codec(),
    "zlib": _Zlib(),
    "gzip": _Gzip(),
    "bz2": _Bz2(),
    "lzma": _Lzma(),
    "lzip": _Lzma(),
    "xz": _Lzma(),
    "zstd": _ZstdFrames(),
    "lz4": _Lz4(),
}


def _alone(header: bytes) -> lzma.LZMADecompressor:
    """A decoder for what follows `header`."""
    decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=WINDOW_BYTES + MIB)
    decoder.decompress(header, max_length=0)
    return decoder


def is_lzma_header(head: bytes) -> bool:
    """Whether `head` may be a header of LZMA alone for readers that are told that it is: any dictionary will do."""
    if len(head) < 14 or head[0] >= 9 * 5 * 5 or head[13] != 0:
        return False
    size = int.from_bytes(head[5:13], "little")
    return size < _LZMA_SIZE_BYTES or size == _UNKNOWN_SIZE


def _lzma_alone(head: bytes) -> bool:
    """Whether `head` is a header of LZMA alone that liblzma takes for one when it has to guess.

    It has no magic: the properties, a dictionary of 2^n or 2^n + 2^(n-1) bytes, a size of less than 256 GiB or
    none; and the first byte behind it is always zero.
    """
    if not is_lzma_header(head):
        return False
    dictionary = int.from_bytes(head[1:5], "little")
    rest = dictionary & (dictionary - 1)  # without the lowest bit
    return rest == 0 or rest == (dictionary ^ rest) << 1 or dictionary == 0xFFFFFFFF


def gzip_header(head: Head) -> tuple[int, str | None]:
    """Length in bytes of the gzip header at `head`, and the file name in it (RFC 1952, 2.3).

    Raises `ValueError` when there is none, or when it does not end within 256 MiB.
    """
    for most in _HEADER_BYTES:
        data = head(most)
        if len(data) < 10 or data[:3] != b"\x1f\x8b\x08":
            raise ValueError("not a gzip header")
        found = _gzip_fields(data)
        if found is not None:
            return found
        if len(data) < most:
            break
    raise ValueError("the gzip header does not end")


def _gzip_fields(data: bytes) -> tuple[int, str | None] | None:
    flags, place, name = data[3], 10, None
    if flags & 4:
        place += 2 + int.from_bytes(data[place : place + 2], "little")
    for flag in (8, 16):
        if flags & flag:
            end = data.find(b"\0", place)
            if end < 0:
                return None
            if flag == 8:
                name = data[place:end].decode("latin-1")
            place = end + 1
    if flags & 2:
        place += 2
    return (place, name) if place <= len(data) else None
