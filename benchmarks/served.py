"""A corpus in a real S3 server, behind a proxy that makes every answer late and can write down what was asked."""

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.corpus import files
from benchmarks.places import WORK
from tests.servers.fault_proxy import FaultProxy
from tests.servers.seaweed import ACCESS, SECRET, Seaweed, seaweed

_ROOT = Path(__file__).resolve().parent.parent
_PUTTERS = 4


class Proxy:
    """The proxy in a process of its own, so that it does not share an interpreter with anything measured."""

    def __init__(self, upstream: Seaweed, latency_ms: float, log: Path) -> None:
        words = [sys.executable, "-m", "benchmarks.served", "delay", str(upstream.port), str(latency_ms), str(log)]
        self._process = subprocess.Popen(words, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        self._log = log

    def environment(self) -> dict[str, str]:
        """What a client needs to be told."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def counts(self) -> dict[str, dict[str, int]]:
        """Requests and bytes of answers so far, by method."""
        with urllib.request.urlopen(f"{self.url}/-/counts") as answer:
            return dict(json.loads(answer.read()))

    def end(self) -> list[list[str]]:
        """Stop it; `[METHOD /path?query, range]` of every request, in order."""
        self._process.terminate()
        self._process.wait()
        return list(json.loads(self._log.read_text()))


@contextlib.contextmanager
def bucket(corpus: Path, prefix: str = "") -> Iterator[Seaweed]:
    """The files of `corpus` in a fresh server, keyed by their path below `prefix`, for the length of the block."""
    WORK.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bucket-", dir=WORK))
    try:
        with seaweed(folder / "server") as server:
            words = [sys.executable, "-m", "benchmarks.served", "put", str(server.port), str(corpus), prefix]
            subprocess.run(words, cwd=_ROOT, check=True)  # elsewhere: this process must stay small, see corpus.py
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _key(path: Path, prefix: str) -> str:
    return f"{prefix}/{path.as_posix()}" if prefix else path.as_posix()


def _put(port: int, corpus: Path, prefix: str) -> None:
    server, stored = Seaweed(port), files(corpus)
    print(f"putting {len(stored)} objects into the server …", flush=True)
    with ThreadPoolExecutor(_PUTTERS) as putters:
        list(putters.map(lambda path: server.put(_key(path.relative_to(corpus), prefix), path.read_bytes()), stored))


async def _serve(port: int, latency_ms: float, log: Path) -> None:
    proxy = FaultProxy(("127.0.0.1", port), latency_ms / 1000)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await proxy.serve(lambda: print(proxy.url, flush=True), stop)
    log.write_text(json.dumps(proxy.counts.lines))


if __name__ == "__main__":
    if sys.argv[1] == "put":
        _put(int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
    else:
        asyncio.run(_serve(int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])))
