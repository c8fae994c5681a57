"""A nightly rerun over 10,000 unchanged S3 objects: does it read any, and how near is it to a bare listing?

`python -m benchmarks.bench_state [--quick]`
"""

import asyncio
import json
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from benchmarks.bench_sources import Served, model
from benchmarks.measure import MIB, Command, Report, environment, in_turn, median, memory, ours, records, run
from benchmarks.places import WORK
from benchmarks.served import Proxy
from tests.servers.seaweed import ACCESS, SECRET, seaweed

_SLOWER = 2.0  # than the bare listing
_LATENCY_MS = 40.0  # of each answer: that of a bucket elsewhere
_GROWS_BYTES = 20 * MIB
_ROOT = Path(__file__).resolve().parent.parent


async def _list() -> None:
    """Every page of the bucket, and nothing done with them."""
    async with get_session().create_client("s3", config=AioConfig(s3={"addressing_style": "path"})) as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket="models", Prefix="m/")
        print(json.dumps({"listed": sum([page["KeyCount"] async for page in pages])}))


def _measure(report: Report, count: int, runs: int) -> int:
    """The comparison for `count` objects; gives the parent's peak in bytes."""
    WORK.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="state-", dir=WORK))
    try:
        with seaweed(folder / "server") as server:
            with ThreadPoolExecutor(4) as putters:
                list(putters.map(lambda n: server.put(f"m/{n // 100}/{n}.pkl", model(n)), range(count)))
            aws = {
                "AWS_ACCESS_KEY_ID": ACCESS,
                "AWS_SECRET_ACCESS_KEY": SECRET,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            }
            state = ("--state", str(folder / "state.db"), "--format", "ndjson")
            served = Served(server.port, lambda url: ["s3://models/m/"])
            run(ours("scan", "s3://models/m/", *state, AWS_ENDPOINT_URL=server.url, **aws))  # the first night
            proxy = Proxy(served, _LATENCY_MS, WORK / "requests-state.json")  # type: ignore[arg-type]  its port only
            try:
                nightly = ours("scan", "s3://models/m/", *state, AWS_ENDPOINT_URL=proxy.url, **aws)
                run(nightly)
                before = proxy.counts()
                run(nightly)
                after = proxy.counts()
                asked = {name: count - before["requests"].get(name, 0) for name, count in after["requests"].items()}
                found = records(nightly.output)
                report.heading(f"{count} unchanged objects, {_LATENCY_MS:g} ms an answer; requests: {asked}")
                pages = -(-count // 1000)
                report.true("only the pages of the listing are asked for", sum(asked.values()) <= pages + 2)
                report.true("every object has a record", sum(one["change"] == "unchanged" for one in found) == count)
                listing = environment(AWS_ENDPOINT_URL=proxy.url, **aws)
                bare = Command([sys.executable, "-m", "benchmarks.bench_state", "list"], listing, _ROOT)
                taken = in_turn({"bare listing": bare, "modelaudit": nightly}, runs)
                peak = memory(nightly).root
            finally:
                proxy.end()
        for who, each in taken.items():
            report.usage(f"{count} objects", who, median(each))
        ratio = median(taken["modelaudit"]).wall_seconds / median(taken["bare listing"]).wall_seconds
        report.verdict("times the wall of a bare listing", ratio, _SLOWER, least=False)
        return peak
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Print the tables; 1 when a target is missed."""
    if sys.argv[1:] == ["list"]:
        asyncio.run(_list())
        return 0
    quick = "--quick" in sys.argv
    report = Report("state")
    small = _measure(report, 1000, 1 if quick else 3) if not quick else 0
    large = _measure(report, 2000 if quick else 10_000, 3)
    if not quick:
        report.verdict("growth of the parent", (large - small) / MIB, _GROWS_BYTES / MIB, least=False, unit=" MiB")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
