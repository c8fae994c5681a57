"""Which files an address covers: repositories, revisions, folders, owners; and what a hub should not say."""

import hashlib
import json

import pytest

from modelaudit.limits import Limits
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault
from tests.servers.hub import Hub, blob_id
from tests.sources.huggingface.conftest import listed, opened, refused, uris

pytestmark = pytest.mark.anyio
DATA = bytes(range(256)) * 100
FILES = {"config.json": b"{}", "model.bin": DATA, "onnx/model.onnx": b"onnx", "onnx/deep/a b#%.txt": b"deep"}


async def test_all_files_with_what_the_hub_knows_of_them(server: Hub) -> None:
    """Sizes and digests of the bytes, not of the pointers to them; versions that stay while the bytes stay."""
    server.push("owner/repo", FILES)
    async with opened(server.url) as source:
        found = {
            target.uri.removeprefix("hf://owner/repo/"): target for target in await listed(source, "hf://owner/repo")
        }
    assert {name: target.size for name, target in found.items()} == {name: len(data) for name, data in FILES.items()}
    digest = hashlib.sha256(DATA).hexdigest()
    assert (found["model.bin"].sha256, found["model.bin"].version) == (digest, f"sha256:{digest}")
    assert (found["config.json"].sha256, found["config.json"].version) == (None, blob_id(b"{}"))


async def test_pages_are_asked_for_one_by_one(server: Hub) -> None:
    """However small they are, all files come; and none is asked for before it is wanted."""
    server.push("owner/repo", {f"{number:03}.txt": b"x" for number in range(10)})
    server.page = 3
    async with opened(server.url) as source:
        assert len(await uris(source, "hf://owner/repo")) == 10
        assert len([line for line in server.asked if "/tree/" in line]) == 4
        server.asked.clear()
        pages = source.list("hf://owner/repo")
        assert len(await anext(pages)) == 3
        assert len([line for line in server.asked if "/tree/" in line]) == 1
        await pages.aclose()  # type: ignore[attr-defined]


async def test_folders_and_files(server: Hub) -> None:
    """By address and by the URLs of their pages; what is not there is one record."""
    server.push("owner/repo", FILES)
    async with opened(server.url) as source:
        inside = ["hf://owner/repo/onnx/deep/a b#%.txt", "hf://owner/repo/onnx/model.onnx"]
        assert await uris(source, "hf://owner/repo/onnx") == inside
        assert await uris(source, "hf://owner/repo/onnx/deep/a b#%.txt") == inside[:1]
        at_main = ["hf://owner/repo@main/onnx/model.onnx"]
        assert await uris(source, f"{server.url}/owner/repo/blob/main/onnx/model.onnx") == at_main
        assert await uris(source, f"{server.url}/owner/repo/resolve/main/onnx/model.onnx?download=true") == at_main
        assert len(await uris(source, f"{server.url}/owner/repo/tree/main/onnx")) == 2
        assert (await refused(source, "hf://owner/repo/nothing"))[0] == "not_found"


async def test_a_mirror_that_cannot_be_asked_about_paths(server: Hub) -> None:
    """Files and folders are found from the folder above."""
    server.push("owner/repo", FILES)
    server.has_paths_info = False
    async with opened(server.url) as source:
        assert await uris(source, "hf://owner/repo/model.bin") == ["hf://owner/repo/model.bin"]
        assert len(await uris(source, "hf://owner/repo/onnx")) == 2
        assert (await refused(source, "hf://owner/repo/nothing"))[0] == "not_found"


async def test_revisions(server: Hub) -> None:
    """Branches, tags, requests for changes, and commits."""
    first = server.push("owner/repo", {"old.txt": b"old"}).refs["main"]
    server.push("owner/repo", {"old.txt": b"old"}, ref="v1")
    server.push("owner/repo", {"proposed.txt": b"pr"}, ref="refs/pr/1")
    server.push("owner/repo", {"sub.txt": b"x"}, ref="feature/x")
    server.push("owner/repo", {"new.txt": b"new"})
    async with opened(server.url) as source:
        assert await uris(source, "hf://owner/repo") == ["hf://owner/repo/new.txt"]
        assert await uris(source, "hf://owner/repo@v1") == ["hf://owner/repo@v1/old.txt"]
        assert await uris(source, f"hf://owner/repo@{first}") == [f"hf://owner/repo@{first}/old.txt"]
        proposed = ["hf://owner/repo@refs%2Fpr%2F1/proposed.txt"]
        assert await uris(source, "hf://owner/repo@refs/pr/1") == proposed
        assert await uris(source, proposed[0]) == proposed
        assert await uris(source, "hf://owner/repo@feature%2Fx") == ["hf://owner/repo@feature%2Fx/sub.txt"]
        reason, message = await refused(source, "hf://owner/repo@v9")
    assert reason == "not_found"
    assert "no such branch, tag or commit" in message


