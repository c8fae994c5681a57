"""MessagePack as a stream of events: what is in it and where, without reading the bodies of its data.

Nesting is counted and nothing is recursive; a declared size is held against the bytes that are there before it
is believed. Bodies (of binaries, extensions and strings) are stepped over, so that of a file of gigabytes only
the headers between its tensors are read. Layers that are stored alike lie alike: after the first of them the
places of the headers in all of them are asked for at once.
Source: the MessagePack specification (github.com/msgpack/msgpack/blob/master/spec.md).
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Literal

import msgspec

from modelaudit.blob import Blob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.late import late
from modelaudit.limits import Limits

_WINDOW_BYTES = 64 * 1024  # looked at in one view
_HEADER_BYTES = 512  # asked for at once: a key and the header of its value
_AHEAD_BYTES = 1024  # asked for where the next headers are expected
_BEFORE_BYTES = 128  # so much earlier than expected: names of layers differ in length
_KEY_BYTES = 64 * 1024  # a key that is longer is not read
_AHEAD_RANGES = 2000  # asked for at once; a model has a few hundred tensors
_NAME_BYTES = 4096  # of a key that is shown; longer ones are cut

# By first byte: (kind, bytes of the length or of the value that follow).
_FIXED = {
    0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8,
}  # fmt: skip
_BODIES: dict[int, tuple[Literal["text", "binary", "extension"], int]] = {
    0xC4: ("binary", 1), 0xC5: ("binary", 2), 0xC6: ("binary", 4),
    0xC7: ("extension", 1), 0xC8: ("extension", 2), 0xC9: ("extension", 4),
    0xD9: ("text", 1), 0xDA: ("text", 2), 0xDB: ("text", 4),
}  # fmt: skip
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_COUNTS: dict[int, tuple[Literal["array", "map"], int]] = {
    0xDC: ("array", 2), 0xDD: ("array", 4), 0xDE: ("map", 2), 0xDF: ("map", 4),
}  # fmt: skip
# Many numbers, one after the other: stepped over by one search instead of one by one.
_SCALAR = late(
    rb"[\x00-\x7f\xe0-\xff\xc0\xc2\xc3]|[\xcc\xd0].|[\xcd\xd1]..|[\xca\xce\xd2].{4}|[\xcb\xcf\xd3].{8}", re.DOTALL
)
_SCALARS = late(rb"(?:%s){64,4096}+" % _SCALAR.pattern, re.DOTALL)


class Opened(msgspec.Struct, frozen=True):
    """A map or an array of `count` entries begins; `path` are the keys that lead to it."""

    kind: Literal["array", "map"]
    count: int
    path: tuple[str, ...]
    offset: int


class Closed(msgspec.Struct, frozen=True):
    """The map or array at `path` ends."""

    path: tuple[str, ...]


class Key(msgspec.Struct, frozen=True):
    """A key of a map. `text` is None where it is no string; `path` is that of the map."""

    text: str | None
    path: tuple[str, ...]
    offset: int


class Body(msgspec.Struct, frozen=True):
    """A string, a binary or an extension: its bytes are at `start`, `length` of them; `code` is an extension's."""

    kind: Literal["text", "binary", "extension"]
    start: int
    length: int
    code: int
    path: tuple[str, ...]
    offset: int


class Number(msgspec.Struct, frozen=True):
    """An integer in a map, as far as it is positive; other numbers are not told."""

    value: int
    path: tuple[str, ...]
    offset: int


class End(msgspec.Struct, frozen=True):
    """The one value of the document ends at `offset`, and with it the events."""

    offset: int


Event = Opened | Closed | Key | Body | Number | End


