"""Bytes of files: from the hub, from the store behind it, from hubs that are busy, closed, or not what they seem."""

import json
import time

import pytest

from modelaudit import scan
from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import FileReport
from tests.samples.demo import ATTACKS
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault
from tests.servers.hub import Hub, Quota
from tests.sources.huggingface.conftest import LIMITS, listed, opened, refused

pytestmark = pytest.mark.anyio
DATA = bytes(range(256)) * 2000


async def test_large_files_come_from_the_store_without_the_token(server: Hub) -> None:
    """The hub is asked once where the bytes are; the store sees no token, ever."""
    server.push("owner/repo", {"model.bin": DATA, "notes.txt": DATA})
    async with opened(server.url, "insider") as source:
        for target in await listed(source, "hf://owner/repo"):
            for offset in (0, 1000, 400_000):
                chunk = await source.read(target, offset, 5000, target.version)
                assert (chunk.data, chunk.size) == (DATA[offset : offset + 5000], len(DATA))
    assert [authorization for _, authorization in server.store_asked] == [None] * 3
    assert len([line for line in server.asked if "resolve" in line and "model.bin" in line]) == 1
    assert set(server.authorizations) == {"Bearer insider"}


async def test_a_signature_that_expires_is_asked_for_anew(server: Hub) -> None:
    """In the middle of a file."""
    server.push("owner/repo", {"model.bin": DATA})
    async with opened(server.url) as source:
        (target,) = await listed(source, "hf://owner/repo")
        await source.read(target, 0, 100, None)
        server.signature = "second"
        assert (await source.read(target, 100, 100, None)).data == DATA[100:200]


async def test_a_hub_in_trouble(server: Hub) -> None:
    """Refusals, resets and broken bodies are tried again; each goes on where the last one stopped."""
    server.push("owner/repo", {"notes.txt": DATA})
    with FaultProxy(("127.0.0.1", server.port)) as proxy:
        proxy.faults += [
            Fault("answer", "expand=sha", status=502),
            Fault("refuse", "tree"),
            Fault("answer", "tree", status=503, headers={"Retry-After": "0"}),
            Fault("cut", "resolve", after_bytes=100_000),
            Fault("stall", "resolve", after_bytes=50_000),
            Fault("reset", "resolve", after_bytes=70_000),
        ]
        async with opened(proxy.url) as source:
            (target,) = await listed(source, "hf://owner/repo")
            assert (await source.read(target, 10, 400_000, None)).data == DATA[10:400_010]
        ranges = [asked for line, asked in proxy.counts.lines if "resolve" in line]
    assert [asked.partition("-")[0] for asked in ranges] == ["bytes=10", "bytes=100010", "bytes=150010", "bytes=220010"]


async def test_a_mirror_without_ranges(server: Hub) -> None:
    """It sends everything each time; the range is taken out of it."""
    server.push("owner/repo", {"notes.txt": DATA})
    whole = Fault("strip", "resolve", None, names=("range",))
    with FaultProxy(("127.0.0.1", server.port)) as proxy:
        proxy.faults.append(whole)
        async with opened(proxy.url) as source:
            (target,) = await listed(source, "hf://owner/repo")
            assert (await source.read(target, 5000, 100, None)).data == DATA[5000:5100]
    assert whole.done == 1


async def test_other_bytes_than_were_listed(server: Hub) -> None:
    """A file of another length than the hub listed is not scanned as that file; neither is one with another digest."""
    repository = server.push("owner/repo", {"model.bin": DATA, "notes.txt": b"four"})
    async with opened(server.url) as source:
        notes = (await listed(source, "hf://owner/repo/notes.txt"))[0]
        repository.commits[repository.refs["main"]]["notes.txt"] = b"other"
        with pytest.raises(SourceError, match="listed 4 bytes and gives 5") as error:
            await source.read(notes, 0, 10, notes.version)
        assert error.value.reason == "changed"
    small = server.push("owner/other", {"model.pkl": b"\x80\x04N."})
    digest = small.commits[small.refs["main"]]["model.pkl"]
    for name, data in server.stored.items():
        if data == digest:
            server.stored[name] = b"\x80\x04K."
    (report,) = await reports(server, "hf://owner/other")
    assert (report.status, report.reason) == ("failed", "digest")


async def reports(server: Hub, *paths: str, token: str | None = None) -> list[FileReport]:
    variables = {"HF_ENDPOINT": server.url} | ({"HF_TOKEN": token} if token else {})
    return [report async for report in scan(*paths, workers=1, access=Access(variables=variables))]


