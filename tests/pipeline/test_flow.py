"""The flow with a source and workers of our own making: one record for each listed object, whatever happens."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel
import pytest

from modelaudit.catalogue import Hint
from modelaudit.errors import ModelauditError, SourceError
from modelaudit.limits import KIB, MIB, Limits
from modelaudit.model import FileReport, Inspection, Target
from modelaudit.pipeline.flow import Flow
from modelaudit.pipeline.policy import Policy
from modelaudit.sources.interface import Chunk
from modelaudit.workers.pool import Lost, Outcome
from modelaudit.workers.wire import Broken, Done, Job, Need

pytestmark = pytest.mark.anyio

HEAD = Limits().head_bytes


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Silent:
    """A progress that nobody sees."""

    def listed(self, count: int, size: int) -> None: ...
    def done(self, report: FileReport) -> None: ...
    def read(self, count: int) -> None: ...
    def listing_done(self) -> None: ...


class Memory:
    """A source of named objects; a name says what goes wrong with it."""

    scheme = "memory"

    def __init__(self, objects: dict[str, bytes], page: int = 7) -> None:
        self.objects = objects
        self.page = page
        self.pages_listed = 0
        self.reads: list[tuple[str, int, int]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def list(self, path: str) -> AsyncIterator[Sequence[Target]]:
        names = list(self.objects)
        for start in range(0, len(names), self.page):
            self.pages_listed += 1
            await anyio.lowlevel.checkpoint()
            yield [Target(f"memory:{n}", n, len(self.objects[n]), "v1") for n in names[start : start + self.page]]
        if path == "denied":
            yield [Target("memory:denied/", "denied/", skip=("access_denied", "no"), failed=True)]
        if path == "breaks":
            raise SourceError("unreachable", "the listing broke")

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        await anyio.lowlevel.checkpoint()
        self.reads.append((target.key, offset, length))
        data = self.objects[target.key]
        if "forbidden" in target.key:
            raise SourceError("access_denied", "no")
        if "hangs" in target.key:
            await anyio.sleep_forever()
        if "changes once" in target.key and version == "v1":
            raise SourceError("changed", "another version")
        if "always changes" in target.key:
            raise SourceError("changed", "another version")
        return Chunk(data[offset : offset + length], len(data), "v2" if "changes" in target.key else "v1")


class Workers:
    """Answers as a name says; asks for the bytes that the object's content lists as `offset:length`."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    async def scan(self, job: Job, descriptor: int, seconds: float) -> tuple[Outcome, float]:
        await anyio.lowlevel.checkpoint()
        self.jobs.append(job)
        if "timeout" in job.uri:
            return Lost("timeout", "too long"), seconds
        if "dies" in job.uri:
            return Lost("worker_died", "killed"), 0.0
        if "memory hog" in job.uri:
            return Broken(job.id, "memory", "too much"), 0.0
        if "stuck" in job.uri:
            return Need(job.id, ((0, 1),)), 0.0
        if "reads to the end" in job.uri and job.extents[-1][0] + job.extents[-1][1] < job.size:
            return Need(job.id, ((job.size - 10, 10),)), 0.0
        if "hops" in job.uri:
            return Need(job.id, ((len(job.extents) * 100 * KIB, 1),)), 0.0
        if "reads on" in job.uri and job.extents[0][1] < job.size:
            return Need(job.id, ((job.extents[0][1], 1),)), 0.0
        return Done(job.id, Inspection("scanned", formats=("x",))), 0.001


def flow_over(
    source: Memory,
    deliver: Callable[[Sequence[FileReport]], object] | None = None,
    *,
    path: str = "",
    limits: Limits | None = None,
    policy: Policy | None = None,
    hints: dict[str, Hint] | None = None,
    dry_run: bool = False,
) -> tuple[Flow, list[FileReport], Workers]:
    records: list[FileReport] = []
    workers = Workers()

    async def keep(batch: Sequence[FileReport]) -> None:
        records.extend(batch)
        if deliver is not None:
            deliver(batch)

    flow = Flow(
        [(source, path)],
        None if dry_run else workers,  # type: ignore[arg-type]  a pool by its one method
        keep,
        limits=limits or Limits(concurrency=8),
        hints=hints or {},
        policy=policy or Policy(),
        progress=Silent(),
    )
    return flow, records, workers


TROUBLE = ("fine", "forbidden", "changes once", "always changes", "timeout", "dies", "memory hog", "stuck", "empty")


