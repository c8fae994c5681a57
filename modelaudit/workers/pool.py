"""As many caged workers as cores: warm, fed ahead, killed from outside when they overrun, replaced when dead.

A worker that dies costs the job that it had in hand and no other: jobs sent ahead to it go to its
neighbours. The pool never blocks the event loop and never trusts what a worker says beyond its type.
"""

import contextlib
import signal
import socket
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from types import TracebackType
from typing import Self

import anyio
import anyio.abc

from modelaudit.errors import ModelauditError
from modelaudit.workers.jobs import Landing, Lost, Outcome, Pending
from modelaudit.workers.starter import NotStarted, Process, Starter
from modelaudit.workers.wire import (
    Ability,
    Broken,
    Found,
    Frames,
    FromWorker,
    Job,
    Need,
    Ready,
    Setup,
    WireError,
    decode_from_worker,
    encode,
)

_AHEAD = 2  # jobs given to one worker at a time: the next one is there when the first is done
_AHEAD_SMALL = 16  # and of small ones, so that a thousand small files are not a thousand wake-ups of both sides
_TOGETHER = 16  # jobs in one message to a worker; it takes so many descriptors at a time
_GATHER_SECONDS = 0.002  # answers to small jobs are waited for, to be taken in together
_PATIENCE_SECONDS = 0.25  # after which small jobs behind a slow one are given to a neighbour without any
_START_SECONDS = 60.0  # a worker that is not ready by then never will be
_START_FAILURES = 3  # in a row; then the installation is broken, not a worker


class WorkersUnavailable(ModelauditError):
    """No worker can be started; the message holds what the last one said."""


class _Worker:
    """One process: its socket, the jobs it has (the first is the one in hand), bytes not yet sent."""

    def __init__(self, process: Process, channel: socket.socket, modules: frozenset[str], frame_bytes: int) -> None:
        self.process = process
        self.socket = channel
        self.modules = modules
        self.frames = Frames(frame_bytes)
        self.jobs: deque[Pending] = deque()
        self.large = 0  # of the jobs, those that are not small
        self.outbox: deque[tuple[memoryview, int | None]] = deque()
        self.ready = False
        self.leaving = False  # a fresh one takes over: its heap is in pieces, or it lacks modules
        self.since = time.monotonic()
        self.overran = False
        self.nonsense: str | None = None
        self.pushing = False

    def takes(self, pending: Pending) -> bool:
        """Whether there is room for one more job."""
        small = pending.is_small and not self.large
        return self.ready and len(self.jobs) < (_AHEAD_SMALL if small else _AHEAD)

    def add(self, pending: Pending) -> None:
        """Have `pending` sent to the process with what else waits to be sent."""
        if not self.jobs:
            self.since = time.monotonic()
        self.jobs.append(pending)
        self.large += not pending.is_small
        self.outbox.append((memoryview(encode(pending.job)), pending.descriptor))

    def done(self) -> Pending:
        """Take the job in hand away."""
        pending = self.jobs.popleft()
        self.large -= not pending.is_small
        return pending


