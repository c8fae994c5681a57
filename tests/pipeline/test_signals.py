"""Signals during a run, and the handlers that stand before and after it."""

import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import anyio
import pytest

from modelaudit.limits import Limits
from modelaudit.pipeline.flow import Flow
from modelaudit.pipeline.policy import Policy
from modelaudit.pipeline.signals import heed_signals
from tests.pipeline.test_flow import Silent

pytestmark = pytest.mark.anyio
HEEDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def _mine(number: int, frame: FrameType | None) -> None: ...


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Handlers of ours for the test, and whatever was there before after it."""
    before = [(number, signal.signal(number, _mine)) for number in HEEDED]
    yield
    for number, handler in before:
        signal.signal(number, handler)


def flow() -> Flow:
    async def deliver(batch: object) -> None: ...

    return Flow([], None, deliver, limits=Limits(), hints={}, policy=Policy(), progress=Silent())


@pytest.mark.parametrize(
    ("number", "ended"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGHUP, "terminated")]
)
async def test_a_signal_stops_the_flow(number: int, ended: str) -> None:
    """Also one that was held back until the flow could heed it."""
    stopped = flow()
    signal.pthread_sigmask(signal.SIG_BLOCK, HEEDED)
    signal.pthread_kill(threading.get_ident(), number)  # to this thread: others may have it unblocked
    async with anyio.create_task_group() as group:
        await group.start(heed_signals, stopped)
        with anyio.fail_after(10):
            while stopped.ended == "complete":  # noqa: ASYNC110  a flow is not there to be waited for
                await anyio.sleep(0.001)
        group.cancel_scope.cancel()
    assert stopped.ended == ended


async def test_the_handlers_from_before_come_back_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """No moment has the default, which kills; the descriptor that wakes the loop is put back too."""
    installed: list[object] = []
    real: Callable[..., object] = signal.signal

    def noted(number: int, handler: object) -> object:
        installed.append(handler)
        return real(number, handler)

    monkeypatch.setattr(signal, "signal", noted)
    async with anyio.create_task_group() as group:
        await group.start(heed_signals, flow())
        assert signal.getsignal(signal.SIGTERM) is not _mine
        group.cancel_scope.cancel()
    assert [signal.getsignal(number) for number in HEEDED] == [_mine] * 3
    assert not {signal.SIG_DFL, signal.SIG_IGN, signal.default_int_handler} & set(installed)
    assert signal.set_wakeup_fd(-1) == -1


async def test_a_hangup_that_is_ignored_stays_so() -> None:
    """`nohup` means it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    async with anyio.create_task_group() as group:
        await group.start(heed_signals, flow())
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        group.cancel_scope.cancel()
