"""A folder of small hostile pickles: how fast, how soon the first record, and does memory stay flat?"""

import sys
from pathlib import Path

from benchmarks.corpus import files, prepare
from benchmarks.measure import MIB, Report, arguments, in_turn, median, memory, ours, records
from benchmarks.peers import ALL, PICKLESCAN

_THOUSAND_SECONDS = 0.5  # what picklescan took on the machine that the target was set on
_FIRST_SECONDS = 0.4
_GROWTH = 1.15  # the parent's peak with many files against that with a thousand


def _speed(report: Report, folder: Path, runs: int, all_peers: bool) -> None:
    count = len(files(folder))
    mine = ours("scan", str(folder), "--format", "ndjson")
    peers = ALL if all_peers else (PICKLESCAN,)
    taken = in_turn(
        {"modelaudit": mine, **{peer.name: peer.scan(folder) for peer in peers}}, runs, watch_first="modelaudit"
    )
    report.heading(f"{count} small hostile pickles")
    middle = {name: median(usages) for name, usages in taken.items()}
    for name, used in middle.items():
        report.usage(folder.name, name, used, f"{count / used.wall_seconds:.0f} files/s")
    critical = sum(record["severity"] == "critical" for record in records(mine.output))
    report.true("every file critical", critical == count, f"{critical} of {count}")
    said = PICKLESCAN.scan(folder).output.read_text()
    report.note("picklescan says: " + " ".join(line for line in said.splitlines() if "nfected files" in line))
    ratio = middle["modelaudit"].wall_seconds / middle[PICKLESCAN.name].wall_seconds
    report.verdict("wall time against picklescan's", ratio, 1.0, least=False, unit="×")
    thousand = middle["modelaudit"].wall_seconds / count * 1000
    report.verdict("wall time of a thousand", thousand, _THOUSAND_SECONDS, least=False, unit=" s")
    report.verdict(
        "first record after the start",
        middle["modelaudit"].first_seconds or 1e9,
        _FIRST_SECONDS,
        least=False,
        unit=" s",
    )


def _flat(report: Report, counts: list[int]) -> None:
    report.heading("the parent's memory by the number of files")
    peaks = []
    for count in counts:
        folder = prepare(f"hostile-{count}")
        mine = ours("scan", str(folder), "--format", "ndjson")
        peak = memory(mine)
        found = len(records(mine.output))
        report.usage(folder.name, f"modelaudit, {count} files", peak.usage, f"{count / peak.usage.wall_seconds:.0f}/s")
        report.note(f"parent at most {peak.root / MIB:.1f} MiB ({peak.root_private / MIB:.1f} private)")
        report.true("a record for each file", found == count, f"{found} of {count}")
        peaks.append(peak.root)
    for count, highest in zip(counts[1:], peaks[1:], strict=True):
        times = highest / peaks[0]
        report.verdict(f"the parent's memory, {count} files to 1,000", times, _GROWTH, least=False, unit="×")


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__ or "", runs=5)
    parser.add_argument("--all-peers", action="store_true", help="the other two peers as well (slow)")
    options = parser.parse_args()
    report = Report("bench_small")
    for peer in ALL if options.all_peers else (PICKLESCAN,):
        peer.install()
    _speed(report, prepare("hostile-1000"), 1 if options.quick else options.runs, options.all_peers)
    _flat(report, [1000, 10_000] if options.quick else [1000, 10_000, 100_000])
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