async def test_each_listed_object_has_exactly_one_record() -> None:
    """Whatever goes wrong with an object, it is one record, and its neighbours are not touched."""
    objects = {f"{what} {number}": b"" if what == "empty" else b"x" * 100 for number in range(40) for what in TROUBLE}
    flow, records, _ = flow_over(Memory(objects))
    with anyio.fail_after(20):
        await flow.run()
    assert Counter(record.uri for record in records) == {f"memory:{name}": 1 for name in objects}
    outcome = {record.uri.rsplit(" ", 1)[0]: (record.status, record.reason) for record in records}
    assert outcome == {
        "memory:fine": ("scanned", None),
        "memory:forbidden": ("failed", "access_denied"),
        "memory:changes once": ("scanned", None),
        "memory:always changes": ("failed", "changed"),
        "memory:timeout": ("failed", "timeout"),
        "memory:dies": ("failed", "worker_died"),
        "memory:memory hog": ("failed", "memory"),
        "memory:stuck": ("failed", "internal"),
        "memory:empty": ("skipped", "empty"),
    }
    assert flow.ended == "complete"


async def test_an_object_that_changed_is_reported_as_its_new_version() -> None:
    """The second reading pins what it found."""
    flow, records, _ = flow_over(Memory({"changes once": b"x" * 100}))
    await flow.run()
    assert records[0].version == "v2"


async def test_listing_waits_for_the_readers() -> None:
    """With slow objects the listing does not run ahead further than the queue is long."""
    source = Memory({f"hangs {number}": b"x" for number in range(1000)}, page=10)
    flow, records, _ = flow_over(source, limits=Limits(concurrency=4, page_objects=20))
    async with anyio.create_task_group() as group:
        group.start_soon(flow.run)
        await anyio.sleep(0.2)
        assert source.pages_listed <= 4
        flow.stop("interrupted")
    assert {(record.status, record.reason) for record in records} == {("skipped", "interrupted")}
    assert len({record.uri for record in records}) == len(records) >= 24


async def test_a_stop_records_what_was_begun_and_what_was_queued() -> None:
    """After a stop each object that was handed on has its record, scanned or interrupted."""
    source = Memory({f"{'hangs' if number % 3 else 'fine'} {number}": b"x" * 50 for number in range(60)})
    flow, records, _ = flow_over(source)
    async with anyio.create_task_group() as group:
        group.start_soon(flow.run)
        await anyio.sleep(0.2)
        flow.stop("terminated")
    assert flow.ended == "terminated"
    assert len({record.uri for record in records}) == len(records)
    assert ("skipped", "interrupted") in {(record.status, record.reason) for record in records}


async def test_what_cannot_be_listed_is_a_record() -> None:
    """A denied page and a listing that breaks off are records; what was listed before is scanned."""
    flow, records, _ = flow_over(Memory({"a": b"x"}), path="denied")
    await flow.run()
    assert sorted((record.status, record.reason or "") for record in records) == [
        ("failed", "access_denied"), ("scanned", ""),
    ]  # fmt: skip
    flow, records, _ = flow_over(Memory({"a": b"x"}), path="breaks")
    await flow.run()
    assert sorted((record.status, record.reason or "") for record in records) == [
        ("failed", "unreachable"), ("scanned", ""),
    ]  # fmt: skip


async def test_a_small_object_is_one_request() -> None:
    """Small objects are read whole at once."""
    source = Memory({"a": b"x" * 1000})
    flow, _, _ = flow_over(source)
    await flow.run()
    assert source.reads == [("a", 0, 1000)]


async def test_a_large_object_is_read_where_it_is_needed() -> None:
    """Head, then what the worker asks for, and nothing else."""
    source = Memory({"reads to the end": bytes(8 * MIB)})
    flow, records, workers = flow_over(source)
    await flow.run()
    assert [read[1:] for read in source.reads] == [(0, HEAD), (8 * MIB - 10, 10)]
    assert len(workers.jobs) == 2
    assert records[0].bytes_read == HEAD + 10


async def test_a_hint_brings_the_tail_with_the_head() -> None:
    """A format whose directory is at the end needs one round only."""
    source = Memory({"reads to the end.pt": bytes(8 * MIB)})
    flow, _, workers = flow_over(source, hints={".pt": Hint(0, 64 * KIB)})
    await flow.run()
    assert sorted(read[1:] for read in source.reads) == [(0, HEAD), (8 * MIB - 64 * KIB, 64 * KIB)]
    assert len(workers.jobs) == 1


