"""One listed object from its target to its one record: read ranges, scan, read more, report."""

import itertools
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import PurePosixPath
from typing import Protocol

import anyio
import anyio.to_thread
import msgspec

from modelaudit.catalogue import Hint
from modelaudit.errors import SourceError, first_cause
from modelaudit.limits import Limits
from modelaudit.model import FileReport, Finding, Inspection, Severity, Status, Target
from modelaudit.pipeline import hashing
from modelaudit.pipeline.budgets import Tokens, TotalBudget
from modelaudit.pipeline.opening import Opener
from modelaudit.pipeline.spool import Range, ReadAhead, Spool, absent
from modelaudit.pipeline.surroundings import Names, Surroundings
from modelaudit.sources.interface import LocalSource, Source
from modelaudit.workers.jobs import Lost, Outcome
from modelaudit.workers.wire import Broken, Done, Job, Need


class Scans(Protocol):
    """What gives jobs to workers: `modelaudit.workers.pool.Pool`."""

    async def scan(self, job: Job, descriptor: int, seconds: float) -> tuple[Outcome, float]:
        """Give `job` to a worker and wait for its answer."""


class _Stop(Exception):
    def __init__(self, inspection: Inspection) -> None:
        self.inspection = inspection


def _stop(status: Status, reason: str, message: str) -> _Stop:
    return _Stop(Inspection(status=status, reason=reason, message=message))


def refusal(target: Target, limits: Limits) -> Inspection | None:
    """Why `target` is not to be read at all, as far as its listing tells."""
    most = limits.max_file_bytes
    if target.skip is not None:
        return Inspection("failed" if target.failed else "skipped", *target.skip)
    if target.size == 0:
        return Inspection("skipped", "empty", "the object has no bytes")
    if most is not None and target.size is not None and target.size > most:
        message = f"{target.size} bytes, at most {most} allowed by --max-file-size"
        return Inspection("skipped", "max_file_size", message)
    return None


class Auditor:
    """Audits objects one at a time per call, many calls at once; holds what they share."""

    def __init__(
        self,
        pool: Scans,
        limits: Limits,
        hints: Mapping[str, Hint],
        reads_whole: bool = False,
        hashes: hashing.Hashes = "none",
    ) -> None:
        self._pool = pool
        self._limits = limits
        self._hints = hints
        self._reads_whole = reads_whole or hashes == "all"
        self._hashes = hashes
        self._jobs = itertools.count(1)
        self._in_flight = Tokens(limits.in_flight_bytes)
        self._large = anyio.Semaphore(limits.large_objects)
        self._opener = Opener()
        self._surroundings = Surroundings()
        self.total = TotalBudget(limits.max_total_bytes)

    async def audit(self, source: Source, target: Target, asked: dict[str, Names | None] | None = None) -> FileReport:
        """The one record of `target`, whatever happens short of cancellation.

        `asked` is filled with the names around the object that the scan asked for, by folder. Raises
        `WorkersUnavailable` when no worker can be started at all.
        """
        started = time.monotonic()
        flow = _Flow(self, source, target, {} if asked is None else asked)
        try:
            self._refuse(target)
            found = await flow.twice()
        except _Stop as stop:
            found = stop.inspection
        except SourceError as error:
            found = Inspection(status="failed", reason=error.reason, message=error.message)
        except OSError as error:
            found = Inspection(status="failed", reason="unreadable", message=f"{target.uri}: {error.strerror}")
        return report(flow.target, found, flow.bytes_read, time.monotonic() - started)

    async def names(self, source: Source, target: Target, folder: str) -> Names | None:
        """What lies in `folder` beside `target`, as a scan that asks would be told."""
        return await self._surroundings.names(source, target, folder)

    def number(self) -> int:
        """A number for a job, given once."""
        return next(self._jobs)

    def _refuse(self, target: Target) -> None:
        """Stop before anything is read, where that is already decided."""
        refused = refusal(target, self._limits)
        if refused is not None:
            raise _Stop(refused)
        if self.total.spent:
            raise _stop("skipped", "total_budget", "reading more would exceed --max-total-size")


