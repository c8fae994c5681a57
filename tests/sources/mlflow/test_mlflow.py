"""Models of a registry: which versions an address means, and their artifacts wherever they lie."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from modelaudit import scan
from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Severity, Target
from modelaudit.sources import Sources
from modelaudit.sources.interface import Source
from modelaudit.sources.mlflow.address import Wanted, server, wanted
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, slow_down
from tests.servers.mlflow import MLflowServer
from tests.servers.seaweed import Seaweed
from tests.servers.serving import serving

pytestmark = pytest.mark.anyio
LIMITS = Limits(read_deadline_seconds=10, listing_deadline_seconds=10, stall_timeout_seconds=2, concurrency=4)
DATA = bytes(range(256)) * 800
FILES = {"MLmodel": b"flavors: {}\n", "data/model.bin": DATA, "data/deep/x y.txt": b"deep"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def opened(url: str | None, **variables: str) -> AsyncIterator[Source]:
    access = Access(variables=variables, registry_uri=url)
    async with Sources(LIMITS, access) as sources:
        yield await sources.named("mlflow")


async def listed(source: Source, path: str) -> list[Target]:
    return [target for page in [page async for page in source.list(path)] for target in page]


async def uris(source: Source, path: str) -> list[str]:
    found = await listed(source, path)
    assert not any(target.failed for target in found), found
    return sorted(target.uri for target in found)


async def test_versions_stages_and_aliases(mlflow: MLflowServer) -> None:
    """Each way to name a version leads to its artifacts, in all folders, with their sizes."""
    for data in (b"one", b"second", b"third one"):
        mlflow.model("named", {"m": data})
    mlflow.alias("named", "champion", "2")
    mlflow.stage("named", "Staging", "1")
    async with opened(mlflow.url) as source:
        for path, version in {"1": 1, "latest": 3, "Staging": 1, "staging": 1}.items():
            assert await uris(source, f"models:/named/{path}") == [f"models:/named/{version}/m"]
        (target,) = await listed(source, "models:/named@champion")
        assert (target.uri, target.size) == ("models:/named/2/m", 6)
        assert await uris(source, "models:/named") == [f"models:/named/{number}/m" for number in (1, 2, 3)]


async def test_artifacts_in_folders(mlflow: MLflowServer) -> None:
    """All of them, one folder of them, or a single one; and what lies beside each."""
    mlflow.model("folders", FILES)
    async with opened(mlflow.url) as source:
        assert await uris(source, "models:/folders/1") == [f"models:/folders/1/{name}" for name in sorted(FILES)]
        assert await uris(source, "models:/folders/1/data/deep") == ["models:/folders/1/data/deep/x y.txt"]
        (target,) = await listed(source, "models:/folders/1/data/model.bin")
        assert target.size == len(DATA)
        assert await source.names(target, "") == {"deep/": None, "model.bin": len(DATA)}
        assert await source.names(target, "deep") == {"x y.txt": 4}


async def test_the_whole_registry_page_by_page(mlflow: MLflowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every version of every model, however small the pages are."""
    for number in range(3):
        mlflow.model(f"whole-{number % 2}", {"m": bytes([number])})
    monkeypatch.setattr("modelaudit.sources.mlflow.registry._PAGE", 1)
    async with opened(mlflow.url) as source:
        found = [uri for uri in await uris(source, "models:/") if uri.startswith("models:/whole-")]
    assert found == ["models:/whole-0/1/m", "models:/whole-0/2/m", "models:/whole-1/1/m"]


async def test_ranges_through_a_bad_line(mlflow: MLflowServer) -> None:
    """Busy servers are waited for, and bodies that break off go on."""
    mlflow.model("ranges", FILES)
    with FaultProxy(("127.0.0.1", mlflow.port)) as proxy:
        async with opened(proxy.url) as source:
            (target,) = await listed(source, "models:/ranges/1/data/model.bin")
            proxy.faults += [slow_down("model.bin"), Fault("cut", "model.bin", after_bytes=30_000)]
            chunk = await source.read(target, 1000, 100_000, target.version)
            assert (chunk.data, chunk.size) == (DATA[1000:101_000], len(DATA))
            chunk = await source.read(target, 0, 5, target.version)
            assert chunk.data == DATA[:5]


async def test_artifacts_in_a_bucket_are_read_there(mlflow: MLflowServer, s3_server: Seaweed, aws: FaultProxy) -> None:
    """They are read by the source for buckets, under the names of the registry."""
    s3_server.put("mlflow/1/model.pkl", DATA)
    version = mlflow.version("bucket", "s3://models/mlflow/1")
    async with opened(mlflow.url) as source:
        (target,) = await listed(source, f"models:/bucket/{version}")
        assert (target.uri, target.size) == (f"models:/bucket/{version}/model.pkl", len(DATA))
        assert (await source.read(target, 7, 9, target.version)).data == DATA[7:16]
        assert await source.names(target, "") == {"model.pkl": len(DATA)}


