"""Blobs by ranges, behind every kind of door, and what happens to those that are not what their digest says."""

import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from modelaudit import scan
from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.model import FileReport, Severity
from modelaudit.settings.logins import registry_logins
from modelaudit.sources.oci import Oci
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, slow_down
from tests.servers.registry import Registry
from tests.servers.serving import serving
from tests.sources.oci.conftest import listed, opened

pytestmark = pytest.mark.anyio
DATA = bytes(range(256)) * 800
LOGIN = base64.b64encode(b"auditor:PLANTED").decode()


async def test_blobs_are_read_by_ranges(oci_registry: Registry) -> None:
    """Also when the registry is busy and bodies break off."""
    oci_registry.artifact("reading/ranges", "v1", {"weights.bin": DATA})
    with FaultProxy(("127.0.0.1", oci_registry.port)) as proxy:
        host = proxy.url.removeprefix("http://")
        async with opened() as source:
            manifest, target = await listed(source, f"oci://{host}/reading/ranges:v1")
            proxy.faults += [slow_down("blobs"), Fault("cut", "blobs", after_bytes=30_000)]
            chunk = await source.read(target, 1000, 100_000, target.version)
            assert (chunk.data, chunk.size) == (DATA[1000:101_000], len(DATA))
            document = await source.read(manifest, 0, 10, manifest.version)
            assert document.data == b'{"schemaVe'
            assert document.version == manifest.version


async def reports(path: str, access: Access | None = None) -> dict[str, FileReport]:
    """The report of each object, by the last part of its address."""
    found = [report async for report in scan(path, workers=1, access=access or Access())]
    return {report.uri.rpartition("/")[2]: report for report in found}


async def test_a_layer_that_is_another_than_its_digest_is_found(oci_registry: Registry) -> None:
    """When the whole layer was read; the neighbour is as it should be."""
    layers = [b"PK\x03\x04" + bytes(508), b"PK\x03\x04" + bytes(1020)]
    oci_registry.image("reading/spoiled", "v1", layers)
    async with opened() as source:
        found = await listed(source, f"oci://{oci_registry.host}/reading/spoiled:v1")
    oci_registry.spoil(str(found[2].version), b"PK\x03\x05" + bytes(508))
    scanned = await reports(f"oci://{oci_registry.host}/reading/spoiled:v1")
    rules = [[finding.rule for finding in scanned[str(target.version)].findings] for target in found[2:]]
    assert ["oci-blob-digest" in names for names in rules] == [True, False]


async def test_a_file_that_is_another_than_its_digest_has_failed(oci_registry: Registry) -> None:
    """What was found in the bytes that came is told all the same."""
    data = b"cposix\nsystem\n(S'echo modelaudit-sample'\ntR."
    oci_registry.artifact("reading/swapped", "v1", {"model.pkl": data.replace(b"sample", b"sampl "), "good.pkl": b"N."})
    async with opened() as source:
        found = await listed(source, f"oci://{oci_registry.host}/reading/swapped:v1")
    oci_registry.spoil(str(found[1].version), data)
    scanned = await reports(f"oci://{oci_registry.host}/reading/swapped:v1")
    assert (scanned["model.pkl"].status, scanned["model.pkl"].reason) == ("failed", "digest")
    assert scanned["model.pkl"].severity is Severity.CRITICAL
    assert scanned["good.pkl"].status == "scanned"


class Door:
    """What stands before the registry: passes requests on that carry what it wants."""

    def __init__(self, upstream: int, wants: str) -> None:
        self._upstream = f"http://127.0.0.1:{upstream}"
        self._wants = wants
        self.port = 0
        self.tokens: list[str | None] = []  # the Authorization of each request for a token
        self.scopes: list[str] = []
        self.stored: list[str | None] = []  # that of each request to the store
        self.leads_to = ""  # where blobs are, if not here

    async def answer(self, request: web.Request) -> web.Response:
        said = request.headers.get("Authorization")
        if request.path == "/token":
            self.tokens.append(said)
            self.scopes.append(request.query["scope"])
            return web.json_response({"token": f"for-{len(self.tokens)}"})
        if request.path.startswith("/store"):
            self.stored.append(said)
        elif said != (f"Basic {LOGIN}" if self._wants == "Basic" else f"Bearer for-{len(self.tokens)}"):
            return web.Response(status=401, headers={"WWW-Authenticate": self._challenge(request)})
        elif "/blobs/" in request.path:
            return web.Response(status=307, headers={"Location": f"http://localhost:{self.port}/store{request.path}"})
        headers = {name: request.headers[name] for name in ("Accept", "Range") if name in request.headers}
        path = request.path_qs.removeprefix("/store")
        async with aiohttp.ClientSession() as session, session.get(self._upstream + path, headers=headers) as answer:
            kept = {name: value for name, value in answer.headers.items() if name != "Content-Length"}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    def _challenge(self, request: web.Request) -> str:
        if self._wants == "Basic":
            return 'Basic realm="models"'
        scope = f"repository:{'/'.join(request.path.split('/')[2:-2])}:pull"
        return f'Bearer realm="http://127.0.0.1:{self.port}/token",service="models",scope="{scope}"'


