"""When to try again, how long to wait, when to give up, and how many at a time. The clock is not a real one."""

import asyncio
import itertools
import selectors
from collections.abc import Awaitable, Callable

import anyio
import pytest

from modelaudit.errors import SourceError
from modelaudit.sources.retry import AttemptError, Gate, Host

pytestmark = pytest.mark.anyio


class Jump(selectors.SelectSelector):
    """Does not wait: says how long it would have."""

    waited_seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout > 0:
            self.waited_seconds += timeout
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while everybody waits, and then at once."""

    def __init__(self) -> None:
        self._jump = Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        return self._jump.waited_seconds


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return ("asyncio", {"loop_factory": JumpingLoop})


def failing(*errors: AttemptError) -> tuple[Callable[[], Awaitable[str]], list[float]]:
    """An attempt that fails so, one error a try, then succeeds; and the times of its tries."""
    left, times = list(errors), list[float]()

    async def attempt() -> str:
        times.append(anyio.current_time())
        if left:
            raise left.pop(0)
        return "done"

    return attempt, times


def again(**more: object) -> AttemptError:
    return AttemptError("server_error", "it broke", again=True, **more)  # type: ignore[arg-type]


def always(error: AttemptError) -> tuple[Callable[[], Awaitable[str]], list[float]]:
    times: list[float] = []

    async def attempt() -> str:
        times.append(anyio.current_time())
        raise error

    return attempt, times


async def test_what_may_go_better_is_tried_again_after_longer_and_longer() -> None:
    """Each wait is between half and all of a step that doubles."""
    attempt, times = failing(*[again() for _ in range(6)])
    assert await Host(4).ask(attempt, 100, "it") == "done"
    waits = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert len(waits) == 6
    for number, wait in enumerate(waits):
        assert 0.05 * 2**number <= wait <= 0.1001 * 2**number


async def test_a_clear_no_is_not_asked_twice() -> None:
    """`access_denied` will not change in a second."""
    attempt, times = failing(AttemptError("access_denied", "no"))
    with pytest.raises(SourceError) as error:
        await Host(4).ask(attempt, 100, "it")
    assert (error.value.reason, error.value.message, len(times)) == ("access_denied", "no", 1)


async def test_tries_end_with_the_deadline_and_the_last_error() -> None:
    """One record says what was wrong, how often it was tried, and for how long."""
    attempt, times = always(again())
    started = anyio.current_time()
    with pytest.raises(SourceError, match=r"it broke \(tried \d+ times in (27|28|29|30)(\.\d)? s\)") as error:
        await Host(4).ask(attempt, 30, "it")
    assert error.value.reason == "server_error"
    assert anyio.current_time() - started <= 30
    assert 7 <= len(times) <= 12


async def test_a_try_that_hangs_ends_with_the_deadline() -> None:
    """No wait is without a bound, whatever the attempt does."""
    host = Host(4)
    with pytest.raises(SourceError, match=r"it: nothing came in time \(gave up after 30 s\)") as error:
        await host.ask(anyio.sleep_forever, 30, "it")
    assert (error.value.reason, anyio.current_time() >= 30) == ("stalled", True)
    attempt, _ = failing()
    assert await host.ask(attempt, 30, "it") == "done"  # the place at the gate was given back


async def test_the_servers_own_wait_is_kept() -> None:
    """Retry-After is obeyed, for all requests to that host."""
    host = Host(4)
    attempt, times = failing(again(busy=True, pause_seconds=7))
    other, other_times = failing()
    async with anyio.create_task_group() as group:
        group.start_soon(host.ask, attempt, 100, "it")
        await anyio.sleep(0.01)
        group.start_soon(host.ask, other, 100, "it")
    assert times[1] - times[0] >= 7
    assert other_times[0] >= 7


async def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    """A server that says an hour is given up at once, not after two minutes."""
    attempt, times = always(again(busy=True, pause_seconds=3600))
    with pytest.raises(SourceError):
        await Host(4).ask(attempt, 120, "it")
    assert (len(times), anyio.current_time()) == (1, 0)


async def test_progress_starts_the_waits_anew() -> None:
    """A body that is cut again and again, and goes on each time, is fetched at once and to the end."""
    attempt, times = failing(*[again(moved_on=True) for _ in range(50)])
    assert await Host(4).ask(attempt, 10, "it") == "done"
    assert times == [times[0]] * 51


async def test_a_server_that_was_never_there_gets_few_tries() -> None:
    """A wrong endpoint is told within a second, not after the deadline."""
    attempt, times = always(again(silent=True))
    with pytest.raises(SourceError, match=r"\(tried 3 times\)"):
        await Host(4).ask(attempt, 120, "it")
    assert (len(times), anyio.current_time() < 1) == (3, True)


async def test_an_outage_costs_one_deadline_and_not_one_for_each_object() -> None:
    """Who comes later, with the server still silent, gets one try; when it is back, all goes on as before."""
    host = Host(4)
    well, _ = failing()
    await host.ask(well, 120, "it")
    broken, times = always(again(silent=True))
    with pytest.raises(SourceError):
        await host.ask(broken, 120, "it")
    assert len(times) > 8
    await anyio.sleep(60)
    late = anyio.current_time()
    broken, times = always(again(silent=True))
    with pytest.raises(SourceError):
        await host.ask(broken, 120, "it")
    assert (len(times), anyio.current_time()) == (1, late)
    well, _ = failing()
    await host.ask(well, 120, "it")
    attempt, _ = failing(*[again(silent=True)] * 5)
    assert await host.ask(attempt, 120, "it") == "done"


async def test_a_failure_after_a_long_silence_is_tried_again() -> None:
    """That nobody asked for an hour is not the server's fault."""
    host = Host(4)
    for _ in range(3):
        attempt, times = failing(*[again()] * 3)
        assert await host.ask(attempt, 120, "it") == "done"
        assert len(times) == 4
        broken, times = always(again(busy=True, pause_seconds=600))
        with pytest.raises(SourceError):
            await host.ask(broken, 120, "it")
        await anyio.sleep(3600)


