"""The same folder of mixed files, scanned through every source, gives the same findings."""

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from modelaudit import scan
from modelaudit.access import Access
from modelaudit.model import FileReport
from tests import samples
from tests.samples.demo import ATTACKS, BENIGN
from tests.samples.ordinary_files import many
from tests.samples.zipwriter import Entry, archive
from tests.servers.artifactory import artifactory
from tests.servers.fault_proxy import FaultProxy
from tests.servers.gcs import storage
from tests.servers.hub import hub
from tests.servers.mlflow import MLflowServer
from tests.servers.registry import Registry
from tests.servers.seaweed import Seaweed
from tests.servers.serving import ranged, serving

pytestmark = pytest.mark.anyio
Outcome = dict[str, tuple[str, list[tuple[str, str, int | None]]]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def _files() -> dict[str, bytes]:
    """The demonstration's files, some of the hostile samples, and some that are too large to be read whole."""
    found = {name: build() for name, build in BENIGN.items()}
    found |= {f"attacks/{name}": build() for name, build in ATTACKS.items()}
    hostile = [sample for sample in samples.hostile() if sample.filename.isascii() and "/" not in sample.filename]
    for number, sample in enumerate(hostile[:: len(hostile) // 12][:12]):
        found[f"samples/{number} {sample.filename}"] = sample.data
    padding = Entry("archive/data/0", bytes(3 << 20))
    found["large/weights.safetensors"] = many(20) + bytes(1 << 20)
    found["large/hidden.pt"] = archive([padding, Entry("archive/data.pkl", ATTACKS["os-system.pkl"](), 8), padding])
    return found


FILES = _files()


def outcome(reports: list[FileReport], name_of: Callable[[str], str]) -> Outcome:
    """Status, and rule, severity and offset of each finding, by the file's name."""
    return {
        name_of(report.uri): (
            report.status,
            sorted((finding.rule, finding.severity.value, finding.offset) for finding in report.findings),
        )
        for report in reports
    }


async def scanned(*paths: str, access: Access | None = None) -> list[FileReport]:
    return [report async for report in scan(*paths, workers=2, weights="off", access=access or Access())]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Awaitable[Outcome]]:
    """What a scan of the local folder gives."""
    folder = tmp_path_factory.mktemp("mixed")
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    async def locally() -> Outcome:
        found = outcome(await scanned(str(folder)), lambda uri: str(Path(uri).relative_to(folder)))
        assert len(found) >= 50
        assert sum(bool(findings) for _, findings in found.values()) >= 15
        return found

    return locally


async def test_in_a_bucket(expected: Callable[[], Awaitable[Outcome]], s3_server: Seaweed, aws: FaultProxy) -> None:
    """Listed by prefix, read by ranges."""
    for name, data in FILES.items():
        s3_server.put(f"everywhere/{name}", data)
    found = outcome(await scanned("s3://models/everywhere/"), lambda uri: uri.removeprefix("s3://models/everywhere/"))
    assert found == await expected()


async def test_in_google_storage(expected: Callable[[], Awaitable[Outcome]]) -> None:
    """Listed by prefix, read by ranges of one generation."""
    with storage() as server:
        for name, data in FILES.items():
            server.put(f"everywhere/{name}", data)
        access = Access(variables={"STORAGE_EMULATOR_HOST": server.url})
        reports = await scanned("gs://models/everywhere", access=access)
        found = outcome(reports, lambda uri: uri.removeprefix("gs://models/everywhere/"))
    assert found == await expected()


async def test_in_an_oci_registry(expected: Callable[[], Awaitable[Outcome]], oci_registry: Registry) -> None:
    """An artifact whose layers are the files; its manifest is an object too."""
    oci_registry.artifact("everywhere", "v1", FILES)
    uri = f"oci://{oci_registry.host}/everywhere:v1"
    found = outcome(await scanned(uri), lambda own: own.removeprefix(f"{uri}/"))
    assert found.pop("manifest.json")[1] == []
    assert found == await expected()


async def test_in_a_model_registry(expected: Callable[[], Awaitable[Outcome]], mlflow: MLflowServer) -> None:
    """A version of a model whose artifacts are the files."""
    version = mlflow.model("everywhere", FILES)
    uri = f"models:/everywhere/{version}"
    found = outcome(await scanned(uri, access=Access(registry_uri=mlflow.url)), lambda own: own.removeprefix(f"{uri}/"))
    assert found == await expected()


async def test_on_a_hub(expected: Callable[[], Awaitable[Outcome]]) -> None:
    """A repository; its large files lie in a store elsewhere."""
    with hub() as running:
        running.push("every/where", FILES)
        access = Access(variables={"HF_ENDPOINT": running.url})
        found = outcome(
            await scanned("hf://every/where", access=access), lambda own: own.removeprefix("hf://every/where/")
        )
        assert {authorization for _, authorization in running.store_asked} == {None}
    assert found == await expected()


@pytest.mark.parametrize("has_listings", [True, False])
async def test_in_an_artifactory(expected: Callable[[], Awaitable[Outcome]], has_listings: bool) -> None:
    """A folder of a repository; the server lists it, or has to be asked about each file."""
    with artifactory() as running:
        running.put("models/everywhere", FILES)
        running.tokens, running.has_listings = {"token"}, has_listings
        uri = f"{running.url}/models/everywhere"
        reports = await scanned(uri, access=Access(jfrog_access_token="token"))
    assert outcome(reports, lambda own: own.removeprefix(f"{uri}/")) == await expected()


async def test_in_a_dvc_repository(expected: Callable[[], Awaitable[Outcome]], tmp_path: Path) -> None:
    """A folder that lies in the cache only."""
    listing = json.dumps([{"md5": md5(data).hexdigest(), "relpath": name} for name, data in FILES.items()]).encode()
    objects = {md5(data).hexdigest(): data for data in FILES.values()}
    objects[f"{md5(listing).hexdigest()}.dir"] = listing
    for digest, data in objects.items():
        place = tmp_path / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    pointer = tmp_path / "mixed.dvc"
    pointer.write_text(f"outs:\n- md5: {md5(listing).hexdigest()}.dir\n  hash: md5\n  path: mixed\n")
    found = outcome(await scanned(str(pointer)), lambda uri: uri.removeprefix(f"{pointer}:mixed/"))
    assert found == await expected()


@contextmanager
def web_server(with_ranges: bool) -> Iterator[str]:
    """The files at a URL each."""

    async def answer(request: web.Request) -> web.Response:
        data = FILES[request.match_info["path"]]
        return ranged(request, data) if with_ranges else web.Response(body=data)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    with serving(app) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize("with_ranges", [True, False], ids=["ranges", "whole"])
async def test_at_urls(expected: Callable[[], Awaitable[Outcome]], with_ranges: bool) -> None:
    """Each file by its own URL; what lies beside a file cannot be known there, and nothing is said of it."""
    with web_server(with_ranges) as base:
        reports = await scanned(*(base + quote(name) for name in FILES))
    found = outcome(reports, lambda uri: uri.removeprefix(base))
    assert found == await expected()