async def test_reading_on_takes_few_rounds() -> None:
    """An object that is needed whole arrives in doubling steps, not in thousands."""
    source = Memory({"reads on": bytes(30 * MIB)})
    flow, records, workers = flow_over(source)
    await flow.run()
    assert records[0].status == "scanned"
    assert records[0].bytes_read == 30 * MIB
    assert len(workers.jobs) <= 10


async def test_a_scan_that_asks_on_and_on_ends() -> None:
    """So many rounds, and one more for each so many bytes: walking along a large archive takes one a member."""
    source = Memory({"hops": bytes(8 * MIB)})
    limits = Limits(rounds=5, round_bytes=4 * MIB, coalesce_gap_bytes=0)
    flow, records, workers = flow_over(source, limits=limits)
    await flow.run()
    assert (records[0].status, records[0].reason) == ("failed", "rounds")
    assert len(workers.jobs) == 7


async def test_the_total_budget_ends_the_reading_cleanly() -> None:
    """What is left over is listed as skipped; nothing beyond the budget is read."""
    source = Memory({f"a{number}": b"x" * 1000 for number in range(20)})
    flow, records, _ = flow_over(source, limits=Limits(concurrency=1, max_total_bytes=5500))
    await flow.run()
    counts = Counter((record.status, record.reason) for record in records)
    assert counts == {("scanned", None): 5, ("skipped", "total_budget"): 15}
    assert sum(length for _, _, length in source.reads) <= 5500
    assert flow.ended == "budget"


async def test_a_file_over_the_size_limit_is_not_read() -> None:
    """--max-file-size skips by the listed size."""
    source = Memory({"large": b"x" * 1000, "small": b"x"})
    flow, records, _ = flow_over(source, limits=Limits(max_file_bytes=999))
    await flow.run()
    assert {record.uri: record.reason for record in records} == {"memory:large": "max_file_size", "memory:small": None}
    assert [read[0] for read in source.reads] == ["small"]


async def test_globs_choose_objects() -> None:
    """Include and exclude hold against the whole name and its last part."""
    objects = {"keep/a.pt": b"x", "keep/b.txt": b"x", "drop/c.pt": b"x"}
    flow, records, _ = flow_over(Memory(objects), policy=Policy(include=["*.pt"], exclude=["*drop/*"]))
    await flow.run()
    assert [record.uri for record in records] == ["memory:keep/a.pt"]


async def test_a_dry_run_reads_nothing() -> None:
    """It lists what would be read, and says of the rest what a real run would say."""
    source = Memory({"a": b"x" * 10, "empty": b"", "large": b"x" * 1000})
    flow, records, _ = flow_over(source, dry_run=True, limits=Limits(max_file_bytes=10))
    await flow.run()
    assert source.reads == []
    said = {record.uri: (record.reason, record.size) for record in records}
    assert said == {
        "memory:a": ("dry_run", 10),
        "memory:empty": ("empty", 0),
        "memory:large": ("max_file_size", 1000),
    }


async def test_a_budget_is_spent_by_what_is_read() -> None:
    """Objects in flight reserve more than they read, and one that cannot be read gives all of it back."""
    source = Memory({f"forbidden {number}": b"x" * 1000 for number in range(20)} | {"fine": b"x" * 1000})
    flow, records, _ = flow_over(source, limits=Limits(concurrency=8, max_total_bytes=2500))
    await flow.run()
    assert Counter(record.reason for record in records) == {"access_denied": 20, None: 1}
    assert flow.ended == "complete"


async def test_a_reader_that_goes_away_ends_the_run() -> None:
    """When records can no longer be delivered nothing more is read, and the failure is raised."""

    def refuse(batch: Sequence[FileReport]) -> None:
        raise ModelauditError("the pipe is closed")

    source = Memory({f"a{number}": b"x" for number in range(5000)})
    flow, _, _ = flow_over(source, refuse)
    with anyio.fail_after(10), pytest.raises(ExceptionGroup) as error:
        await flow.run()
    assert error.group_contains(ModelauditError, match="pipe is closed")
    assert len(source.reads) < 4000


async def test_no_descriptor_is_left_open() -> None:
    """Spools and files are closed, also after trouble."""
    before = len(os.listdir("/proc/self/fd"))
    objects = {f"{what} {number}": b"x" * 100 for number in range(20) for what in TROUBLE}
    flow, _, _ = flow_over(Memory(objects))
    await flow.run()
    assert len(os.listdir("/proc/self/fd")) <= before
