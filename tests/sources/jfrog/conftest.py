"""An Artifactory for each test, and a source with bounds that let tests end soon."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from modelaudit.access import Access
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources import Sources
from modelaudit.sources.interface import Source
from tests.servers.artifactory import Artifactory, artifactory

LIMITS = Limits(read_deadline_seconds=5, listing_deadline_seconds=5, stall_timeout_seconds=1, concurrency=4)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[Artifactory]:
    """A server without files, open to everybody."""
    with artifactory() as running:
        yield running


@asynccontextmanager
async def opened(limits: Limits = LIMITS, **access: object) -> AsyncIterator[Source]:
    async with Sources(limits, Access(**access)) as sources:  # type: ignore[arg-type]
        yield await sources.named("jfrog")


async def listed(source: Source, path: str) -> list[Target]:
    return [target for page in [page async for page in source.list(path)] for target in page]


async def refused(source: Source, path: str) -> tuple[str, str]:
    """Reason and message of the one record that `path` gives."""
    (target,) = await listed(source, path)
    assert target.failed
    assert target.skip is not None
    return target.skip
