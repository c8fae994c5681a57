"""Requests to a server and to the stores that it sends us to: who gets the credentials, and what is made of answers."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import trustme
from aiohttp import web

from modelaudit.access import Access
from modelaudit.errors import SourceError, UsageError
from modelaudit.limits import Limits
from modelaudit.sources.ranges import Headers, Place
from modelaudit.sources.retry import AttemptError
from modelaudit.sources.web import Fixed, Service, Web
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, slow_down
from tests.servers.serving import ranged, serving

pytestmark = pytest.mark.anyio
DATA = bytes(range(256)) * 400
LIMITS = Limits(read_deadline_seconds=5, listing_deadline_seconds=5, stall_timeout_seconds=1, concurrency=4)
TOKEN = {"Authorization": "Bearer PLANTED"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Servers:
    """A server at 127.0.0.1 and its store at localhost, which is another host to every client."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str | None]] = []  # who, path, Authorization
        self.handlers: dict[str, Handler] = {}
        self.server_port = self.store_port = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What the test has set up for the path."""
        who = (request.host or "").partition(":")[0]
        self.seen.append((who, request.path_qs, request.headers.get("Authorization")))
        return await self.handlers[request.path](request)

    @property
    def server(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def store(self) -> str:
        return f"http://localhost:{self.store_port}"

    def on(self, path: str) -> Callable[[Handler], Handler]:
        """Answer `path` by the decorated function."""

        def keep(handler: Handler) -> Handler:
            self.handlers[path] = handler
            return handler

        return keep

    def sends(self, path: str, location: str, status: int = 302) -> None:
        """Answer `path` by a redirect."""

        @self.on(path)
        async def go(request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": location})

    def holds(self, path: str, data: bytes = DATA, **headers: str) -> None:
        """Answer `path` by `data`, whole or in ranges."""

        @self.on(path)
        async def go(request: web.Request) -> web.Response:
            return ranged(request, data, headers)


@pytest.fixture
def servers() -> Iterator[Servers]:
    both = Servers()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", both.answer)
    other = web.Application()
    other.router.add_route("*", "/{path:.*}", both.answer)
    with serving(app) as both.server_port, serving(other, "localhost") as both.store_port:
        yield both


@asynccontextmanager
async def service(base: str, access: Access | None = None, **more: object) -> AsyncIterator[Service]:
    """A service with a token, closed at the end."""
    client = Web(LIMITS, access or Access())
    try:
        yield Service(client, LIMITS, base, Fixed(TOKEN), "set TOKEN", **more)  # type: ignore[arg-type]
    finally:
        await client.close()


async def failure(asked: Awaitable[object]) -> SourceError:
    with pytest.raises(SourceError) as error:
        await asked
    assert "PLANTED" not in str(error.value)
    return error.value


async def test_a_store_elsewhere_gets_no_credentials_and_is_remembered(servers: Servers) -> None:
    """The server sends us on once; from then on the store is asked at once, without the token."""
    servers.sends("/file", f"{servers.store}/blob?signature=1")
    servers.holds("/blob")
    async with service(servers.server) as asked:
        place = Place("x://file", len(DATA))
        chunks = [await asked.read(f"{servers.server}/file", place, offset, 10) for offset in (0, 500, 1000)]
    assert [chunk.data for chunk in chunks] == [DATA[:10], DATA[500:510], DATA[1000:1010]]
    store = ("localhost", "/blob?signature=1", None)
    assert servers.seen == [("127.0.0.1", "/file", "Bearer PLANTED"), store, store, store]


async def test_a_redirect_on_the_own_host_keeps_the_credentials(servers: Servers) -> None:
    """A relative one, as registries give it."""
    servers.sends("/old", "/new", 307)
    servers.holds("/new")
    async with service(servers.server) as asked:
        await asked.read(f"{servers.server}/old", Place("x"), 0, 10)
    assert [authorization for _, _, authorization in servers.seen] == ["Bearer PLANTED"] * 2


async def test_a_signature_that_expires_is_asked_for_anew(servers: Servers) -> None:
    """Once; a new address that is refused as well is the end."""
    servers.sends("/file", f"{servers.store}/first")
    servers.holds("/first")
    async with service(servers.server) as asked:
        url = f"{servers.server}/file"
        await asked.read(url, Place("x"), 0, 10)

        @servers.on("/first")
        async def refuse(request: web.Request) -> web.Response:
            return web.Response(status=403)

        servers.sends("/file", f"{servers.store}/second")
        servers.holds("/second")
        assert (await asked.read(url, Place("x"), 5, 10)).data == DATA[5:15]
        servers.handlers["/second"] = refuse
        error = await failure(asked.read(url, Place("x"), 5, 10))
    assert error.reason == "access_denied"
    assert [path for _, path, _ in servers.seen][-4:] == ["/second", "/second", "/file", "/second"]


@pytest.mark.parametrize("location", ["/file", "", "ftp://host/x", "file:///etc/passwd", "http://[::bad/x"])
async def test_redirects_that_lead_nowhere_end(servers: Servers, location: str) -> None:
    """Round in a circle, to no address, to another protocol: an error, and soon."""
    servers.sends("/file", location)
    async with service(servers.server) as asked:
        error = await failure(asked.page(f"{servers.server}/file", "the file"))
    assert error.reason in ("bad_answer", "refused", "bad_address")


async def test_no_redirect_leads_from_tls_to_plain_text(servers: Servers, tmp_path: Path) -> None:
    """And no certificate is taken on trust: not without `--ca-bundle`, nor with that of others."""
    authority, stranger = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    stranger.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    servers.sends("/file", f"{servers.store}/blob")
    servers.holds("/blob")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", servers.answer)
    with serving(app, tls=context) as port:
        base = f"https://127.0.0.1:{port}"
        for bundle in (None, str(tmp_path / "other.pem")):
            async with service(base, Access(ca_bundle=bundle)) as asked:
                error = await failure(asked.page(f"{base}/file", "the file"))
                assert error.reason == "unreachable"
                assert "--ca-bundle" in error.message
        assert servers.seen == []
        async with service(base, Access(ca_bundle=str(tmp_path / "ca.pem"))) as asked:
            error = await failure(asked.page(f"{base}/file", "the file"))
            assert (error.reason, "encrypted" in error.message) == ("refused", True)
    assert [path for _, path, _ in servers.seen] == ["/file"]


async def test_a_bundle_without_certificates_is_a_wrong_option(tmp_path: Path) -> None:
    """It is the user's to mend, not the object's fault."""
    (tmp_path / "ca.pem").write_text("none")
    async with service("https://localhost", Access(ca_bundle=str(tmp_path / "ca.pem"))) as asked:
        with pytest.raises(UsageError, match="ca-bundle"):
            await asked.page("https://localhost/x", "x")


async def test_a_proxy_is_used_but_where_it_is_not_to_be(servers: Servers) -> None:
    """As the proxy variables say."""
    servers.holds("/file")
    through = {"http": servers.store, "no": ""}
    async with service("http://models.invalid", Access(proxies=through)) as asked:
        assert (await asked.page("http://models.invalid/file", "x")).body == DATA
    assert servers.seen == [("models.invalid", "/file", "Bearer PLANTED")]
    async with service(servers.server, Access(proxies={**through, "no": "127.0.0.1"})) as asked:
        await asked.page(f"{servers.server}/file", "x")
    assert servers.seen[-1][0] == "127.0.0.1"


class _Count(msgspec.Struct):
    count: int


@pytest.mark.parametrize("body", [b"", b"[]", b'{"count": "many"}', b"\xff\xfe", b"[" * 100_000])
async def test_answers_that_are_not_what_was_asked_for(servers: Servers, body: bytes) -> None:
    """They are asked for again while there is time, and then an error."""
    servers.holds("/api", body)
    limits = msgspec.structs.replace(LIMITS, listing_deadline_seconds=0.3)
    client = Web(limits, Access())
    try:
        asked = Service(client, limits, servers.server, Fixed(TOKEN), "set TOKEN")
        error = await failure(asked.json(f"{servers.server}/api", _Count, "the count"))
    finally:
        await client.close()
    assert error.reason == "bad_answer"


@pytest.mark.parametrize(
    ("headers", "data"), [({"Content-Encoding": "gzip"}, b"x"), ({}, bytes(33 << 20))], ids=["packed", "endless"]
)
async def test_answers_that_ask_for_too_much(servers: Servers, headers: dict[str, str], data: bytes) -> None:
    """Nothing is unpacked, and no more is taken than a page can be."""
    servers.holds("/api", data, **headers)
    limits = msgspec.structs.replace(LIMITS, listing_deadline_seconds=0.3)
    client = Web(limits, Access())
    try:
        asked = Service(client, limits, servers.server, Fixed(TOKEN), "set TOKEN")
        assert (await failure(asked.page(f"{servers.server}/api", "x"))).reason in ("bad_answer", "too_long", "stalled")
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "refused"),
        (401, "credentials"),
        (403, "access_denied"),
        (404, "not_found"),
        (410, "not_found"),
        (412, "changed"),
        (418, "refused"),
    ],
)
async def test_refusals_are_told_in_our_words(servers: Servers, status: int, reason: str) -> None:
    """Once, with what to do, and without what the server says."""

    @servers.on("/x")
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=status, text="Bearer PLANTED is not allowed", headers={"X-Said": "PLANTED"})

    async with service(servers.server) as asked:
        error = await failure(asked.page(f"{servers.server}/x", "the page"))
    assert error.reason == reason
    assert error.message.startswith("the page")
    assert ("set TOKEN" in error.message) == (status in (401, 403))
    assert len(servers.seen) == 1


async def test_a_service_may_explain_its_refusals(servers: Servers) -> None:
    """By the beginning of the body and the headers."""

    @servers.on("/x")
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=403, text="gated" + "." * 1_000_000)

    def explain(what: str, status: int, headers: Headers, body: bytes) -> AttemptError | None:
        return AttemptError("gated", f"{what}: ask for access") if body.startswith(b"gated") else None

    async with service(servers.server, explain=explain) as asked:
        error = await failure(asked.page(f"{servers.server}/x", "x"))
    assert error.reason in ("gated", "access_denied")


async def test_busy_servers_and_cut_bodies_are_overcome(servers: Servers) -> None:
    """A 503 with Retry-After is waited out; a body that breaks off goes on where it stopped."""
    servers.holds("/file", ETag='"v1"')
    with FaultProxy(("127.0.0.1", servers.server_port)) as proxy:
        proxy.faults += [slow_down(""), Fault("cut", after_bytes=30_000)]
        async with service(proxy.url) as asked:
            chunk = await asked.read(f"{proxy.url}/file", Place("x", len(DATA), "v1"), 0, len(DATA))
    assert (chunk.data, chunk.version) == (DATA, "v1")


async def test_an_object_that_changes_is_noticed(servers: Servers) -> None:
    """By the ETag of the second answer."""
    servers.holds("/file", ETag='"v2"')
    async with service(servers.server) as asked:
        error = await failure(asked.read(f"{servers.server}/file", Place("x", len(DATA), "v1"), 0, 10))
    assert error.reason == "changed"


@pytest.mark.parametrize("url", ["http://user:PLANTED@127.0.0.1/x", "ftp://host/x", "http://", "http://h:99999999/x"])
async def test_what_is_no_address_is_not_asked(url: str) -> None:
    """Nor is one with a password in it."""
    async with service("http://127.0.0.1") as asked:
        assert (await failure(asked.page(url, "x"))).reason == "bad_address"
