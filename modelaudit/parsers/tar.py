"""The members of a tar: v7, ustar, GNU and pax headers (POSIX.1-2017 pax, GNU tar manual appendix).

Only headers are read, one after the other; the bytes of members are not.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from modelaudit.blob import Blob, read
from modelaudit.errors import LimitExceeded, ParseError

BLOCK_BYTES = 512
_LONG_BYTES = 1 << 20  # a long name or a pax record; paths are at most 4096 bytes
REGULAR = b"0\x007"
HARD_LINK, SYMBOLIC_LINK, FOLDER = b"1", b"2", b"5"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = b"L", b"K", b"x", b"g"


@dataclass(frozen=True, slots=True)
class Member:
    """One member: `offset` and `size` of its bytes in the tar, `kind` as the header's type flag."""

    name: str
    kind: bytes
    offset: int
    size: int
    link: str


def is_header(block: bytes) -> bool:
    """Whether `block` is a header whose checksum is right."""
    if len(block) < BLOCK_BYTES or not block[0]:
        return False
    try:
        told = _number(block[148:156])
    except ParseError:
        return False
    return told == sum(block[:148]) + 8 * 32 + sum(block[156:512])


def members(blob: Blob) -> Iterator[Member]:
    """The members in order. Raises `Missing`, `ParseError` at a header that is none, `LimitExceeded`."""
    place = 0
    name: str | None = None
    link: str | None = None
    size: int | None = None
    while place + BLOCK_BYTES <= blob.size:
        block = read(blob, place, BLOCK_BYTES)
        if not block.strip(b"\0"):
            return
        if not is_header(block):
            raise ParseError("a tar header with a wrong checksum", place)
        kind = block[156:157]
        length = _number(block[124:136])
        data = place + BLOCK_BYTES
        if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
            text = _extra(blob, data, length)
            place = data + _padded(length)
            if kind == _LONG_NAME:
                name = _text(text)
            elif kind == _LONG_LINK:
                link = _text(text)
            elif kind == _PAX:
                records = pax_records(text)
                name = records.get("path", name)
                link = records.get("linkpath", link)
                size = int(records["size"]) if records.get("size", "").isdecimal() else size
            continue
        length = length if size is None else size
        holds = kind not in (HARD_LINK, SYMBOLIC_LINK, FOLDER)
        yield Member(name or _name(block), kind, data, length if holds else 0, link or _text(block[157:257]))
        place = data + (_padded(length) if holds else 0)
        name = link = size = None


def end(blob: Blob, last: int) -> int:
    """Where the tar ends, in bytes: `last` is the end of its last member; two empty blocks follow."""
    place = _padded(last)
    while place + BLOCK_BYTES <= blob.size and not read(blob, place, BLOCK_BYTES).strip(b"\0"):
        place += BLOCK_BYTES
    return place


def pax_records(data: bytes) -> dict[str, str]:
    """The records of a pax header, `length key=value` each; what is malformed ends them."""
    records: dict[str, str] = {}
    place = 0
    while place < len(data):
        length, space, _ = data[place : place + 20].partition(b" ")
        if not space or not length.isdigit() or int(length) <= len(length) + 2:
            break
        record = data[place + len(length) + 1 : place + int(length) - 1]
        key, _, value = record.partition(b"=")
        records[_text(key)] = value.decode("utf-8", "backslashreplace")
        place += int(length)
    return records


def _extra(blob: Blob, data: int, length: int) -> bytes:
    if length > _LONG_BYTES:
        raise LimitExceeded("tar_header_bytes", length, _LONG_BYTES)
    return read(blob, data, length)


def _name(block: bytes) -> str:
    prefix = _text(block[345:500]) if block[257:262] == b"ustar" and block[263:265] == b"00" else ""
    return f"{prefix}/{_text(block[:100])}" if prefix else _text(block[:100])


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def _number(field: bytes) -> int:
    """Octal text, or base 256 where the first bit is set (GNU). Raises `ParseError`."""
    if field[0] & 0x80:
        if field[0] & 0x40:
            raise ParseError("a negative number in a tar header", 0)
        return int.from_bytes(bytes([field[0] & 0x3F]) + field[1:], "big")
    digits = field.strip(b"\0 ")
    try:
        return int(digits or b"0", 8)
    except ValueError:
        raise ParseError("no number where a tar header needs one", 0) from None


def _padded(length: int) -> int:
    return -(-length // BLOCK_BYTES) * BLOCK_BYTES
