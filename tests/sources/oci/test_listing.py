"""What an address in a registry stands for: a tag, a digest, a repository, or all; each manifest, each layer."""

import pytest

from modelaudit.errors import SourceError
from modelaudit.model import Target
from modelaudit.sources.oci.address import Reference, reference
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault
from tests.servers.registry import INDEX, Registry, digest_of
from tests.sources.oci.conftest import listed, opened

pytestmark = pytest.mark.anyio
FILES = {"model.safetensors": b"weights", "tokenizer/config.json": b"{}"}


def ends(targets: list[Target], uri: str) -> list[str]:
    """What follows `uri` in the addresses of the targets."""
    assert all(target.uri.startswith(uri) for target in targets), [target.uri for target in targets]
    return [target.uri.removeprefix(uri) for target in targets]


async def test_an_artifact_has_its_files(oci_registry: Registry) -> None:
    """By their names, with sizes, digests as versions, and the manifest itself."""
    digest = oci_registry.artifact("listing/artifact", "v1", FILES)
    async with opened() as source:
        found = await listed(source, f"oci://{oci_registry.host}/listing/artifact:v1")
    uri = f"oci://{oci_registry.host}/listing/artifact:v1/"
    assert ends(found, uri) == ["manifest.json", "model.safetensors", "tokenizer/config.json"]
    assert [target.version for target in found] == [digest, digest_of(b"weights"), digest_of(b"{}")]
    assert [target.size for target in found][1:] == [7, 2]
    assert found[1].sha256 == digest_of(b"weights").removeprefix("sha256:")


async def test_a_digest_is_another_name_of_it(oci_registry: Registry) -> None:
    """The same objects under the address that never changes."""
    digest = oci_registry.artifact("listing/digest", "v1", FILES)
    async with opened() as source:
        found = await listed(source, f"oci://{oci_registry.host}/listing/digest@{digest}")
    assert len(ends(found, f"oci://{oci_registry.host}/listing/digest@{digest}/")) == 3


async def test_a_repository_is_all_its_tags_and_a_registry_all_its_repositories(oci_registry: Registry) -> None:
    """Page by page, each with its objects."""
    for tag in ("v1", "v2"):
        oci_registry.artifact("listing/several", tag, {"a.bin": tag.encode()})
    async with opened() as source:
        found = await listed(source, f"oci://{oci_registry.host}/listing/several")
        everything = await listed(source, f"oci://{oci_registry.host}")
    uri = f"oci://{oci_registry.host}/listing/several:"
    assert ends(found, uri) == ["v1/manifest.json", "v1/a.bin", "v2/manifest.json", "v2/a.bin"]
    assert {target.uri for target in found} <= {target.uri for target in everything}


