"""The opcodes that CPython's C unpickler runs from an open file whose frames cut opcodes.

Before 3.13.15 it skips what is left of a frame when an argument, a line or another frame reaches beyond its end
(gh-154848), so that it runs a pickle where a reader of the bytes in a row sees none.
"""

from collections.abc import Iterator
from typing import Final

from modelaudit.parsers.pickle.opcodes import CODES, COUNT_BYTES, LINES, NAMES, SIGNED_COUNT, SIZE

FRAME: Final = CODES["FRAME"]
_STOP = CODES["STOP"]


class _File:
    """Reads as the unpickler does: `end` is that of what it holds of the file, the rest of a frame."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = self.end = 0
        self.skipped = False

    def read(self, count: int) -> bytes:
        """The next `count` bytes. Raises `EOFError`."""
        self._reach(count)
        self.place += count
        self.end = max(self.end, self.place)
        return self.data[self.place - count : self.place]

    def line(self) -> bytes:
        """The next line with its end. Raises `EOFError`."""
        found = self.data.find(b"\n", self.place, self.end)
        if found < 0:
            self._skip()
            found = self.data.find(b"\n", self.place)
        if found < 0:
            raise EOFError
        return self.read(found + 1 - self.place)

    def frame(self, length: int) -> None:
        """A frame of `length` bytes begins. Raises `EOFError`."""
        self._reach(length)
        self.end = max(self.end, self.place + length)

    def next_pickle(self) -> None:
        """After STOP the rest of the frame is skipped."""
        self._skip()

    def _reach(self, count: int) -> None:
        if self.place + count > self.end:
            self._skip()
        if count < 0 or self.place + count > len(self.data):
            raise EOFError

    def _skip(self) -> None:
        self.skipped = self.skipped or self.place < self.end
        self.place = self.end = max(self.place, self.end)


def from_file(data: bytes) -> Iterator[bytes]:
    """The opcodes of each pickle in `data` as they are run from a file, without the frames.

    Only of those after whose beginning the file was read otherwise than byte by byte; the last one may break off.
    """
    if FRAME not in data:
        return
    file, run = _File(data), bytearray()
    try:
        while True:
            op = file.read(1)[0]
            if op == FRAME:
                file.frame(int.from_bytes(file.read(8), "little"))
                continue
            if op not in NAMES:
                break
            run += bytes((op,)) + _argument(file, op)
            if op == _STOP:
                if file.skipped:
                    yield bytes(run)
                file.next_pickle()
                run.clear()
    except EOFError:
        pass
    if file.skipped and run:
        yield bytes(run)


def _argument(file: _File, op: int) -> bytes:
    if width := COUNT_BYTES[op]:
        count = file.read(width)
        return count + file.read(int.from_bytes(count, "little", signed=op in SIGNED_COUNT))
    if LINES[op]:
        return b"".join(file.line() for _ in range(LINES[op]))
    return file.read(SIZE[op] - 1)
