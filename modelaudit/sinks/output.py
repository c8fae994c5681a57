"""Where a sink's bytes go: a file or standard output, in whole pieces."""

import contextlib
import errno
import os
import select
import stat
import sys
from collections.abc import Iterator
from typing import Self

from modelaudit.errors import SinkClosed, SinkFailed, UsageError

_ADVICE = {
    errno.ENOSPC: "free some room there, or write elsewhere with --output",
    errno.EDQUOT: "raise the quota, or write elsewhere with --output",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f), or write elsewhere with --output",
}

_TAIL_BYTES = 1024  # by which a file is known again


class Output:
    """A descriptor that takes whole pieces: in a file, a piece is there entirely or not at all.

    `name` is what messages call it, `encoding` what its reader expects of text. `kept_bytes` were there before and
    stay. Use `file` or `standard` to get one.
    """

    kept_bytes = 0

    def __init__(self, descriptor: int, name: str, *, owned: bool, encoding: str = "utf-8") -> None:
        self._descriptor = descriptor
        self._owned = owned
        self.name = name
        self.encoding = encoding
        self.terminal = os.isatty(descriptor)
        self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        self._written = 0
        self._tail = b""

    @classmethod
    def file(cls, path: str, place: tuple[int, bytes] | None = None, option: str = "--output") -> Self:
        """The file `path` that `option` names, emptied or made anew. Raises `UsageError` when it cannot be opened.

        If it still has what `mark` gave as `place`, it is cut there instead, and gone on with: see `kept_bytes`.
        """
        kept = None if place is None else cls._cut(path, *place)
        if kept is not None:
            return kept
        try:
            return cls(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644), path, owned=True)
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"{option} {path}: {cause}; name a file in a folder that you may write to") from error

    @classmethod
    def _cut(cls, path: str, offset: int, tail: bytes) -> Self | None:
        """The file `path` with its first `offset` bytes, if those end in `tail`; whatever follows is cut off."""
        with contextlib.suppress(OSError, ValueError), open(path, "rb+", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) or not tail:
                return None
            file.seek(offset - len(tail))
            if file.read(len(tail)) != tail:
                return None
            file.truncate(offset)
            output = cls(os.dup(file.fileno()), path, owned=True)  # beginning to write where it was cut
            output.kept_bytes, output._tail = offset, tail
            return output
        return None

    def mark(self) -> tuple[int, bytes] | None:
        """How many bytes the file has, and the last of them, now that they are on the disk; None if it is not ours.

        Raises `SinkFailed`.
        """
        if not (self._owned and self._regular):
            return None
        try:
            os.fdatasync(self._descriptor)
            return os.lseek(self._descriptor, 0, os.SEEK_CUR), self._tail
        except OSError as error:
            raise SinkFailed(f"cannot write to {self.name}: {error.strerror}; look at its disk") from error

    @classmethod
    def standard(cls) -> Self:
        """Standard output. Raises `UsageError` when it is closed."""
        try:
            return cls(1, "standard output", owned=False, encoding=getattr(sys.stdout, "encoding", None) or "utf-8")
        except OSError as error:
            raise UsageError("standard output is closed; name a file with --output") from error

    def write(self, piece: bytes) -> None:
        """All of `piece`, in one call where the system takes it. Raises `SinkClosed`, `SinkFailed`."""
        with self.whole():
            self._write(piece)

    @contextlib.contextmanager
    def whole(self) -> Iterator[None]:
        """What is written in the block is there entirely or, in a file, not at all."""
        before = self._written
        try:
            yield
        except BaseException:
            self._take_back(self._written - before)
            raise

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            try:
                count = os.write(self._descriptor, view)
            except BlockingIOError:  # somebody else made the pipe non-blocking: wait until it takes more
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
                continue
            except (BrokenPipeError, ConnectionResetError) as error:
                raise SinkClosed(f"the reader of {self.name} went away") from error
            except OSError as error:
                advice = _ADVICE.get(error.errno or 0, "write elsewhere with --output")
                raise SinkFailed(f"cannot write to {self.name}: {error.strerror}; {advice}") from error
            self._written += count
            self._tail = bytes(view[max(0, count - _TAIL_BYTES) : count])
            view = view[count:]

    def _take_back(self, count: int) -> None:
        """Cut off the last `count` bytes, unless somebody else has written behind them."""
        if not count or not self._regular:
            return
        with contextlib.suppress(OSError):
            end = os.lseek(self._descriptor, 0, os.SEEK_CUR)
            if os.fstat(self._descriptor).st_size == end:
                os.ftruncate(self._descriptor, end - count)
                os.lseek(self._descriptor, end - count, os.SEEK_SET)
                self._written -= count

    def close(self) -> None:
        """Close a file that was opened here."""
        if self._owned:
            self._owned = False
            with contextlib.suppress(OSError):  # whole pieces have been accepted by the system before
                os.close(self._descriptor)