async def test_a_scan_through_the_registry(mlflow: MLflowServer) -> None:
    """The finding is at the place that the registry's address names."""
    mlflow.model("scanned", {"model.pkl": b"cposix\nsystem\n(S'echo modelaudit-sample'\ntR."})
    access = Access(registry_uri=mlflow.url)
    (report,) = [report async for report in scan("models:/scanned/1", workers=1, access=access)]
    assert report.severity is Severity.CRITICAL
    assert report.findings[0].location.startswith("models:/scanned/1/model.pkl")


@pytest.mark.parametrize("path", ["models:/nobody/1", "models:/nobody", "models:/nobody@x", "models:/nobody/Staging"])
async def test_what_is_not_there_is_one_failed_record(mlflow: MLflowServer, path: str) -> None:
    """With the address that was asked for."""
    async with opened(mlflow.url) as source:
        found = await listed(source, path)
    assert [(target.uri, target.skip and target.skip[0]) for target in found] == [(path, "not_found")]


@pytest.mark.parametrize("place", ["dbfs:/x", "hdfs://h/x", "runs:/1/x", "mlflow-artifacts://other.invalid/x"])
async def test_stores_that_nobody_reads_are_told(place: str) -> None:
    """One record, with the kind of store; nothing is asked of another host."""
    app = web.Application()

    async def version(request: web.Request) -> web.Response:
        return web.json_response({"model_version": {"name": "m", "version": "1"}, "artifact_uri": place})

    app.router.add_get("/{path:.*}", version)
    with serving(app) as port:
        async with opened(f"http://127.0.0.1:{port}") as source:
            (found,) = await listed(source, "models:/m/1")
    assert found.skip is not None
    assert found.skip[0] == "unsupported_store"


async def test_who_is_let_in() -> None:
    """By password or token, from the environment or the address; a refusal names what can be set."""
    seen: list[str | None] = []
    app = web.Application()

    async def refuse(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=401)

    app.router.add_get("/{path:.*}", refuse)
    with serving(app) as port:
        basic = {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "PLANTED"}
        for url, variables in [
            (f"http://127.0.0.1:{port}", basic),
            (f"http://127.0.0.1:{port}", {"MLFLOW_TRACKING_TOKEN": "PLANTED"}),
            (f"http://me:PLANTED@127.0.0.1:{port}/", {}),
            (None, {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"}),
        ]:
            async with opened(url, **variables) as source:
                (found,) = await listed(source, "models:/m/1")
            assert found.skip is not None
            assert found.skip[0] == "credentials"
            assert "MLFLOW_TRACKING_TOKEN" in found.skip[1]
            assert "PLANTED" not in str(found)
    login = "Basic " + base64.b64encode(b"me:PLANTED").decode()
    assert seen == [login, "Bearer PLANTED", login, None]


@pytest.mark.parametrize("said", [None, "sqlite:///m.db", "databricks", "http://", "http://[::"])
async def test_a_registry_that_cannot_be_asked(said: str | None) -> None:
    """One record that says what to set."""
    async with opened(said) as source:
        (found,) = await listed(source, "models:/m/1")
    assert found.skip is not None
    assert "--registry-uri" in found.skip[1]


async def test_folders_in_folders_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that always has one more."""
    app = web.Application()

    async def version(request: web.Request) -> web.Response:
        if "mlflow-artifacts" in request.path:
            return web.json_response({"files": [{"path": "a", "is_dir": True}, {"path": "..", "file_size": "many"}]})
        return web.json_response(
            {"model_version": {"name": "m", "version": "1"}, "artifact_uri": "mlflow-artifacts:/x"}
        )

    app.router.add_get("/{path:.*}", version)
    with serving(app) as port:
        async with opened(f"http://127.0.0.1:{port}") as source:
            found = await listed(source, "models:/m/1")
    assert [target.skip and target.skip[0] for target in found] == ["too_deep"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("models:/", Wanted()),
        ("models:/a", Wanted("a")),
        ("models:/a/1", Wanted("a", "1")),
        ("models:/a b/Production/", Wanted("a b", "Production")),
        ("models:/a@b", Wanted("a", "", "b")),
        ("models:/a@b/c/d", Wanted("a", "", "b", "c/d")),
        ("models:/a/12/data/m.pkl", Wanted("a", "12", "", "data/m.pkl")),
    ],
)
def test_addresses(path: str, expected: Wanted) -> None:
    """As MLflow writes them, and a path below."""
    assert wanted(path) == expected


@pytest.mark.parametrize("path", ["models:/@a", "models:/a/soon", "models:/a:b/1", "models:/a@"])
def test_what_is_no_address(path: str) -> None:
    """It is told how one is written."""
    with pytest.raises(SourceError, match="models:/name/version"):
        wanted(path)


def test_where_the_server_is_shows_no_password() -> None:
    """Neither in the URL that is asked, nor when it is printed."""
    found = server(Access(registry_uri="https://me:PLANTED@[::1]:5000/base/"))
    assert found.url == "https://[::1]:5000/base"
    assert "PLANTED" not in repr(found)
