"""Ctrl-C, SIGTERM and SIGHUP while the flow does not heed them itself: at the very beginning and end of a run."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn, Self

_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE_SECONDS = 1.0
_Handler = Callable[[int, FrameType | None], object] | int | None


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came."""


def heed() -> None:
    """Turn the signals into `Terminated`. One that whoever started us wants ignored (`nohup`) stays ignored."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Signals that come in the block wait for its end, or until somebody unblocks them in it.

    For blocks that import: an import that is broken off leaves half a module, or crashes the interpreter.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    try:
        yield
    finally:
        heed()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ALL)


class Noted:
    """A block in which a signal is noted, so that what is being written is written to its end.

    Where that takes longer than a second, say because nobody reads the pipe, the block is broken off as if the
    signal came then; a second signal breaks it off at once. An ignored signal stays ignored.
    """

    def __init__(self) -> None:
        self.stop: KeyboardInterrupt | None = None  # what the first signal would have raised
        self._before: list[tuple[int, _Handler]] = []

    def __enter__(self) -> Self:
        for number in (*_ALL, signal.SIGALRM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before.append((number, signal.signal(number, self._note)))
        return self

    def __exit__(self, *error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before:
            signal.signal(number, handler or signal.SIG_DFL)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.stop is not None:
            raise self.stop
        self.stop = KeyboardInterrupt() if number == signal.SIGINT else Terminated()
        signal.setitimer(signal.ITIMER_REAL, _GRACE_SECONDS)


def _stop(number: int, frame: FrameType | None) -> None:
    raise Terminated


def leave(code: int) -> NoReturn:
    """End the process with `code`. What is to be known has been written: no signal makes another end of it.

    Without taking the interpreter apart, which takes longer than a small scan and puts the signals back to what kills.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _ALL)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, full, or never there
            stream.flush()
    os._exit(code)
