"""A bucket of 2,000 models behind 40 ms: how much of it is fetched, how near to a bare client, is anything missed?"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.bare_client import BUCKET
from benchmarks.corpus import files, prepare
from benchmarks.measure import MIB, Command, Report, arguments, environment, in_turn, median, memory, ours, records, run
from benchmarks.places import WORK
from benchmarks.served import Proxy, bucket

_LATENCY_MS = 40.0
_SHARE = 0.02  # of the bytes stored
_SLOWER = 1.3  # than the bare client
_CONCURRENCY = 64  # the default of `modelaudit scan`
_OWN = ("uri", "bytes_read", "version", "sha256", "duration_ms")  # what rightly differs between a file and an object
_ROOT = Path(__file__).resolve().parent.parent


def _record_gets(report: Report, server: Any, stored: int, count: int) -> list[list[str]]:
    """One run behind a proxy that counts: what was fetched. Gives `[key, range]` of the objects' GETs."""
    proxy = Proxy(server, _LATENCY_MS, WORK / "gets.log")
    used = run(_bucket_scan(proxy))
    counts = proxy.counts()
    lines = proxy.end()
    prefix = f"GET /{BUCKET}/"
    gets = [
        [line.removeprefix(prefix), span] for line, span in lines if line.startswith(prefix) and "?list" not in line
    ]
    gets = [[key.partition("?")[0], span] for key, span in gets if key]
    report.heading("what is asked of the server")
    report.usage("counted", "modelaudit", used)
    fetched = counts["body_bytes"].get("GET", 0)
    report.note(
        f"{len(gets)} GETs of objects for {count} objects, {len(lines) - len(gets)} other requests,"
        f" {fetched / 1e6:.1f} MB of {stored / 1e6:.0f} MB, at most {counts['most_in_flight']['GET']} in flight,"
        f" {counts['connections']} connections"
    )
    _by_kind(report, gets)
    report.verdict("share of the stored bytes that was fetched", fetched / stored, _SHARE, least=False)
    return gets


def _by_kind(report: Report, gets: list[list[str]]) -> None:
    asked: dict[str, list[int]] = {}
    objects: dict[str, set[str]] = {}
    for key, span in gets:
        kind = Path(key).suffix
        first, _, last = span.removeprefix("bytes=").partition("-")
        asked.setdefault(kind, []).append(int(last) - int(first) + 1 if first and last else 0)
        objects.setdefault(kind, set()).add(key)
    for kind, sizes in sorted(asked.items()):
        each = len(objects[kind])
        report.note(f"  {kind}: {len(sizes) / each:.2f} GETs and {sum(sizes) / each / 1e3:.0f} kB an object")


def _bucket_scan(proxy: Proxy) -> Command:
    return ours("scan", f"s3://{BUCKET}", "--format", "ndjson", **proxy.environment())


def _against_bare(report: Report, server: Any, gets: list[list[str]], runs: int) -> None:
    listed = WORK / "gets.json"
    listed.write_text(json.dumps(gets))
    proxy = Proxy(server, _LATENCY_MS, WORK / "ignored.log")
    words = [sys.executable, "-m", "benchmarks.bare_client", str(listed), str(_CONCURRENCY)]
    bare = Command(words, environment(**proxy.environment()), _ROOT)
    mine = _bucket_scan(proxy)
    taken = in_turn({"modelaudit": mine, "bare client": bare}, runs, watch_first="modelaudit")
    report.heading("against a client that issues the same GETs and looks at nothing")
    middle = {name: median(usages) for name, usages in taken.items()}
    for name, used in middle.items():
        report.usage("same GETs", name, used, f"{len(gets) / used.wall_seconds:.0f} GETs/s")
    report.note(f"bare client says {bare.output.read_text().strip()}")
    ratio = middle["modelaudit"].wall_seconds / middle["bare client"].wall_seconds
    report.verdict("wall time against the bare client's", ratio, _SLOWER, least=False, unit="×")
    cpu = middle["modelaudit"].cpu_seconds / middle["bare client"].cpu_seconds
    report.note(f"CPU time of all our processes: {cpu:.2f}× the bare client's, and the server needs the cores as well")
    peak = memory(mine)
    report.note(f"parent at most {peak.root / MIB:.0f} MiB, a worker {peak.worker_private / MIB:.0f} MiB private")
    proxy.end()


def _told(output: Path, prefix: str) -> dict[str, str]:
    """By key: the record without what rightly differs, with the place cut off the names in it."""
    told = {}
    for record in records(output):
        key = record["uri"].removeprefix(prefix)
        rest = {name: value for name, value in record.items() if name not in _OWN}
        for finding in rest["findings"]:
            finding.pop("id")  # made from the URI among others
        told[key] = json.dumps(rest, sort_keys=True).replace(prefix, "")
    return told


def _same(report: Report, corpus: Path) -> None:
    """The last bucket scan's records against those of the same files on disk."""
    remote = _told(ours().output, f"s3://{BUCKET}/")
    mine = ours("scan", str(corpus), "--format", "ndjson")
    report.heading("the same files on disk")
    report.usage("local", "modelaudit", run(mine))
    local = _told(mine.output, f"{corpus}/")
    keys = [path.relative_to(corpus).as_posix() for path in files(corpus)]
    differ = [key for key in keys if remote.get(key) != local.get(key) or key not in local]
    found = sum('"severity": "critical"' in text for text in local.values())
    report.true("records are the same", not differ and len(remote) == len(keys), f"{len(keys)} objects, {differ[:3]}")
    for key in differ[:3]:
        report.note(f"{key}:\n    bucket {remote.get(key, '')[:300]}\n    disk   {local.get(key, '')[:300]}")
    scanned = sum('"status": "scanned"' in text for text in local.values())
    report.note(f"{scanned} scanned, {found} with a critical finding")


def main() -> int:
    """Measure and print."""
    options = arguments(__doc__ or "", runs=5).parse_args()
    report = Report("bench_bucket")
    corpus = prepare("bucket-quick" if options.quick else "bucket")
    sizes = [path.stat().st_size for path in files(corpus)]
    with bucket(corpus) as server:
        gets = _record_gets(report, server, sum(sizes), len(sizes))
        _against_bare(report, server, gets, 1 if options.quick else options.runs)
        _same(report, corpus)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
