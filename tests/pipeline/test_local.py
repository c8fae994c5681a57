"""Local files through the flow: a file that changes while it is scanned is read again, once."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from modelaudit.limits import Limits
from modelaudit.model import FileReport, Inspection, Target
from modelaudit.pipeline.objects import Auditor
from modelaudit.sources.local import Files
from modelaudit.workers.pool import Lost, Outcome
from modelaudit.workers.wire import Done, Job

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Worker:
    """Does something to the file while it scans it."""

    def __init__(self, meanwhile: Callable[[int], None], lost: bool = False) -> None:
        self.meanwhile = meanwhile
        self.lost = lost
        self.scans = 0

    async def scan(self, job: Job, descriptor: int, seconds: float) -> tuple[Outcome, float]:
        self.scans += 1
        self.meanwhile(self.scans)
        if self.lost:
            return Lost("changed", "shorter"), 0.0
        return Done(job.id, Inspection("scanned", bytes_viewed=job.size)), 0.0


async def audit(path: Path, worker: Worker) -> FileReport:
    status = path.stat()
    target = Target(str(path), str(path), status.st_size, f"{status.st_size}-{status.st_mtime_ns}")
    return await Auditor(worker, Limits(), {}).audit(Files(Limits()), target)


async def test_a_file_that_changes_once_is_read_again(tmp_path: Path) -> None:
    """The record is that of the second reading: its size, its version."""
    path = tmp_path / "model"
    path.write_bytes(b"first")
    worker = Worker(lambda number: path.write_bytes(b"second time") and None if number == 1 else None)
    record = await audit(path, worker)
    assert (record.status, record.size, worker.scans) == ("scanned", 11, 2)
    assert (record.version or "").startswith("11-")


async def test_a_file_that_keeps_changing_is_said_so(tmp_path: Path) -> None:
    """Two readings are enough to know."""
    path = tmp_path / "model"
    path.write_bytes(b"x")

    def grow(number: int) -> None:
        path.write_bytes(b"x" * (number + 1))

    worker = Worker(grow)
    record = await audit(path, worker)
    assert (record.status, record.reason, worker.scans) == ("failed", "changed", 2)


async def test_a_worker_lost_to_a_shrinking_file_is_a_change(tmp_path: Path) -> None:
    """The fault of the file is not put down to the worker."""
    path = tmp_path / "model"
    path.write_bytes(b"x")
    record = await audit(path, Worker(lambda _: None, lost=True))
    assert (record.status, record.reason) == ("failed", "changed")


async def test_a_file_replaced_after_the_listing_is_read_as_it_is_now(tmp_path: Path) -> None:
    """What was listed is gone; what is there is scanned, under its own version."""
    path = tmp_path / "model"
    path.write_bytes(b"listed")
    status = path.stat()
    target = Target(str(path), str(path), status.st_size, f"{status.st_size}-{status.st_mtime_ns}")
    (tmp_path / "new").write_bytes(b"replaced by more")
    os.replace(tmp_path / "new", path)
    record = await Auditor(Worker(lambda _: None), Limits(), {}).audit(Files(Limits()), target)
    assert (record.status, record.size) == ("scanned", 16)
