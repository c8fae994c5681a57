"""NDJSON as it lies there: which lines are ours, and which runs they belong to."""

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import msgspec

from modelaudit.errors import UsageError
from modelaudit.model import FileReport, Heartbeat, RunRecord, Summary

SCHEMA = "modelaudit/1"
# A line of ours is at most as long as `Limits.line_bytes` of the run that wrote it, 1 MiB unless somebody raised it.
_LINE_BYTES = 16 << 20
_RUN = b'{"type":"run",'

_records = msgspec.json.Decoder(RunRecord | FileReport | Heartbeat | Summary)


class _Kind(msgspec.Struct):
    """Enough of a line to tell a broken record from something else's line."""

    type: str = ""


_kinds = msgspec.json.Decoder(_Kind)


class Log:
    """A file of lines, readable as often as wanted. Raises `UsageError` when it cannot be opened.

    `foreign` counts lines that are JSON or text of something else, `broken` those that are records cut off or
    spoiled, once the file has been read.
    """

    def __init__(self, path: str) -> None:
        self.name = "standard input" if path == "-" else path
        self.foreign = 0
        self.broken = 0
        try:
            self._file = _seekable(sys.stdin.buffer) if path == "-" else _opened(path)
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"{self.name}: {cause}; name files that modelaudit scan --format ndjson wrote") from error

    def lines(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Each line from byte `start` to before byte `end`, with its place. Lines that are too long come empty."""
        self._file.seek(start)
        place = start
        while end is None or place < end:
            try:
                line = self._file.readline(_LINE_BYTES)
            except OSError as error:
                raise UsageError(f"{self.name}: {error.strerror}; name files that can be read") from error
            if not line:
                return
            length = len(line)
            ended = line.endswith(b"\n")
            while not ended and (more := self._file.readline(_LINE_BYTES)):
                length += len(more)
                ended = more.endswith(b"\n")
                line = b""
            yield place, line
            place += length

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _opened(path: str) -> BinaryIO:
    file = open(path, "rb")  # noqa: SIM115  lives as long as the log
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    with file:
        return _seekable(file)


def _seekable(stream: BinaryIO) -> BinaryIO:
    """The bytes of `stream`, which can be read once, in a nameless file."""
    copy = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the log
    shutil.copyfileobj(stream, copy, 1 << 20)
    return copy


class Run:
    """The lines of one run: pieces of logs, each from byte to byte. `record` is None where its first line is missing.

    `summary` is known, and `broken` and `foreign` lines are counted, once `files` has come to its end.
    """

    def __init__(self, record: RunRecord | None) -> None:
        self.record = record
        self.summary: Summary | None = None
        self._pieces: list[tuple[Log, int, int | None]] = []

    def begin(self, log: Log, start: int) -> None:
        """The run's lines go on in `log` at byte `start`."""
        self._pieces.append((log, start, None))

    def end(self, stop: int) -> None:
        """They end before byte `stop`."""
        log, start, _ = self._pieces[-1]
        self._pieces[-1] = log, start, stop

    def files(self) -> Iterator[FileReport]:
        """The records of objects, in the order they were written."""
        for log, start, stop in self._pieces:
            for _, line in log.lines(start, stop):
                record = parsed(line)
                if isinstance(record, FileReport):
                    yield record
                elif isinstance(record, Summary):
                    self.summary = record


def parsed(line: bytes) -> RunRecord | FileReport | Heartbeat | Summary | None:
    """The record in `line`, if it is one."""
    try:
        record: RunRecord | FileReport | Heartbeat | Summary = _records.decode(line)
        return record
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def runs_of(logs: Sequence[Log]) -> list[Run]:
    """The runs in `logs`, in the order of the files and of the lines; one that was resumed is one run.

    A first pass over all lines: counts those that are not ours. Raises `UsageError` when there is no record at all.
    """
    runs: list[Run] = []
    for log in logs:
        open_run: Run | None = None
        for place, line in log.lines():
            record = parsed(line)
            if record is None:
                _count(log, line)
                continue
            if isinstance(record, RunRecord):
                _check(record, log)
                if open_run is not None:
                    open_run.end(place)
                open_run = _begun(runs, record)
                open_run.begin(log, place)
            elif open_run is None:
                open_run = _begun(runs, None)
                open_run.begin(log, place)
    if not runs:
        names = ", ".join(log.name for log in logs)
        raise UsageError(f"{names}: no record of a scan in it; make one with: modelaudit scan … --format ndjson")
    return runs


def _begun(runs: list[Run], record: RunRecord | None) -> Run:
    for run in runs:
        if record is not None and run.record is not None and run.record.run_id == record.run_id:
            return run
    runs.append(Run(record))
    return runs[-1]


def _check(record: RunRecord, log: Log) -> None:
    if record.schema != SCHEMA:
        raise UsageError(
            f"{log.name} was written by modelaudit {record.version} with schema {record.schema}, "
            f"this one reads {SCHEMA}; make the report with that version"
        )


def _count(log: Log, line: bytes) -> None:
    """A line that is no record: blank, broken, or of something else."""
    if line and not line.strip():
        return
    try:
        kind = _kinds.decode(line).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        kind = "file" if not line or line.startswith((b'{"type":"file"', b'{"type":"summary"', _RUN)) else ""
    if kind in ("run", "file", "heartbeat", "summary"):
        log.broken += 1
    else:
        log.foreign += 1
