"""One block of a tar that describes a member: v7, ustar, GNU (manual, appendix) and POSIX.1-2017 pax.

Readers differ in what they make of a number or a name that no writer writes; both readings are given.
"""

import zlib

import msgspec

from modelaudit.errors import ParseError
from modelaudit.late import late

BLOCK_BYTES = 512
PLAIN_OLD = b"\0"
HARD_LINK, SYMBOLIC_LINK, FOLDER = b"1", b"2", b"5"
LONG_NAME, LONG_LINK, PAX, PAX_SOLARIS, PAX_GLOBAL, SPARSE = b"L", b"K", b"x", b"X", b"g", b"S"
EXTENDED = frozenset((LONG_NAME, LONG_LINK, PAX, PAX_SOLARIS, PAX_GLOBAL))
DEVICES = frozenset((b"3", b"4", b"6"))  # character device, block device, named pipe
_LARGEST = (1 << 63) - 1  # what readers in C have room for
_OCTAL = late(rb"[0-7]*\Z")


class Header(msgspec.Struct, frozen=True):
    """What the block says. `odd` names its numbers that readers understand differently.

    `alias` is the name for readers that prepend the prefix whatever the magic says (Python's tarfile), else empty.
    """

    name: str
    alias: str
    kind: bytes
    size: int
    link: str
    odd: tuple[str, ...]


def is_header(block: bytes) -> bool:
    """Whether `block` is a header whose checksum is right, its bytes taken as unsigned or as signed."""
    if len(block) < BLOCK_BYTES:
        return False
    try:
        told, _ = number(block[148:156])
    except ParseError:
        return False
    if not told:  # nor is it a number that makes no sense, or else half of all random blocks would come near
        return False
    rest = block[:148] + b"        " + block[156:512]
    if rest.isascii():  # then the sum is below 65,521, and a checksum that is written in C gives it
        return told == (zlib.adler32(rest) & 0xFFFF) - 1
    unsigned = sum(rest)
    return told in (unsigned, unsigned - 256 * sum(byte > 127 for byte in rest))


def number(field: bytes) -> tuple[int, bool]:
    """The number in `field`, and whether readers disagree about it. Raises `ParseError` when it is none.

    Octal text up to a NUL, or base 256 where the first bit is set (GNU). Python's `int` takes signs, underscores
    and `0o` besides, which others refuse.
    """
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x3F]) + field[1:], "big")
        negative = field[0] & 0x40
        return (0, True) if negative or value > _LARGEST else (value, field[0] != 0x80)
    digits = field.partition(b"\0")[0].strip()
    try:
        value = int(digits or b"0", 8)
    except ValueError:
        raise ParseError("no number where a tar header needs one") from None
    return (value, not _OCTAL.match(digits)) if 0 <= value <= _LARGEST else (0, True)


def read_header(block: bytes) -> Header:
    """`block` as a header. Raises `ParseError` when its size is no number."""
    kind = block[156:157]
    size, odd = number(block[124:136])
    name = text(block[:100])
    alias = ""
    if block[345] and kind not in (LONG_NAME, LONG_LINK, SPARSE):
        joined = f"{text(block[345:500])}/{name}"
        name, alias = (joined, "") if block[257:263] == b"ustar\0" else (name, joined)
    link = text(block[157:257]) if block[157] else ""
    return Header(name, alias, kind, size, link, ("size",) if odd else ())


def text(field: bytes) -> str:
    """Text up to the first NUL."""
    return decoded(field.partition(b"\0")[0])


def decoded(data: bytes) -> str:
    """`data` as text: UTF-8 where it is that, else one character a byte, so that no backslash comes in."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def padded(length: int) -> int:
    """`length` in whole blocks, in bytes."""
    return -(-length // BLOCK_BYTES) * BLOCK_BYTES
