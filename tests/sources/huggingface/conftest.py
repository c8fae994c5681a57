"""A hub for each test, and a source with bounds that let tests end soon."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from modelaudit.access import Access
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources import Sources
from modelaudit.sources.interface import Source
from tests.servers.hub import Hub, hub

LIMITS = Limits(read_deadline_seconds=5, listing_deadline_seconds=5, stall_timeout_seconds=1, concurrency=4)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[Hub]:
    """A hub without repositories; `outsider` and `insider` are tokens that it knows."""
    with hub() as running:
        running.members, running.insiders = {"outsider"}, {"insider"}
        yield running


@asynccontextmanager
async def opened(url: str, token: str | None = None, limits: Limits = LIMITS) -> AsyncIterator[Source]:
    """The source, led to the hub at `url`."""
    variables = {"HF_ENDPOINT": url} | ({"HF_TOKEN": token} if token else {})
    async with Sources(limits, Access(variables=variables)) as sources:
        yield await sources.named("huggingface")


async def listed(source: Source, path: str) -> list[Target]:
    return [target for page in [page async for page in source.list(path)] for target in page]


async def uris(source: Source, path: str) -> list[str]:
    found = await listed(source, path)
    assert not any(target.failed for target in found), found
    return [target.uri for target in found]


async def refused(source: Source, path: str) -> tuple[str, str]:
    """Reason and message of the one record that `path` gives."""
    (target,) = await listed(source, path)
    assert target.failed
    assert target.skip is not None
    return target.skip
