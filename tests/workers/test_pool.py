"""The pool with real processes: answers, questions, deaths, hangs and nonsense."""

import os
import select
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from modelaudit.limits import Limits
from modelaudit.model import Inspection
from modelaudit.workers import child
from modelaudit.workers.launch import Nursery
from modelaudit.workers.pool import Lost, Outcome, Pool, WorkersUnavailable
from modelaudit.workers.starter import NotStarted, Starter
from modelaudit.workers.wire import Broken, Done, Job, Need, Setup

pytestmark = pytest.mark.anyio

# A worker whose scan does what the object's name says, inside the real cage and the real loop.
STUB = """
import json, sys; sys.path[:] = json.loads(sys.argv[1])
import ctypes, os, time
from modelaudit import engine
from modelaudit.model import Finding, Inspection, Severity
from modelaudit.workers import child, nursery
SOME = Finding("id", "stub", Severity.CRITICAL, "message", "why", "place")
def inspect(self, blob, limits, *, uri, blacklist, weights, on_finding):
    if uri == "hang":
        while True: pass
    if uri == "find then hang":
        on_finding(SOME); time.sleep(0.3); on_finding(SOME)
        while True: pass
    if uri == "exit": os._exit(7)
    if uri == "crash": ctypes.string_at(0)
    if uri == "memory": bytearray(limits.worker_memory_bytes)
    if uri == "recurse":
        def again(): return again()
        again()
    if uri == "bug": return 1 // 0
    if uri == "nonsense": os.write(int(sys.argv[2]), b"\\x05\\x00\\x00\\x00hello"); time.sleep(60)
    if uri == "endless frame": os.write(int(sys.argv[2]), b"\\xff\\xff\\xff\\xff"); time.sleep(60)
    if uri == "slow": time.sleep(0.2)
    return Inspection("scanned", scanners=(uri, bytes(blob.view(0, 4)).hex(), str(os.getpid())))
engine.Engine.inspect = inspect
nursery.main(int(sys.argv[2]))
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def stub_pool(monkeypatch: pytest.MonkeyPatch, workers: int = 1, program: str = STUB) -> AsyncIterator[Pool]:
    limits = Limits(worker_memory_bytes=512 << 20)
    with anyio.fail_after(60):
        async with Pool(Setup(limits), workers, Starter(launch=lambda: Nursery(program))) as pool:
            yield pool


async def scan(pool: Pool, name: str, *, number: int = 1, seconds: float = 20) -> Outcome:
    descriptor = os.open(__file__, os.O_RDONLY)
    try:
        outcome, _spent = await pool.scan(Job(number, name, 4, ((0, 4),)), descriptor, seconds)
    finally:
        os.close(descriptor)
    return outcome


def done_pid(outcome: Outcome) -> str:
    assert isinstance(outcome, Done), outcome
    return outcome.inspection.scanners[2]


async def test_a_job_is_answered_with_the_bytes_of_its_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker reads the descriptor that came with the job."""
    async with stub_pool(monkeypatch) as pool:
        outcome = await scan(pool, "fine")
        assert isinstance(outcome, Done)
        assert outcome.inspection.scanners[:2] == ("fine", Path(__file__).read_bytes()[:4].hex())


async def test_many_jobs_keep_their_descriptors_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Jobs sent ahead arrive with their own descriptors, in order, whoever answers."""
    answers: dict[int, str] = {}

    async def one(pool: Pool, number: int) -> None:
        path = tmp_path / str(number)
        path.write_bytes(number.to_bytes(4, "big"))
        descriptor = os.open(path, os.O_RDONLY)
        outcome, _ = await pool.scan(Job(number, "many", 4, ((0, 4),)), descriptor, 20)
        os.close(descriptor)
        assert isinstance(outcome, Done)
        answers[number] = outcome.inspection.scanners[1]

    async with stub_pool(monkeypatch, workers=2) as pool, anyio.create_task_group() as group:
        for number in range(1, 301):
            group.start_soon(one, pool, number)
    assert answers == {number: number.to_bytes(4, "big").hex() for number in range(1, 301)}


async def test_missing_bytes_become_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read outside the extents is answered with the ranges that are needed."""
    async with stub_pool(monkeypatch) as pool:
        descriptor = os.open(__file__, os.O_RDONLY)
        outcome, _ = await pool.scan(Job(1, "fine", 4, ((0, 2),)), descriptor, 20)
        os.close(descriptor)
        assert outcome == Need(1, ((2, 2),))


