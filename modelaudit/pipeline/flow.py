"""List, audit, deliver: the flow of objects through a run. Everything is bounded, everything ends in a record."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from modelaudit.catalogue import Hint
from modelaudit.errors import ModelauditError, SourceError
from modelaudit.limits import Limits
from modelaudit.logs import redacted
from modelaudit.model import Ended, FileReport, Inspection, Target
from modelaudit.pipeline.budgets import Backlog
from modelaudit.pipeline.groups import FILES_MOST, Groups
from modelaudit.pipeline.hashing import Hashes
from modelaudit.pipeline.objects import Auditor, refusal, report
from modelaudit.pipeline.policy import Policy
from modelaudit.progress import Progress
from modelaudit.sources.interface import LocalSource, Source, shown
from modelaudit.workers.pool import Pool

if TYPE_CHECKING:
    from modelaudit.pipeline.history import Done, History, Known
    from modelaudit.state import Entry

Deliver = Callable[[Sequence[FileReport]], Awaitable[None]]
Listed = tuple[Source, Sequence[Target], "Known | None"]  # more targets than one are a group, see `Groups`

_BATCH = 256  # records handed over in one go
_FINDINGS_WAITING = 10_000  # in the records that wait for a slow sink: some ten megabytes
_GATHER_SECONDS = 0.005  # and waited for, so that a thousand small files are not a thousand hand-overs
_INTERRUPTED = Inspection(status="skipped", reason="interrupted", message="the run ended before this object's turn")
_DRY_RUN = Inspection(status="skipped", reason="dry_run", message="listed, not read")


class Flow:
    """One run: `places` are (source, path) pairs; each record goes to `deliver`, in batches, as it is known.

    `reads_whole`: much of each object will be read, not just what says what it is. `history` is the run's memory.
    `hashes` says of which objects the SHA-256 is computed.

    `ended` says how the run ended: `complete`, `interrupted`, `terminated`, `closed` or `budget`.
    """

    def __init__(
        self,
        places: Sequence[tuple[Source, str]],
        pool: Pool | None,
        deliver: Deliver,
        *,
        limits: Limits,
        hints: Mapping[str, Hint],
        policy: Policy,
        progress: Progress,
        reads_whole: bool = False,
        hashes: Hashes = "none",
        history: "History | None" = None,
    ) -> None:
        self._history = history
        self._places = places
        self._auditor = None if pool is None else Auditor(pool, limits, hints, reads_whole, hashes)
        self._groups: Groups | None = None
        local = any(isinstance(source, LocalSource) for source, _ in places)
        if (
            local
            and pool is not None
            and self._auditor is not None
            and hashes == "none"
            and limits.max_total_bytes is None
        ):
            self._groups = Groups(pool, self._auditor, limits)
        self._deliver = deliver
        self._limits = limits
        self._policy = policy
        self._progress = progress
        self._work = anyio.CancelScope()
        self._all_listed = False
        self._backlog = Backlog(_FINDINGS_WAITING)
        self.ended: Ended = "complete"

    async def run(self) -> None:
        """List, audit and deliver until there is nothing left or `stop` is called.

        Raises what `deliver` raises, after everything has been let go.
        """
        most = self._limits.page_objects // (1 if self._groups is None else FILES_MOST)
        listed_in, listed_out = anyio.create_memory_object_stream[Listed](most)
        reports_in, reports_out = anyio.create_memory_object_stream["Done"](_BATCH)
        with listed_in, listed_out, reports_in, reports_out:
            async with anyio.create_task_group() as group:
                group.start_soon(self._writing, reports_out)
                with self._work:
                    async with anyio.create_task_group() as work:
                        work.start_soon(self._list, listed_in)
                        for _ in range(self._limits.concurrency):
                            work.start_soon(self._audit, listed_out, reports_in)
                await self._leftover(listed_out, reports_in)
        if self._auditor is not None and self._auditor.total.spent and self.ended == "complete":
            self.ended = "budget"

    def stop(self, why: Ended) -> None:
        """End the run: objects in hand are recorded as interrupted, nothing more is read."""
        self.ended = why
        self._work.cancel()

    async def _list(self, listed: MemoryObjectSendStream[Listed]) -> None:
        async with listed:
            for source, path in self._places:
                try:
                    await self._list_place(source, path, listed)
                except SourceError as error:  # one place that cannot be listed is one record
                    uri = shown(redacted(path))
                    failed = Target(uri=uri, key=uri, skip=(error.reason, error.message), failed=True)
                    await self._send(source, [failed], listed)
        self._all_listed = True
        self._progress.listing_done()

    async def _list_place(self, source: Source, path: str, listed: MemoryObjectSendStream[Listed]) -> None:
        async for page in source.list(path):
            wanted = [target for target in page if self._policy.wants(target)]
            self._progress.listed(len(wanted), sum(target.size or 0 for target in wanted))
            await self._send(source, wanted, listed)

    async def _send(self, source: Source, targets: Sequence[Target], listed: MemoryObjectSendStream[Listed]) -> None:
        if self._history is not None:
            for target, known in await self._history.recall(source, targets):
                await listed.send((source, [target], known))
        elif self._groups is not None and isinstance(source, LocalSource):
            for group in self._groups.split(targets):
                await listed.send((source, group, None))
        else:
            for target in targets:
                await listed.send((source, [target], None))

    async def _audit(self, listed: MemoryObjectReceiveStream[Listed], reports: "MemoryObjectSendStream[Done]") -> None:
        async for source, targets, known in listed:
            records = _Records(targets, self._policy, self._backlog, reports)
            try:
                if len(targets) > 1 and self._groups is not None and isinstance(source, LocalSource):
                    await self._groups.audit(source, targets, records.hand)
                else:
                    await records.hand(0, *await self._one(source, targets[0], known))
            except anyio.get_cancelled_exc_class():
                await records.interrupted()
                raise

    async def _one(self, source: Source, target: Target, known: "Known | None") -> "Done":
        if self._auditor is None:
            return report(target, refusal(target, self._limits) or _DRY_RUN, 0, 0), None
        if self._history is None or known is None:
            return await self._auditor.audit(source, target), None
        return await self._history.audit(self._auditor, source, target, known)

    async def _leftover(
        self, listed: MemoryObjectReceiveStream[Listed], reports: "MemoryObjectSendStream[Done]"
    ) -> None:
        """Record what was listed and not begun when the run was stopped; close the way to delivery."""
        with anyio.CancelScope(shield=True):
            async with listed, reports:
                while True:
                    try:
                        _, targets, _ = listed.receive_nowait()
                    except (anyio.WouldBlock, anyio.EndOfStream):
                        return
                    for target in targets:
                        await reports.send((report(target, _INTERRUPTED, 0, 0), None))

    async def _writing(self, reports: "MemoryObjectReceiveStream[Done]") -> None:
        try:
            await self._hand_over(reports)
        finally:
            self._backlog.lift()

    async def _hand_over(self, reports: "MemoryObjectReceiveStream[Done]") -> None:
        """Deliver what is there, as much as there is; after a failure nothing more, but keep the way clear."""
        failure: ModelauditError | None = None
        async with reports:
            async for first in reports:
                await anyio.sleep(_GATHER_SECONDS)
                batch = [first]
                while len(batch) < _BATCH and reports.statistics().current_buffer_used:
                    batch.append(reports.receive_nowait())
                for done, _ in batch:
                    self._progress.done(done)
                if failure is None:
                    try:
                        await self._hand_on(batch)
                    except ModelauditError as error:  # raised again below, when all has been let go
                        failure = error
                        self.stop("closed")
                self._backlog.give(sum(_weight(done) for done, _ in batch))
        if failure is not None:
            raise failure
        if self._history is not None and self._all_listed and self.ended == "complete":
            async for vanished in self._history.vanished():
                await self._hand_on(vanished)

    async def _hand_on(self, batch: "Sequence[Done]") -> None:
        """Deliver, and then keep what has been delivered: a kill in between must not lose a record."""
        with anyio.CancelScope(shield=True):
            await self._deliver([done for done, _ in batch])
            entries = [entry for _, entry in batch if entry is not None]
            if self._history is not None and entries:
                await self._history.keep(entries)


class _Records:
    """The records of one group of targets on their way to delivery."""

    def __init__(
        self, targets: Sequence[Target], policy: Policy, backlog: Backlog, reports: "MemoryObjectSendStream[Done]"
    ) -> None:
        self._left = dict(enumerate(targets))
        self._policy = policy
        self._backlog = backlog
        self._reports = reports

    async def hand(self, place: int, found: FileReport, entry: "Entry | None" = None) -> None:
        """Hand on what was found of the target at `place`, and what is to be remembered of it."""
        judged = self._policy.judge(found)
        del self._left[place]
        weight = _weight(judged)
        if self._backlog.fits(weight):
            try:
                self._reports.send_nowait((judged, entry))
            except anyio.BrokenResourceError:
                return
            except anyio.WouldBlock:
                self._backlog.give(weight)
            else:
                return
        with anyio.CancelScope(shield=True), suppress(anyio.BrokenResourceError):  # it is done: it has its record
            await self._backlog.take(weight)
            await self._reports.send((judged, entry))

    async def interrupted(self) -> None:
        """Record the rest as interrupted, unless nobody listens any more."""
        with anyio.CancelScope(shield=True), suppress(anyio.BrokenResourceError):
            for target in self._left.values():
                await self._reports.send((report(target, _INTERRUPTED, 0, 0), None))


def _weight(report: FileReport) -> int:
    return len(report.findings) + len(report.suppressed) + len(report.fixed)
