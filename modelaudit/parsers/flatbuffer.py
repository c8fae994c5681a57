"""Tables, vectors and strings of a FlatBuffer (https://flatbuffers.dev/internals), each held against the blob's size.

A table begins with the signed distance back to its vtable, which says where its fields lie; references are unsigned
distances forwards, so that following them ends. The same table may be referred to any number of times: what is
visited is counted. Of a large remote file only what is asked for is read; `tables` fetches many at once.
"""

import struct
from collections.abc import Iterable, Sequence

from modelaudit.blob import Blob
from modelaudit.errors import LimitExceeded, ParseError

_PAGE_BYTES = 1024  # read at a time around a place; tables are mostly smaller
_TABLE_BYTES = 64  # of a table that is fetched ahead; few have more than a dozen fields
_VISITS_MOST = 500_000  # tables and strings; real models have some thousands
_ELEMENTS_MOST = 16_000_000  # numbers in vectors that are read
_WIDTHS = {"b": 1, "B": 1, "h": 2, "H": 2, "i": 4, "I": 4, "q": 8, "Q": 8, "f": 4, "d": 8}
_STRUCTS = {code: struct.Struct("<" + code) for code in _WIDTHS}


class Flatbuffer:
    """Reads from `blob`. `end` is the last byte, in bytes from the start, that anything visited has covered."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._page = blob.view(0, _PAGE_BYTES)
        self._base = 0
        self._visits = 0
        self._elements = 0
        self._vtables: dict[int, tuple[int, ...]] = {}
        self.size = blob.size
        self.end = 0

    def number(self, place: int, code: str) -> int:
        """The number of struct code `code` at `place`. Raises `ParseError` outside the blob."""
        inside = place - self._base
        width = _WIDTHS[code]
        if inside < 0 or inside + width > len(self._page):
            self._turn(place, width)
            inside = 0
        value: int = _STRUCTS[code].unpack_from(self._page, inside)[0]
        return value

    def bytes_at(self, place: int, length: int) -> bytes:
        """A copy of `length` bytes at `place`."""
        self.check(place, length)
        return bytes(self._blob.view(place, length))

    def check(self, place: int, length: int) -> None:
        """Raise `ParseError` unless `length` bytes at `place` lie in the blob; they count for `end`."""
        if place < 0 or place + length > self.size:
            raise ParseError(
                f"{length} bytes at {place}, in a file of {self.size} bytes", min(max(place, 0), self.size)
            )
        self.end = max(self.end, place + length)

    def fetch(self, ranges: Iterable[tuple[int, int]]) -> None:
        """Have all of `ranges` here at once; what lies outside is left out. Raises `Missing`."""
        self._blob.require([(place, length) for place, length in ranges if 0 <= place < self.size])

    def root(self) -> "Table":
        """The table that the first four bytes refer to."""
        return self.table(self.number(0, "I"))

    def table(self, place: int) -> "Table":
        """The table at `place`. Raises `ParseError`, `LimitExceeded`."""
        self._visit()
        self.check(place, 4)
        at = place - self.number(place, "i")
        fields = self._vtables.get(at)
        if fields is None:
            fields = self._vtable(at)
        if fields[1] < 4:
            raise ParseError(f"the vtable at {at} is none", place)
        self.check(place, fields[1])
        return Table(self, place, fields)

    def tables(self, places: Sequence[int]) -> "list[Table]":
        """All tables at `places`, which are fetched in two questions: they, and their vtables."""
        self.fetch((place, _TABLE_BYTES) for place in places)
        inside = [place for place in places if place + 4 <= self.size]
        self.fetch((place - self.number(place, "i"), _TABLE_BYTES // 2) for place in inside)
        return [self.table(place) for place in places]

    def references(self, vector: tuple[int, int]) -> list[int]:
        """What the references in a vector lead to, as many as may be visited."""
        start, count = vector
        if count > _VISITS_MOST:
            raise LimitExceeded("flatbuffer_visits", count, _VISITS_MOST)
        return [start + 4 * index + value for index, value in enumerate(self.numbers((start, count), "I"))]

    def numbers(self, vector: tuple[int, int], code: str) -> tuple[int, ...]:
        """The numbers of a vector whose elements have the struct code `code`."""
        start, count = vector
        self._elements += count
        if self._elements > _ELEMENTS_MOST:
            raise LimitExceeded("flatbuffer_elements", self._elements, _ELEMENTS_MOST)
        self.check(start, count * _WIDTHS[code])
        return struct.unpack(f"<{count}{code}", self._blob.view(start, count * _WIDTHS[code]))

    def vector(self, place: int, width: int) -> tuple[int, int]:
        """Start and number of elements, of `width` bytes each, of the vector at `place`; all inside the blob."""
        self.check(place, 4)
        count = self.number(place, "I")
        self.check(place + 4, count * width)
        return place + 4, count

    def string(self, place: int, most: int) -> bytes:
        """The string at `place`, cut to `most` bytes."""
        self._visit()
        start, length = self.vector(place, 1)
        return self.bytes_at(start, min(length, most))

    def _vtable(self, at: int) -> tuple[int, ...]:
        self.check(at, 4)
        length = self.number(at, "H")
        if length < 4 or length % 2:
            raise ParseError(f"a vtable of {length} bytes", at)
        self.check(at, length)
        fields = struct.unpack(f"<{length // 2}H", self._blob.view(at, length))
        self._vtables[at] = fields
        return fields

    def _turn(self, place: int, width: int) -> None:
        if place < 0 or place + width > self.size:
            raise ParseError(f"{width} bytes at {place}, in a file of {self.size} bytes", min(max(place, 0), self.size))
        self._page = self._blob.view(place, _PAGE_BYTES, width)
        self._base = place

    def _visit(self) -> None:
        self._visits += 1
        if self._visits > _VISITS_MOST:
            raise LimitExceeded("flatbuffer_visits", self._visits, _VISITS_MOST)


class Table:
    """One table: its fields by their number in the schema. Absent fields have their default."""

    __slots__ = ("_buffer", "_fields", "place")

    def __init__(self, buffer: Flatbuffer, place: int, fields: tuple[int, ...]) -> None:
        self._buffer = buffer
        self._fields = fields
        self.place = place

    def at(self, field: int) -> int | None:
        """Where the field's own bytes stand; None when it is absent. Raises `ParseError` outside the table."""
        offset = self._fields[field + 2] if field + 2 < len(self._fields) else 0
        if offset == 0:
            return None
        if offset < 4 or offset >= self._fields[1]:
            raise ParseError(f"field {field} lies at {offset} of a table of {self._fields[1]} bytes", self.place)
        return self.place + offset

    def number(self, field: int, code: str, default: int = 0) -> int:
        """The field's number."""
        place = self.at(field)
        return default if place is None else self._buffer.number(place, code)

    def target(self, field: int) -> int | None:
        """Where the field's reference leads; None when it is absent."""
        place = self.at(field)
        return None if place is None else place + self._buffer.number(place, "I")

    def vector(self, field: int, width: int) -> tuple[int, int]:
        """Start and number of elements of the field's vector; (0, 0) when it is absent."""
        target = self.target(field)
        return (0, 0) if target is None else self._buffer.vector(target, width)

    def string(self, field: int, most: int) -> bytes:
        """The field's string, cut to `most` bytes; empty when it is absent."""
        target = self.target(field)
        return b"" if target is None else self._buffer.string(target, most)

    def table(self, field: int) -> "Table | None":
        """The field's table; None when it is absent."""
        target = self.target(field)
        return None if target is None else self._buffer.table(target)
