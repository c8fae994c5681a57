"""The proxy that the other tests and the benchmarks trust: it passes on, it counts, it delays."""

import json
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, slow_down
from tests.servers.seaweed import Seaweed

ROOT = Path(__file__).parents[2]


def get(url: str, path: str, **headers: str) -> tuple[int, bytes]:
    connection = HTTPConnection(url.removeprefix("http://"), timeout=20)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    status, body = answer.status, answer.read()
    connection.close()
    return status, body


def test_it_passes_on_and_counts(s3_server: Seaweed, proxy: FaultProxy) -> None:
    """Bytes, ranges and requests are those of the server."""
    s3_server.put("proxy/a b", b"0123456789")
    assert get(proxy.url, "/models/proxy/a%20b") == (200, b"0123456789")
    assert get(proxy.url, "/models/proxy/a%20b", Range="bytes=2-4") == (206, b"234")
    assert proxy.counts.requests == {"GET": 2}
    assert proxy.counts.body_bytes == {"GET": 13}
    assert proxy.counts.lines == [("GET /models/proxy/a b", ""), ("GET /models/proxy/a b", "bytes=2-4")]


def test_it_does_to_whom_it_is_told(s3_server: Seaweed, proxy: FaultProxy) -> None:
    """A fault is for the requests that match, after those to skip, as often as said."""
    for name in "ab":
        s3_server.put(f"proxy/{name}", b"x")
    proxy.faults += [slow_down("proxy/a", 2, skip=1), Fault("strip", "proxy/b", names=("range",))]
    assert [get(proxy.url, "/models/proxy/a")[0] for _ in range(4)] == [200, 503, 503, 200]
    s3_server.put("proxy/b", b"0123456789")
    assert [get(proxy.url, "/models/proxy/b", Range="bytes=0-1")[1] for _ in range(2)] == [b"0123456789", b"01"]


def test_by_itself_it_says_where_and_counts_at_the_end(s3_server: Seaweed) -> None:
    """As benchmarks run it: a process, a latency, a line of counts."""
    s3_server.put("proxy/c", b"0123")
    command = [sys.executable, "-m", "tests.servers.fault_proxy", "--latency-ms", "5"]
    process = subprocess.Popen(
        [*command, "--upstream", f"127.0.0.1:{s3_server.port}"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    with process:
        try:
            url = process.stdout.readline().strip()
            assert get(url, "/models/proxy/c") == (200, b"0123")
            so_far = json.loads(get(url, "/-/counts")[1])
        finally:
            process.send_signal(signal.SIGTERM)
        counts = json.loads(process.stdout.readline())
    assert counts["requests"] == so_far["requests"] == {"GET": 1}
    assert counts["body_bytes"] == {"GET": 4}