async def test_what_is_pushed_later_changes_nothing(server: Hub) -> None:
    """A repository is listed and read at the commit that it had when the scan came to it."""
    server.push("owner/repo", {f"{number}.txt": b"first" for number in range(4)})
    server.page = 2
    async with opened(server.url) as source:
        pages = source.list("hf://owner/repo")
        found = list(await anext(pages))
        server.push("owner/repo", {"other.txt": b"second", "0.txt": b"2nd"})
        async for page in pages:
            found += page
        chunks = [await source.read(target, 0, 100, target.version) for target in found]
        later = await listed(source, "hf://owner/repo/0.txt")
    assert [chunk.data for chunk in chunks] == [b"first"] * 4
    assert later[0].version == blob_id(b"2nd") != found[0].version


async def test_data_sets_and_spaces(server: Hub) -> None:
    """They have names of their own, at the same hub."""
    server.push("owner/repo", {"data.bin": b"data"}, kind="datasets")
    server.push("owner/repo", {"app.py": b"space"}, kind="spaces")
    async with opened(server.url) as source:
        for uri, data in {"datasets/owner/repo/data.bin": b"data", "spaces/owner/repo/app.py": b"space"}.items():
            (target,) = await listed(source, f"hf://{uri.rpartition('/')[0]}")
            assert target.uri == f"hf://{uri}"
            assert (await source.read(target, 0, 10, None)).data == data


async def test_models_without_an_owner_and_models_with_a_new_name(server: Hub) -> None:
    """The oldest have one name only; renamed ones are found under both, and keep the one that was asked for."""
    server.push("gpt2", {"config.json": b"{}", "onnx/a.onnx": b"a"})
    server.push("new/name", {"config.json": b"{}"})
    server.renamed["models", "old/name"] = "new/name"
    async with opened(server.url) as source:
        assert await uris(source, "hf://gpt2") == ["hf://gpt2/config.json", "hf://gpt2/onnx/a.onnx"]
        assert await uris(source, "hf://gpt2/config.json") == ["hf://gpt2/config.json"]
        assert await uris(source, "hf://gpt2/onnx/a.onnx") == ["hf://gpt2/onnx/a.onnx"]
        (target,) = await listed(source, "hf://old/name")
        assert target.uri == "hf://old/name/config.json"
        assert (await source.read(target, 0, 10, None)).data == b"{}"
        assert (await refused(source, "hf://gpt2/nothing"))[0] == "not_found"


async def test_all_models_of_an_owner(server: Hub) -> None:
    """Repository by repository, each asked about when its turn has come; others' are left out."""
    for number in range(5):
        server.push(f"owner/m{number}", {"config.json": b"{}"})
    server.push("owner/data", {"x": b"x"}, kind="datasets")
    server.push("owner2/other", {"x": b"x"})
    server.page = 2
    async with opened(server.url) as source:
        assert await uris(source, "hf://owner") == [f"hf://owner/m{number}/config.json" for number in range(5)]
        assert await uris(source, f"{server.url}/owner") == await uris(source, "hf://owner/")
        assert await uris(source, "hf://datasets/owner") == ["hf://datasets/owner/data/x"]
        server.asked.clear()
        pages = source.list("hf://owner")
        await anext(pages)
        assert [line.partition("?")[0] for line in server.asked] == [
            "GET /api/models/owner",
            "GET /api/models",
            f"GET /api/models/owner/m0/tree/{server.repositories['models', 'owner/m0'].refs['main']}",
        ]
        await pages.aclose()  # type: ignore[attr-defined]
        reason, message = await refused(source, "hf://nobody")
    assert reason == "not_found"
    assert "neither a repository nor an owner" in message


async def test_one_repository_that_fails_is_one_record(server: Hub) -> None:
    """The others of its owner are listed; so it is when the list breaks off."""
    for number in range(3):
        server.push(f"owner/m{number}", {"config.json": b"{}"})
    with FaultProxy(("127.0.0.1", server.port)) as proxy:
        proxy.faults.append(Fault("answer", "m1/tree", None, status=403))
        async with opened(proxy.url) as source:
            found = await listed(source, "hf://owner")
            assert [(target.uri, target.failed) for target in found] == [
                ("hf://owner/m0/config.json", False), ("hf://owner/m1", True), ("hf://owner/m2/config.json", False),
            ]  # fmt: skip
            server.page = 1
            proxy.faults += [Fault("answer", "cursor=MQ", None, status=403)]
            found = await listed(source, "hf://owner")
    assert [target.uri for target in found] == ["hf://owner/m0/config.json", "hf://owner"]
    assert found[1].failed


async def test_a_mirror_that_does_not_tell_what_owners_have(server: Hub) -> None:
    """As mirrors do, it answers 401 or 404: that is not a repository that is missing."""
    server.push("owner/repo", {"a.txt": b"a"})
    for status in (401, 404):
        with FaultProxy(("127.0.0.1", server.port)) as proxy:
            proxy.faults.append(Fault("answer", "author=", None, status=status))
            async with opened(proxy.url) as source:
                reason, message = await refused(source, "hf://owner")
        assert reason == "not_found"
        assert "does not tell what owners have" in message