@pytest.fixture(params=["Basic", "Bearer"])
def door(oci_registry: Registry, request: pytest.FixtureRequest) -> Iterator[Door]:
    oci_registry.artifact("reading/door", "v1", {"weights.bin": DATA})
    standing = Door(oci_registry.port, request.param)
    app = web.Application()
    app.router.add_get("/{path:.*}", standing.answer)
    with serving(app, "0.0.0.0") as standing.port:
        yield standing


@asynccontextmanager
async def behind(door: Door, login: str | None = LOGIN) -> AsyncIterator[Oci]:
    logins = {f"127.0.0.1:{door.port}": login} if login else {}
    async with opened(registry_logins=logins) as source:
        yield source


async def test_a_login_opens_the_door_and_stays_with_it(door: Door) -> None:
    """By password or by token, asked for once; the store that blobs lie in sees neither."""
    async with behind(door) as source:
        found = await listed(source, f"oci://127.0.0.1:{door.port}/reading/door:v1")
        chunks = [await source.read(found[1], offset, 100, None) for offset in (0, 5000)]
    assert [chunk.data for chunk in chunks] == [DATA[:100], DATA[5000:5100]]
    assert door.stored == [None, None]
    if door._wants == "Bearer":
        assert (door.tokens, door.scopes) == ([f"Basic {LOGIN}"], ["repository:reading/door:pull"])


async def test_without_a_login_only_a_token_is_had(door: Door) -> None:
    """Registries give tokens to everybody for what is public; a password they do not."""
    async with behind(door, None) as source:
        found = await listed(source, f"oci://127.0.0.1:{door.port}/reading/door:v1")
    if door._wants == "Bearer":
        assert (len(found), door.tokens) == (2, [None])
    else:
        assert [target.skip[0] for target in found if target.skip] == ["credentials"]
        assert "docker login" in str(found[0].skip)


async def test_a_wrong_login_is_refused_once(door: Door) -> None:
    """One record that says so; the password is not in it. (A token this server gives to anybody.)"""
    async with behind(door, base64.b64encode(b"auditor:WRONG").decode()) as source:
        found = await listed(source, f"oci://127.0.0.1:{door.port}/reading/door:v1")
    assert [target.failed for target in found] == ([True] if door._wants == "Basic" else [False, False])
    if found[0].skip is not None:
        assert found[0].skip[0] == "credentials"
        assert "WRONG" not in found[0].skip[1]


def test_logins_are_found_where_tools_keep_them(tmp_path: Path) -> None:
    """The first file that has one for a registry wins; broken files and helpers' entries have none."""
    named = tmp_path / "auth.json"
    named.write_text('{"auths": {"a:5000": {"auth": "Zmlyc3Q6MQ=="}}}')
    docker = tmp_path / "docker"
    docker.mkdir()
    (docker / "config.json").write_text(
        '{"auths": {"https://index.docker.io/v1/": {"auth": "aHViOjE="}, "a:5000": {"auth": "c2Vjb25kOjE="}, "b": {}},'
        ' "credsStore": "desktop"}'
    )
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers/auth.json").write_text("{")
    variables = {"REGISTRY_AUTH_FILE": str(named), "DOCKER_CONFIG": str(docker), "XDG_RUNTIME_DIR": str(tmp_path)}
    assert registry_logins(variables) == {"a:5000": "Zmlyc3Q6MQ==", "docker.io": "aHViOjE="}


async def test_a_blob_of_another_size_than_told_is_read_as_it_is(oci_registry: Registry) -> None:
    """Nothing hides behind a size in the manifest; a byte that is not there is an error."""
    layer = oci_registry.layer("reading/size", DATA)
    document = oci_registry.document("reading/size", [{**layer, "size": 10}])
    oci_registry.manifest("reading/size", "v1", document)
    scanned = await reports(f"oci://{oci_registry.host}/reading/size:v1")
    assert scanned[str(layer["digest"])].size == len(DATA)
    async with opened() as source:
        blob = (await listed(source, f"oci://{oci_registry.host}/reading/size:v1"))[1]
        with pytest.raises(SourceError) as error:
            await source.read(blob, 1 << 40, 10, None)
    assert error.value.reason == "changed"
