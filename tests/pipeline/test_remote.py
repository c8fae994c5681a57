"""Objects of servers that are not as good as S3: without sizes in the listing, without ranges."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from aiohttp import web

from modelaudit import scan
from modelaudit.access import Access
from modelaudit.limits import Limits
from modelaudit.model import FileReport, Severity
from tests.samples.demo import ATTACKS
from tests.samples.zipwriter import Entry, archive
from tests.servers.serving import ranged, serving

pytestmark = pytest.mark.anyio
PADDING = Entry("archive/data/0", bytes(20 << 20))
HIDDEN = archive([PADDING, Entry("archive/data.pkl", ATTACKS["os-system.pkl"](), 8)])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Server:
    """A server with one file; counts the bytes that it was asked for."""

    def __init__(self, with_ranges: bool) -> None:
        self.with_ranges = with_ranges
        self.asked: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("Range", ""))
        return ranged(request, HIDDEN) if self.with_ranges else web.Response(body=HIDDEN)


@contextmanager
def server(with_ranges: bool) -> Iterator[Server]:
    standing = Server(with_ranges)
    app = web.Application()
    app.router.add_get("/model.pt", standing.answer)
    with serving(app) as port:
        standing.url = f"http://127.0.0.1:{port}/model.pt"
        yield standing


async def scanned(url: str, limits: Limits = Limits()) -> FileReport:  # noqa: B008  it is frozen
    (report,) = [report async for report in scan(url, workers=1, limits=limits, access=Access())]
    return report


async def test_a_size_is_learnt_with_the_first_bytes() -> None:
    """No request is made for the size alone, and nothing is read twice."""
    with server(True) as standing:
        report = await scanned(standing.url)
    assert (report.size, report.status, report.severity) == (len(HIDDEN), "scanned", Severity.CRITICAL)
    assert standing.asked[0] == f"bytes=0-{Limits().head_bytes - 1}"
    ends = [asked.removeprefix("bytes=").split("-") for asked in standing.asked]
    assert sum(int(last) - int(first) + 1 for first, last in ends) == report.bytes_read <= len(HIDDEN)


async def test_without_ranges_the_whole_object_is_read() -> None:
    """What lies far behind its beginning is found as well."""
    with server(False) as standing:
        report = await scanned(standing.url)
    assert (report.size, report.status, report.severity) == (len(HIDDEN), "scanned", Severity.CRITICAL)


async def test_without_ranges_there_is_a_bound() -> None:
    """An object that may not be held whole is a failed record that says why."""
    limits = msgspec.structs.replace(Limits(), in_flight_bytes=16 << 20)
    with server(False) as standing:
        report = await scanned(standing.url, limits)
    assert (report.status, report.reason) == ("failed", "no_ranges")
    assert "whole objects only" in str(report.message)
