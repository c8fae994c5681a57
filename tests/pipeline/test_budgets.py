"""What the run may spend is never overspent, and nobody starves."""

import anyio
import anyio.lowlevel
import pytest

from modelaudit.pipeline.budgets import Backlog, Tokens, TotalBudget

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_tokens_are_never_overdrawn_and_all_come_back() -> None:
    """However many tasks take, the sum in use stays within the amount."""
    tokens, used, most = Tokens(100), 0, 0

    async def take(count: int) -> None:
        nonlocal used, most
        async with tokens.hold(count):
            used += count
            most = max(most, used)
            await anyio.lowlevel.checkpoint()
            used -= count

    async with anyio.create_task_group() as group:
        for count in (30, 70, 50, 100, 1, 60, 60, 60):
            group.start_soon(take, count)
    assert (used, most) == (0, 100)
    with anyio.fail_after(1):
        async with tokens.hold(100):
            pass


async def test_a_request_beyond_the_amount_gets_all_of_it_alone() -> None:
    """A range larger than the bound still passes, when nothing else is in flight."""
    tokens = Tokens(10)
    with anyio.fail_after(1):
        async with tokens.hold(1000):
            pass


async def test_a_waiter_that_gives_up_does_not_block_the_next() -> None:
    """Cancelling a waiting task hands its place on."""
    tokens, reached = Tokens(10), anyio.Event()

    async def late() -> None:
        async with tokens.hold(5):
            reached.set()

    with anyio.fail_after(2):
        async with anyio.create_task_group() as group, tokens.hold(5):
            with anyio.move_on_after(0.05):
                async with tokens.hold(10):
                    raise AssertionError("more than there is")
            group.start_soon(late)
            await reached.wait()


async def test_the_total_is_a_wall() -> None:
    """What does not fit is refused, and from then on the budget counts as spent."""
    total = TotalBudget(100)
    assert await total.take(60)
    total.settle(60, 10)
    assert await total.take(90)
    assert not total.spent
    total.settle(90, 90)
    assert not await total.take(1)
    assert total.spent


async def test_a_reservation_is_not_yet_spent() -> None:
    """While others hold more than they will read, what does not fit waits for what they give back."""
    total, got = TotalBudget(100), []

    async def late() -> None:
        got.append(await total.take(80))

    with anyio.fail_after(2):
        assert await total.take(60)
        async with anyio.create_task_group() as group:
            group.start_soon(late)
            await anyio.wait_all_tasks_blocked()
            assert not got
            assert not total.spent
            total.settle(60, 20)
    assert got == [True]


async def test_no_bound_means_no_bound() -> None:
    """Without --max-total-size everything may be read."""
    assert await TotalBudget(None).take(1 << 60)


async def test_findings_wait_for_a_slow_sink() -> None:
    """Records with findings wait while too many are unwritten; clean ones never; one that is too large waits alone."""
    backlog = Backlog(10)
    order: list[str] = []

    async def take(name: str, count: int) -> None:
        await backlog.take(count)
        order.append(name)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            await take("eight", 8)
            group.start_soon(take, "four", 4)
            group.start_soon(take, "none", 0)
            await anyio.wait_all_tasks_blocked()
            assert order == ["eight", "none"]
            backlog.give(8)
            await anyio.wait_all_tasks_blocked()
            assert order == ["eight", "none", "four"]
            group.start_soon(take, "huge", 99)
            await anyio.wait_all_tasks_blocked()
            assert order[-1] == "four"
            backlog.give(4)
            await anyio.wait_all_tasks_blocked()
            assert order[-1] == "huge"
            group.start_soon(take, "last", 1)
            await anyio.wait_all_tasks_blocked()
            backlog.lift()
    assert order[-1] == "last"
