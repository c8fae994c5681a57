"""SIGINT, SIGTERM and SIGHUP while a flow runs: they end it cleanly, and no moment is left in which they kill.

The loop's own receivers put a signal back to its default when they close: from there to the summary a SIGTERM
would end the process without one. Here the handlers from before come back.
"""

import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import anyio
import anyio.abc

from modelaudit.pipeline.flow import Flow


async def heed_signals(flow: Flow, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
    """End `flow` cleanly on SIGINT, SIGTERM or SIGHUP; a second signal ends the process at once.

    From now on they are no longer blocked, should they have been. An ignored SIGHUP (`nohup`) stays ignored.
    Only in the main thread, like everything about signals in Python.
    """
    heeded = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heeded.append(signal.SIGHUP)
    with _received(heeded) as wakeups:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)
        task_status.started()
        while True:
            await anyio.wait_readable(wakeups)
            for number in wakeups.recv(64):
                if number in heeded:
                    _end(flow, number)


def _end(flow: Flow, number: int) -> None:
    if flow.ended in ("interrupted", "terminated"):
        os._exit(128 + number)
    flow.stop("interrupted" if number == signal.SIGINT else "terminated")


@contextmanager
def _received(numbers: Sequence[int]) -> Iterator[socket.socket]:
    """A socket from which the numbers of signals can be read, one byte each, as they come."""
    wakeups, told = socket.socketpair()
    with wakeups, told:
        for end in (wakeups, told):
            end.setblocking(False)
        before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        handlers = [(number, signal.signal(number, _noted)) for number in numbers]
        try:
            yield wakeups
        finally:
            for number, handler in handlers:
                signal.signal(number, handler or signal.SIG_DFL)
            signal.set_wakeup_fd(before)


def _noted(number: int, frame: FrameType | None) -> None:
    """Its number is in the socket by now: the interpreter writes it there before it calls this."""
