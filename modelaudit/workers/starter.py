"""The parent's side of the nursery: ask it for workers, hear how they end, replace it when it dies."""

import contextlib
import itertools
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Final

import anyio
import anyio.to_thread

from modelaudit.errors import ModelauditError
from modelaudit.workers.launch import SILENCE, Nursery
from modelaudit.workers.wire import Born, Died, Fork, Unborn, WireError, decode_from_nursery, packet

_PACKET_BYTES: Final = 1 << 16
_FORK_SECONDS: Final = 60.0  # loading everything, on a machine that does other things too
_DEATH_SECONDS: Final = 5.0  # a killed process is buried at once, unless the disk it reads from hangs


class NotStarted(ModelauditError):
    """The nursery or a worker did not start; the message holds what was said last."""


class Process:
    """One worker process; not our child, but known by a descriptor, so that no other can be meant."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.descriptor: int | None = None
        self.code: int | None = None
        self.trouble: str | None = None
        self.begun = anyio.Event()
        self.ended = anyio.Event()

    def kill(self) -> None:
        """End it, if it runs."""
        if self.descriptor is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)

    async def wait(self) -> int | None:
        """Its exit code, or its signal as a negative number; None when nobody saw it end."""
        with anyio.move_on_after(_DEATH_SECONDS):
            await self.ended.wait()
        return self.code

    def release(self) -> None:
        """Nobody asks for it any more."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class Starter:
    """Brings forth workers through a nursery, which is started when it is first needed, and anew when it died."""

    def __init__(self, nursery: Nursery | None = None, launch: Callable[[], Nursery] = Nursery) -> None:
        self._nursery = nursery
        self._launch = launch
        self._launched = anyio.Event()
        self._processes: dict[int, Process] = {}
        self._numbers = itertools.count(1)

    async def fork(self, channel: socket.socket, modules: Sequence[str]) -> Process:
        """A new worker that has `channel` and has loaded `modules`. Raises `NotStarted`."""
        process = Process(next(self._numbers))
        self._processes[process.number] = process
        try:
            self._ask(Fork(process.number, tuple(modules)), channel)
            with anyio.fail_after(_FORK_SECONDS):
                await process.begun.wait()
        except (OSError, TimeoutError) as error:
            self._processes.pop(process.number, None)
            raise NotStarted(self.last_words(str(error) or "it did not answer")) from error
        if process.trouble is not None:
            raise NotStarted(process.trouble)
        return process

    def _ask(self, message: Fork, channel: socket.socket) -> None:
        # On this thread, though it blocks for a millisecond: the kernel kills the nursery when the thread that
        # started it ends, and threads of a pool end when they have been idle.
        if self._nursery is None:
            self._nursery = self._launch()
        self._launched.set()
        socket.send_fds(self._nursery.control, [packet(message)], [channel.fileno()])

    async def listen(self) -> None:
        """Take in what the nursery tells, for ever; to be run as a task."""
        while True:
            await self._launched.wait()
            nursery = self._nursery
            assert nursery is not None  # noqa: S101  launched, and lost nowhere but below
            try:
                await anyio.wait_readable(nursery.control)
                body, descriptors, _flags, _address = socket.recv_fds(nursery.control, _PACKET_BYTES, 1)
                if not body:
                    raise WireError("it ended")
                self._heard(body, descriptors)
            except (WireError, OSError, anyio.ClosedResourceError) as error:
                self._lost(nursery, str(error))

    def _heard(self, body: bytes, descriptors: Sequence[int]) -> None:
        message = decode_from_nursery(body)
        process = self._processes.get(message.id)
        if process is None or (isinstance(message, Born) and not descriptors):
            for descriptor in descriptors:
                os.close(descriptor)
            return
        if isinstance(message, Born):
            process.descriptor = descriptors[0]
            process.begun.set()
            return
        if isinstance(message, Unborn):
            process.trouble = message.message
        elif isinstance(message, Died):
            process.code = message.code
        del self._processes[message.id]
        process.begun.set()
        process.ended.set()

    def _lost(self, nursery: Nursery, why: str) -> None:
        """The nursery died, and its workers with it: whoever waits for one is told."""
        said = nursery.said()
        nursery.close()
        self._nursery, self._launched = None, anyio.Event()
        for process in self._processes.values():
            process.trouble = process.trouble or (said if said != SILENCE else f"the nursery: {why}")
            process.begun.set()
            process.ended.set()
        self._processes.clear()

    def said(self) -> str:
        """The last line that the nursery or a worker wrote on standard error."""
        return SILENCE if self._nursery is None else self._nursery.said()

    def last_words(self, otherwise: str) -> str:
        """What the nursery said before it ended, which is the cause of whatever failed in talking to it."""
        said = self.said()
        return said if said != SILENCE else otherwise

    def close(self) -> None:
        """End the nursery and every worker. Blocks until they are gone, which takes a moment."""
        if self._nursery is not None:
            self._nursery.close(_DEATH_SECONDS if self._launched.is_set() else 0)
            self._nursery = None
        for process in self._processes.values():
            process.ended.set()
