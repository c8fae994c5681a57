"""A run with a memory: what need not be read again, what has become of each object, and what is gone."""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager

import anyio
import anyio.to_thread

from modelaudit.model import Change, Ended, FileReport, Target
from modelaudit.pipeline.objects import Auditor, refusal
from modelaudit.pipeline.surroundings import Names
from modelaudit.settings import Settings
from modelaudit.sources import source_for
from modelaudit.sources.interface import LocalSource, Source
from modelaudit.sources.local import local_path
from modelaudit.state import Entry, Past, Place, Run, State
from modelaudit.state.entries import again, content_key, gone, marked, names_digest, object_key, relocated
from modelaudit.state.rules import job_digest, rules_digest

_UNLISTED = 1000  # places that could not be listed; with more of them, nothing is called gone
Where = Callable[[], tuple[int, bytes] | None]
Done = tuple[FileReport, Entry | None]  # a record, and what is to be kept of it once it has been written


class Known:
    """What the state says of one listed object."""

    __slots__ = ("content", "key", "past")

    def __init__(self, key: bytes, content: bytes | None, past: Past | None) -> None:
        self.key = key
        self.content = content
        self.past = past


class History:
    """The state for the length of one run.

    `start` comes first. Objects of which the run has given a record before it was killed are not read again.
    """

    def __init__(self, state: State, settings: Settings, weights: str) -> None:
        self._state = state
        self._limits = settings.limits
        self._shares = not settings.blacklist  # with one, an object's whole address is part of the result
        self._rules = rules_digest(settings.limits, settings.blacklist, weights)
        job = job_digest(
            [_place(path) for path in settings.paths], {"include": settings.include, "exclude": settings.exclude}
        )
        self.run: Run = state.begin(job, self._rules)
        self._busy: dict[bytes, anyio.Event] = {}
        self._unlisted: list[str] = []
        self._where: Where = _nowhere
        self._goes_on = False

    def start(self, where: Where | None = None, goes_on: bool = False) -> None:
        """The output is open. `where` tells how far it has been written, if it can be gone on with after a kill.

        `goes_on`: it still has what was written before the kill, which is not given again. Blocks.
        """
        self._where = where or _nowhere
        self._goes_on = goes_on
        if self.run.resumed and not goes_on:
            self._state.part()

    def begun(self) -> None:
        """The output has its first line. Blocks."""
        self._keep(())

    @property
    def trouble(self) -> str | None:
        """Why nothing more is kept, if so."""
        return self._state.trouble

    async def recall(self, source: Source, page: Sequence[Target]) -> list[tuple[Target, Known]]:
        """The objects of `page` that this run has still to give a record of, with what is known of them."""
        for target in page:
            if target.failed and len(self._unlisted) < _UNLISTED:
                self._unlisted.append(target.uri)  # what lies below may be there or not
        local = isinstance(source, LocalSource)
        keys = [object_key(source.scheme, target, local=local) for target in page]
        known = await anyio.to_thread.run_sync(self._state.recall, keys)
        found = []
        for target, key in zip(page, keys, strict=True):
            past = known.get(key)
            if past is not None and past.change == "gone":
                past = None  # and here it is again
            if past is None or not self._is_written(past, target):
                found.append((target, Known(key, content_key(target) if self._shares else None, past)))
        return found

    def _is_written(self, past: Past, target: Target) -> bool:
        """Whether the output has the final record of `target` already, from before the run was killed."""
        if not self._goes_on or (past.run, past.part) != (self.run.number, self.run.part) or target.failed:
            return False
        if refusal(target, self._limits) is not None:
            return not past.settled
        return past.settled and past.is_of(target)

    async def audit(self, auditor: Auditor, source: Source, target: Target, known: Known) -> Done:
        """The record of `target`: the last one again, that of the same bytes elsewhere, or a new one."""
        if refusal(target, self._limits) is None:
            past = known.past
            if past is not None and await self._holds(auditor, source, target, past):
                record = again(past, target, self.run.number)
                if record is not None:
                    return record, Entry(key=known.key, change=record.change or "unchanged")
            if known.content is not None:
                return await self._once(auditor, source, target, known, known.content)
        return await self._anew(auditor, source, target, known)

    async def _holds(self, auditor: Auditor, source: Source, target: Target, past: Past) -> bool:
        """Whether the last record still says what there is to say of `target`."""
        if not past.settled or past.rules != self._rules or not past.is_of(target):
            return False
        for folder, digest in past.names.items():
            if names_digest(await auditor.names(source, target, folder)) != digest:
                return False
        return True

    async def _once(self, auditor: Auditor, source: Source, target: Target, known: Known, content: bytes) -> Done:
        """The record of bytes that may be elsewhere too; while they are being read there, wait."""
        while True:
            if (other := self._busy.get(content)) is not None:
                await other.wait()
                continue
            twin = await anyio.to_thread.run_sync(self._state.twin, content)
            if content not in self._busy:
                break
        record = twin.record() if twin is not None else None
        moved = relocated(record, target) if record is not None else None
        if moved is not None:
            return self._marked(moved, target, known, {})
        self._busy[content] = anyio.Event()
        try:
            return await self._anew(auditor, source, target, known)
        except BaseException:
            self._release(content)
            raise

    def _release(self, content: bytes) -> None:
        event = self._busy.pop(content, None)
        if event is not None:
            event.set()

    async def _anew(self, auditor: Auditor, source: Source, target: Target, known: Known) -> Done:
        asked: dict[str, Names | None] = {}
        record = await auditor.audit(source, target, asked)
        return self._marked(record, target, known, {name: names_digest(names) for name, names in asked.items()})

    def _marked(self, record: FileReport, target: Target, known: Known, names: dict[str, bytes]) -> Done:
        record, carried = marked(record, known.past, target.modified)
        change: Change = record.change or "new"
        listed = not target.failed
        entry = Entry(
            key=known.key,
            change=change,
            report=record,
            listed=listed,
            modified=target.modified,
            content=known.content,
            names=names,
            carried=carried,
        )
        return record, entry

    async def keep(self, entries: Sequence[Entry]) -> None:
        """Keep what has been written, in one transaction."""
        await anyio.to_thread.run_sync(self._keep, entries)
        for entry in entries:
            if entry.content is not None:
                self._release(entry.content)

    def _keep(self, entries: Sequence[Entry]) -> None:
        place = self._where()
        self._state.keep(entries, None if place is None else Place(*place))

    async def vanished(self) -> AsyncIterator[list[Done]]:
        """Records of objects that were listed before and are not any more, some at a time.

        Objects below what could not be listed are not among them: nobody knows.
        """
        after = 0
        while len(self._unlisted) < _UNLISTED:
            rows = await anyio.to_thread.run_sync(self._state.vanished, after)
            if not rows:
                return
            after = rows[-1].row
            records = [(past.key, gone(past)) for past in rows]
            yield [
                (record, Entry(key=key, change="gone", report=record))
                for key, record in records
                if record is not None and not record.uri.startswith(tuple(self._unlisted))
            ]

    def finish(self, ended: Ended) -> None:
        """The output has its last line. Blocks."""
        self._state.finish(ended)


def _nowhere() -> None:
    """Where an output stands that nobody can go on with."""


def _place(path: str) -> str:
    """`path`, for a local one from wherever the program was started."""
    return os.path.abspath(local_path(path)) if source_for(path) == "file" else path


@contextmanager
def remembering(settings: Settings, path: str, weights: str) -> Iterator[History]:
    """The memory of a run in the file `path`, for the length of the block. Raises `UsageError` if it cannot be used."""
    state = State(path)
    try:
        yield History(state, settings, weights)
    finally:
        state.close()
