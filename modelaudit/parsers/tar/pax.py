"""The records of pax headers (POSIX.1-2017, pax, extended header), `length key=value` each."""

from collections.abc import Iterator

import msgspec

from modelaudit.parsers.tar.header import decoded

_MOST_DIGITS = 20
LARGE_BYTES = 8 << 30  # sizes from here on do not fit in a header's octal field


class Records(msgspec.Struct):
    """Keys and values in order, the last of a key being what counts. `broken` when one of them makes no sense."""

    pairs: list[tuple[str, str]]
    broken: bool = False

    def get(self, key: str) -> str | None:
        """The value of `key`, if there is one."""
        return next((value for own, value in reversed(self.pairs) if own == key), None)

    def number(self, key: str) -> int | None:
        """The value of `key` as a number of bytes, if it is one."""
        return whole(self.get(key) or "")


def whole(digits: str) -> int | None:
    """`digits` as a whole number of at most twenty decimal digits, else None."""
    return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= _MOST_DIGITS else None


def records(data: bytes) -> Records:
    """The records in `data`; what is malformed ends them. Padding with zeros is none."""
    found = Records([])
    place = 0
    while place < len(data) and data[place]:
        digits = data[place : place + _MOST_DIGITS].partition(b" ")[0]
        length = whole(digits.decode("latin-1")) or 0
        end = place + length
        if length < len(digits) + 3 or end > len(data) or data[end - 1 : end] != b"\n":
            found.broken = True
            break
        key, equals, value = data[place + len(digits) + 1 : end - 1].partition(b"=")
        found.broken |= not equals or not key
        found.pairs.append((decoded(key), decoded(value)))
        place = end
    return found


def map_of(pairs: Iterator[int]) -> list[tuple[int, int]]:
    """Numbers as pairs of offset and length; a last odd one counts for nothing."""
    return list(zip(pairs, pairs, strict=False))
