"""Trying again, for every source that goes over a network: how long to wait, when to give up, how to hold back.

A `Host` stands for one server in one run. All requests to it pass its gate: when it says that it is asked too
much, fewer are let through, and more again as it answers.
"""

import re
from collections import deque
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from random import SystemRandom
from time import time
from typing import TypeVar

import anyio

from modelaudit.errors import SourceError

T = TypeVar("T")

_FIRST_DELAY_SECONDS = 0.1  # doubles with each try
_MOST_DELAY_SECONDS = 20.0  # then it stays
_FEW_TRIES = 3  # all that a server gets which could never be reached
_MOST_PAUSE_SECONDS = 60.0  # that a server may impose on all requests; longer ones are kept by their own only
_SHRINK = 0.7  # of the requests let through at a time, when one is refused for there being too many
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")
_SHRINK_SECONDS = 0.25  # a burst of such refusals counts once in this time


class AttemptError(Exception):
    """One request did not give what it should. `reason` and `message` become those of a `SourceError`.

    `again`: it may go better next time. `busy`: the server wants fewer requests. `silent`: no answer came at
    all. `moved_on`: the next try asks for less than this one did. `pause_seconds`: the wait that the server
    asked for.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        again: bool = False,
        busy: bool = False,
        silent: bool = False,
        moved_on: bool = False,
        pause_seconds: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.again = again
        self.busy = busy
        self.silent = silent
        self.moved_on = moved_on
        self.pause_seconds = pause_seconds


class Gate:
    """Lets at most a window of requests through at a time, first come, first served."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._window = float(most)
        self._active = 0
        self._waiting: deque[anyio.Event] = deque()
        self._shrunk_at = float("-inf")
        self._closed_until = float("-inf")

    @property
    def window(self) -> int:
        """How many requests may be on their way."""
        return int(self._window)

    async def enter(self) -> None:
        """Wait for a place. Each `enter` that returns needs one `leave`."""
        if self._waiting or self._active >= self.window:
            turn = anyio.Event()
            self._waiting.append(turn)
            try:
                await turn.wait()
            except BaseException:
                if turn.is_set():
                    self.leave()
                else:
                    self._waiting.remove(turn)
                raise
        else:
            self._active += 1
        try:
            while (pause := self._closed_until - anyio.current_time()) > 0:  # noqa: ASYNC110  it is about time
                await anyio.sleep(pause * SystemRandom().uniform(1.0, 1.25))  # not all at the same moment
        except BaseException:
            self.leave()
            raise

    def leave(self) -> None:
        """Give the place to the next."""
        self._active -= 1
        self._wake()

    def refused(self, pause_seconds: float) -> None:
        """The server wants fewer requests, and none for `pause_seconds`."""
        now = anyio.current_time()
        self._closed_until = max(self._closed_until, now + pause_seconds)
        if now >= self._shrunk_at + _SHRINK_SECONDS:
            self._shrunk_at = now
            self._window = max(1.0, self._window * _SHRINK)

    def answered(self) -> None:
        """The server answered well: one more at a time for each window of good answers."""
        if self._window < self._most:
            self._window = min(self._most, self._window + 1 / self._window)
            self._wake()

    def _wake(self) -> None:
        while self._waiting and self._active < self.window:
            self._active += 1
            self._waiting.popleft().set()


class Host:
    """One server, asked at most `most` things at a time."""

    def __init__(self, most: int) -> None:
        self.gate = Gate(most)
        self._reached = False  # it has answered something
        self._failing: tuple[float, float] | None = None  # since its last good answer: the first failure, the last

    async def ask(self, attempt: Callable[[], Awaitable[T]], deadline_seconds: float, what: str) -> T:
        """The result of `attempt`, made again and again for at most `deadline_seconds`.

        `attempt` raises `AttemptError`; raises `SourceError` when that says to give up, when the time is
        over, or when the server has done nothing but fail for as long. `what` names the thing to people.
        """
        await self.gate.enter()  # the time runs from the first turn on
        started = anyio.current_time()
        deadline = started + deadline_seconds
        error = AttemptError("stalled", f"{what}: nothing came in time")
        made = tries = 0
        while True:
            try:
                with anyio.CancelScope(deadline=deadline):
                    result = await attempt()
                    self._answered()
                    return result
                raise _given_up(error, made + 1, deadline_seconds)
            except AttemptError as failure:
                error = failure
                self._failed(error, deadline_seconds)
            finally:
                self.gate.leave()
            made += 1
            tries = 0 if error.moved_on else tries + 1
            delay = _delay(tries, error.pause_seconds)
            if not error.again or self._hopeless(tries, error, deadline_seconds):
                raise _given_up(error, made, anyio.current_time() - started if made > 1 else 0)
            if anyio.current_time() + delay >= deadline:
                raise _given_up(error, made, deadline_seconds)
            await anyio.sleep(delay)
            await self.gate.enter()

    def _answered(self) -> None:
        self._reached, self._failing = True, None
        self.gate.answered()

    def _failed(self, error: AttemptError, deadline_seconds: float) -> None:
        self._reached = self._reached or not error.silent
        if not error.again or error.moved_on:
            self._failing = None  # a clear no is an answer, and so are bytes
            return
        now = anyio.current_time()
        first, last = self._failing or (now, now)
        self._failing = (first if now - last < deadline_seconds else now, now)  # after a long silence, anew
        if error.busy:
            self.gate.refused(0 if self._down(deadline_seconds) else min(error.pause_seconds, _MOST_PAUSE_SECONDS))

    def _down(self, deadline_seconds: float) -> bool:
        """Whether the server has only failed for (almost) a whole deadline: somebody has waited for it in vain."""
        return self._failing is not None and self._failing[1] - self._failing[0] >= deadline_seconds * 0.9

    def _hopeless(self, tries: int, error: AttemptError, deadline_seconds: float) -> bool:
        return self._down(deadline_seconds) or (error.silent and not self._reached and tries >= _FEW_TRIES)


def _delay(tries: int, asked_seconds: float) -> float:
    if tries == 0:
        return asked_seconds
    most = min(_MOST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2.0 ** min(tries - 1, 20))
    return max(SystemRandom().uniform(most / 2, most), asked_seconds)


def _given_up(error: AttemptError, tries: int, seconds: float) -> SourceError:
    """The error to report: how often it was tried, and for how long where that is worth a word."""
    said = error.message
    time_taken = f"{seconds:.3g} s" if seconds >= 1 else ""
    if tries > 1:
        said += f" (tried {tries} times{time_taken and f' in {time_taken}'})"
    elif time_taken:
        said += f" (gave up after {time_taken})"
    return SourceError(error.reason, said)


def retry_after_seconds(said: str) -> float:
    """The seconds that a Retry-After header asks for: a number or a date; 0 when there is none."""
    if _SECONDS.fullmatch(said):
        return float(said)
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time())
    except (ValueError, TypeError):
        return 0.0
