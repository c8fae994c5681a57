"""What every sink can do: take the first record, any number of file records, and the last one."""

import contextlib
import errno
import os
import sys
from typing import Protocol

from modelaudit.errors import SinkClosed, SinkFailed, UsageError
from modelaudit.model import FileReport, RunRecord, Summary


class Sink(Protocol):
    """Synchronous; called from one place at a time. Raises `SinkClosed` and `SinkFailed`."""

    def start(self, run: RunRecord) -> None:
        """The run begins."""

    def write(self, report: FileReport) -> None:
        """One object has ended."""

    def finish(self, summary: Summary) -> None:
        """The run has ended, one way or another."""


class Out:
    """A descriptor that takes whole pieces: each is there entirely, or not at all where it can be taken back."""

    def __init__(self, path: str | None) -> None:
        """Write to `path`, made anew, or to standard output. Raises `UsageError` when it cannot be opened."""
        self._path = path
        if path is None:
            self._number = sys.stdout.fileno()
            return
        try:
            self._number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise UsageError(
                f"--output {path}: {error.strerror}; give a file in a folder that you can write to"
            ) from error

    def write(self, data: bytes) -> None:
        """All of `data`, in one call where the system takes it. Raises `SinkClosed`, `SinkFailed`."""
        view = memoryview(data)
        done = 0
        while done < len(view):
            try:
                done += os.write(self._number, view[done:])
            except (BrokenPipeError, ConnectionResetError) as error:
                raise SinkClosed("the reader of the output went away") from error
            except OSError as error:
                self._take_back(done)
                where = self._path or "standard output"
                full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
                advice = "free some room, or give another --output" if full else "give another --output"
                raise SinkFailed(
                    f"cannot write to {where}: {error.strerror}; {advice}. It ends with a whole line"
                ) from error

    def _take_back(self, count: int) -> None:
        """Cut a piece that was written in part, so that the file ends with a whole line."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._number, os.lseek(self._number, 0, os.SEEK_CUR) - count)
            os.lseek(self._number, 0, os.SEEK_END)

    def close(self) -> None:
        """Close a file that was opened here."""
        if self._path is not None:
            os.close(self._number)