@pytest.mark.parametrize("token", [None, "outsider", "insider"])
async def test_gated_repositories_say_so(server: Hub, token: str | None) -> None:
    """Their files are listed for everybody, and read by those who were let in."""
    server.push("owner/gated", {"evil.pkl": ATTACKS["os-system.pkl"]()}, gated=True)
    (report,) = await reports(server, "hf://owner/gated", token=token)
    if token == "insider":
        assert report.status == "scanned"
        assert report.findings
        return
    assert (report.status, report.reason) == ("failed", "gated")
    assert "the repository is gated" in str(report.message)
    assert ("set HF_TOKEN" in str(report.message)) == (token is None)


async def test_private_and_missing_repositories_look_alike(server: Hub) -> None:
    """The hub does not tell them apart; what can be done about it depends on whether there is a token."""
    server.push("owner/secret", {"a.txt": b"a"}, private=True)
    for path in ("hf://owner/secret", "hf://owner/missing"):
        async with opened(server.url) as source:
            reason, message = await refused(source, path)
            assert reason == "not_found"
            assert message.startswith(f"{path}: ")
            assert "set HF_TOKEN" in message
        async with opened(server.url, "outsider") as source:
            reason, message = await refused(source, path)
            assert reason == "not_found"
            assert "may not see it" in message
            assert "set HF_TOKEN" not in message
    async with opened(server.url, "insider") as source:
        assert not (await listed(source, "hf://owner/secret"))[0].failed


async def test_a_token_that_the_hub_does_not_take(server: Hub) -> None:
    """That is said, and is not a missing repository; the token is not in it."""
    server.push("owner/repo", {"a.txt": b"a"})
    async with opened(server.url, "PLANTED") as source:
        reason, message = await refused(source, "hf://owner/repo")
    assert reason == "credentials"
    assert "HF_TOKEN" in message
    assert "PLANTED" not in message


@pytest.mark.parametrize("token", ["two\nlines", "\x00", "schlüssel"])
async def test_a_token_that_none_can_be_is_a_record(server: Hub, token: str) -> None:
    """It breaks no run."""
    server.push("owner/repo", {"a.txt": b"a"})
    async with opened(server.url, token) as source:
        reason, message = await refused(source, "hf://owner/repo")
    assert reason == "credentials"
    assert "HF_TOKEN" in message
    assert token not in message


@pytest.mark.parametrize("limit", ["api", "resolvers"])
async def test_the_rate_limit_is_waited_for(server: Hub, limit: str) -> None:
    """As long as the hub says, also when that is longer than the deadline of a request; and hardly asked meanwhile."""
    server.push("owner/repo", {"a.txt": b"a"})
    limits = Limits(read_deadline_seconds=1, listing_deadline_seconds=1, concurrency=4)
    async with opened(server.url, limits=limits) as source:
        server.quotas[limit] = Quota(0, time.monotonic() + 2.2)
        (target,) = await listed(source, "hf://owner/repo")
        assert not target.failed, target
        assert (await source.read(target, 0, 10, None)).data == b"a"
    assert len(server.asked) == 4  # the commit, the tree, the file, and the one that was refused


async def test_a_wait_that_the_hub_asks_for_in_seconds(server: Hub) -> None:
    """Retry-After goes before what is said of the window."""
    server.push("owner/repo", {"a.txt": b"a"})
    headers = {"Retry-After": "1", "RateLimit": '"api";r=0;t=900'}
    with FaultProxy(("127.0.0.1", server.port)) as proxy:
        proxy.faults.append(Fault("answer", "tree", status=429, headers=headers))
        async with opened(proxy.url, limits=LIMITS) as source:
            (target,) = await listed(source, "hf://owner/repo")
    assert not target.failed


async def test_a_limit_that_is_never_lifted_ends(server: Hub) -> None:
    """After some windows, with one record."""
    server.push("owner/repo", {"a.txt": b"a"})
    with FaultProxy(("127.0.0.1", server.port)) as proxy:
        proxy.faults.append(Fault("answer", "tree", None, status=429, headers={"RateLimit": '"api";r=0;t=0'}))
        limits = Limits(listing_deadline_seconds=0.5, concurrency=4)
        async with opened(proxy.url, limits=limits) as source:
            reason, _ = await refused(source, "hf://owner/repo")
    assert reason == "throttled"


async def test_nothing_that_is_written_holds_the_token(server: Hub) -> None:
    """Not in any record of a run with good and bad repositories."""
    server.members = {"PLANTED"}
    server.push("owner/repo", {"evil.pkl": ATTACKS["os-system.pkl"](), "config.json": json.dumps({"a": 1}).encode()})
    server.push("owner/gated", {"a.pkl": b"x"}, gated=True)
    found = await reports(server, "hf://owner", "hf://nobody", "hf://x/y@z/a", f"{server.url}/a/b/c", token="PLANTED")
    assert len(found) == 6
    assert "PLANTED" not in repr(found)
    assert "Signature" not in repr(found)
    assert any(report.findings for report in found)
