"""Small local files, audited many at a time: opened in one go, sent to the workers in one go.

A thousand files of a few kilobytes are a thousand waits of each kind otherwise, and waiting costs more than scanning.
Each file still has its own job, its own time limit and its own record, which is handed on as soon as it is known.
What does not go smoothly, a file that cannot be opened, that changes, or whose scan asks for more, is audited alone.
"""

import os
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

import anyio
import anyio.to_thread

from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import FileReport, Target
from modelaudit.pipeline.objects import Auditor, inspection_of, refusal, report, told
from modelaudit.sources.interface import LocalSource
from modelaudit.workers.jobs import SMALL_BYTES, Landing, Pending
from modelaudit.workers.pool import Pool
from modelaudit.workers.wire import Done, Job, Need

FILES_MOST: Final = 16  # of one group: each is open while the group is under way
_SHARE: Final = 8  # one group at a time for so many objects that may be in flight

Handed = Callable[[int, FileReport], Awaitable[None]]  # the place among the targets, and its record


class Groups:
    """Audits groups of targets, a few groups at a time; `auditor` takes what needs more than one look."""

    def __init__(self, pool: Pool, auditor: Auditor, limits: Limits) -> None:
        self._pool = pool
        self._auditor = auditor
        self._limits = limits
        self._turns = anyio.Semaphore(max(1, limits.concurrency // _SHARE))

    def split(self, targets: Sequence[Target]) -> Iterator[Sequence[Target]]:
        """`targets` in their order, small files that may be audited together next to each other."""
        group: list[Target] = []
        for target in targets:
            small = target.size is not None and target.size <= SMALL_BYTES
            if small and refusal(target, self._limits) is None:
                group.append(target)
                if len(group) == FILES_MOST:
                    yield group
                    group = []
            else:
                yield [target]
        if group:
            yield group

    async def audit(self, source: LocalSource, targets: Sequence[Target], handed: Handed) -> None:
        """Have one record of each of `targets` handed on, in the order in which they are known.

        Raises `WorkersUnavailable` when no worker can be started at all.
        """
        async with self._turns:
            alone = await self._together(source, targets, handed)
        for place in alone:
            await handed(place, await self._auditor.audit(source, targets[place]))

    async def _together(self, source: LocalSource, targets: Sequence[Target], handed: Handed) -> list[int]:
        """Audit what goes smoothly; gives the places of the rest."""
        started = time.monotonic()
        files = await anyio.to_thread.run_sync(_open, source, targets)
        try:
            alone = [place for place, file in enumerate(files) if file is None]
            landing = Landing()
            opened = [(place, file) for place, file in enumerate(files) if file is not None]
            jobs = [(self._job(targets[place], file), file.descriptor) for place, file in opened]
            given = self._pool.give(jobs, self._limits.timeout_seconds, landing)
            left = {pending.job.id: one for pending, one in zip(given, opened, strict=True)}
            try:
                while left:
                    for pending in await landing.next():
                        place, file = left.pop(pending.job.id)
                        known = self._known(pending, file, targets[place], started)
                        if known is None:
                            alone.append(place)
                        else:
                            await handed(place, known)
            finally:
                if left:
                    self._pool.forget([pending for pending in given if pending.job.id in left])
        finally:
            for descriptor in [file.descriptor for file in files if file is not None]:
                os.close(descriptor)
        return alone

    def _job(self, target: Target, file: "_File") -> Job:
        size = file.status.st_size
        return Job(self._auditor.number(), target.uri, size, ((0, size),))

    def _known(self, pending: Pending, file: "_File", target: Target, started: float) -> FileReport | None:
        """The record of `target`; None when it must be looked at again."""
        outcome = self._pool.answer(pending)
        after = os.fstat(file.descriptor)
        same = (after.st_size, after.st_mtime_ns) == (file.status.st_size, file.status.st_mtime_ns)
        if isinstance(outcome, Need) or not same or (not isinstance(outcome, Done) and outcome.reason == "changed"):
            return None
        read = outcome.inspection.bytes_viewed if isinstance(outcome, Done) else 0
        size = file.status.st_size
        known = told(target, size, f"{size}-{file.status.st_mtime_ns}")
        return report(known, inspection_of(outcome), read, time.monotonic() - started)


class _File:
    """An open file and what it was when it was opened."""

    __slots__ = ("descriptor", "status")

    def __init__(self, descriptor: int, status: os.stat_result) -> None:
        self.descriptor = descriptor
        self.status = status


def _open(source: LocalSource, targets: Sequence[Target]) -> list[_File | None]:
    """The files, or None for those that cannot be opened or are not small any more. Blocks."""
    files: list[_File | None] = []
    for target in targets:
        try:
            descriptor = source.open(target)
        except (SourceError, OSError):  # it is told by the one who looks at it alone
            files.append(None)
            continue
        status = os.fstat(descriptor)
        if 0 < status.st_size <= SMALL_BYTES:
            files.append(_File(descriptor, status))
        else:
            os.close(descriptor)
            files.append(None)
    return files
