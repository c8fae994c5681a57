"""Ctrl-C, SIGTERM and SIGHUP while the flow does not heed them itself: at the very beginning and end of a run."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

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