@pytest.mark.parametrize("name", ["exit", "crash"])
async def test_a_death_costs_one_job(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The job in hand is lost with its worker; the jobs sent ahead are answered by the next one."""
    outcomes: dict[str, Outcome] = {}

    async def one(pool: Pool, label: str, number: int) -> None:
        outcomes[label] = await scan(pool, label, number=number)

    async with stub_pool(monkeypatch) as pool:
        async with anyio.create_task_group() as group:
            for number, label in enumerate(("slow", name, "a", "b", "c"), 1):
                group.start_soon(one, pool, label, number)
        assert pool.deaths == 1
    lost = outcomes.pop(name)
    assert isinstance(lost, Lost)
    assert lost.reason == "worker_died"
    assert all(isinstance(outcome, Done) for outcome in outcomes.values())


async def test_a_hang_is_killed_and_only_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is enforced from outside; the neighbour's worker is not touched."""
    async with stub_pool(monkeypatch, workers=2) as pool:
        first = await scan(pool, "fine")
        outcome = await scan(pool, "hang", number=2, seconds=0.5)
        assert outcome == Lost("timeout", "the scan took longer than 0.5 seconds")
        again = [done_pid(await scan(pool, "fine", number=number)) for number in (3, 4)]
        assert done_pid(first) in again or pool.deaths == 1


async def test_small_jobs_behind_a_slow_one_go_to_a_neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small jobs are sent ahead; those behind one that hangs are done elsewhere, each once, and it ends alone."""
    outcomes: dict[int, Outcome] = {}

    async def one(pool: Pool, name: str, number: int) -> None:
        outcomes[number] = await scan(pool, name, number=number, seconds=40)

    async with stub_pool(monkeypatch, workers=2) as pool, anyio.create_task_group() as group:
        await scan(pool, "fine")
        group.start_soon(one, pool, "hang", 2)
        with anyio.fail_after(20):
            async with anyio.create_task_group() as others:
                for number in range(3, 40):
                    others.start_soon(one, pool, "fine", number)
        assert 2 not in outcomes
        assert pool.deaths == 0
        group.cancel_scope.cancel()
    assert sorted(outcomes) == list(range(3, 40))
    assert all(isinstance(outcome, Done) for outcome in outcomes.values())


async def test_a_job_moved_away_from_a_worker_that_dies_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was given to a neighbour is not given out again when the first worker is killed, nor lost with it."""
    outcomes: dict[int, Outcome] = {}

    async def one(pool: Pool, name: str, number: int, seconds: float = 40) -> None:
        outcomes[number] = await scan(pool, name, number=number, seconds=seconds)

    async with stub_pool(monkeypatch, workers=2) as pool:
        await scan(pool, "fine")
        async with anyio.create_task_group() as group:
            group.start_soon(one, pool, "hang", 2, 1.5)
            for number in range(3, 20):
                group.start_soon(one, pool, "fine", number)
        assert pool.deaths == 1
    lost = outcomes.pop(2)
    assert isinstance(lost, Lost)
    assert lost.reason == "timeout"
    assert all(isinstance(outcome, Done) for outcome in outcomes.values())


async def test_what_was_found_before_a_hang_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Findings are told while the job runs, so that killing it does not lose them."""
    async with stub_pool(monkeypatch) as pool:
        outcome = await scan(pool, "find then hang", seconds=1.5)
        assert isinstance(outcome, Lost)
        assert outcome.reason == "timeout"
        assert [finding.rule for finding in outcome.findings] == ["stub", "stub"]


async def test_memory_beyond_the_bound_costs_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that asks for too much memory fails with that reason; the next job gets a fresh worker."""
    async with stub_pool(monkeypatch) as pool:
        before = done_pid(await scan(pool, "fine"))
        outcome = await scan(pool, "memory", number=2)
        assert isinstance(outcome, Broken)
        assert outcome.reason == "memory"
        assert done_pid(await scan(pool, "fine", number=3)) != before


@pytest.mark.parametrize("name", ["bug", "recurse"])
async def test_a_fault_of_ours_costs_the_job_not_the_worker(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An exception in a scanner is reported with its place, and the worker goes on."""
    async with stub_pool(monkeypatch) as pool:
        before = done_pid(await scan(pool, "fine"))
        outcome = await scan(pool, name, number=2)
        assert isinstance(outcome, Broken)
        assert outcome.reason == "internal"
        assert "Error" in outcome.message
        assert done_pid(await scan(pool, "fine", number=3)) == before


@pytest.mark.parametrize("name", ["nonsense", "endless frame"])
async def test_nonsense_ends_the_worker_not_the_run(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A worker in hostile hands can say what it likes: it is ended, and its job says why."""
    async with stub_pool(monkeypatch) as pool:
        outcome = await scan(pool, name)
        assert isinstance(outcome, Lost)
        assert outcome.reason == "worker_died"
        assert "nonsense" in outcome.message
        assert isinstance(await scan(pool, "fine", number=2), Done)


async def test_an_answer_to_another_job_is_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker cannot answer in place of another."""
    program = STUB.replace('if uri == "bug": return 1 // 0', 'if uri == "bug": child.Done = lambda i, x: DONE(99, x)')
    program = program.replace("engine.Engine.inspect", "DONE = child.Done\nengine.Engine.inspect")
    async with stub_pool(monkeypatch, program=program) as pool:
        outcome = await scan(pool, "bug")
        assert isinstance(outcome, Lost)
        assert "job 99" in outcome.message


async def test_a_worker_that_cannot_start_is_said_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation ends the wait with what the worker said."""
    async with stub_pool(monkeypatch, program="raise SystemExit('no module named sense')") as pool:
        with pytest.raises(WorkersUnavailable, match="no module named sense"):
            await scan(pool, "fine")


async def test_the_worker_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the parent, where the keys are, does not reach the worker."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted")
    program = STUB.replace("scanners=(uri,", "scanners=(' '.join(sorted(os.environ)),")
    async with stub_pool(monkeypatch, program=program) as pool:
        outcome = await scan(pool, "fine")
        assert isinstance(outcome, Done)
        assert outcome.inspection.scanners[0] == "LC_ALL OMP_NUM_THREADS OPENBLAS_NUM_THREADS"


async def test_a_file_that_shrank_before_it_was_mapped_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, a moment earlier: a reason, not a fault of ours."""
    async with stub_pool(monkeypatch) as pool:
        descriptor = os.open(__file__, os.O_RDONLY)
        outcome, _ = await pool.scan(Job(1, "fine", 1 << 40, ((0, 1 << 40),)), descriptor, 20)
        os.close(descriptor)
    assert isinstance(outcome, Broken)
    assert outcome.reason == "changed"


async def test_no_worker_outlives_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaving the pool ends its processes, also in the middle of a job."""
    async with stub_pool(monkeypatch) as pool:
        number = int(done_pid(await scan(pool, "fine")))
        with anyio.move_on_after(0.3):
            await scan(pool, "hang", number=2)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


async def test_a_shrinking_file_is_changed_not_a_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Reading a mapped page that is no longer there kills the worker; the reason says what happened."""
    path, size = tmp_path / "shrinks", 1 << 17  # smaller ones are copied at once
    path.write_bytes(bytes(size))
    program = STUB.replace("time.sleep(0.2)", "time.sleep(0.8); blob.view(65536, 4).tobytes()")
    async with stub_pool(monkeypatch, program=program) as pool, anyio.create_task_group() as group:
        await scan(pool, "fine")  # from here on the worker is there

        async def cut() -> None:
            await anyio.sleep(0.1)
            os.truncate(path, 0)

        descriptor = os.open(path, os.O_RDONLY)
        os.truncate(path, size)
        group.start_soon(cut)
        outcome, _ = await pool.scan(Job(1, "slow", size, ((0, size),)), descriptor, 20)
        os.close(descriptor)
    assert isinstance(outcome, Lost)
    assert outcome.reason == "changed"


def test_inspections_are_values() -> None:
    """What crosses the wire cannot be changed on the way."""
    with pytest.raises(AttributeError):
        Inspection("scanned").status = "failed"  # type: ignore[misc]


async def test_workers_are_started_by_a_thread_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel ends a worker with the thread that started it, so that thread must be the loop's own."""
    threads: list[int] = []

    def launch() -> Nursery:
        threads.append(threading.get_ident())
        return Nursery(STUB)

    async with Pool(Setup(Limits()), 1, Starter(launch=launch)) as pool:
        await scan(pool, "fine")
    assert threads == [threading.get_ident()]


async def test_a_nursery_that_ended_before_it_was_asked_has_said_why() -> None:
    """Its cause is told, not that the pipe to it is broken."""
    failing = Nursery("raise RuntimeError('no such catalogue')")
    select.select([failing.control], [], [], 60)  # it has ended
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(NotStarted, match=r"^RuntimeError: no such catalogue$"):
        await Starter(failing).fork(theirs, ())
    failing.close()


async def nursery_pid(pool: Pool) -> int:
    """The process that the only worker was copied from."""
    worker = int(done_pid(await scan(pool, "fine")))
    return int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])


