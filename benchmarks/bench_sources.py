"""1,000 objects behind 40 ms, through each source: how near to a bare client, and does the parent's memory grow?

`python -m benchmarks.bench_sources [--quick] [--only oci,mlflow] [--memory]`
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from aiohttp import web

from benchmarks.measure import MIB, Command, Report, environment, in_turn, median, memory, ours, records, run
from benchmarks.places import WORK
from benchmarks.served import Proxy
from tests.samples.assembler import literal, pickle
from tests.servers.artifactory import artifactory
from tests.servers.gcs import storage
from tests.servers.hub import hub
from tests.servers.mlflow import mlflow_server
from tests.servers.registry import registry
from tests.servers.seaweed import seaweed
from tests.servers.serving import ranged, serving

_LATENCY_MS = 40.0
_SLOWER = 1.5  # than the bare client
_CONCURRENCY = 64  # the default of `modelaudit scan`
# What a source is built on costs time of its own, to load and for each GET: these are held against it alone.
_LIBRARIES = {"s3": "aiobotocore", "gcs": "gcsfs"}
_GROWS_BYTES = 20 * MIB  # of the parent, from 1,000 to 20,000 objects
_ROOT = Path(__file__).resolve().parent.parent
_GROUP = 100  # objects of one tag, model or folder


def model(number: int) -> bytes:
    """A small pickle, another for each number."""
    return pickle(
        literal({"name": f"model {number}", "weights": [number / 7, 0.5], "words": [f"w{n}" for n in range(200)]})
    )


@dataclass(frozen=True)
class Served:
    """A server with objects: `port` to put a proxy before, and what to scan once its URL is known."""

    port: int
    paths: Callable[[str], list[str]]
    env: Callable[[str], dict[str, str]] = field(default=lambda url: {})


@contextmanager
def _folder() -> Iterator[Path]:
    WORK.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="sources-", dir=WORK))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _s3(count: int) -> Iterator[Served]:
    with _folder() as folder, seaweed(folder) as server:
        for number in range(count):
            server.put(f"m/{number // _GROUP}/{number}.pkl", model(number))
        aws = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "testtest",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        yield Served(server.port, lambda url: ["s3://models/m/"], lambda url: {"AWS_ENDPOINT_URL": url, **aws})


@contextmanager
def _gcs(count: int) -> Iterator[Served]:
    with storage() as server:
        for number in range(count):
            server.put(f"m/{number // _GROUP}/{number}.pkl", model(number))
        yield Served(server.port, lambda url: ["gs://models/m/"], lambda url: {"STORAGE_EMULATOR_HOST": url})


@contextmanager
def _oci(count: int) -> Iterator[Served]:
    with _folder() as folder, registry(folder) as server:
        for first in range(0, count, _GROUP):
            files = {f"{number}.pkl": model(number) for number in range(first, min(count, first + _GROUP))}
            server.artifact("models", f"t{first}", files)
        yield Served(server.port, lambda url: [f"oci://{url.removeprefix('http://')}/models"])


@contextmanager
def _mlflow(count: int) -> Iterator[Served]:
    with _folder() as folder, mlflow_server(folder) as server:
        for first in range(0, count, _GROUP):
            files = {f"{number}.pkl": model(number) for number in range(first, min(count, first + _GROUP))}
            server.model(f"m{first}", files)
        yield Served(server.port, lambda url: ["models:/"], lambda url: {"MLFLOW_TRACKING_URI": url})


@contextmanager
def _https(count: int) -> Iterator[Served]:
    async def answer(request: web.Request) -> web.Response:
        return ranged(request, model(int(request.match_info["number"])))

    app = web.Application()
    app.router.add_get("/{number}.pkl", answer)
    with serving(app) as port, _folder() as folder:

        def targets(url: str) -> list[str]:
            (folder / "targets").write_text("".join(f"{url}/{number}.pkl\n" for number in range(count)))
            return ["--targets", str(folder / "targets")]

        yield Served(port, targets)


@contextmanager
def _hub(count: int) -> Iterator[Served]:
    with hub() as server:
        server.large = ()  # all bytes from the hub itself: the store is not behind the proxy
        for first in range(0, count, _GROUP):
            files = {f"{number}.pkl": model(number) for number in range(first, min(count, first + _GROUP))}
            server.push(f"bench/m{first}", files)
        yield Served(server.port, lambda url: ["hf://bench"], lambda url: {"HF_ENDPOINT": url})


@contextmanager
def _jfrog(count: int, has_listings: bool = True) -> Iterator[Served]:
    with artifactory() as server:
        server.has_listings = has_listings
        server.put("models", {f"m{number // _GROUP}/{number}.pkl": model(number) for number in range(count)})
        yield Served(server.port, lambda url: [f"{url}/artifactory/models"])


SOURCES: dict[str, Callable[[int], AbstractContextManager[Served]]] = {
    "s3": _s3,
    "gcs": _gcs,
    "oci": _oci,
    "mlflow": _mlflow,
    "https": _https,
    "hub": _hub,
    "jfrog": _jfrog,
    "jfrog without listings": partial(_jfrog, has_listings=False),
}


def _scan(served: Served, url: str) -> Command:
    return ours("scan", *served.paths(url), "--format", "ndjson", **served.env(url))


def _speed(report: Report, name: str, count: int, runs: int) -> None:
    with SOURCES[name](count) as served:
        log = WORK / f"requests-{name}.json"
        proxy = Proxy(served, _LATENCY_MS, log)  # type: ignore[arg-type]  it looks at the port only
        command = _scan(served, proxy.url)
        used = run(command)
        found = records(command.output)
        requests = proxy.end()
        log.write_text(json.dumps(requests))
        report.heading(f"{name}: {count} objects, {len(requests)} requests, {_LATENCY_MS:g} ms each")
        report.true(
            "each object has a record that says scanned", sum(one["status"] == "scanned" for one in found) >= count
        )
        proxy = Proxy(served, _LATENCY_MS, WORK / "unused.json")  # type: ignore[arg-type]
        try:
            words = [sys.executable, "-m", "benchmarks.bare_requests", proxy.url, str(log), str(_CONCURRENCY)]
            bare = Command(words, environment(), _ROOT)
            commands = {"bare client": bare, "modelaudit": _scan(served, proxy.url)}
            if name in _LIBRARIES:
                words = [sys.executable, "-m", "benchmarks.bare_library", name, str(log), str(_CONCURRENCY)]
                commands[_LIBRARIES[name]] = Command(words, environment(**served.env(proxy.url)), _ROOT)
            taken = in_turn(commands, runs)
        finally:
            proxy.end()
        for who, each in taken.items():
            report.usage(name, who, median(each))
        ratio = median(taken["modelaudit"]).wall_seconds / median(taken["bare client"]).wall_seconds
        if name in _LIBRARIES:
            report.note(f"{name}: {ratio:.2f} times the wall of the bare aiohttp client")
            ratio = median(taken["modelaudit"]).wall_seconds / median(taken[_LIBRARIES[name]]).wall_seconds
            report.verdict(f"{name}: times the wall of bare {_LIBRARIES[name]}", ratio, _SLOWER, least=False)
        else:
            report.verdict(f"{name}: times the wall of the bare client", ratio, _SLOWER, least=False)
        assert used.code in (0, 1, 2)


def _memory(report: Report, name: str, counts: tuple[int, int]) -> None:
    peaks = []
    for count in counts:
        with SOURCES[name](count) as served:
            command = _scan(served, f"http://127.0.0.1:{served.port}")
            peaks.append(memory(command).root)
            report.note(f"{name}: parent {peaks[-1] / MIB:.1f} MiB at {count} objects")
    report.verdict(
        f"{name}: growth of the parent", (peaks[1] - peaks[0]) / MIB, _GROWS_BYTES / MIB, least=False, unit=" MiB"
    )


def main() -> int:
    """Print the tables; 1 when a target is missed."""
    quick, with_memory = "--quick" in sys.argv, "--memory" in sys.argv
    only = next((sys.argv[index + 1].split(",") for index, word in enumerate(sys.argv) if word == "--only"), [*SOURCES])
    report = Report("sources")
    for name in only:
        _speed(report, name, 200 if quick else 1000, 1 if quick else 3)
        if with_memory:
            _memory(report, name, (1000, 20_000))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
