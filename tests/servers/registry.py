"""A real OCI registry on loopback (Distribution, from Debian), and how things get into it."""

import contextlib
import hashlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.debian import program

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
TITLE = "org.opencontainers.image.title"
_START_SECONDS = 20.0


def digest_of(data: bytes) -> str:
    """As registries name bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    """A running registry at 127.0.0.1:`port`, open to everybody."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def blob(self, repository: str, data: bytes) -> str:
        """Store a blob; gives its digest."""
        place = self._ask("POST", f"/v2/{repository}/blobs/uploads/")
        parts = urlsplit(place)
        digest = digest_of(data)
        query = f"{parts.query}&digest={digest}" if parts.query else f"digest={digest}"
        self._ask("PUT", f"{parts.path}?{query}", data, "application/octet-stream")
        return digest

    def manifest(self, repository: str, tag: str | None, document: object, kind: str = MANIFEST) -> str:
        """Store a manifest or an index, by its digest only if there is no `tag`; gives the digest."""
        data = json.dumps(document).encode()
        self._ask("PUT", f"/v2/{repository}/manifests/{tag or digest_of(data)}", data, kind)
        return digest_of(data)

    def artifact(self, repository: str, tag: str | None, files: dict[str, bytes]) -> str:
        """Store files as ORAS does: a layer each, with its name; gives the manifest's digest."""
        layers = [self.layer(repository, data, annotations={TITLE: name}) for name, data in files.items()]
        return self.manifest(repository, tag, self.document(repository, layers))

    def image(self, repository: str, tag: str | None, layers: Sequence[bytes]) -> str:
        """Store layers (tars, perhaps packed) as an image; gives the manifest's digest."""
        kind = "application/vnd.oci.image.layer.v1.tar"
        stored = [self.layer(repository, data, kind + "+gzip" * data.startswith(b"\x1f\x8b")) for data in layers]
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}
        data = json.dumps(config).encode()
        self.blob(repository, data)
        named = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest_of(data), "size": len(data)}
        return self.manifest(
            repository, tag, {"schemaVersion": 2, "mediaType": MANIFEST, "config": named, "layers": stored}
        )

    def layer(
        self, repository: str, data: bytes, kind: str = "application/octet-stream", **more: object
    ) -> dict[str, object]:
        """Store a layer; gives its descriptor."""
        return {"mediaType": kind, "digest": self.blob(repository, data), "size": len(data), **more}

    def document(self, repository: str, layers: Sequence[dict[str, object]]) -> dict[str, object]:
        """A manifest without a configuration."""
        empty = {"mediaType": EMPTY, "digest": self.blob(repository, b"{}"), "size": 2}
        return {"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": list(layers)}

    def spoil(self, digest: str, data: bytes) -> None:
        """Put other bytes where a blob is stored."""
        name = digest.removeprefix("sha256:")
        place = self.folder / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"
        assert place.stat().st_size == len(data), "the registry tells sizes by the file's"
        place.write_bytes(data)

    def _ask(self, method: str, path: str, body: bytes = b"", kind: str = "") -> str:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {"Content-Type": kind} if kind else {})
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status < 300, f"{method} {path}: {answer.status} {said[:300]!r}"
            return answer.getheader("Location", "")
        finally:
            connection.close()


@contextlib.contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    """Start a registry that stores in `folder`."""
    binary = program("docker-registry", "docker-registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{accesslog: {{disabled: true}}, level: error}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([binary, "serve", str(config)], stdout=log, stderr=log)
    try:
        running = Registry(port, folder)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError, HTTPException, AssertionError):
                running._ask("GET", "/v2/")
                break
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield running
    finally:
        process.terminate()
        process.wait(10)
