"""The wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding), read lazily and bounded.

A message is a run of fields; which fields it may have is known only to whoever asks. Fields are given as places, so
that the bytes of a tensor are never touched: of a large message only the heads of its fields are read, and what is
skipped is leapt over (`leaps`). Small messages are parsed at once, from one piece of bytes.

Readers in C++ and Python accept fields in any order, unknown ones, repeated ones of which the last counts or which
are merged, varints with needless bytes, and groups; so does this one. They refuse a message in which a length leads
beyond its end; so does this one, except where the file itself ends there: what is left is read then.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from modelaudit.blob import Blob, read
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.late import late
from modelaudit.parsers.leaps import GAP_BYTES, Leaps

VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
GROUP: Final = 3
_GROUP_END: Final = 4
FIXED32: Final = 5
DEPTH: Final = 100  # messages inside messages; the limit of all readers in use
SMALL_BYTES: Final = 1024  # a message up to this size is parsed at once
TEXT_BYTES: Final = 64 * 1024  # of one payload that is taken as it is

_PAGE_BYTES = 64 * 1024  # looked at together while the reading goes on; after a leap it begins small
_FIRST_PAGE_BYTES = 1024
_HEAD_BYTES = 20  # a tag and a length or a number, ten bytes each at most
_FIELDS_MOST = 20_000_000  # at about a microsecond each; a graph of 100,000 nodes has a million
_WORD = (1 << 64) - 1
_TEXT = bytes(range(0x20, 0x7F)) + b"\t\n\r"
_NAME = late(r"[A-Za-z_][A-Za-z0-9_.>/-]*")


class Field(NamedTuple):
    """One field: `start` and `end` of its payload, in bytes from the blob's start; `value` of a number, unsigned."""

    number: int
    wire: int
    value: int
    start: int
    end: int

    @property
    def signed(self) -> int:
        """`value` as the 64 bits of an int64 or int32."""
        return self.value - (1 << 64) if self.value >> 63 else self.value


