"""7z archives, written from the format's documentation (7zFormat.txt), with whatever the tests want wrong in them."""

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LZMA_SPEC = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2}
LZMA2_SPEC = {"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}


@dataclass(frozen=True, slots=True)
class File:
    """A file to pack. `mode` is that of Unix; None for no attributes. Without `data` it is an empty stream."""

    name: str
    data: bytes = b""
    mode: int | None = None
    anti: bool = False


@dataclass(frozen=True, slots=True)
class Coding:
    """How a block is packed: coders (method, properties) from the packed bytes on, and what packs."""

    coders: tuple[tuple[bytes, bytes], ...]
    pack: Callable[[bytes], bytes]


def _raw(*filters: dict[str, object]) -> Callable[[bytes], bytes]:
    return lambda data: lzma.compress(data, lzma.FORMAT_RAW, filters=list(filters))


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


LZMA = (b"\x03\x01\x01", b"\x5d" + struct.pack("<I", 1 << 16))
LZMA2 = (b"\x21", b"\x08")
X86 = (b"\x03\x03\x01\x03", b"")
CODINGS = {
    "copy": Coding(((b"\x00", b""),), bytes),
    "lzma": Coding((LZMA,), _raw(LZMA_SPEC)),
    "lzma2": Coding((LZMA2,), _raw(LZMA2_SPEC)),
    "deflate": Coding(((b"\x04\x01\x08", b""),), _deflate),
    "bzip2": Coding(((b"\x04\x02\x02", b""),), bz2.compress),
    "two bzip2": Coding(((b"\x04\x02\x02", b""),), lambda data: bz2.compress(data[:9]) + bz2.compress(data[9:])),
    "x86 lzma2": Coding((LZMA2, X86), _raw({"id": lzma.FILTER_X86}, LZMA2_SPEC)),
    "delta lzma2": Coding((LZMA2, (b"\x03", b"\x03")), _raw({"id": lzma.FILTER_DELTA, "dist": 4}, LZMA2_SPEC)),
}
AES = Coding(((b"\x06\xf1\x07\x01", b"\x00\x00"),), bytes)
PPMD = Coding(((b"\x03\x04\x01", b"\x06\x00\x00\x00\x01"),), bytes)


def number(value: int) -> bytes:
    """The leading ones of the first byte count the bytes that follow."""
    for extra in range(8):
        if value < 1 << (7 * extra + 7):
            first = (0xFF00 >> extra & 0xFF) | value >> (8 * extra)
            return bytes([first]) + (value & (1 << 8 * extra) - 1).to_bytes(extra, "little")
    return b"\xff" + value.to_bytes(8, "little")


def bits(flags: Sequence[bool]) -> bytes:
    padded = [*flags, *[False] * (-len(flags) % 8)]
    return bytes(sum(0x80 >> i for i in range(8) if padded[start + i]) for start in range(0, len(padded), 8))


def _streams(place: int, packed: int, coding: Coding, sizes: Sequence[int]) -> bytes:
    total = sum(sizes)
    coders = b"".join(
        bytes([len(method) | (0x20 if properties else 0)])
        + method
        + (number(len(properties)) + properties) * bool(properties)
        for method, properties in coding.coders
    )
    bound = b"".join(number(index + 1) + number(index) for index in range(len(coding.coders) - 1))
    block = number(len(coding.coders)) + coders + bound
    return (
        b"\x06" + number(place) + number(1) + b"\x09" + number(packed) + b"\x00"
        + b"\x07\x0b" + number(1) + b"\x00" + block + b"\x0c" + number(total) * len(coding.coders) + b"\x00"
        + b"\x08\x0d" + number(len(sizes)) + (b"\x09" + b"".join(map(number, sizes[:-1])) if len(sizes) > 1 else b"")
        + b"\x00\x00"
    )  # fmt: skip


def _property(kind: int, data: bytes) -> bytes:
    return bytes([kind]) + number(len(data)) + data


def _files(files: Sequence[File]) -> bytes:
    names = b"".join(file.name.encode("utf-16-le", "surrogatepass") + b"\0\0" for file in files)
    out = b"\x05" + number(len(files))
    empty = [not file.data for file in files]
    if any(empty):
        out += _property(0x0E, bits(empty))
        without = [file for file in files if not file.data]
        out += _property(0x0F, bits([True] * len(without))) + _property(0x10, bits([file.anti for file in without]))
    out += _property(0x11, b"\0" + names)
    if any(file.mode is not None for file in files):
        known = bits([file.mode is not None for file in files])
        values = b"".join(struct.pack("<I", file.mode << 16 | 0x8000) for file in files if file.mode is not None)
        out += _property(0x15, b"\0" + known + b"\0" + values)
    return out + b"\x00"


def archive(files: Sequence[File], coding: Coding = CODINGS["copy"], *, packed_header: bool = False) -> bytes:
    """A 7z with one block for all of `files`."""
    full = [file for file in files if file.data]
    packed = coding.pack(b"".join(file.data for file in full))
    header = b"\x01"
    if full:
        header += b"\x04" + _streams(0, len(packed), coding, [len(file.data) for file in full])
    header += _files(files) + b"\x00"
    if packed_header:
        inner = CODINGS["lzma"].pack(header)
        place, packed = len(packed), packed + inner
        header = b"\x17" + _streams(place, len(inner), CODINGS["lzma"], [len(header)])
    return signed(packed, header)


def signed(packed: bytes, header: bytes) -> bytes:
    """The archive around packed bytes and a header."""
    begin = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<I", zlib.crc32(begin)) + begin + packed + header