class _Flow:
    """One object on its way. `target` gains the size and version that the first read told."""

    def __init__(self, auditor: Auditor, source: Source, target: Target, folders: dict[str, Names | None]) -> None:
        self._auditor = auditor
        self._limits = auditor._limits
        self._source = source
        self._seconds = self._limits.timeout_seconds
        self._folders = folders
        self.target = target
        self.bytes_read = 0

    async def twice(self) -> Inspection:
        """Scan; an object that changes meanwhile is read again from the start, once."""
        try:
            return await self._once()
        except SourceError as error:
            if error.reason != "changed":
                raise
        self.target = _unversioned(self.target)
        return await self._once()

    async def _once(self) -> Inspection:
        if isinstance(self._source, LocalSource):
            return await self._local(self._source)
        return await self._remote()

    async def _local(self, source: LocalSource) -> Inspection:
        descriptor = await self._auditor._opener.open(source, self.target)
        try:
            before = os.fstat(descriptor)
            size = before.st_size
            self.target = told(self.target, size, f"{size}-{before.st_mtime_ns}")
            self._auditor._refuse(self.target)
            most = size if self._auditor._reads_whole else self._limits.whole_object_bytes
            async with self._spending(min(size, most)):
                outcome = await self._scan(descriptor, [(0, size)])
                if isinstance(outcome, Done):
                    self.bytes_read += outcome.inspection.bytes_viewed
                    await self._hash_file(descriptor, size, outcome.inspection.bytes_viewed)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        lost = isinstance(outcome, Lost | Broken) and outcome.reason == "changed"
        if lost or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise SourceError("changed", f"{self.target.uri} was changed while it was read, twice")
        if isinstance(outcome, Need):
            raise SourceError("internal", "the scan asked for bytes beyond the end of the file")
        return inspection_of(outcome)

    async def _remote(self) -> Inspection:
        ahead = ReadAhead(self._limits)
        async with AsyncExitStack() as stack:
            spool = await self._open_spool(stack, ahead)
            rounds = self._limits.rounds + spool.size // self._limits.round_bytes
            for _ in range(rounds):
                outcome = await self._scan(spool.descriptor, spool.extents)
                if not isinstance(outcome, Need):
                    found = await self._verified(inspection_of(outcome), spool)
                    if isinstance(outcome, Done):
                        await self._hash_ranges(spool)
                    return found
                ranges = ahead.next(outcome.ranges, spool.extents, spool.size)
                if not ranges:
                    raise SourceError("internal", "the scan asked again for bytes that it has")
                await self._grow_or_all(stack, spool, ranges)
        raise SourceError("rounds", f"the scan was not done after {rounds} rounds of reading")

    async def _verified(self, found: Inspection, spool: Spool) -> Inspection:
        """What was found, if the bytes are those that the listing promised, as far as that costs no more reading."""
        if self.target.sha256 is None or not spool.is_whole:
            return found
        small = spool.size <= self._limits.whole_object_bytes
        digest = spool.sha256() if small else await anyio.to_thread.run_sync(spool.sha256)
        if digest == self.target.sha256:
            return found
        message = f"the bytes have the SHA-256 {digest}, and the listing promised {self.target.sha256}"
        return msgspec.structs.replace(found, status="failed", reason="digest", message=message)

    async def _hash_file(self, descriptor: int, size: int, viewed: int) -> None:
        """Give the target its digest, if that is wanted of a local file of which so much was read."""
        hashes = self._auditor._hashes
        if hashes == "none" or (hashes == "read" and viewed < size):
            return
        digest = await anyio.to_thread.run_sync(hashing.of_file, descriptor, size)
        self.target = msgspec.structs.replace(self.target, sha256=digest)
        self.bytes_read += max(0, size - viewed)

    async def _hash_ranges(self, spool: Spool) -> None:
        """The same for a remote object, whose listing may have told it; none where that is beyond the budget."""
        hashes = self._auditor._hashes
        if hashes == "none" or self.target.sha256 is not None or (hashes == "read" and not spool.is_whole):
            return
        if spool.is_whole:
            digest = await anyio.to_thread.run_sync(spool.sha256)
        else:
            try:
                digest = await hashing.of_ranges(spool.size, self._piece)
            except BaseExceptionGroup as errors:
                cause = first_cause(errors)
                if isinstance(cause, _Stop):
                    return
                raise cause from None
        self.target = msgspec.structs.replace(self.target, sha256=digest)

    async def _piece(self, offset: int, length: int) -> bytes:
        async with self._spending(length), self._auditor._in_flight.hold(length):
            chunk = await self._source.read(self.target, offset, length, self.target.version)
            self.bytes_read += len(chunk.data)
        return chunk.data

    async def _open_spool(self, stack: AsyncExitStack, ahead: ReadAhead) -> Spool:
        head = await self._learn_size() if self.target.size is None else b""
        size = self.target.size or 0
        self._auditor._refuse(self.target)
        spool = Spool(size, self._limits)
        stack.callback(spool.close)
        spool.add(0, head)
        hint = self._auditor._hints.get(PurePosixPath(self.target.key).suffix.lower(), Hint())
        wanted = ahead.first(size, hint.head_bytes, hint.tail_bytes)
        await self._grow_or_all(stack, spool, absent(wanted, spool.extents, size))
        return spool

    async def _learn_size(self) -> bytes:
        """The first bytes of an object whose source lists no sizes; the answer to the read tells the size."""
        length = self._limits.head_bytes
        async with self._spending(length), self._auditor._in_flight.hold(length):
            chunk = await self._source.read(self.target, 0, length, self.target.version)
            self.bytes_read += len(chunk.data)
        self.target = told(self.target, chunk.size, chunk.version)
        return chunk.data

    async def _grow_or_all(self, stack: AsyncExitStack, spool: Spool, ranges: Sequence[Range]) -> None:
        """Fetch `ranges`, or everything from a server that has no ranges and an object that is not too large for it."""
        try:
            await self._grow(stack, spool, ranges)
        except SourceError as error:
            if error.reason != "no_ranges" or spool.size > self._limits.in_flight_bytes:
                raise
            await self._grow(stack, spool, [(0, spool.size)])

    async def _grow(self, stack: AsyncExitStack, spool: Spool, ranges: Sequence[Range]) -> None:
        """Fetch `ranges` into the spool, side by side."""
        count = sum(length for _, length in ranges)
        after = spool.bytes_fetched + count
        if after > self._limits.spool_object_bytes:
            most = self._limits.spool_object_bytes
            raise _stop("failed", "spool_limit", f"the scan needs {after} bytes of the object, at most {most} allowed")
        if spool.bytes_fetched <= self._limits.memfd_bytes < after:
            await stack.enter_async_context(self._auditor._large)
        async with self._spending(count):
            if len(ranges) == 1:
                await self._fetch(spool, *ranges[0])
                return
            try:
                async with anyio.create_task_group() as group:
                    for offset, length in ranges:
                        group.start_soon(self._fetch, spool, offset, length)
            except BaseExceptionGroup as errors:
                raise first_cause(errors) from None

    async def _fetch(self, spool: Spool, offset: int, length: int) -> None:
        async with self._auditor._in_flight.hold(length):
            chunk = await self._source.read(self.target, offset, length, self.target.version)
            self.bytes_read += len(chunk.data)
            if chunk.size != spool.size:
                raise SourceError("changed", f"the object was {spool.size} bytes long and is now {chunk.size}")
            if self.target.version is None and chunk.version is not None:
                self.target = told(self.target, chunk.size, chunk.version)
            spool.add(offset, chunk.data)

    async def _scan(self, descriptor: int, extents: Sequence[Range]) -> Outcome:
        """What a worker makes of the bytes at `extents`, and of the names around the object where it asks for them."""
        for _ in range(self._limits.rounds):
            number = self._auditor.number()
            job = Job(number, self.target.uri, self.target.size or 0, tuple(extents), self._folders)
            outcome, spent = await self._auditor._pool.scan(job, descriptor, max(self._seconds, 0.1))
            self._seconds -= spent  # the rounds of one object share its time
            if not isinstance(outcome, Need):
                return outcome
            asked = [folder for folder in outcome.folders[: self._limits.rounds] if folder not in self._folders]
            for folder in asked:
                names = await self._auditor.names(self._source, self.target, folder)
                self._folders[folder] = names
            if outcome.ranges or not asked:
                return outcome
        raise SourceError("rounds", f"the scan asked for the names of more than {self._limits.rounds} folders")

    @asynccontextmanager
    async def _spending(self, count: int) -> AsyncIterator[None]:
        """Reserve `count` bytes for the block; what it then has read is spent, and no more."""
        total, before = self._auditor.total, self.bytes_read
        if not await total.take(count):
            raise _stop("skipped", "total_budget", "reading it would exceed --max-total-size")
        try:
            yield
        finally:
            total.settle(count, self.bytes_read - before)


