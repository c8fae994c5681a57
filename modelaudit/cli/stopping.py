"""Ctrl-C, SIGTERM and SIGHUP while the flow does not heed them itself: at the very beginning and end of a run."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
