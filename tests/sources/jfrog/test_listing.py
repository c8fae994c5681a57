"""Which files a URL covers: by one listing, by a listing a folder, or by asking about each."""

import hashlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.sources import source_for
from modelaudit.sources.jfrog.address import Place, place
from modelaudit.sources.jfrog.documents import Known
from modelaudit.sources.web import service
from tests.servers.artifactory import Artifactory
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, slow_down
from tests.sources.jfrog.conftest import LIMITS, listed, opened, refused

pytestmark = pytest.mark.anyio
DATA = bytes(range(256)) * 100
FILES = {"config.json": b"{}", "onnx/a.onnx": b"onnx", "onnx/deep/a b#%;x=1.txt": b"deep", "z.bin": DATA}
HOST = "https://host.test/artifactory"


@pytest.mark.parametrize(
    ("url", "base", "path"),
    [
        (f"{HOST}/models", HOST, "models"),
        (f"{HOST}/models/a%20b/x.bin?x=1#y", HOST, "models/a b/x.bin"),
        (f"{HOST}/api/storage/models/x.bin", HOST, "models/x.bin"),
        ("http://host.test:8081/some/artifactory/models/", "http://host.test:8081/some/artifactory", "models"),
        ("https://me.jfrog.io/artifactory/models", "https://me.jfrog.io/artifactory", "models"),
        ("https://me.jfrog.io/ui/native/models/a", "https://me.jfrog.io/artifactory", "models/a"),
        ("https://me.jfrog.io/ui/repos/tree/General/models/a", "https://me.jfrog.io/artifactory", "models/a"),
        ("https://[::1]:1/artifactory/m", "https://[::1]:1/artifactory", "m"),
    ],
)
def test_addresses(url: str, base: str, path: str) -> None:
    """Of files, of the storage API, and of pages of the web interface."""
    assert source_for(url) == "jfrog"
    assert place(url) == Place(base, path)


@pytest.mark.parametrize(
    "url", [HOST, f"{HOST}/", f"{HOST}/a/../SECRET", "https://u:SECRET@host.test/artifactory/x", f"{HOST}/api/storage/"]
)
def test_what_names_no_repository(url: str) -> None:
    """Is told how to, and not repeated."""
    with pytest.raises(SourceError, match="write https://host/artifactory/repository") as error:
        place(url)
    assert "SECRET" not in error.value.message


@pytest.mark.parametrize("url", ["https://host.test/artifacts/x", "https://host.test/x?y=/artifactory/", "https://["])
def test_other_urls_are_files_like_any(url: str) -> None:
    """Only the path tells, or the host."""
    assert source_for(url) == "https"


def test_a_hub_inside_of_an_artifactory_is_a_hub() -> None:
    """HF_ENDPOINT goes before."""
    access = Access(variables={"HF_ENDPOINT": f"{HOST}/api/huggingfaceml/hub"})
    assert source_for(f"{HOST}/api/huggingfaceml/hub/owner/repo", access) == "huggingface"
    assert source_for(f"{HOST}/models/x", access) == "jfrog"


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_none(text: str) -> None:
    """Nothing else comes out."""
    try:
        found = place(f"{HOST}/{text}")
    except SourceError:
        return
    assert ".." not in found.path.split("/")


@given(
    st.one_of(st.none(), st.integers(), st.text(max_size=30)),
    st.one_of(st.none(), st.text(max_size=5), st.just("a" * 64)),
)
def test_any_size_and_digest_is_usable_or_not_known(size: str | int | None, digest: str | None) -> None:
    """What a server says of a file breaks nothing, and takes no time."""
    known = Known.of(size, digest, None, None)
    assert known.size is None or 0 <= known.size < 1 << 63
    assert known.sha256 in (None, "a" * 64)


