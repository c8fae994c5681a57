"""The key of a service account: a token is had for it, and goes with every request."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from modelaudit.access import Access
from modelaudit.limits import Limits
from modelaudit.sources.gcs import GCS

pytestmark = pytest.mark.anyio
Seen = list[tuple[str, str | None]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[tuple[str, Seen]]:
    """Gives tokens, and an object to whoever shows one."""
    seen: Seen = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self, said: object) -> None:
            seen.append((self.path.partition("?")[0], self.headers.get("Authorization")))
            body = json.dumps(said).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer({"access_token": "TOKEN", "expires_in": 3600})

        def do_GET(self) -> None:
            self._answer({"name": "a", "size": "3", "generation": "7"})

        def log_message(self, format: str, *args: object) -> None:
            pass

    running = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", seen
    running.shutdown()
    running.server_close()


async def test_one_token_serves_many_requests(
    server: tuple[str, Seen], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for once, and sent as a bearer's."""
    url, seen = server
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "project_id": "p", "private_key_id": "1", "client_email": "a@b.c"}
    key = tmp_path / "key.json"
    key.write_text(json.dumps({**account, "private_key": pem.decode(), "token_uri": f"{url}/token"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    said = {"STORAGE_EMULATOR_HOST": url, "GOOGLE_APPLICATION_CREDENTIALS": str(key)}
    async with GCS(Limits(), Access(variables=said)) as source:
        for _ in range(2):
            ((target,),) = [page async for page in source.list("gs://bucket/a")]
            assert (target.size, target.version) == (3, "7")
    place = "/storage/v1/b/bucket/o/a"
    assert seen == [("/token", None), (place, "Bearer TOKEN"), (place, "Bearer TOKEN")]