async def test_a_nursery_that_is_killed_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its workers die with it; the next jobs are answered all the same, by copies of a new one."""
    async with stub_pool(monkeypatch) as pool:
        before = await nursery_pid(pool)
        os.kill(before, 9)
        while pool.deaths == 0:  # noqa: ASYNC110  the pool counts, it tells nobody
            await anyio.sleep(0.01)
        assert await nursery_pid(pool) != before


NEEDY = STUB.replace(
    'if uri == "bug": return 1 // 0',
    """if uri in ("wave", "no_such_module", "colorsys"):
        if uri not in sys.modules: raise errors.Missing(modules=[uri])""",
).replace(
    "nursery.main(",
    """from modelaudit import catalogue, errors
FORMATS = {"x": catalogue.Format("x", "x", needs=("wave", "no_such_module"))}
catalogue.load = lambda: catalogue.Catalogue(FORMATS, {})
engine.Engine.__init__ = lambda self, known, imports: None
engine.Engine.warm = lambda self: None
nursery.main(""",
)


async def test_a_job_that_needs_a_module_gets_a_worker_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caged worker can load nothing any more: another takes its place, and jobs sent ahead lose nothing."""
    outcomes: list[Outcome] = []

    async def one(pool: Pool, label: str, number: int) -> None:
        outcomes.append(await scan(pool, label, number=number))

    async with stub_pool(monkeypatch, program=NEEDY) as pool:
        async with anyio.create_task_group() as group:
            for number, label in enumerate(("fine", "wave", "slow", "wave", "fine"), 1):
                group.start_soon(one, pool, label, number)
        assert len({done_pid(outcome) for outcome in outcomes}) == 2
        assert pool.deaths == 0


@pytest.mark.parametrize("name", ["no_such_module", "colorsys"])
async def test_a_module_that_is_not_to_be_had_costs_one_job(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """One that is not installed, or that no format is known to need: the job says so, and the pool goes on."""
    async with stub_pool(monkeypatch, program=NEEDY) as pool:
        outcome = await scan(pool, name)
        assert isinstance(outcome, Broken)
        assert outcome.reason == "modules"
        assert name in outcome.message
        assert isinstance(await scan(pool, "fine", number=2), Done)


@pytest.mark.parametrize("size", [1, 100, 1 << 16, (1 << 16) + 1, 1 << 18])
def test_bytes_of_a_file_copied_or_mapped(size: int, tmp_path: Path) -> None:
    """Small files are copied, large ones mapped; one that is shorter than it was gives None, a longer one its start."""
    path = tmp_path / "file"
    content = bytes(range(256)) * (size // 256 + 2)
    path.write_bytes(content[:size])
    descriptor = os.open(path, os.O_RDONLY)
    try:
        job = Job(1, "file", size, ((0, size),))
        data = child._bytes(descriptor, job)
        assert data is not None and data[:] == content[:size]
        assert isinstance(data, bytes) == (size <= 1 << 16)
        os.truncate(path, size - 1)
        assert child._bytes(descriptor, job) is None
        path.write_bytes(content)
        longer = child._bytes(descriptor, job)
        assert longer is not None and longer[:] == content[:size]
    finally:
        os.close(descriptor)


def test_bytes_of_a_file_of_which_a_part_is_here(tmp_path: Path) -> None:
    """A sparse spool is mapped whatever its size, and nothing at all is no bytes."""
    path = tmp_path / "spool"
    path.write_bytes(b"head" + bytes(96))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        part = child._bytes(descriptor, Job(1, "spool", 100, ((0, 4),)))
        assert part is not None and not isinstance(part, bytes) and part[:4] == b"head"
        assert child._bytes(descriptor, Job(1, "spool", 100, ())) == b""
        assert child._bytes(descriptor, Job(1, "spool", 0, ())) == b""
    finally:
        os.close(descriptor)