class _Frame:
    """A map or an array that is open."""

    __slots__ = ("ahead", "key", "key_place", "kind", "left", "named", "path", "shape", "value_place")

    def __init__(self, kind: str, count: int, path: tuple[str, ...]) -> None:
        self.kind = kind
        self.left = count  # entries that are still to come
        self.path = path
        self.named = False  # whether the key of the next value has been read
        self.key: str | None = None
        self.key_place = 0
        self.value_place = 0
        self.shape = ""  # of the key: layer_0 and layer_17 have the same
        self.ahead = False


def events(blob: Blob, limits: Limits, *, start: int = 0, end: int | None = None) -> Iterator[Event]:
    """The value at `start`, which has to lie before `end` (default: where the blob ends).

    Raises `Missing`; `ParseError` where a header makes no sense or a size does not fit; `LimitExceeded`
    (`text_depth`) for nesting, (`state_values`) for too many values, of which numbers in arrays count for little.
    """
    yield from _Walk(blob, limits, start, blob.size if end is None else end).run()


class _Walk:
    """The position, a window of bytes around it, and what is open."""

    def __init__(self, blob: Blob, limits: Limits, start: int, end: int) -> None:
        self._blob = blob
        self._limits = limits
        self._at = start
        self._end = end
        self._window = memoryview(b"")
        self._window_at = 0
        self._frames: list[_Frame] = []
        self._values = 0  # met so far, keys included
        self._landings: list[int] = []  # where the bodies ended that are longer than a header

    def run(self) -> Iterator[Event]:
        """Go on until the one value is whole."""
        yield from self._value(())
        while self._frames:
            self._values += 1
            if self._values > self._limits.state_values:
                raise LimitExceeded("state_values", self._values, self._limits.state_values)
            frame = self._frames[-1]
            if frame.left == 0:
                self._frames.pop()
                yield Closed(frame.path)
                if self._frames:
                    self._finished()
            elif frame.kind == "map" and not frame.named:
                yield self._key(frame)
            else:
                yield from self._entry(frame)
        yield End(self._at)

    def _entry(self, frame: _Frame) -> Iterator[Event]:
        if frame.kind == "array" and frame.left >= 64 and self._skip_numbers(frame):
            return
        path = frame.path if frame.key is None else (*frame.path, frame.key)
        deep = len(self._frames)
        yield from self._value(path)
        if len(self._frames) == deep:
            self._finished()

    def _finished(self) -> None:
        """One entry of the innermost frame is whole."""
        frame = self._frames[-1]
        frame.left -= 1
        frame.named = False

    # --- bytes -----------------------------------------------------------------------------------------------

    def _take(self, length: int) -> memoryview:
        """The next `length` bytes, and past them."""
        inside = self._at - self._window_at
        if inside < 0 or inside + length > len(self._window):
            if self._at + length > self._end:
                raise ParseError("the file ends in the middle of a value", self._at)
            rest = self._end - self._at
            piece = self._blob.view(self._at, min(_WINDOW_BYTES, rest), max(length, min(_HEADER_BYTES, rest)))
            self._window, self._window_at, inside = piece, self._at, 0
        self._at += length
        return self._window[inside : inside + length]

    def _unsigned(self, length: int) -> int:
        return int.from_bytes(self._take(length), "big")

    def _step(self, length: int, what: str) -> int:
        """Go past a body, and give where it began."""
        start = self._at
        if length > self._end - start:
            raise ParseError(f"{what} of {length} bytes is longer than the rest of the file", start)
        self._at += length
        if length >= _HEADER_BYTES:
            self._landings.append(self._at)
        return start

    # --- values ----------------------------------------------------------------------------------------------

    def _value(self, path: tuple[str, ...]) -> Iterator[Event]:
        offset = self._at
        first = self._take(1)[0]
        if first < 0x80 or first >= 0xE0 or first in _FIXED:
            width = _FIXED.get(first, 0)
            value = first if first < 0x80 else self._unsigned(width)
            if path and (first < 0x80 or 0xCC <= first <= 0xCF):
                yield Number(value, path, offset)
        elif 0xA0 <= first <= 0xBF or first in _BODIES or first in _FIXED_EXTENSIONS:
            yield self._body(first, path, offset)
        elif first == 0xC1:
            raise ParseError("a byte that begins no value", offset)
        else:
            yield self._open(first, path, offset)

    def _body(self, first: int, path: tuple[str, ...], offset: int) -> Body:
        kind: Literal["text", "binary", "extension"]
        if first in _FIXED_EXTENSIONS:
            kind, length = "extension", _FIXED_EXTENSIONS[first]
        elif first in _BODIES:
            kind, width = _BODIES[first]
            length = self._unsigned(width)
        else:
            kind, length = "text", first & 0x1F
        code = int.from_bytes(self._take(1), "big", signed=True) if kind == "extension" else 0
        return Body(kind, self._step(length, f"a {kind}"), length, code, path, offset)

    def _open(self, first: int, path: tuple[str, ...], offset: int) -> Opened:
        kind: Literal["array", "map"]
        if first in _COUNTS:
            kind, width = _COUNTS[first]
            count = self._unsigned(width)
        else:
            kind, count = ("array", first & 0x0F) if first >= 0x90 else ("map", first & 0x0F)
        if count * (2 if kind == "map" else 1) > self._end - self._at:
            what = "an array" if kind == "array" else "a map"
            raise ParseError(f"{what} of {count} entries is larger than the rest of the file", offset)
        if len(self._frames) >= self._limits.text_depth:
            raise LimitExceeded("text_depth", len(self._frames) + 1, self._limits.text_depth)
        self._frames.append(_Frame(kind, count, path))
        return Opened(kind, count, path, offset)

    def _key(self, frame: _Frame) -> Key:
        offset = self._at
        first = self._take(1)[0]
        text: str | None = None
        if 0xA0 <= first <= 0xBF or first in (0xD9, 0xDA, 0xDB):
            body = self._body(first, (), offset)
            if body.length <= _KEY_BYTES:
                self._at = body.start
                text = str(self._take(body.length)[:_NAME_BYTES], "utf-8", "backslashreplace")
            else:
                text = "…"
        elif first < 0x80 or first >= 0xE0 or first in _FIXED:
            self._take(_FIXED.get(first, 0))
        elif first in _BODIES or first in _FIXED_EXTENSIONS:
            self._body(first, (), offset)
        else:
            raise ParseError("a key that is a map or an array", offset)
        self._look_ahead(frame, text, offset)
        frame.named, frame.key, frame.key_place, frame.value_place = True, text, offset, self._at
        return Key(text, frame.path, offset)

    def _look_ahead(self, frame: _Frame, text: str | None, offset: int) -> None:
        """Where the entry before had large bodies and a name of the same shape, ask for all headers to come."""
        shape = re.sub(r"\d+", "0", text) if text is not None and len(text) < 200 else ""
        alike = shape == frame.shape and shape != ""
        frame.shape = shape
        if frame.ahead or not alike:
            return
        places = self._landings[bisect_left(self._landings, frame.value_place) :]
        if not places or len(places) > _AHEAD_RANGES:
            return
        frame.ahead = True
        period = offset - frame.key_place
        repeats = min(frame.left, _AHEAD_RANGES // len(places))
        self._blob.require(
            [
                (place + (n + 1) * period - _BEFORE_BYTES, _AHEAD_BYTES)
                for n in range(repeats)
                for place in places
                if place + (n + 1) * period < self._end
            ]
        )

    def _skip_numbers(self, frame: _Frame) -> bool:
        """Go past a run of numbers in an array, if there is one."""
        piece = self._blob.view(self._at, min(_WINDOW_BYTES, self._end - self._at), 1)
        found = _SCALARS.match(piece)
        if found is None:
            return False
        count = sum(1 for _ in _SCALAR.finditer(found[0]))
        if count > frame.left:
            return False
        frame.left -= count
        self._at += found.end()
        return True
