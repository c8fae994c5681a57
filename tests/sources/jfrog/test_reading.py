"""Bytes of files in Artifactory: who gets the tokens, what is noticed, what is written of it."""

import pytest

from modelaudit import scan
from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.model import FileReport
from modelaudit.settings.reach import access_of
from tests.samples.demo import ATTACKS
from tests.servers.artifactory import Artifactory
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, slow_down
from tests.sources.jfrog.conftest import listed, opened, refused

pytestmark = pytest.mark.anyio
DATA = bytes(range(256)) * 2000


async def test_ranges(server: Artifactory) -> None:
    """Also when the server is busy and bodies break off."""
    server.put("models", {"a.bin": DATA})
    with FaultProxy(("127.0.0.1", server.port)) as proxy:
        async with opened() as source:
            (target,) = await listed(source, f"{proxy.url}/artifactory/models")
            proxy.faults += [slow_down("a.bin"), Fault("cut", "a.bin", after_bytes=60_000)]
            chunk = await source.read(target, 1000, 400_000, target.version)
    assert (chunk.data, chunk.size, chunk.version) == (DATA[1000:401_000], len(DATA), target.version)


@pytest.mark.parametrize(
    ("access", "seen"),
    [
        ({"jfrog_access_token": "good"}, {("Bearer good", None)}),
        ({"jfrog_api_token": "key"}, {(None, "key")}),
        ({"variables": {"JFROG_ACCESS_TOKEN": "good"}}, {("Bearer good", None)}),
        ({"variables": {"JFROG_API_TOKEN": "key"}}, {(None, "key")}),
        ({"jfrog_access_token": "good", "variables": {"JFROG_ACCESS_TOKEN": "bad"}}, {("Bearer good", None)}),
        ({"jfrog_access_token": "good", "jfrog_api_token": "key"}, {("Bearer good", None)}),
        ({"jfrog_access_token": "bad", "jfrog_api_token": "key"}, {("Bearer bad", None), (None, "key")}),
    ],
)
async def test_tokens(server: Artifactory, access: dict[str, object], seen: set[tuple[str | None, str | None]]) -> None:
    """From options before the environment; the access token first, the old key if that is not taken."""
    server.put("models", {"a.bin": DATA})
    server.tokens, server.keys = {"good"}, {"key"}
    async with opened(**access) as source:
        (target,) = await listed(source, f"{server.url}/models")
        assert (await source.read(target, 0, 10, target.version)).data == DATA[:10]
    assert set(server.seen) == seen


async def test_no_token_and_a_wrong_one(server: Artifactory) -> None:
    """One record that says where it belongs; the token is not in it."""
    server.put("models", {"a.bin": DATA})
    server.tokens = {"good"}
    for access in ({}, {"jfrog_access_token": "PLANTED"}, {"jfrog_api_token": "two words"}):
        async with opened(**access) as source:
            reason, message = await refused(source, f"{server.url}/models")
        assert reason == "credentials"
        assert "oken" in message
        assert not any(secret in message for secret in access.values())


@pytest.mark.parametrize("url", ["https://other.test/", "https://["])
async def test_tokens_of_another_server_stay_at_home(server: Artifactory, url: str) -> None:
    """Where the environment says whose they are; a token in an option is for whatever is named."""
    server.put("models", {"a.bin": DATA})
    variables = {"JFROG_URL": url, "JFROG_ACCESS_TOKEN": "PLANTED", "JFROG_API_TOKEN": "PLANTED"}
    async with opened(variables=variables) as source:
        assert not (await listed(source, f"{server.url}/models"))[0].failed
    assert set(server.seen) == {(None, None)}
    server.tokens = {"good"}
    async with opened(variables=variables, jfrog_access_token="good") as source:
        assert not (await listed(source, f"{server.url}/models"))[0].failed
    async with opened(variables={"JFROG_URL": server.url, "JFROG_ACCESS_TOKEN": "good"}) as source:
        assert not (await listed(source, f"{server.url}/models"))[0].failed


async def test_the_storage_behind_gets_no_token(server: Artifactory) -> None:
    """Its signed URLs are asked for anew when they have expired; its own ETags mean nothing."""
    server.put("models", {"a.bin": DATA})
    server.tokens, server.sends_to_storage = {"good"}, True
    async with opened(jfrog_access_token="good", jfrog_api_token="PLANTED") as source:
        (target,) = await listed(source, f"{server.url}/models")
        await source.read(target, 0, 10, target.version)
        server.signature = "second"
        chunk = await source.read(target, 10, 10, target.version)
    assert (chunk.data, chunk.version) == (DATA[10:20], target.version)
    assert set(server.store_seen) == {(None, None)}
    assert set(server.seen) == {("Bearer good", None)}


@pytest.mark.parametrize("has_sha256", [True, False])
async def test_a_file_that_is_changed_is_noticed(server: Artifactory, has_sha256: bool) -> None:
    """By its checksum, when it is of the same length."""
    server.put("models", {"a.bin": DATA})
    server.has_sha256 = has_sha256
    async with opened() as source:
        (target,) = await listed(source, f"{server.url}/models")
        await source.read(target, 0, 10, target.version)
        server.put("models", {"a.bin": bytes(len(DATA))})
        with pytest.raises(SourceError, match="changed while it was read") as error:
            await source.read(target, 0, 10, target.version)
    assert error.value.reason == "changed"


def test_tokens_in_the_working_directory(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Only the keys for Artifactory are read from `.env`; the environment goes before."""
    (tmp_path / ".env").write_text("JFROG_API_TOKEN='of file'\nexport JFROG_ACCESS_TOKEN=x\nAWS_SECRET_ACCESS_KEY=y\n")
    monkeypatch.chdir(tmp_path)
    access = access_of({}, {"JFROG_ACCESS_TOKEN": "of environment"}, ["https://host/artifactory/x"])
    assert access.variables == {"JFROG_API_TOKEN": "of file", "JFROG_ACCESS_TOKEN": "of environment"}


async def test_nothing_that_is_written_holds_a_token(server: Artifactory) -> None:
    """Not in any record of a run with good and bad places, nor a signature."""
    server.put("models", {"evil.pkl": ATTACKS["os-system.pkl"](), "config.json": b"{}"})
    server.tokens, server.sends_to_storage = {"PLANTED"}, True
    paths = [f"{server.url}/models", f"{server.url}/models/nothing?token=PLANTED", f"{server.url}/"]
    access = Access(jfrog_access_token="PLANTED", jfrog_api_token="PLANTED")
    found: list[FileReport] = [report async for report in scan(*paths, workers=1, access=access)]
    assert len(found) == 4
    assert "PLANTED" not in repr(found)
    assert "Signature" not in repr(found)
    assert any(report.findings for report in found)
