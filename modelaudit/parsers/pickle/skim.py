"""The first pass: exact opcode boundaries at a few hundredths of a microsecond each, and nothing else.

Most bytes of an opcode-dense pickle are numbers, short strings and memo traffic. A regular expression eats runs
of those inside the C engine (measured on 3.11: 0.015 to 0.035 µs an opcode, against 0.045 to 0.12 µs for the
best loop over a table); Python steps over the rest. The pass ends at STOP, or at the first opcode that imports
or calls: from there on only the machine knows what the stream does.
"""

import re
import sys
from collections.abc import Callable
from typing import Final

import msgspec

from modelaudit.blob import Blob
from modelaudit.parsers.pickle.opcodes import ACTIVE, BYTES, CODES, COUNT_BYTES, LINES, SIGNED_COUNT, SIZE, TEXTS
from modelaudit.parsers.pickle.reading import MARGIN_BYTES, Window

# Strings shorter than this are not looked into. A pickle that calls something needs 21 bytes, in base64 28.
LOOK_BYTES: Final = 28

Look = Callable[[int, int, int], None]  # (opcode, offset of the argument, its length in bytes)

_NEVER: Final = 1 << 63
_STOP: Final = CODES["STOP"]
_FRAME: Final = CODES["FRAME"]
_INST: Final = CODES["INST"]


def short_literal(opcode: bytes, tail: bytes) -> bytes:
    """A pattern: `opcode`, one length byte below `LOOK_BYTES`, `tail`, and that many bytes."""
    lengths = (re.escape(bytes([n])) + re.escape(tail) + (b".{%d}" % n if n else b"") for n in range(LOOK_BYTES))
    return opcode + b"(?:" + b"|".join(lengths) + b")"


def _run() -> re.Pattern[bytes]:
    if sys.version_info < (3, 11, 5):  # possessive repeats of groups that fail half-way overrun before (gh-106052)
        return re.compile(b"")
    plain = rb"[\x94(u}e\]as\x85\x86\x87tldN\x88\x89021)\x8f\x90\x91]++"
    fixed = rb"[Kqh].|M..|[Jrj].{4}|G.{8}"
    lines = rb"[pgIFLVS][^\n]{0,%d}+\n" % (LOOK_BYTES - 1)
    parts = (plain, short_literal(b"\x8c", b""), fixed, short_literal(b"X", bytes(3)), lines)
    return re.compile(b"(?:" + b"|".join(parts) + b")*+", re.S)


_RUN: Final = _run()


class Skimmed(msgspec.Struct, frozen=True):
    """How far the first pass came.

    `end` is the offset after STOP when `stopped`, else the offset of the opcode at which it ended. `active` is
    set when that is an opcode that imports or calls; `broken` says what is wrong there otherwise. `frame` is
    the offset of the first FRAME whose length is not that of what it holds.
    """

    end: int
    stopped: bool = False
    active: bool = False
    broken: str = ""
    frame: int | None = None


def step(window: Window, offset: int) -> tuple[int, int, int]:
    """The opcode at `offset`: (offset after it, offset of its argument, length of that in bytes).

    The first is -1 when the opcode or its argument is broken, and beyond the blob's end when it breaks off.
    """
    data, i = window.data, offset - window.base
    op = data[i]
    if SIZE[op]:
        return (offset + SIZE[op], offset + 1, SIZE[op] - 1)
    width = COUNT_BYTES[op]
    if width:
        count = int.from_bytes(data[i + 1 : i + 1 + width], "little", signed=op in SIGNED_COUNT)
        start = offset + 1 + width
        return (start + count if count >= 0 else -1, start, count)
    place = offset + 1
    for _ in range(LINES[op]):
        place = window.line_end(place, cut=op == _INST and place > offset + 1)
        if place < 0:
            return (-1, offset + 1, 0)
    return (place if LINES[op] else -1, offset + 1, place - offset - 2)


class Frames:
    """Whether each FRAME ends where an opcode ends.

    The pure Python unpickler demands it. The C one of CPython before 3.13.15 does not look, and when it reads from
    a file skips what is left of the frame: it runs other opcodes than those that stand there (gh-154848).
    """

    __slots__ = ("begun", "end", "wrong")

    def __init__(self) -> None:
        self.begun = 0
        self.end = _NEVER
        self.wrong: int | None = None

    def passed(self, offset: int) -> None:
        """An opcode ended at `offset`."""
        if offset >= self.end:
            if offset > self.end and self.wrong is None:
                self.wrong = self.begun
            self.end = _NEVER

    def begin(self, offset: int, length: int, size: int) -> None:
        """A FRAME of `length` bytes stands at `offset`."""
        if self.end != _NEVER and self.wrong is None:
            self.wrong = offset
        self.begun = offset
        self.end = offset + 9 + length if offset + 9 + length <= size else _NEVER  # else the loader stops here

    def breaks(self, offset: int, op: int) -> None:
        """The opcode at `offset` is the last, as its argument is not all there; its length may have been cut."""
        if offset + 1 + COUNT_BYTES[op] > self.end and self.wrong is None:
            self.wrong = self.begun

    def stop(self, offset: int) -> int | None:
        """STOP ended at `offset`; gives the offset of the first wrong frame."""
        if self.end not in (_NEVER, offset) and self.wrong is None:
            self.wrong = self.begun
        return self.wrong


def skim(blob: Blob, start: int, look: Look) -> Skimmed:
    """Go over the pickle at `start` until it stops, breaks, or becomes active.

    `look` is told of every string and bytes literal that is long enough to hold a payload. Raises `Missing`.
    """
    window = Window(blob, start)
    frames = Frames()
    offset = start
    while True:
        if offset + MARGIN_BYTES > window.end and not window.last:
            window.move(offset)
        if offset >= window.end:
            return Skimmed(min(offset, blob.size), broken="the data ends before STOP", frame=frames.wrong)
        found = _RUN.match(window.data, offset - window.base, min(len(window.data), frames.end - window.base))
        if found is not None and found.end() + window.base > offset:
            offset = window.base + found.end()
            frames.passed(offset)
            continue
        op = window.data[offset - window.base]
        if op == _STOP:
            return Skimmed(offset + 1, stopped=True, frame=frames.stop(offset + 1))
        if op in ACTIVE:
            return Skimmed(offset, active=True, frame=frames.wrong)
        after, argument, length = step(window, offset)
        if after < 0 or after > blob.size:
            frames.breaks(offset, op)
            why = f"bad opcode or argument: byte {op:#04x}" if after < 0 else "the data ends inside an argument"
            return Skimmed(offset, broken=why, frame=frames.wrong)
        if op == _FRAME:
            i = offset - window.base + 1
            frames.begin(offset, int.from_bytes(window.data[i : i + 8], "little"), blob.size)
        elif (op in BYTES or op in TEXTS) and length >= LOOK_BYTES - 12 * (op in BYTES):
            look(op, argument, length)
        offset = after
        frames.passed(offset)
