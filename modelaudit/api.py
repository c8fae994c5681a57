"""modelaudit from Python: `scan` for places. (`inspect`, for bytes, lives in `inprocess`.)"""

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack

import anyio
import anyio.to_thread

from modelaudit.access import Access
from modelaudit.errors import first_cause
from modelaudit.limits import Limits
from modelaudit.model import FileReport, WeightsMode
from modelaudit.pipeline import remembering, run
from modelaudit.pipeline.flow import Deliver
from modelaudit.progress import Silent
from modelaudit.settings import Settings, default_workers
from modelaudit.settings.reach import access_by_environment

_WAITING = 256  # records that may wait for a slow consumer; the scan waits with them


async def scan(
    *paths: str,
    limits: Limits | None = None,
    workers: int | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    blacklist: Sequence[str] = (),
    weights: WeightsMode = "auto",
    access: Access | None = None,
    state: str | None = None,
) -> AsyncIterator[FileReport]:
    """Audit files, folders and buckets, and give one `FileReport` an object as soon as it is done.

    `paths` are what the command line takes: files, folders, `s3://bucket/prefix/`. Objects are scanned in
    caged worker processes (`workers`, default one a core). Leaving the loop early ends them; to be sure of
    when, wrap the call in `contextlib.aclosing`.

    `access` says how servers are reached (tokens, certificates); the environment's variables, if it is not given.

    `state` names the file of what was scanned before (see docs/state.md): unchanged objects are not read again, and
    reports say what is new. A run that was left early goes on the next time, and gives every report again.

    `weights` says whether tensors are read too: `auto` those that are local and small, `on` all, `off` none.

    Raises `UsageError` for a path that no source knows, `WorkersUnavailable` when no worker can be started.
    What is wrong with a single object is in its report, never an exception.

        async for report in modelaudit.scan("models/", "s3://bucket/nightly/"):
            if report.severity == "critical":
                print(report.uri, report.findings[0].message)
    """
    settings = Settings(
        paths=paths,
        limits=limits or Limits(),
        workers=workers or default_workers(),
        include=tuple(include),
        exclude=tuple(exclude),
        blacklist=tuple(blacklist),
        weights=weights,
        access=access_by_environment(paths) if access is None else access,
        state=state,
    )
    reports, received = anyio.create_memory_object_stream[FileReport](_WAITING)

    async def deliver(batch: Sequence[FileReport]) -> None:
        for report in batch:
            await reports.send(report)

    async def audit() -> None:
        async with reports:
            await _remembered(settings, deliver)

    try:
        async with received, anyio.create_task_group() as group:
            group.start_soon(audit)
            async for report in received:
                yield report
    except BaseExceptionGroup as error:
        raise first_cause(error) from None


async def _remembered(settings: Settings, deliver: Deliver) -> None:
    """The run, with its memory if `settings` name one."""
    with ExitStack() as held:
        history = await anyio.to_thread.run_sync(held.enter_context, remembering(settings))
        if history is not None:
            await anyio.to_thread.run_sync(history.start)
        ended = await run(settings, deliver, Silent(), history=history)
        if history is not None:
            await anyio.to_thread.run_sync(history.finish, ended)