async def test_long_lists_come_in_pages(oci_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Link of each page leads to the next."""
    for number in range(5):
        oci_registry.artifact("listing/pages", f"t{number}", {"a": bytes([number])})
    monkeypatch.setattr("modelaudit.sources.oci.registry._NAMES", 2)
    with FaultProxy(("127.0.0.1", oci_registry.port)) as proxy:
        proxy.keep_lines = True
        async with opened() as source:
            found = await listed(source, f"oci://{proxy.url.removeprefix('http://')}/listing/pages")
        asked = [line for line, _ in proxy.counts.lines if "tags/list" in line]
    assert len(found) == 10
    assert len(asked) == 1  # Distribution 2.8 gives all tags at once; the catalogue comes in pages
    with FaultProxy(("127.0.0.1", oci_registry.port)) as proxy:
        proxy.keep_lines = True
        async with opened() as source:
            assert len(await listed(source, f"oci://{proxy.url.removeprefix('http://')}")) >= 10
        assert len([line for line, _ in proxy.counts.lines if "_catalog" in line]) > 1


async def test_an_index_is_what_its_manifests_are(oci_registry: Registry) -> None:
    """Each platform's image under its own digest."""
    layers = [b"\x1f\x8b" + bytes(20), bytes(1024)]
    image = oci_registry.image("listing/index", None, layers)
    entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": image, "size": 1}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
    oci_registry.manifest("listing/index", "v1", index, INDEX)
    async with opened() as source:
        found = await listed(source, f"oci://{oci_registry.host}/listing/index:v1")
    uri = f"oci://{oci_registry.host}/listing/index"
    inside = ends(found, uri)
    assert inside[0] == ":v1/manifest.json"
    assert inside[1] == f"@{image}/manifest.json"
    assert inside[3:] == [f"@{image}/{digest_of(layer)}" for layer in layers]


async def test_what_lies_beside_a_file(oci_registry: Registry) -> None:
    """The names in the manifest, as if they were a folder; the layers of an image have none."""
    oci_registry.artifact("listing/beside", "v1", {**FILES, "tokenizer/vocab.txt": b"abc"})
    oci_registry.image("listing/beside", "image", [bytes(1024)])
    async with opened() as source:
        found = await listed(source, f"oci://{oci_registry.host}/listing/beside:v1")
        assert await source.names(found[1], "") == {"model.safetensors": 7, "tokenizer/": None}
        assert await source.names(found[1], "tokenizer") == {"config.json": 2, "vocab.txt": 3}
        assert await source.names(found[2], "") == {"config.json": 2, "vocab.txt": 3}
        layer = (await listed(source, f"oci://{oci_registry.host}/listing/beside:image"))[2]
        assert await source.names(layer, "") is None


async def test_strange_descriptors_are_records_not_errors(oci_registry: Registry) -> None:
    """A layer from elsewhere is not fetched; one without digest cannot be; the others are there."""
    with FaultProxy(("127.0.0.1", oci_registry.port)) as proxy:
        host = proxy.url.removeprefix("http://")
        document = (
            b'{"schemaVersion": 2, "layers": [{"digest": "sha256:..", "size": 3}, '
            b'{"digest": "sha256:%s", "size": 3, "urls": ["https://elsewhere.invalid/x"]}, '
            b'{"digest": "sha256:%s", "size": 3, "annotations": {"org.opencontainers.image.title": "../../a\\u202e"}}]}'
            % (b"0" * 64, b"1" * 64)
        )
        proxy.faults.append(Fault("answer", "manifests/v1", status=200, body=document))
        async with opened() as source:
            _, unnamed, foreign, odd = await listed(source, f"oci://{host}/listing/strange:v1")
    assert unnamed.failed
    assert foreign.skip is not None
    assert foreign.skip[0] == "foreign_layer"
    assert odd.uri.endswith(r"/../../a\xe2\x80\xae")


@pytest.mark.parametrize(
    ("status", "body", "headers", "reason"),
    [
        (404, b"", {}, "not_found"),
        (401, b"", {}, "credentials"),
        (200, b"{", {}, "bad_answer"),
        (200, b'{"schemaVersion": 1, "fsLayers": []}', {}, "unsupported_manifest"),
        (200, b'{"schemaVersion": 2}', {"Docker-Content-Digest": "sha256:00"}, "digest"),
    ],
)
async def test_a_manifest_that_cannot_be_had_is_one_failed_record(
    oci_registry: Registry, status: int, body: bytes, headers: dict[str, str], reason: str
) -> None:
    """With the reason, and without what the registry says."""
    with FaultProxy(("127.0.0.1", oci_registry.port)) as proxy:
        proxy.faults.append(Fault("answer", "manifests", None, status=status, body=body, headers=headers))
        async with opened() as source:
            (found,) = await listed(source, f"oci://{proxy.url.removeprefix('http://')}/a/b:v1")
    assert found.failed
    assert found.skip is not None
    assert found.skip[0] == reason


async def test_an_index_that_holds_itself_ends(oci_registry: Registry) -> None:
    """However deep it says that it goes."""
    body = b'{"schemaVersion": 2, "manifests": [{"digest": "sha256:%s", "size": 3}]}' % (b"0" * 64)
    with FaultProxy(("127.0.0.1", oci_registry.port)) as proxy:
        proxy.faults.append(Fault("answer", "manifests", None, status=200, body=body))
        async with opened() as source:
            found = await listed(source, f"oci://{proxy.url.removeprefix('http://')}/a/b:v1")
    assert [target.failed for target in found] == [False, True]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("oci://host", Reference("host")),
        ("oci://host/", Reference("host")),
        ("oci://host:5000/a/b", Reference("host:5000", "a/b")),
        ("oci://[::1]:5000/a:v1", Reference("[::1]:5000", "a", "v1")),
        ("oci://h/a/b:v1", Reference("h", "a/b", "v1")),
        (f"oci://h/a@sha256:{'0' * 64}", Reference("h", "a", "", f"sha256:{'0' * 64}")),
        (f"oci://h/a:v1@sha256:{'0' * 64}", Reference("h", "a", "v1", f"sha256:{'0' * 64}")),
        ("oci://docker.io/redis:7", Reference("docker.io", "library/redis", "7")),
    ],
)
def test_addresses(path: str, expected: Reference) -> None:
    """As container tools write them."""
    assert reference(path) == expected


@pytest.mark.parametrize(
    "path", ["oci://", "oci:///a", "oci://ho st/a", "oci://u:PLANTED@h/a", "oci://h/A", "oci://h/a:", "oci://h/../a",
             "oci://h/a@sha256:1", "oci://h/a:b:c", "oci://h/a?token=PLANTED"],
)  # fmt: skip
def test_what_is_no_address(path: str) -> None:
    """It is not repeated: it may hold a password."""
    with pytest.raises(SourceError, match="oci") as error:
        reference(path)
    assert "PLANTED" not in error.value.message


def test_tls_but_on_this_machine() -> None:
    """As all container tools hold it."""
    servers = [reference(f"oci://{host}/a").server for host in ("h", "h:80", "localhost:1", "127.0.0.1:1", "[::1]:1")]
    assert servers == ["https://h", "https://h:80", "http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"]
    assert reference("oci://docker.io/a").server == "https://registry-1.docker.io"
