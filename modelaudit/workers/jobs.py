"""Jobs on their way to workers, and where their answers arrive."""

from typing import Final

import anyio
import msgspec

from modelaudit.model import Finding
from modelaudit.workers.wire import Broken, Done, Job, Need

SMALL_BYTES: Final = 1 << 16  # a job of at most so many is a small one


class Lost(msgspec.Struct, frozen=True):
    """The worker did not answer: `reason` is `timeout`, `worker_died` or `changed`."""

    reason: str
    message: str
    findings: tuple[Finding, ...] = ()


Outcome = Need | Done | Broken | Lost


class Pending:
    """One job on its way: what to send, and where the answer goes.

    `outcome` is the answer, None when no worker can be started; `spent_seconds` how long a worker had it in hand.
    """

    def __init__(self, job: Job, descriptor: int, seconds: float, landing: "Landing") -> None:
        self.job = job
        self.descriptor = descriptor
        self.seconds = seconds
        self.found: tuple[Finding, ...] = ()
        self.spent_seconds = 0.0
        self.outcome: Outcome | None = None
        self.is_small = sum(length for _, length in job.extents) <= SMALL_BYTES
        self.is_moved = False  # stands for a job that was given to another worker since
        self._landing = landing

    def end(self, outcome: Outcome | None) -> None:
        """This is the answer."""
        self.outcome = outcome
        if not self.is_moved:
            self._landing.add(self)

    def moved(self) -> "Pending":
        """What stays with a worker that has the job already, and whose answer nobody waits for any more."""
        shade = Pending(self.job, self.descriptor, self.seconds, self._landing)
        shade.is_moved = True
        return shade


class Landing:
    """Where the answers to the jobs of one task arrive: the task is woken once for all that are there."""

    def __init__(self) -> None:
        self._landed: list[Pending] = []
        self._event = anyio.Event()

    def add(self, pending: Pending) -> None:
        """`pending` has its answer."""
        self._landed.append(pending)
        self._event.set()

    async def next(self) -> list[Pending]:
        """The jobs that were answered since the last call; waits until there is one."""
        await self._event.wait()
        self._event = anyio.Event()
        landed, self._landed = self._landed, []
        return landed
