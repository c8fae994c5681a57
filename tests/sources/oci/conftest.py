"""A source with bounds that let tests end soon."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from modelaudit.access import Access
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.oci import Oci
from modelaudit.sources.web import Web

LIMITS = Limits(read_deadline_seconds=5, listing_deadline_seconds=5, stall_timeout_seconds=1, concurrency=4)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def opened(limits: Limits = LIMITS, **access: object) -> AsyncIterator[Oci]:
    """The source with its own HTTP session."""
    known = Access(**access)  # type: ignore[arg-type]
    web = Web(limits, known)
    try:
        async with Oci(limits, web, known) as source:
            yield source
    finally:
        await web.close()


async def listed(source: Oci, path: str) -> list[Target]:
    return [target for page in [page async for page in source.list(path)] for target in page]
