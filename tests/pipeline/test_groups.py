"""Small local files in groups: each has its own record all the same, whatever its neighbours do."""

import os
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from modelaudit.limits import Limits
from modelaudit.model import FileReport, Inspection, Target
from modelaudit.pipeline.flow import Flow
from modelaudit.pipeline.groups import FILES_MOST
from modelaudit.pipeline.policy import Policy
from modelaudit.progress import Silent
from modelaudit.sources.local import Files
from modelaudit.workers.jobs import SMALL_BYTES, Landing, Lost, Outcome, Pending
from modelaudit.workers.pool import WorkersUnavailable
from modelaudit.workers.wire import Broken, Done, Job, Need

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Workers:
    """A pool that answers by what the file's name says, and notes which way each file came."""

    def __init__(self) -> None:
        self.together: list[list[str]] = []
        self.alone: list[str] = []
        self.forgotten: list[str] = []

    def _outcome(self, job: Job, descriptor: int) -> Outcome | None:
        name = os.path.basename(job.uri)
        if name.startswith("dies"):
            return Lost("worker_died", "it ended")
        if name.startswith("hog"):
            return Broken(job.id, "memory", "too much")
        if name.startswith("grows") and (job.size, name) == (1, name):
            with open(job.uri, "ab") as file:
                file.write(b"more")
        if name.startswith("asks") and not job.folders:
            return Need(job.id, folders=("",))
        assert os.pread(descriptor, job.size, 0), "the descriptor is that of an open file"
        return Done(job.id, Inspection("scanned", bytes_viewed=job.size))

    def give(self, jobs: Sequence[tuple[Job, int]], seconds: float, landing: Landing) -> list[Pending]:
        self.together.append([os.path.basename(job.uri) for job, _ in jobs])
        given = [Pending(job, descriptor, seconds, landing) for job, descriptor in jobs]
        for pending in reversed(given):
            if not pending.job.uri.endswith("hangs"):
                pending.end(self._outcome(pending.job, pending.descriptor))
        return given

    def answer(self, pending: Pending) -> Outcome:
        if pending.outcome is None:
            raise WorkersUnavailable("none")
        return pending.outcome

    def forget(self, given: Sequence[Pending]) -> None:
        self.forgotten += [os.path.basename(pending.job.uri) for pending in given]

    async def scan(self, job: Job, descriptor: int, seconds: float) -> tuple[Outcome, float]:
        self.alone.append(os.path.basename(job.uri))
        outcome = self._outcome(job, descriptor)
        assert outcome is not None
        return outcome, 0.0


async def audit(
    folder: Path, *, limits: Limits | None = None, stop: bool = False
) -> tuple[dict[str, FileReport], Workers]:
    """The records of `folder` by name, and the workers; with `stop` the run is ended when one hangs."""
    records: list[FileReport] = []
    workers = Workers()

    async def keep(batch: Sequence[FileReport]) -> None:
        records.extend(batch)

    limits = limits or Limits()
    flow = Flow(
        [(Files(limits), str(folder))],
        workers,  # type: ignore[arg-type]
        keep,
        limits=limits,
        hints={},
        policy=Policy(),
        progress=Silent(),
    )
    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(flow.run)
            if stop:
                await anyio.sleep(0.3)
                flow.stop("interrupted")
    assert len({record.uri for record in records}) == len(records)
    return {os.path.basename(record.uri): record for record in records}, workers


def fill(folder: Path, *names: str, size: int = 1) -> None:
    for name in names:
        (folder / name).write_bytes(b"x" * size)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_small_files_go_together(tmp_path: Path) -> None:
    """Sixteen at a time; a large one, an empty one and a link that leads nowhere go alone."""
    names = [f"small{number:03d}" for number in range(40)]
    fill(tmp_path, *names)
    fill(tmp_path, "large", size=SMALL_BYTES + 1)
    fill(tmp_path, "nothing", size=0)
    os.symlink("nowhere", tmp_path / "link")
    before = descriptors()
    records, workers = await audit(tmp_path)
    assert descriptors() == before
    assert sorted(name for group in workers.together for name in group) == names
    assert max(map(len, workers.together)) == FILES_MOST
    assert workers.alone == ["large"]
    assert {records[name].status for name in names} == {"scanned"}
    assert [(records[name].status, records[name].reason) for name in ("nothing", "link", "large")] == [
        ("skipped", "empty"),
        ("skipped", "symlink_broken"),
        ("scanned", None),
    ]


async def test_what_goes_wrong_costs_one_record(tmp_path: Path) -> None:
    """A worker that dies, memory that runs out: the neighbours in the group are not touched."""
    fill(tmp_path, *(f"{what}{number}" for what in ("fine", "dies", "hog") for number in range(5)))
    records, workers = await audit(tmp_path)
    assert {name.rstrip("01234"): (one.status, one.reason) for name, one in records.items()} == {
        "fine": ("scanned", None),
        "dies": ("failed", "worker_died"),
        "hog": ("failed", "memory"),
    }
    assert len(records) == 15
    assert not workers.alone


async def test_what_needs_another_look_is_audited_alone(tmp_path: Path) -> None:
    """A scan that asks for names, a file that changes meanwhile: one right record each in the end."""
    fill(tmp_path, "asks", "grows", "fine1", "fine2")
    records, workers = await audit(tmp_path)
    assert {name: one.status for name, one in records.items()} == dict.fromkeys(
        ("asks", "grows", "fine1", "fine2"), "scanned"
    )
    assert set(workers.alone) == {"asks", "grows"}
    assert records["grows"].size == 5


async def test_a_file_that_cannot_be_opened_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone or has become another file since the listing has its reason in its record."""
    fill(tmp_path, "gone", "other", "fine")
    opened = Files.open

    def late(source: Files, target: Target) -> int:
        if target.key.endswith("gone"):
            Path(target.key).unlink(missing_ok=True)
        return opened(source, target)

    monkeypatch.setattr(Files, "open", late)
    records, _ = await audit(tmp_path)
    assert [(records[name].status, records[name].reason) for name in ("gone", "fine")] == [
        ("failed", "not_found"),
        ("scanned", None),
    ]


async def test_a_stopped_run_keeps_what_was_done(tmp_path: Path) -> None:
    """Of a group in which one file hangs, the others have been recorded when the run is interrupted."""
    fill(tmp_path, *(f"fine{number}" for number in range(10)), "this one hangs")
    before = descriptors()
    records, workers = await audit(tmp_path, stop=True)
    assert descriptors() == before
    assert records.pop("this one hangs").reason == "interrupted"
    assert {record.status for record in records.values()} == {"scanned"}
    assert workers.forgotten == ["this one hangs"]


@pytest.mark.parametrize("limits", [Limits(max_total_bytes=5), Limits(max_file_bytes=3)])
async def test_budgets_are_kept(tmp_path: Path, limits: Limits) -> None:
    """Bytes that are counted, and files that are too large, are as ever."""
    fill(tmp_path, *(f"file{number}" for number in range(4)), size=4)
    records, workers = await audit(tmp_path, limits=limits)
    assert not workers.together
    assert {record.reason for record in records.values()} >= {
        "total_budget" if limits.max_total_bytes else "max_file_size"
    }