class Pool:
    """An asynchronous context manager over `workers` caged processes, which `starter` brings forth."""

    def __init__(self, setup: Setup, workers: int, starter: Starter | None = None) -> None:
        self._setup = setup
        self._count = workers
        self._starter = starter or Starter()
        self._modules: frozenset[str] = frozenset()  # what workers load beyond the usual, once one asked for it
        self._workers: list[_Worker] = []
        self._pending: deque[Pending] = deque()
        self._started = 0
        self._failures = 0
        self._broken: str | None = None
        self._closing = False
        self.cage: tuple[Ability, ...] = ()
        self.deaths = 0

    async def __aenter__(self) -> Self:
        self._group = await anyio.create_task_group().__aenter__()
        self._group.start_soon(self._starter.listen)
        self._group.start_soon(self._watch)
        self._grow()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self._closing = True
        self._group.cancel_scope.cancel()
        try:
            return await self._group.__aexit__(kind, error, trace)
        finally:
            self._starter.close()

    async def scan(self, job: Job, descriptor: int, seconds: float) -> tuple[Outcome, float]:
        """Give `job` to a worker and wait for its answer, at most `seconds` from the moment it begins.

        Gives the answer and the seconds that the worker had the job in hand. `descriptor` must stay open
        until this returns. Raises `WorkersUnavailable`.
        """
        landing = Landing()
        (pending,) = self.give([(job, descriptor)], seconds, landing)
        try:
            await landing.next()
        except BaseException:
            self.forget([pending])
            raise
        return self.answer(pending), pending.spent_seconds

    def give(self, jobs: Sequence[tuple[Job, int]], seconds: float, landing: Landing) -> list[Pending]:
        """Have `jobs`, each with its descriptor, done in their turn; their answers arrive at `landing`."""
        given = [Pending(job, descriptor, seconds, landing) for job, descriptor in jobs]
        self._pending.extend(given)
        self._dispatch()
        self._grow()
        return given

    def answer(self, pending: Pending) -> Outcome:
        """The answer to a job that has arrived. Raises `WorkersUnavailable`."""
        if pending.outcome is None:
            raise WorkersUnavailable(self._broken or "the workers are shutting down")
        return pending.outcome

    def _grow(self) -> None:
        """Start the first worker at once, each further one when more jobs wait than there are workers."""
        while self._started < self._count and len(self._pending) >= self._started + (self._started > 0):
            self._started += 1
            self._group.start_soon(self._keep)

    # --- giving out jobs ----------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        if self._broken is not None:
            while self._pending:
                self._pending.popleft().end(None)
            return
        given: dict[int, _Worker] = {}
        while self._pending:
            free = [worker for worker in self._workers if worker.takes(self._pending[0])]
            if not free:
                break
            worker = min(free, key=lambda worker: len(worker.jobs))
            worker.add(self._pending.popleft())
            given[id(worker)] = worker
        for worker in given.values():
            self._push(worker)

    def _push(self, worker: _Worker) -> None:
        """Send what the socket takes; a task sends the rest when it takes more."""
        outbox = worker.outbox
        while outbox and not worker.pushing:
            together = list(islice(outbox, _TOGETHER))
            descriptors = [descriptor for _, descriptor in together if descriptor is not None]
            try:
                sent = socket.send_fds(worker.socket, [frame for frame, _ in together], descriptors)
            except BlockingIOError:
                worker.pushing = True
                self._group.start_soon(self._push_later, worker)
                return
            except OSError:
                return  # it is dead; the reading side sees that too
            rest: list[tuple[memoryview, int | None]] = []  # its descriptors have all gone with the first byte
            for frame, _ in together:
                outbox.popleft()
                if sent < len(frame):
                    rest.append((frame[sent:], None))
                sent = max(0, sent - len(frame))
            outbox.extendleft(reversed(rest))

    async def _push_later(self, worker: _Worker) -> None:
        with contextlib.suppress(OSError, anyio.ClosedResourceError):
            await anyio.wait_writable(worker.socket)
        worker.pushing = False
        self._push(worker)

    def forget(self, given: Sequence[Pending]) -> None:
        """The caller gave up and closes the descriptors: what is not begun is dropped, what is ends with its worker."""
        for pending in given:
            pending.is_moved = True
        self._pending = deque(pending for pending in self._pending if not pending.is_moved)
        for worker in self._workers:
            unsent = list(worker.jobs)[-len(worker.outbox) :] if worker.outbox else []
            if not self._closing and any(pending in given for pending in (*islice(worker.jobs, 1), *unsent)):
                worker.leaving = True
                worker.process.kill()

    # --- one worker ---------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Have one worker running for as long as the pool is open."""
        while self._broken is None:
            try:
                worker = await self._fork()
            except NotStarted as error:
                self._start_failed(str(error))
                continue
            self._workers.append(worker)
            try:
                await self._listen(worker)
            finally:
                await self._bury(worker)

    async def _fork(self) -> _Worker:
        ours, theirs = socket.socketpair()
        modules = self._modules
        with theirs:
            try:
                process = await self._starter.fork(theirs, sorted(modules))
                ours.sendall(encode(self._setup))
            except OSError as error:
                ours.close()
                raise NotStarted(self._starter.last_words(str(error))) from error
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        return _Worker(process, ours, modules, self._setup.limits.frame_bytes)

    async def _listen(self, worker: _Worker) -> None:
        """Take in the worker's answers until it dies or talks nonsense."""
        while True:
            await anyio.wait_readable(worker.socket)
            if len(worker.jobs) > _AHEAD:
                await anyio.sleep(_GATHER_SECONDS)
            try:
                piece = worker.socket.recv(1 << 18)
                if not piece:
                    return
                for body in worker.frames.feed(piece):
                    self._heard(worker, decode_from_worker(body))
                    if worker.leaving:
                        return
            except WireError as error:
                worker.nonsense = str(error)
                return
            except ConnectionError:
                return
            self._dispatch()

    def _heard(self, worker: _Worker, message: FromWorker) -> None:
        if isinstance(message, Ready):
            worker.ready = True
            self._failures = 0
            self.cage = message.cage
            return
        if not worker.jobs or worker.jobs[0].job.id != message.id:
            raise WireError(f"an answer to job {message.id}, which it does not have in hand")
        if isinstance(message, Found):
            worker.jobs[0].found = message.findings
            return
        if isinstance(message, Need) and message.modules:
            if not worker.modules >= frozenset(message.modules):
                self._modules |= frozenset(message.modules)
                worker.leaving = True  # its jobs, this one too, go to one that has them
                return
            absent = ", ".join(message.modules)
            message = Broken(message.id, "modules", f"the scan needs {absent}, which cannot be loaded: install it")
        now = time.monotonic()
        worker.jobs[0].spent_seconds = now - worker.since
        worker.done().end(message)
        worker.since = now
        worker.leaving = isinstance(message, Broken) and message.reason == "memory"

    async def _bury(self, worker: _Worker) -> None:
        """End the process for certain, settle its jobs, and count the death."""
        self._workers.remove(worker)
        worker.socket.close()
        worker.process.kill()
        if not self._closing:
            with anyio.CancelScope(shield=True):
                code = await worker.process.wait()
            self.deaths += not worker.leaving
            if worker.ready:
                self._settle(worker, code)
            else:
                self._start_failed(self._starter.said())
            self._dispatch()
        worker.process.release()

    def _settle(self, worker: _Worker, code: int | None) -> None:
        if worker.jobs and not worker.leaving:
            culprit = worker.done()
            culprit.end(_cause(worker, culprit, code))
        self._pending.extendleft(job for job in reversed(worker.jobs) if not job.is_moved)
        worker.jobs.clear()

    def _start_failed(self, said: str) -> None:
        self._failures += 1
        if self._failures >= _START_FAILURES * self._started:
            self._broken = f"the scan workers do not start: {said}"
            self._dispatch()

    async def _watch(self) -> None:
        """Kill workers that overrun: the one wall a hostile file cannot argue with."""
        while True:
            await anyio.sleep(0.1)
            now = time.monotonic()
            for worker in self._workers:
                allowed = worker.jobs[0].seconds if worker.jobs else _START_SECONDS
                if (worker.jobs or not worker.ready) and now - worker.since > allowed:
                    worker.overran = True
                    worker.process.kill()
                elif now - worker.since > _PATIENCE_SECONDS:
                    self._relieve(worker)

    def _relieve(self, worker: _Worker) -> None:
        """Have neighbours do what waits behind a slow job; the worker does it too when it gets there, for nobody."""
        idle = any(other.ready and not other.jobs for other in self._workers)
        if worker.outbox or not (idle or self._started < self._count):
            return
        for index in range(1, len(worker.jobs)):
            pending = worker.jobs[index]
            if pending.is_small and not pending.is_moved:
                worker.jobs[index] = pending.moved()
                self._pending.append(pending)
        self._dispatch()
        self._grow()


def _cause(worker: _Worker, pending: Pending, code: int | None) -> Lost:
    """Why the worker went, as a word and a sentence."""
    if worker.overran:
        return Lost("timeout", f"the scan took longer than {pending.seconds:g} seconds", pending.found)
    if worker.nonsense is not None:
        return Lost("worker_died", f"the worker answered nonsense and was ended: {worker.nonsense}", pending.found)
    if code == -signal.SIGBUS:
        return Lost("changed", "the file became shorter while it was read", pending.found)
    how = f"exit code {code}"
    if code is None:
        how = "it is not known how"
    elif -code in set(signal.Signals):
        how = f"killed by {signal.Signals(-code).name}"
    return Lost("worker_died", f"the worker process ended while it scanned this object ({how})", pending.found)