def told(target: Target, size: int, version: str | None) -> Target:
    """`target` with the size and version that reading it told."""
    return Target(uri=target.uri, key=target.key, size=size, version=version, sha256=target.sha256)


def _unversioned(target: Target) -> Target:
    return Target(uri=target.uri, key=target.key)


def inspection_of(outcome: Outcome) -> Inspection:
    """What the worker answered, as an inspection; a lost or broken job keeps what it had found."""
    if isinstance(outcome, Done):
        return outcome.inspection
    if isinstance(outcome, Need):
        raise TypeError("a question is not an answer")
    return Inspection(status="failed", reason=outcome.reason, message=outcome.message, findings=outcome.findings)


def worst(findings: Sequence[Finding]) -> Severity | None:
    """The highest severity among `findings`."""
    return max((finding.severity for finding in findings), key=lambda level: level.rank, default=None)


def report(target: Target, found: Inspection, bytes_read: int, seconds: float) -> FileReport:
    """The record of `target`: what was found, and how it was read."""
    return FileReport(
        uri=target.uri,
        size=target.size,
        bytes_read=bytes_read,
        version=target.version,
        sha256=target.sha256,
        formats=found.formats,
        scanners=found.scanners,
        status=found.status,
        reason=found.reason,
        message=found.message,
        severity=worst(found.findings),
        findings=found.findings,
        findings_cut=found.findings_cut,
        assets=found.assets,
        assets_cut=found.assets_cut,
        licenses=found.licenses,
        licenses_cut=found.licenses_cut,
        duration_ms=round(seconds * 1000, 3),
    )
