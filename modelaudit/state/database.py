"""Opening the SQLite file: that it is ours, that nobody else has it, that its shape is known; and what errors mean."""

import contextlib
import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from typing import Final

from modelaudit.errors import UsageError

_OURS: Final = 0x4D6F6441  # "ModA", where SQLite keeps whose file it is
SHAPE: Final = 1  # of the tables; a file with a higher number was made by a newer modelaudit
_CACHE_KIB: Final = 8192

_TABLES: Final = """
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    job BLOB NOT NULL,      -- a digest of what is listed
    rules BLOB NOT NULL,    -- a digest of what shapes the result
    part INTEGER NOT NULL,  -- counts the outputs that the run began anew with after a kill
    ended TEXT,             -- NULL for a run that was killed, or still goes on
    output INTEGER,         -- bytes of the output file that hold records that are kept here
    tail BLOB               -- the last of them
);
CREATE TABLE objects (
    id INTEGER PRIMARY KEY, -- in the order of the first listing, so that a nightly run goes through neighbours
    key BLOB NOT NULL UNIQUE,
    job BLOB NOT NULL,
    run INTEGER NOT NULL,   -- that its last record belongs to
    part INTEGER NOT NULL,
    change TEXT NOT NULL,
    listed INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    size INTEGER,
    version TEXT,
    sha256 TEXT,
    modified TEXT,
    rules BLOB NOT NULL,
    content BLOB,
    names BLOB
);
CREATE INDEX same_content ON objects (content) WHERE content IS NOT NULL;
CREATE TABLE reports (      -- apart, so that an object that did not change costs no rewriting of its record
    id INTEGER PRIMARY KEY,
    report BLOB NOT NULL,   -- zlib of MessagePack
    carried BLOB NOT NULL
);
"""


@contextlib.contextmanager
def opened(path: str) -> Iterator[sqlite3.Connection]:
    """The database at `path`, made if there is none; nobody else can open it meanwhile. Raises `UsageError`.

    The lock is one of the file's description (flock): SQLite's own are lost when this process closes any other
    descriptor of the file.
    """
    with contextlib.ExitStack() as held:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"--state {path}: {cause}; name a file in a folder that you may write to") from error
        held.callback(os.close, descriptor)
        _lock(descriptor, path)
        with explained(path):
            connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            held.callback(connection.close)
            _prepare(connection, path)
        yield connection


def _lock(descriptor: int, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise UsageError(
                f"--state {path}: it cannot be locked: {error.strerror}; keep it on a local disk"
            ) from error
        raise UsageError(
            f"--state {path}: another run uses it now; wait for its end, or name another file for this one"
        ) from error


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """See whose file it is before anything in it is touched, then make it ready."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # no file of shared memory beside it
    [owner] = connection.execute("PRAGMA application_id").fetchone()
    [shape] = connection.execute("PRAGMA user_version").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and owner != _OURS:
        raise UsageError(f"--state {path}: a database, but not one of modelaudit's; name another file")
    if shape > SHAPE:
        raise UsageError(
            f"--state {path}: made by a newer modelaudit (shape {shape}, this one knows {SHAPE}); "
            "update modelaudit, or name another file"
        )
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    # A kill leaves what was committed. After a power failure the file is whole and may lack the last moments; the
    # output's bytes are on the disk before anything here says so.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if not tables:
        connection.executescript(
            f"BEGIN; {_TABLES} PRAGMA application_id = {_OURS}; PRAGMA user_version = {SHAPE}; COMMIT;"
        )
    else:
        connection.execute("SELECT job, run FROM objects JOIN reports USING (id) LIMIT 1").fetchone()


@contextlib.contextmanager
def explained(path: str) -> Iterator[None]:
    """Turn what SQLite says into `UsageError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise UsageError(sentence(path, error)) from error


def sentence(path: str, error: Exception) -> str:
    """What went wrong with the file at `path`, and what to do."""
    code = getattr(error, "sqlite_errorname", "") or ""
    for kind, said in _KINDS.items():
        if code.startswith(kind):
            return f"--state {path}: {said}"
    return f"--state {path}: {error}; move the file away to begin anew"


_KINDS: Final = {
    "SQLITE_NOTADB": "this is no state of modelaudit; name another file",
    "SQLITE_CORRUPT": "the file is damaged; move it away to begin anew",
    "SQLITE_FULL": "there is no room left on its disk; free some",
    "SQLITE_READONLY": "it may not be written to; name a file in a folder that you may write to",
    "SQLITE_CANTOPEN": "it cannot be opened; name a file in a folder that you may write to",
    "SQLITE_PERM": "it may not be written to; name a file in a folder that you may write to",
    "SQLITE_BUSY": "another program uses it now; wait for its end, or name another file for this run",
    "SQLITE_IOERR": "its disk does not read or write as it should; look at the disk, or name a file elsewhere",
}