def answers(match: str, said: object, **headers: str) -> Fault:
    """A hub that says so, every time."""
    return Fault("answer", match, None, status=200, headers=headers, body=json.dumps(said).encode())


async def test_a_page_elsewhere_is_not_asked_for(server: Hub) -> None:
    """A hub can lead us round in a circle or to another host, which would get the token: neither is followed."""
    server.push("owner/repo", {"a.txt": b"a"})
    entry = {"type": "file", "path": "a.txt", "oid": blob_id(b"a"), "size": 1}
    store = f"http://localhost:{server.store_port}/next"
    for link, why in {store: "somewhere else", "/api/models/owner/repo/tree/again": "same page"}.items():
        with FaultProxy(("127.0.0.1", server.port)) as proxy:
            proxy.faults.append(answers("tree", [entry], Link=f'<{link}>; rel="next"'))
            async with opened(proxy.url, "insider") as source:
                found = await listed(source, "hf://owner/repo")
        assert [target.failed for target in found] == [False, True]
        assert found[1].skip is not None
        assert found[1].skip[0] == "bad_answer"
        assert why in found[1].skip[1]
    assert server.store_asked == []


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "file", "path": "../../other/x"},
        {"type": "file", "path": "/x"},
        {"type": "file", "path": ""},
        {"type": "file", "path": "a//b"},
    ],
)
async def test_files_where_none_can_be_are_records(server: Hub, entry: dict[str, object]) -> None:
    """Nothing is asked for there; the sound neighbour is listed."""
    server.push("owner/repo", {"a.txt": b"a"})
    with FaultProxy(("127.0.0.1", server.port)) as proxy:
        proxy.faults.append(answers("tree", [entry, {"type": "file", "path": "a.txt", "size": 1}]))
        async with opened(proxy.url) as source:
            found = await listed(source, "hf://owner/repo")
    assert [target.failed for target in found] == [True, False]
    assert found[1].version is None


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("expand=sha", {"id": "owner/repo"}),
        ("expand=sha", {"id": "owner/repo", "sha": "../main"}),
        ("expand=sha", [1]),
        ("tree", {"error": "x"}),
        ("tree", [{"type": "file", "path": "a", "size": "1"}]),
    ],
)
async def test_answers_that_make_no_sense_are_records(server: Hub, match: str, said: object) -> None:
    """One for the repository."""
    server.push("owner/repo", {"a.txt": b"a"})
    with FaultProxy(("127.0.0.1", server.port)) as proxy:
        proxy.faults.append(answers(match, said))
        async with opened(proxy.url, limits=Limits(listing_deadline_seconds=0.5)) as source:
            assert (await refused(source, "hf://owner/repo"))[0] == "bad_answer"


async def test_sizes_that_none_can_have_are_unknown(server: Hub) -> None:
    """The first read tells."""
    server.push("owner/repo", {"a.txt": b"abc"})
    with FaultProxy(("127.0.0.1", server.port)) as proxy:
        proxy.faults.append(answers("tree", [{"type": "file", "path": "a.txt", "size": -5, "oid": "x"}]))
        async with opened(proxy.url) as source:
            (target,) = await listed(source, "hf://owner/repo")
            assert (target.size, target.version) == (None, None)
            chunk = await source.read(target, 0, 100, None)
    assert (chunk.data, chunk.size) == (b"abc", 3)


async def test_what_lies_beside_a_file(server: Hub) -> None:
    """Out of the listing when all of it was listed, by asking when a single file was; nothing is in no folder."""
    server.push("owner/repo", FILES)
    async with opened(server.url) as source:
        first = (await listed(source, "hf://owner/repo"))[0]
        server.asked.clear()
        expected = {"config.json": 2, "model.bin": len(DATA), "onnx/": None}
        assert await source.names(first, "") == expected
        assert await source.names(first, "onnx") == {"deep/": None, "model.onnx": 4}
        assert await source.names(first, "nothing") == {}
        assert server.asked == []
    async with opened(server.url) as source:
        (single,) = await listed(source, "hf://owner/repo/config.json")
        assert await source.names(single, "") == expected
        assert await source.names(single, "onnx") == {"deep/": None, "model.onnx": 4}
        assert await source.names(single, "nothing") == {}


async def test_repositories_with_nothing_in_them(server: Hub) -> None:
    """Named alone, that is a record; among others of an owner it is nothing."""
    server.push("owner/empty", {})
    server.push("owner/full", {"a.txt": b"a"})
    async with opened(server.url) as source:
        assert (await refused(source, "hf://owner/empty"))[0] == "not_found"
        assert await uris(source, "hf://owner") == ["hf://owner/full/a.txt"]