async def test_a_server_that_wants_hours_of_peace_ends_the_run_soon() -> None:
    """A thousand objects are a thousand records in minutes; each of them was tried."""
    host, tried = Host(16), 0

    async def read() -> None:
        async def attempt() -> None:
            nonlocal tried
            tried += 1
            raise again(busy=True, pause_seconds=3600)

        with pytest.raises(SourceError):
            await host.ask(attempt, 120, "it")

    async with anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(read)
    assert tried >= 1000
    assert anyio.current_time() < 600


async def test_no_more_than_the_window_are_on_their_way() -> None:
    """And all get their turn, in order."""
    host, active, most, order = Host(5), 0, 0, list[int]()

    async def ask(number: int) -> None:
        async def attempt() -> None:
            nonlocal active, most
            active, order[len(order) :] = active + 1, [number]
            most = max(most, active)
            await anyio.sleep(1)
            active -= 1

        await host.ask(attempt, 100, "it")

    async with anyio.create_task_group() as group:
        for number in range(23):
            group.start_soon(ask, number)
    assert (most, sorted(order), anyio.current_time()) == (5, list(range(23)), pytest.approx(5))


async def test_the_window_shrinks_once_for_a_burst_and_grows_with_answers() -> None:
    """All readers slow down when the server is asked too much; it never closes."""
    gate = Gate(64)
    for _ in range(64):
        gate.refused(0)
    assert gate.window == 44
    for _ in range(100):
        await anyio.sleep(1)
        gate.refused(0)
    assert gate.window == 1
    for _ in range(64 * 64):
        gate.answered()
    assert gate.window == 64


async def test_who_gives_up_waiting_leaves_the_gate_open() -> None:
    """Cancelled while waiting, or while the gate is closed: the next one gets through."""
    gate = Gate(1)
    await gate.enter()
    for _ in range(3):
        with anyio.move_on_after(1):
            await gate.enter()
            raise AssertionError("two at once")
    gate.leave()
    gate.refused(50)
    with anyio.move_on_after(1):
        await gate.enter()
        raise AssertionError("it was closed")
    await gate.enter()
    assert anyio.current_time() >= 50


async def test_who_is_cancelled_with_its_turn_hands_it_on() -> None:
    """The turn that came at the moment of the cancellation is not lost."""
    gate = Gate(1)
    await gate.enter()

    async def pass_through() -> None:
        await gate.enter()
        try:
            await anyio.sleep(1)
        finally:
            gate.leave()

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(pass_through)
            await anyio.sleep(1)
            gate.leave()
            scope.cancel()
    with anyio.fail_after(1):
        await gate.enter()
