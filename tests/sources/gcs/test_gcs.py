"""`gs://` against a real server: what a path names, ranges, generations, and answers that go wrong."""

import gzip
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.gcs import GCS
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault
from tests.servers.gcs import Storage, storage

pytestmark = pytest.mark.anyio
LIMITS = Limits(read_deadline_seconds=20, listing_deadline_seconds=20, stall_timeout_seconds=1, page_objects=3)
DATA = bytes(range(256)) * 400


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def server() -> Iterator[Storage]:
    with storage() as running:
        yield running


@pytest.fixture
def gcs_proxy(server: Storage) -> Iterator[FaultProxy]:
    with FaultProxy(("127.0.0.1", server.port)) as running:
        yield running


@pytest.fixture
async def source(gcs_proxy: FaultProxy) -> AsyncIterator[GCS]:
    async with GCS(LIMITS, Access(variables={"STORAGE_EMULATOR_HOST": gcs_proxy.url})) as opened:
        yield opened


async def listed(source: GCS, path: str) -> list[Target]:
    return [target async for page in source.list(path) for target in page]


async def failure(source: GCS, path: str) -> str:
    (target,) = await listed(source, path)
    assert target.failed and target.skip
    return target.skip[0]


async def test_an_object_a_folder_and_nothing(source: GCS, server: Storage, gcs_proxy: FaultProxy) -> None:
    """The exact name first, then what lies below it, over several pages; siblings that begin like it are others."""
    for key in ("m/a", "m/b/c", "m/b/d", "m/e", "m-2/x"):
        server.put(key, key.encode())
    below = ["models/m/a", "models/m/b/c", "models/m/b/d", "models/m/e"]
    assert [target.key for target in await listed(source, "gs://models/m")] == below
    assert sum("maxResults=3" in line for line, _ in gcs_proxy.counts.lines) == 2
    assert [target.uri for target in await listed(source, "gs://models/m/a")] == ["gs://models/m/a"]
    assert await failure(source, "gs://models/mm") == "not_found"
    assert await failure(source, "gs://no-such-bucket") == "not_found"
    assert await failure(source, "gs://") == "bad_address"
    target = Target("gs://models/m/a", "models/m/a")
    assert await source.names(target, "") == {"a": 3, "b/": None, "e": 3}


@pytest.mark.parametrize("key", ["sp ace", "ü", "a+b", "%41", "a&b=c", "#?", "x/../y"])
async def test_any_name_is_listed_and_read(source: GCS, server: Storage, key: str) -> None:
    """With its generation as the version."""
    generation = server.put(f"odd/{key}", DATA)
    (target,) = await listed(source, f"gs://models/odd/{key}")
    assert (target.size, target.version) == (len(DATA), generation)
    assert (await source.read(target, 10, 20, target.version)).data == DATA[10:30]


async def test_another_generation_is_a_change(source: GCS, server: Storage) -> None:
    """The bytes of the new object are never taken for those of the listed one."""
    server.put("c", DATA)
    (target,) = await listed(source, "gs://models/c")
    server.put("c", b"new")
    with pytest.raises(SourceError) as error:
        await source.read(target, 0, 10, target.version)
    assert error.value.reason == "changed"


async def test_what_is_stored_packed_is_read_as_it_is_stored(source: GCS, server: Storage) -> None:
    """Ranges count stored bytes."""
    packed = gzip.compress(DATA, mtime=0)
    server.put("z", packed, "gzip")
    (target,) = await listed(source, "gs://models/z")
    assert (await source.read(target, 0, len(packed), target.version)).data == packed


@pytest.mark.parametrize(
    "fault",
    [
        Fault("cut", "alt=media", 1, after_bytes=40_000),
        Fault("refuse", "alt=media", 2),
        Fault("answer", "alt=media", 2, status=503),
        Fault("answer", "alt=media", 1, status=429, headers={"Retry-After": "0"}),
    ],
    ids=["cut", "reset", "503", "429"],
)
async def test_passing_faults_are_mended(source: GCS, server: Storage, gcs_proxy: FaultProxy, fault: Fault) -> None:
    """A body that was cut is gone on with where it ended."""
    server.put("f", DATA)
    (target,) = await listed(source, "gs://models/f")
    gcs_proxy.faults.append(fault)
    assert (await source.read(target, 0, len(DATA), target.version)).data == DATA
    if fault.act == "cut":
        assert gcs_proxy.counts.lines[-1][1] == f"bytes=40000-{len(DATA) - 1}"


async def test_missing_and_wrong_credentials_are_one_line(
    source: GCS, gcs_proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says how to give them, and nothing of what the server or the file said."""
    gcs_proxy.faults.append(Fault("answer", "GET", 2, status=401, body=b"SECRET"))
    (target,) = await listed(source, "gs://models/x")
    assert target.skip and target.skip[0] == "credentials"
    assert "GOOGLE_APPLICATION_CREDENTIALS" in target.skip[1] and "SECRET" not in target.skip[1]
    key = tmp_path / "key.json"
    key.write_text('{"type": "service_account", "private_key": "SECRET"}')
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    said = {"STORAGE_EMULATOR_HOST": gcs_proxy.url, "GOOGLE_APPLICATION_CREDENTIALS": str(key)}
    async with GCS(LIMITS, Access(variables=said)) as other:
        (target,) = await listed(other, "gs://models/x")
    assert target.skip and target.skip[0] == "credentials"
    assert "\n" not in target.skip[1] and "SECRET" not in target.skip[1]
