"""A large ordinary model of each format: how much of it is fetched from a bucket, how long, against the peers."""

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.bare_client import BUCKET
from benchmarks.corpus import files, prepare
from benchmarks.measure import MIB, Command, Report, arguments, in_turn, median, memory, ours, records, run, warm
from benchmarks.peers import ALL
from benchmarks.places import WORK
from benchmarks.served import Proxy, bucket

_LATENCY_MS = 40.0
_SHARE = 0.01  # of the bytes stored
_LOOSE = {"docker-image": 0.10}  # a system's small files are all looked at
_WIDTHS = "  {:14s} {:>7s} {:>9s} {:>8s} {:>5s} {:>8s} {:>8s} {:>8s}  {}"


def _scan(proxy: Proxy, name: str) -> Command:
    return ours("scan", f"s3://{BUCKET}/{name}/", "--format", "ndjson", **proxy.environment())


def _remote(report: Report, proxy: Proxy, folder: Path, stored: int) -> int:
    """One scan of the bucket's folder: the bytes fetched, and a row of what that took."""
    before = proxy.counts()
    command = _scan(proxy, folder.name)
    used = run(command)
    after = proxy.counts()
    found = records(command.output)
    fetched = sum(int(record["bytes_read"]) for record in found)
    sent = after["body_bytes"].get("GET", 0) - before["body_bytes"].get("GET", 0)
    asked = after["requests"].get("GET", 0) - before["requests"].get("GET", 0)
    statuses = ", ".join(sorted({record["status"] for record in found}))
    worker = memory(command).worker_private
    row = (f"{stored / MIB:.0f}", f"{fetched / 1e3:.0f}", f"{fetched / stored:.3%}", f"{asked}")
    took = (f"{used.wall_seconds:.2f}", f"{worker / MIB:.0f}", f"{sent / 1e3:.0f}", statuses)
    report.note(_WIDTHS.format(folder.name, *row, *took))
    return fetched


def _against_peers(report: Report, folder: Path, runs: int) -> None:
    """The same files on disk, by every scanner in turn."""
    for path in files(folder):
        warm(path)
    commands = {"modelaudit": ours("scan", str(folder), "--format", "ndjson")}
    commands |= {peer.name: peer.scan(folder) for peer in ALL}
    taken = {name: median(usages) for name, usages in in_turn(commands, runs).items()}
    mine = taken.pop("modelaudit")
    report.usage(folder.name, f"{folder.name}: modelaudit", mine)
    for name, used in taken.items():
        ratio = used.wall_seconds / mine.wall_seconds
        report.usage(folder.name, f"  {name}", used, f"{ratio:.1f}× our time, exit {used.code}")


def _folders(corpus: Path, wanted: Sequence[str]) -> list[Path]:
    return sorted(path for path in corpus.iterdir() if not wanted or path.name in wanted)


def _from_bucket(report: Report, folders: Sequence[Path]) -> None:
    report.note(f"from a bucket behind {_LATENCY_MS:.0f} ms, one scan of each")
    titles = ("format", "MiB", "kB read", "share", "GETs", "wall s", "MiB priv", "kB sent", "status")
    report.note(_WIDTHS.format(*titles))
    for folder in folders:
        stored = sum(path.stat().st_size for path in files(folder))
        with bucket(folder, folder.name) as server:
            proxy = Proxy(server, _LATENCY_MS, WORK / "formats.log")
            fetched = _remote(report, proxy, folder, stored)
            proxy.end()
        most = _LOOSE.get(folder.name, _SHARE)
        report.verdict(f"{folder.name}: share fetched", fetched / stored, most, least=False)


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__ or "", runs=2)
    parser.add_argument("--only", nargs="*", default=[], help="these formats alone")
    parser.add_argument("--no-peers", action="store_true", help="only what is fetched from the bucket")
    parser.add_argument("--no-bucket", action="store_true", help="only the files on disk")
    options = parser.parse_args()
    report = Report("bench_formats")
    corpus = prepare("formats-quick" if options.quick else "formats")
    folders = _folders(corpus, options.only)
    if not options.no_bucket:
        _from_bucket(report, folders)
    if not options.no_peers:
        report.heading("the same files on disk")
        for folder in folders:
            _against_peers(report, folder, 1 if options.quick else options.runs)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
