"""A whole run: sources and workers are opened, the flow goes through them, and everything is closed again."""

from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from typing import TYPE_CHECKING, Any

import anyio

from modelaudit import catalogue
from modelaudit.catalogue import Hint
from modelaudit.errors import first_cause
from modelaudit.model import Ended, WeightsMode
from modelaudit.pipeline.flow import Deliver, Flow
from modelaudit.pipeline.policy import Policy
from modelaudit.pipeline.signals import heed_signals
from modelaudit.progress import Progress
from modelaudit.settings import Settings
from modelaudit.sources import open_sources
from modelaudit.workers.launch import Nursery
from modelaudit.workers.pool import Pool
from modelaudit.workers.starter import Starter
from modelaudit.workers.wire import Setup

if TYPE_CHECKING:
    from modelaudit.pipeline.history import History


async def run(
    settings: Settings,
    deliver: Deliver,
    progress: Progress,
    *,
    nursery: Nursery | None = None,
    signals: bool = False,
    history: "History | None" = None,
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
    policy: Policy | None = None,
) -> Ended:
    """Audit everything that `settings.paths` name; hand each record to `deliver`. Gives how the run ended.

    `beside` is run as long as the audit goes on. `policy` is that of the settings, if it is not given.

    With `history` (see `remembering`), what it knows is not read again.

    Workers come from `nursery`, should one have been started already; it is closed at the end.

    With `signals`, SIGINT and SIGTERM end the run cleanly (main thread only). Raises `UsageError` for a path
    that no source knows, `WorkersUnavailable` when no worker starts, and whatever `deliver` raises.
    """
    try:
        return await _run(settings, deliver, progress, nursery, signals, history, beside, policy or Policy.of(settings))
    except BaseExceptionGroup as group:
        raise first_cause(group) from None


async def _run(
    settings: Settings,
    deliver: Deliver,
    progress: Progress,
    nursery: Nursery | None,
    signals: bool,
    history: "History | None",
    beside: Callable[[], Coroutine[Any, Any, None]] | None,
    policy: Policy,
) -> Ended:
    limits = settings.limits
    async with AsyncExitStack() as stack:
        places = await stack.enter_async_context(open_sources(settings.paths, limits, settings.access))
        setup = Setup(limits, tuple(settings.blacklist), _weights(settings))
        pool = None if settings.dry_run else Pool(setup, settings.workers, Starter(nursery))
        flow = Flow(
            places,
            pool,
            deliver,
            limits=limits,
            hints=_hints(settings.paths),
            policy=policy,
            progress=progress,
            reads_whole=setup.weights == "on",
            hashes="all" if settings.hash else "read" if settings.sbom is not None else "none",
            history=history,
        )
        async with anyio.create_task_group() as group:
            if signals:  # before anything that takes time: a stop must be heard from the beginning
                await group.start(heed_signals, flow)
            if beside is not None:
                group.start_soon(beside)
            async with pool or AsyncExitStack():
                await flow.run()
            group.cancel_scope.cancel()
    return flow.ended


def remembering(settings: Settings) -> "AbstractContextManager[History | None]":
    """The memory that `settings` ask for; None in the block if they ask for none. Raises `UsageError`."""
    if settings.state is None or settings.dry_run:
        return nullcontext()
    from modelaudit.pipeline.history import remembering as history_of  # SQLite is not for every run

    return history_of(settings, settings.state, _weights(settings))


def _weights(settings: Settings) -> WeightsMode:
    """Bytes that are counted are not spent on what nobody asked for."""
    return "off" if settings.weights == "auto" and settings.limits.max_total_bytes is not None else settings.weights


def _hints(paths: Sequence[str]) -> dict[str, Hint]:
    """What is worth fetching first, by file extension; local files are mapped and need no hint."""
    if not any(":/" in path for path in paths):
        return {}
    hints: dict[str, Hint] = {}
    for format in catalogue.load().formats.values():
        for extension in format.extensions:
            known = hints.get(extension, Hint())
            hints[extension] = Hint(
                max(known.head_bytes, format.hint.head_bytes), max(known.tail_bytes, format.hint.tail_bytes)
            )
    return hints