@pytest.fixture(params=["listing", "folders", "names"])
def way(server: Artifactory, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A server that lists all at once; one that lists too much for that; one without the licence to list."""
    server.put("models/m", FILES)
    if request.param == "folders":
        monkeypatch.setattr(service, "_ANSWER_BYTES", 700)
    server.has_listings = request.param != "names"
    return str(request.param)


async def test_all_files_of_a_folder(server: Artifactory, way: str) -> None:
    """The same files with the same sizes and digests, whichever way they are found."""
    async with opened() as source:
        found = await listed(source, f"{server.url}/models/m")
        found = sorted(found, key=lambda target: target.uri)
    assert [target.uri for target in found] == [f"{server.url}/models/m/{name}" for name in sorted(FILES)]
    for target, data in zip(found, (FILES[name] for name in sorted(FILES)), strict=True):
        digest = hashlib.sha256(data).hexdigest()
        assert (target.size, target.sha256, target.version) == (len(data), digest, f"sha256:{digest}")
    listings = [line.partition("?")[2] for line in server.asked if "?list" in line]
    if way == "listing":
        assert listings == ["list&deep=1"]
    else:
        assert len(listings) == (1 if way == "names" else 3)  # of m twice, and once of what is in it


async def test_a_single_file(server: Artifactory) -> None:
    """With all that the server knows of it."""
    server.put("models/m", FILES)
    async with opened() as source:
        (target,) = await listed(source, f"{server.url}/models/m/onnx/deep/a%20b%23%25%3Bx=1.txt")
        assert target.uri == f"{server.url}/models/m/onnx/deep/a b#%;x=1.txt"
        assert target.sha256 == hashlib.sha256(b"deep").hexdigest()
        assert (await source.read(target, 0, 10, target.version)).data == b"deep"


async def test_listings_without_sha256(server: Artifactory) -> None:
    """SHA-1 tells versions apart as well."""
    server.put("models/m", {"a.bin": DATA})
    server.has_sha256 = False
    async with opened() as source:
        (target,) = await listed(source, f"{server.url}/models/m")
        assert (target.sha256, target.version) == (None, f"sha1:{hashlib.sha1(DATA).hexdigest()}")
        assert (await source.read(target, 5, 10, target.version)).data == DATA[5:15]


async def test_folders_are_gone_through_as_they_are_wanted(server: Artifactory) -> None:
    """Of a server without listings: the first folder's files are there before the next one is asked about."""
    server.put("models", {f"f{number}/x.bin": b"x" for number in range(5)})
    server.has_listings = False
    async with opened() as source:
        pages = source.list(f"{server.url}/models")
        assert len(await anext(pages)) == 1
        assert [line for line in server.asked if line.endswith(("f1", "f1/x.bin"))] == []
        await pages.aclose()  # type: ignore[attr-defined]


async def test_what_may_not_be_seen_is_a_record(server: Artifactory) -> None:
    """A folder and a file; the others are listed."""
    server.put("models", {"a/x.bin": b"x", "b/y.bin": b"y", "c.bin": b"c", "d.bin": b"d"})
    server.has_listings = False
    server.denied = {"models/a", "models/c.bin"}
    async with opened() as source:
        found = {
            target.uri.removeprefix(f"{server.url}/models/"): target
            for target in await listed(source, f"{server.url}/models")
        }
    assert {name: target.skip[0] if target.skip else "" for name, target in found.items()} == {
        "a": "access_denied", "b/y.bin": "", "c.bin": "access_denied", "d.bin": "",
    }  # fmt: skip


async def test_missing_and_empty_places(server: Artifactory) -> None:
    """One record each, that says what can be done."""
    server.put("models", FILES)
    async with opened() as source:
        reason, message = await refused(source, f"{server.url}/models/nothing")
        assert reason == "not_found"
        assert "JFROG_ACCESS_TOKEN" in message
    with FaultProxy(("127.0.0.1", server.port)) as proxy:
        empty = {"children": []}
        proxy.faults += [_answers(r"models$", empty), _answers("list", {"files": []})]
        async with opened() as source:
            assert await refused(source, f"{proxy.url}/artifactory/models") == (
                "not_found", f"{proxy.url}/artifactory/models: there are no files in the folder",
            )  # fmt: skip


def _answers(match: str, said: object) -> Fault:
    return Fault("answer", match, None, status=200, body=json.dumps(said).encode())


async def test_a_server_in_trouble(server: Artifactory) -> None:
    """Is asked again; a listing that breaks off is not a short one."""
    server.put("models", FILES)
    with FaultProxy(("127.0.0.1", server.port)) as proxy:
        proxy.faults += [
            slow_down("models$"),
            Fault("cut", "list", after_bytes=100),
            Fault("answer", "list", status=429, headers={"Retry-After": "0"}),
        ]
        async with opened() as source:
            found = await listed(source, f"{proxy.url}/artifactory/models")
    assert len(found) == len(FILES)
    assert not any(target.failed for target in found)


async def test_a_listing_that_never_comes_is_asked_for_in_parts(server: Artifactory) -> None:
    """Large ones take servers longer than they give themselves."""
    server.put("models", FILES)
    limits = msgspec.structs.replace(LIMITS, listing_deadline_seconds=0.5)
    with FaultProxy(("127.0.0.1", server.port)) as proxy:
        proxy.faults.append(Fault("answer", r"models\?list&deep=1", None, status=504))
        async with opened(limits) as source:
            found = await listed(source, f"{proxy.url}/artifactory/models")
    assert sorted(target.size or 0 for target in found) == sorted(len(data) for data in FILES.values())


@pytest.mark.parametrize("uri", ["/../../x", "/", "", "x", "/a//b", "/./a"])
async def test_files_where_none_can_be(server: Artifactory, uri: str) -> None:
    """Nothing is asked for there, in a listing or in a folder."""
    server.put("models", FILES)
    children = [{"uri": uri, "folder": False}, {"uri": uri, "folder": True}]
    listing = _answers("list", {"files": [{"uri": uri, "size": 1}]})
    for fault, count in ((listing, 1), (Fault("answer", "list", None, status=400), 2)):
        with FaultProxy(("127.0.0.1", server.port)) as proxy:
            proxy.faults += [_answers(r"models$", {"children": children}), fault]
            async with opened() as source:
                found = await listed(source, f"{proxy.url}/artifactory/models")
            assert [target.failed for target in found] == [True] * count
            lines = [line for line, _ in proxy.counts.lines]
        assert not [line for line in lines if ".." in line or "//" in line]


async def test_what_lies_beside_a_file(server: Artifactory, way: str) -> None:
    """Out of the listing, or by asking; sizes where the server gives them."""
    async with opened() as source:
        found = await listed(source, f"{server.url}/models/m")
        (target,) = [target for target in found if target.uri.endswith("config.json")]
        sizes = {"config.json": 2, "onnx/": None, "z.bin": len(DATA)}
        if way == "names":
            sizes = dict.fromkeys(sizes)
        assert await source.names(target, "") == sizes
        assert set(await source.names(target, "onnx") or ()) == {"a.onnx", "deep/"}
        assert await source.names(target, "nothing") == {}
