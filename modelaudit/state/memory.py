"""The state's file: one SQLite database that one run at a time holds. Synchronous; every call may block on the disk."""

import contextlib
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from modelaudit.model import Ended
from modelaudit.state import database
from modelaudit.state.entries import Entry, Past, is_settled

_ASKED: Final = 500  # keys in one query; older SQLite takes 999
_PAGE: Final = 256  # objects that are gone, at a time
_names = msgspec.msgpack.Decoder(dict[str, bytes])
_COLUMNS: Final = (
    "key, objects.id, run, part, change, settled, size, version, sha256, modified, rules, names, "
    "reports.report, reports.carried"
)


class Place(msgspec.Struct, frozen=True):
    """How far a run's output had been written when its last records were kept: `tail` is what stood before `offset`."""

    offset: int
    tail: bytes


class Run(msgspec.Struct, frozen=True):
    """One run as the state knows it. `resumed`: it was killed, and goes on; `place` is how far its output had come.

    `part` counts the outputs that it began anew with.
    """

    number: int
    part: int
    run_id: str
    resumed: bool
    place: Place | None


class State:
    """What was seen before, and what is seen now. Calls may come from any thread, one at a time is served.

    After the first failure (a full disk) it knows nothing and keeps nothing more; `trouble` says what happened.
    """

    def __init__(self, path: str) -> None:
        """Open or make the file. Raises `UsageError` when that cannot be, or another run holds it."""
        self._held = contextlib.ExitStack()
        self._lock = threading.Lock()
        self._database = self._held.enter_context(database.opened(path))
        self._path = path
        self._run = self._part = 0
        self._job = b""
        self._rules = b""
        self.trouble: str | None = None

    def begin(self, job: bytes, rules: bytes) -> Run:
        """The next run of `job` (a digest of what is listed) by `rules`, or the last one, if it was killed.

        Raises `UsageError` when the file cannot be read or written.
        """
        self._job, self._rules = job, rules
        with self._lock, database.explained(self._path), self._transaction() as data:
            last = data.execute(
                "SELECT id, part, run_id, output, tail FROM runs WHERE id = (SELECT max(id) FROM runs WHERE job = ?) "
                "AND rules = ? AND ended IS NULL",
                (job, rules),
            ).fetchone()
            if last is not None:
                self._run, self._part, known, offset, tail = last
                return Run(self._run, self._part, known, True, None if offset is None else Place(offset, tail))
            said_gone = "FROM objects WHERE job = ? AND change = 'gone'"
            data.execute(f"DELETE FROM reports WHERE id IN (SELECT id {said_gone})", (job,))  # noqa: S608
            data.execute(f"DELETE {said_gone}", (job,))
            data.execute("DELETE FROM runs WHERE job = ? AND id < (SELECT max(id) FROM runs)", (job,))
            run_id = uuid.uuid4().hex
            data.execute("INSERT INTO runs (run_id, job, rules, part) VALUES (?, ?, ?, 0)", (run_id, job, rules))
            [self._run] = data.execute("SELECT last_insert_rowid()").fetchone()
            self._part = 0
            return Run(self._run, 0, run_id, False, None)

    def part(self) -> None:
        """The run that was killed goes on with another output than it had: what was given there is given again."""
        self._part += 1
        with self._lock, database.explained(self._path), self._transaction() as data:
            data.execute("UPDATE runs SET part = ?, output = NULL WHERE id = ?", (self._part, self._run))

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, Past]:
        """What is known of the objects with these keys."""
        found: dict[bytes, Past] = {}
        if self.trouble is not None:
            return found
        with self._lock, self._told():
            for start in range(0, len(keys), _ASKED):
                some = keys[start : start + _ASKED]
                marks = ",".join("?" * len(some))
                rows = self._database.execute(
                    f"SELECT {_COLUMNS} FROM objects JOIN reports USING (id) WHERE key IN ({marks})",  # noqa: S608
                    some,
                )
                found.update((past.key, past) for past in map(_past, rows))
        return found

    def twin(self, content: bytes) -> Past | None:
        """An object with the same bytes that was scanned by the same rules, without a look at what lay beside it."""
        if self.trouble is not None:
            return None
        with self._lock, self._told():
            row = self._database.execute(
                f"SELECT {_COLUMNS} FROM objects JOIN reports USING (id) WHERE content = ? AND rules = ? AND settled "  # noqa: S608
                "AND names IS NULL AND change <> 'gone' LIMIT 1",
                (content, self._rules),
            ).fetchone()
            return None if row is None else _past(row)
        return None

    def keep(self, entries: Sequence[Entry], place: Place | None) -> None:
        """Keep all of `entries`, whose records were written, and how far the output has come, or nothing."""
        if self.trouble is not None:
            return
        with self._lock, self._told(), self._transaction() as data:
            data.executemany(
                "UPDATE objects SET run = ?, part = ?, job = ?, change = ? WHERE key = ?",
                [
                    (self._run, self._part, self._job, entry.change, entry.key)
                    for entry in entries
                    if entry.report is None
                ],
            )
            made = [entry for entry in entries if entry.report is not None]
            data.executemany(_KEEP, [self._row(entry) for entry in made])
            data.executemany(
                "INSERT OR REPLACE INTO reports VALUES ((SELECT id FROM objects WHERE key = ?), ?, ?)",
                [(entry.key, *entry.pack()) for entry in made],
            )
            offset, tail = (None, None) if place is None else (place.offset, place.tail)
            data.execute("UPDATE runs SET output = ?, tail = ? WHERE id = ?", (offset, tail, self._run))

    def vanished(self, after: int) -> list[Past]:
        """Objects that an earlier run of the job listed and this one did not, of a row behind `after`; some at a time.

        Also those that the run itself called gone before it was killed, if it began anew with another output.
        """
        if self.trouble is not None:
            return []
        with self._lock, self._told():
            rows = self._database.execute(
                f"SELECT {_COLUMNS} FROM objects JOIN reports USING (id) WHERE objects.id > ? AND job = ? AND listed "  # noqa: S608
                "AND (run <> ? OR part <> ?) ORDER BY objects.id LIMIT ?",
                (after, self._job, self._run, self._part, _PAGE),
            ).fetchall()
            return [_past(row) for row in rows]
        return []

    def finish(self, ended: Ended) -> None:
        """The run has ended, and its output has its last line."""
        if self.trouble is not None:
            return
        with self._lock, self._told(), self._transaction() as data:
            data.execute("UPDATE runs SET ended = ? WHERE id = ?", (ended, self._run))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._held.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
            self._database.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn a failure into `trouble`, after which nothing more is asked of the file."""
        try:
            yield
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            self.trouble = (
                f"{database.sentence(self._path, error)}; "
                "records are written as before, and the next run reads again what follows"
            )

    def _row(self, entry: Entry) -> tuple[object, ...]:
        report = entry.report
        assert report is not None  # noqa: S101  asked for by the caller
        return (
            entry.key,
            self._job,
            self._run,
            self._part,
            entry.change,
            entry.listed,
            is_settled(report),
            report.size,
            report.version,
            report.sha256,
            entry.modified,
            self._rules,
            entry.content,
            msgspec.msgpack.encode(entry.names) if entry.names else None,
        )


_KEEP: Final = """
INSERT INTO objects (key, job, run, part, change, listed, settled, size, version, sha256, modified, rules, content,
names)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET job = excluded.job, run = excluded.run, part = excluded.part, change = excluded.change,
listed = excluded.listed, settled = excluded.settled, size = excluded.size, version = excluded.version,
sha256 = excluded.sha256, modified = excluded.modified, rules = excluded.rules, content = excluded.content,
names = excluded.names
"""


def _past(row: Sequence[object]) -> Past:
    *plain, names, packed, carried = row
    known = _names.decode(names) if isinstance(names, bytes) else {}
    fields = zip(Past.__struct_fields__, [*plain, known, packed, carried], strict=True)
    return msgspec.convert(dict(fields), Past, strict=False)  # SQLite has no booleans
