"""Bounded reads of a pickle's bytes: windows that move forward, arguments, lines, and literals read late."""

import re
from collections.abc import Callable
from struct import unpack
from typing import Final

from modelaudit.blob import Blob
from modelaudit.parsers.pickle.opcodes import BYTES, CODES, COUNT_BYTES, LINES, SIGNED_COUNT, SIZE

WINDOW_BYTES: Final = 1 << 20  # copied at a time: an index into `bytes` is twice as fast as into a memoryview
FIRST_BYTES: Final = 4096  # of the first window: most pickles of a stream of many are small
MARGIN_BYTES: Final = 64  # fetched beyond the current opcode: more than any opcode of fixed length needs
LITERAL_BYTES: Final = 1 << 16  # a literal that is decoded; longer ones are payloads, not names or arguments
LINE_BYTES: Final = 1 << 26  # a text argument; the longest real ones are names and numbers

_ESCAPE = re.compile(rb"\\(\r?\n|[0-7]{1,3}|x[0-9a-fA-F]{2}|.)", re.S)
_SIMPLE = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"a": b"\a"}


class Window:
    """`data` is a copy of the blob's bytes from `base`; `padded` zero bytes follow where the blob ends."""

    __slots__ = ("_length", "base", "blob", "data", "end")

    def __init__(self, blob: Blob, start: int) -> None:
        self.blob = blob
        self.base = start
        self.data = b""
        self.end = start
        self._length = FIRST_BYTES
        self.move(start)

    def move(self, offset: int) -> None:
        """Let the window begin at `offset`. Raises `Missing`."""
        self.base = offset
        self.data = bytes(self.blob.view(offset, self._length, MARGIN_BYTES)) if offset < self.blob.size else b""
        self._length = min(8 * self._length, WINDOW_BYTES)
        self.end = offset + len(self.data)

    @property
    def last(self) -> bool:
        """Whether nothing follows the window."""
        return self.end >= self.blob.size

    def line_end(self, offset: int, cut: bool = False) -> int:
        """The place after the next newline at or after `offset`, or -1 when the line never ends or is too long.

        `cut`: a line also ends with the blob. The unpickler in Python, which dill and joblib use, takes off the last
        byte of a line whatever it is.
        """
        found = self.data.find(b"\n", offset - self.base) if self.base <= offset < self.end else -1
        if found >= 0:
            return self.base + found + 1
        place = offset
        while place < min(self.blob.size, offset + LINE_BYTES):
            piece = bytes(self.blob.view(place, WINDOW_BYTES, 1))
            found = piece.find(b"\n")
            if found >= 0:
                return place + found + 1
            place += len(piece)
        return place if cut and offset < place == self.blob.size else -1


def unescape(text: bytes) -> bytes:
    """Bytes of a quoted protocol 0 string, as the `string-escape` codec reads them."""

    def plain(match: re.Match[bytes]) -> bytes:
        code = match[1]
        if code[:1] in b"01234567":
            return bytes([int(code, 8) & 255])
        if code[:1] == b"x" and len(code) == 3:
            return bytes([int(code[1:], 16)])
        if code[-1:] == b"\n":
            return b""
        return _SIMPLE.get(code, code if code in (b"\\", b"'", b'"') else b"\\" + code)

    return _ESCAPE.sub(plain, text)


def payload_span(blob: Blob, offset: int) -> tuple[int, int]:
    """Where the argument of the literal at `offset` lies: (offset, length) in bytes; (0, -1) when it breaks off."""
    op = blob.view(offset, 1)[0]
    width = COUNT_BYTES[op]
    if width:
        length = int.from_bytes(blob.view(offset + 1, width), "little", signed=op in SIGNED_COUNT)
        return (offset + 1 + width, length)
    if LINES[op] == 1:
        window = Window(blob, offset + 1)
        end = window.line_end(offset + 1)
        return (offset + 1, end - offset - 2) if end >= 0 else (0, -1)
    return (offset + 1, SIZE[op] - 1)