class Reader:
    """Messages in `blob`. `cut` says where a length led beyond the end of the file, None while none did."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._page = memoryview(b"")
        self._start = 0
        self._reached = 0
        self._ahead = _FIRST_PAGE_BYTES
        self._leaps = Leaps(blob)
        self._left = _FIELDS_MOST
        self.size = blob.size
        self.cut: int | None = None

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message at `start` to `end`. Raises `Missing`, `ParseError`, `LimitExceeded`."""
        if end - start <= SMALL_BYTES:
            found: list[Field] = []
            try:
                self._parse(self.payload(start, end), start, end, found)
            except ParseError:
                yield from found  # of a message that breaks off, what stands before
                raise
            yield from found
            return
        place = start
        while place < end:
            page, index = self._at(place, min(_HEAD_BYTES, end - place))
            field, _ = self._field(page, index, place - index, end)
            place = field.end
            yield field

    def payload(self, start: int, end: int, most: int = TEXT_BYTES) -> bytes:
        """The bytes of a payload, cut to `most`. Raises `Missing`."""
        length = min(end - start, most)
        if length <= 0:
            return b""
        page, index = self._at(start, length)
        return bytes(page[index : index + length])

    def text(self, field: Field, most: int = TEXT_BYTES) -> str:
        """The payload as text; what is no UTF-8 is written with backslashes."""
        return self.payload(field.start, field.end, most).decode("utf-8", "backslashreplace")

    def _at(self, place: int, least: int) -> tuple[memoryview, int]:
        """A page and the index in it behind which `least` bytes at `place` are."""
        index = place - self._start
        if index < 0 or index + least > len(self._page):
            if place - self._reached > GAP_BYTES:
                self._leaps.to(self._reached, place)
                self._ahead = _FIRST_PAGE_BYTES
            self._page = self._blob.view(place, max(self._ahead, least), least)
            self._ahead = min(2 * self._ahead, _PAGE_BYTES)
            self._start, index = place, 0
        self._reached = max(self._reached, place + least)
        return self._page, index

    def _parse(self, data: bytes, start: int, end: int, found: list[Field]) -> None:
        """Add all fields of the message that `data` is to `found`. `start` is its place, `end` where it ends."""
        index, length = 0, len(data)
        while index < length:
            tag = data[index]
            wire = tag & 7
            if tag < 0x80 and wire == BYTES and tag > 7 and index + 1 < length and data[index + 1] < 0x80:
                payload = index + 2  # by far the most fields are like this
                after = payload + data[index + 1]
                if after <= length:
                    found.append(Field(tag >> 3, BYTES, 0, start + payload, start + after))
                    index = after
                    continue
            field, index = self._field(data, index, start, end)
            found.append(field)
        self._left -= len(found)
        if self._left < 0:
            raise LimitExceeded("protobuf_fields", _FIELDS_MOST + 1, _FIELDS_MOST)

    def _field(self, data: bytes | memoryview, index: int, base: int, end: int) -> tuple[Field, int]:
        """The field at `index` of `data`, which lies at `base`, in a message up to `end`; and the index behind it."""
        self._left -= 1
        if self._left < 0:
            raise LimitExceeded("protobuf_fields", _FIELDS_MOST + 1, _FIELDS_MOST)
        first = base + index
        tag, index = _varint(data, index, base, end)
        number, wire, value = tag >> 3, tag & 7, 0
        if not 0 < number < 1 << 29:
            raise ParseError(f"no field can have the number {number}", first)
        start = base + index
        if wire == VARINT:
            value, index = _varint(data, index, base, end)
            return Field(number, wire, value, base + index, base + index), index
        if wire == BYTES:
            length, index = _varint(data, index, base, end)
            start = base + index
            return Field(number, wire, 0, start, self._end(start, length, end)), index + length
        if wire in (FIXED64, FIXED32):
            width = 8 if wire == FIXED64 else 4
            after = self._end(start, width, end)
            value = int.from_bytes(data[index : index + width], "little")
            return Field(number, wire, value, start, after), index + width
        if wire == GROUP:
            after = self._group(number, start, end)
            return Field(number, wire, 0, start, after), after - base
        raise ParseError(f"a field of the wire type {wire}, which does not begin one", first)

    def _end(self, start: int, length: int, end: int) -> int:
        if start + length <= end:
            return start + length
        if end < self.size:
            raise ParseError(f"a field of {length} bytes in a message that ends after {max(0, end - start)}", start)
        self.cut = start if self.cut is None else self.cut
        return end

    def _group(self, number: int, start: int, end: int) -> int:
        """Where the group ends that began at `start`."""
        open_groups, place = [number], start
        while open_groups:
            if place >= end:
                raise ParseError("a group that does not end", start)
            page, index = self._at(place, min(_HEAD_BYTES, end - place))
            base = place - index
            tag, after = _varint(page, index, base, end)
            place = base + after
            if tag & 7 == _GROUP_END:
                if tag >> 3 != open_groups.pop():
                    raise ParseError("a group that ends as another one", place)
            elif tag & 7 == GROUP:
                open_groups.append(tag >> 3)
                if len(open_groups) > DEPTH:
                    raise ParseError("groups nested too deep", place)
            else:
                place = self._field(page, index, base, end)[0].end
        return place


def _varint(data: bytes | memoryview, index: int, base: int, end: int) -> tuple[int, int]:
    """The number at `index` and the index behind it. Raises `ParseError`."""
    value = shift = 0
    most = min(len(data), end - base, index + 10)
    for at in range(index, most):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _WORD, at + 1
        shift += 7
    what = "a number of more than ten bytes" if most == index + 10 else "the message ends within a number"
    raise ParseError(what, base + index)


def packed(data: bytes, count: int) -> list[int]:
    """The first `count` numbers of a packed field of varints; what breaks off is left out."""
    found: list[int] = []
    index = 0
    while index < len(data) and len(found) < count:
        try:
            value, index = _varint(data, index, 0, len(data))
        except ParseError:
            break
        found.append(value)
    return found


# --- telling what a message is ----------------------------------------------------------------------------

# What is known of a message's fields, by number: the wire type of a number; `text` or `name` (a text without white
# space) for a payload of that kind; `bytes` for any; the fields of a message in it.
Shape = Mapping[int, "int | str | Shape"]


