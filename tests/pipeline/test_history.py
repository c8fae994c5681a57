"""A flow with a memory, over a source and workers of our own making: shared bytes, kills, failures, full disks."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.errors import SinkFailed, SourceError
from modelaudit.limits import Limits
from modelaudit.model import FileReport, Finding, Inspection, Severity, Target, finding_id
from modelaudit.pipeline.flow import Flow
from modelaudit.pipeline.history import remembering
from modelaudit.pipeline.policy import Policy
from modelaudit.pipeline.statistics import Statistics
from modelaudit.progress import Silent
from modelaudit.settings import Settings
from modelaudit.sources.interface import Chunk
from modelaudit.workers.pool import Outcome
from modelaudit.workers.wire import Done, Job

SHELF = "shelf://server/"


class Shelf:
    """A source of named objects that lists their digests, if it is told to. A name may say what goes wrong."""

    scheme = "shelf"

    def __init__(self, objects: dict[str, bytes], *, digests: bool = True, page: int = 5) -> None:
        self.objects = objects
        self.digests = digests
        self.page = page
        self.reads: list[str] = []
        self.denied: str | None = None
        self.down = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def list(self, path: str) -> AsyncIterator[Sequence[Target]]:
        names = [name for name in self.objects if self.denied is None or not name.startswith(self.denied)]
        for start in range(0, len(names), self.page):
            yield [self._target(name) for name in names[start : start + self.page]]
        if self.denied is not None:
            yield [Target(SHELF + self.denied, self.denied, skip=("access_denied", "no"), failed=True)]

    def _target(self, name: str) -> Target:
        data = self.objects[name]
        digest = sha256(data).hexdigest()
        return Target(SHELF + name, name, len(data), f"v-{digest[:8]}", digest if self.digests else None)

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        await anyio.lowlevel.checkpoint()
        if self.down:
            raise SourceError("unreachable", f"{target.uri}: nobody answers")
        self.reads.append(target.key)
        data = self.objects[target.key]
        return Chunk(data[offset : offset + length], len(data), target.version)

    async def names(self, target: Target, folder: str) -> dict[str, int | None] | None:
        return None


class Workers:
    """Finds each `!` of an object."""

    async def scan(self, job: Job, descriptor: int, seconds: float) -> tuple[Outcome, float]:
        await anyio.sleep(0.001)
        data = os.pread(descriptor, job.size, 0)
        found = [self._finding(job.uri, place) for place, byte in enumerate(data) if byte == ord("!")]
        return Done(job.id, Inspection("scanned", formats=("x",), findings=tuple(found))), 0.001

    def _finding(self, uri: str, place: int) -> Finding:
        identity = finding_id(uri, "x-bang", place, "a bang")
        return Finding(identity, "x-bang", Severity.WARNING, "a bang", "", f"{uri} (pos {place})", place)


class Killed(BaseException):
    """The process is no more."""


def night(
    shelf: Shelf,
    path: Path,
    *,
    deliver: Callable[[Sequence[FileReport]], object] | None = None,
    before: Callable[[object], object] | None = None,
    goes_on: bool = False,
    blacklist: tuple[str, ...] = (),
) -> list[FileReport]:
    """One run with the state at `path`: its records. `before` is given the state itself."""
    records: list[FileReport] = []
    asked = Settings(paths=(SHELF.replace("shelf", "s3"),), blacklist=blacklist)

    async def take(batch: Sequence[FileReport]) -> None:
        records.extend(batch)
        if deliver is not None:
            deliver(batch)

    async def run() -> None:
        with remembering(asked, str(path), "off") as history:
            await anyio.to_thread.run_sync(history.start, lambda: (1, b"x"), goes_on and history.run.resumed)
            if before is not None:
                before(history._state)
            flow = Flow(
                [(shelf, "")],
                Workers(),  # type: ignore[arg-type]  a pool by its one method
                take,
                limits=Limits(concurrency=4),
                hints={},
                policy=Policy(),
                progress=Silent(),
                history=history,
            )
            await flow.run()
            trouble.append(history.trouble)
            history.finish(flow.ended)

    trouble: list[str | None] = []
    try:
        anyio.run(run)
    except BaseExceptionGroup as group:
        if group.subgroup(Killed) is None:
            raise
    night_trouble[:] = trouble
    return records


night_trouble: list[str | None] = []


def test_the_same_bytes_are_read_once(tmp_path: Path) -> None:
    """In one run and across runs; each object has its own record, with its own places and ids."""
    shelf = Shelf({f"{owner}/model.bin": b"bytes!" for owner in range(20)})
    records = night(shelf, tmp_path / "state")
    assert len(shelf.reads) == 1
    assert Counter(record.uri for record in records) == {SHELF + name: 1 for name in shelf.objects}
    for record in records:
        [finding] = record.findings
        assert finding.location == f"{record.uri} (pos 5)"
        assert finding.id == finding_id(record.uri, "x-bang", 5, "a bang")
        assert (record.change, finding.change) == ("new", "new")
    shelf.objects["late/model.bin"] = b"bytes!"
    assert [record.change for record in night(shelf, tmp_path / "state")].count("new") == 1
    assert len(shelf.reads) == 1


@pytest.mark.parametrize("why", ["no digest", "another name", "another server", "a blacklist"])
def test_bytes_that_are_read_again(tmp_path: Path, why: str) -> None:
    """Where the same bytes may mean something else, or may not be the same: an ETag can be forged."""
    shelf = Shelf({"a/model.bin": b"bytes!", "b/model.bin": b"bytes!"}, digests=why != "no digest")
    if why == "another name":
        shelf.objects["b/other.bin"] = shelf.objects.pop("b/model.bin")
    if why == "another server":
        shelf._target = lambda name: Target(  # type: ignore[method-assign]  two servers in one source
            f"shelf://{name}", name, 6, "v", sha256(b"bytes!").hexdigest()
        )
    night(shelf, tmp_path / "state", blacklist=("x",) if why == "a blacklist" else ())
    assert len(shelf.reads) == 2


def test_a_source_that_is_down(tmp_path: Path) -> None:
    """Objects that changed meanwhile fail and are tried again; what was found in them is not fixed by that."""
    shelf = Shelf({"a": b"one!", "b": b"two"}, digests=False)
    night(shelf, tmp_path / "state")
    shelf.objects["a"], shelf.down = b"one!!", True
    records = {record.uri: record for record in night(shelf, tmp_path / "state")}
    assert records[SHELF + "a"].status == "failed"
    assert records[SHELF + "a"].fixed == ()
    assert records[SHELF + "b"].change == "unchanged"
    shelf.down = False
    records = {record.uri: record for record in night(shelf, tmp_path / "state")}
    assert [finding.change for finding in records[SHELF + "a"].findings] == ["unchanged", "new"]


def test_what_cannot_be_listed_is_not_gone(tmp_path: Path) -> None:
    """A denied prefix hides its objects; those elsewhere that are missing are gone."""
    shelf = Shelf({"secret/a": b"a", "secret/b": b"b", "open/c": b"c", "open/d": b"d"})
    night(shelf, tmp_path / "state")
    shelf.denied = "secret/"
    del shelf.objects["open/c"]
    changes = {record.uri.removeprefix(SHELF): record.change for record in night(shelf, tmp_path / "state")}
    assert changes == {"open/d": "unchanged", "open/c": "gone", "secret/": "new"}
    shelf.denied = None
    changes = {record.uri.removeprefix(SHELF): record.change for record in night(shelf, tmp_path / "state")}
    assert changes == {"open/d": "unchanged", "secret/a": "unchanged", "secret/b": "unchanged"}


def test_a_full_disk_loses_no_record(tmp_path: Path) -> None:
    """The run goes on without the state and says so once; the next one reads what was not kept."""
    shelf = Shelf({f"{number}/x": os.urandom(50).replace(b"!", b"?") * 4 for number in range(400)})

    def full(state: object) -> None:
        database = state._database  # type: ignore[attr-defined]  where a full disk would be met
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages + 8}")

    records = night(shelf, tmp_path / "state", before=full)
    assert len(records) == 400
    [trouble] = night_trouble
    assert trouble is not None
    assert "there is no room left on its disk" in trouble
    shelf.reads.clear()
    assert len(night(shelf, tmp_path / "state")) == 400
    assert night_trouble == [None]
    assert 0 < len(shelf.reads) <= 400


def test_an_output_that_fails_is_gone_on_with(tmp_path: Path) -> None:
    """Records that were not written are not kept."""
    shelf = Shelf({f"{number}/x": bytes([number]) * 9 for number in range(30)}, page=30)

    def fails(batch: Sequence[FileReport]) -> None:
        raise SinkFailed("full")

    with pytest.raises(ExceptionGroup):
        night(shelf, tmp_path / "state", deliver=fails)
    shelf.reads.clear()
    assert len(night(shelf, tmp_path / "state", goes_on=True)) == 30
    assert len(shelf.reads) == 30


@settings(max_examples=6, deadline=None)
@given(kills=st.lists(st.integers(0, 39), min_size=1, max_size=4), goes_on=st.booleans())
def test_killed_at_any_delivery(tmp_path_factory: pytest.TempPathFactory, kills: list[int], goes_on: bool) -> None:
    """What an output holds that is gone on with, and what one holds that is begun anew, is each object once."""
    path = tmp_path_factory.mktemp("killed") / "state"
    shelf = Shelf({f"{number}/x": bytes([number + 100]) * 9 + b"!" for number in range(40)}, page=7)
    kept: list[FileReport] = []
    for moment in kills:
        written: list[FileReport] = []
        room = moment - (len(kept) if goes_on else 0)

        def deliver(batch: Sequence[FileReport], room: int = room, written: list[FileReport] = written) -> None:
            if len(written) + len(batch) > room:
                raise Killed  # before this batch is written; the one before it is kept
            written.extend(batch)

        night(shelf, path, deliver=deliver, goes_on=goes_on)
        kept = [*kept, *written]
    last = night(shelf, path, goes_on=goes_on)
    everything = [*kept, *last] if goes_on else last
    assert Counter(record.uri for record in everything) == {SHELF + name: 1 for name in shelf.objects}
    assert {record.change for record in everything} == {"new"}
    statistics = Statistics()
    for record in everything:
        statistics.add(record)
    assert statistics.summary("", "complete").findings_by_change == {"new": 40, "unchanged": 0, "fixed": 0}
    assert {record.change for record in night(shelf, path)} == {"unchanged"}
