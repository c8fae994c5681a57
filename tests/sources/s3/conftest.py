"""A source that leads to the real server through the proxy, with bounds that let tests end soon."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.s3 import S3
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Counts
from tests.servers.seaweed import Seaweed

LIMITS = Limits(read_deadline_seconds=20, listing_deadline_seconds=20, stall_timeout_seconds=1, concurrency=8)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["by the library", "signed by us"])
async def source(aws: FaultProxy, s3_server: Seaweed, request: pytest.FixtureRequest) -> AsyncIterator[S3]:
    """The source, once with all requests made by the AWS library, once with the way to the bucket learnt."""
    async with S3(LIMITS) as opened:
        if request.param == "by the library":
            opened._connection._ways["models"] = None
        else:
            version = s3_server.put("warm-up", b"x")
            await opened.read(Target("s3://models/warm-up", "models/warm-up", 1, version), 0, 1, version)
            assert opened._connection._ways["models"] is not None
            aws.counts = Counts()
        yield opened


class Folder:
    """A prefix of the test's own in the real bucket."""

    def __init__(self, server: Seaweed, name: str) -> None:
        self.server = server
        self.name = name
        self.url = f"s3://models/{name}"

    def put(self, key: str, data: bytes) -> Target:
        """Store an object; gives its target as a listing would."""
        full = f"{self.name}/{key}"
        return Target(f"s3://models/{full}", f"models/{full}", len(data), self.server.put(full, data))


@pytest.fixture
def folder(s3_server: Seaweed, request: pytest.FixtureRequest) -> Iterator[Folder]:
    name = "".join(mark if mark.isalnum() else "-" for mark in request.node.name)
    yield Folder(s3_server, name)


def opened(**bounds: object) -> AbstractAsyncContextManager[S3]:
    """A source with other bounds than `LIMITS`."""

    @asynccontextmanager
    async def go() -> AsyncIterator[S3]:
        settings = {name: getattr(LIMITS, name) for name in Limits.__struct_fields__} | bounds
        async with S3(Limits(**settings)) as source:
            yield source

    return go()