def resemblance(head: bytes, size: int, shape: Shape, depth: int = 5) -> int:
    """How many fields of a message of `size` bytes that begins with `head` are those of `shape`, at every depth.

    Looks at what is in `head` only, and as far as it is a message. Unknown fields say nothing, and those of another
    wire type less than that: readers pass over both.
    """
    return _resemblance(head, 0, size, shape, depth)[0]


class _Outline(msgspec.Struct, frozen=True):
    """The fields of a message as far as they begin in its head: number, wire type, payload's place and end.

    `sound`: it is a message as far as the head goes. `rest` is where the field behind the last one begins, -1 where
    there can be none.
    """

    fields: tuple[tuple[int, int, int, int], ...]
    sound: bool
    rest: int


def _outline(head: bytes, index: int, end: int) -> _Outline:
    fields: list[tuple[int, int, int, int]] = []
    last = min(end, len(head))
    while index < last:
        try:
            tag, index = _varint(head, index, 0, end)
            wire, number = tag & 7, tag >> 3
            length = {FIXED64: 8, FIXED32: 4}.get(wire, 0)
            if wire in (VARINT, BYTES):
                length, index = _varint(head, index, 0, end)
        except ParseError as error:
            return _Outline(tuple(fields), len(head) < min(end, error.offset + 10), -1)
        if not 0 < number < 1 << 29 or wire in (GROUP, _GROUP_END, 6, 7):
            return _Outline(tuple(fields), wire == GROUP, -1)  # a group is legal, and nobody writes one
        after = index if wire == VARINT else index + length
        fields.append((number, wire, index, after))
        if after > end:
            return _Outline(tuple(fields), False, after)
        index = after
    return _Outline(tuple(fields), True, index)


# The same head is held against several shapes, one after the other.
_outline_of = lru_cache(maxsize=2)(_outline)


def _resemblance(head: bytes, index: int, end: int, shape: Shape, depth: int) -> tuple[int, bool]:
    """The score of the message from `index` to `end`, and whether it is one as far as `head` goes."""
    score = 0
    outline = _outline(head, index, end) if index else _outline_of(head, 0, end)
    for number, wire, start, after in outline.fields:
        known = shape.get(number)
        if known is not None:
            worth, sound = _worth(head, start, min(after, end), wire, known, depth)
            score += worth
            if not sound:
                return score, False
    return score, outline.sound


def _worth(head: bytes, start: int, end: int, wire: int, known: "int | str | Shape", depth: int) -> tuple[int, bool]:
    """What a field that should be `known` says for the shape, and whether it is sound."""
    if isinstance(known, int):
        return (1 if wire in (known, BYTES) else -1), True  # repeated numbers may be packed
    if wire != BYTES:
        return -1, True
    if isinstance(known, str):
        return int(known == "bytes" or _is_text(head[start:end], known == "name", end <= len(head))), True
    if depth == 0:
        return 1, True
    inner, sound = _resemblance(head, start, end, known, depth - 1)
    return (1 + inner if sound else inner), sound


def _is_text(payload: bytes, name: bool, whole: bool) -> bool:
    try:
        text = payload.decode("utf-8", "strict" if whole else "ignore")
    except UnicodeDecodeError:
        return False
    if name:
        return _NAME.fullmatch(text) is not None
    return all(character >= " " or character in "\t\r\n" for character in text)


def is_text(head: bytes) -> bool:
    """Whether there is nothing but printable characters and line breaks in `head`: no message of messages is so."""
    return not head.translate(None, _TEXT)


def is_hidden(head: bytes, size: int) -> bool:
    """Whether a message of `size` bytes that begins with `head` may go on behind a field that fills the head."""
    return len(head) <= _outline_of(head, 0, size).rest < size


def head_of(blob: Blob, length: int) -> bytes:
    """The first `length` bytes of `blob`, if a field can begin with the first of them; else nothing."""
    head = blob.view(0, 1)
    if not len(head) or head[0] & 7 not in (VARINT, BYTES, FIXED64, FIXED32, GROUP) or head[0] < 8:
        return b""
    return read(blob, 0, length)