def literal(blob: Blob, offset: int, window: Window | None = None) -> str | bytes | int | float | None:
    """The value of the literal opcode at `offset`; None when it is too long, broken, or no literal.

    It is taken from `window` where it lies there. Python 2 strings are decoded as Latin-1, the one reading that
    loses nothing. Raises `Missing`.
    """
    found = None if window is None else _in_window(window, offset)
    if found is not None:
        op, raw = found
    else:
        op = blob.view(offset, 1)[0]
        start, length = payload_span(blob, offset)
        if not 0 <= length <= LITERAL_BYTES or start + length > blob.size:
            return None
        raw = bytes(blob.view(start, length))
    read = _READ.get(op)
    try:
        return None if read is None else read(raw)
    except (ValueError, ArithmeticError):
        return None


def _in_window(window: Window, offset: int) -> tuple[int, bytes] | None:
    """The opcode at `offset` and its argument, of a length that is decoded; None when not all of it is there."""
    data, i = window.data, offset - window.base
    if not 0 <= i < len(data) - MARGIN_BYTES:
        return None
    op = data[i]
    if SIZE[op]:
        return (op, data[i + 1 : i + SIZE[op]])
    start = i + 1 + COUNT_BYTES[op]
    if LINES[op] == 1:
        end = data.find(b"\n", start, start + LITERAL_BYTES)
    else:
        end = start + int.from_bytes(data[i + 1 : start], "little", signed=op in SIGNED_COUNT)
    return (op, data[start:end]) if start <= end <= min(len(data), start + LITERAL_BYTES) else None


def _quoted(raw: bytes) -> str | None:
    text = raw.strip()
    return unescape(text[1:-1]).decode("latin-1") if len(text) >= 2 else None


def _line_integer(raw: bytes) -> int | None:
    return _integer(number(raw).rstrip(b"L")) if len(raw) < 4000 else None


def number(line: bytes) -> bytes:
    """The text of a number on a line of its own: for the unpickler in C a zero byte ends it."""
    return line.partition(b"\0")[0].strip()


def _integer(text: bytes) -> int:
    """As C reads it: a leading 0 means octal, 0x hexadecimal; no digits are 0."""
    try:
        return int(text, 0)
    except ValueError:
        return int(text, 8) if text else 0


def is_container(blob: Blob, offset: int) -> str:
    """`list`, `dict` or `set` for the opcode at `offset` that makes one, else the empty string."""
    return _CONTAINERS.get(blob.view(offset, 1)[0], "")


_BY_NAME: Final[dict[str, Callable[[bytes], str | bytes | int | float | None]]] = {
    "SHORT_BINUNICODE BINUNICODE BINUNICODE8": lambda raw: raw.decode("utf-8", "surrogatepass"),
    "UNICODE": lambda raw: raw.decode("raw-unicode-escape"),
    "STRING": _quoted,
    "BINSTRING SHORT_BINSTRING": lambda raw: raw.decode("latin-1"),
    "BINFLOAT": lambda raw: float(unpack(">d", raw)[0]),
    "BININT1 BININT2": lambda raw: int.from_bytes(raw, "little"),
    "BININT LONG1 LONG4": lambda raw: int.from_bytes(raw, "little", signed=True),
    "NEWTRUE": lambda raw: True,
    "NEWFALSE": lambda raw: False,
    "INT LONG": _line_integer,
    "FLOAT": lambda raw: float(number(raw)),
}
_READ: Final = {op: bytes for op in BYTES} | {
    CODES[name]: read for names, read in _BY_NAME.items() for name in names.split()
}
_CONTAINERS: Final = {
    CODES["EMPTY_LIST"]: "list",
    CODES["LIST"]: "list",
    CODES["EMPTY_DICT"]: "dict",
    CODES["DICT"]: "dict",
    CODES["EMPTY_SET"]: "set",
    CODES["FROZENSET"]: "set",
}
