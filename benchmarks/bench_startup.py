"""What does it cost to start: the version, and one tiny pickle, against the peers?"""

import sys

from benchmarks.corpus import files, prepare
from benchmarks.measure import Command, Report, arguments, in_turn, median, ours
from benchmarks.peers import ALL


def _against(report: Report, what: str, commands: dict[str, Command], runs: int) -> None:
    report.heading(what)
    middle = {name: median(usages) for name, usages in in_turn(commands, runs).items()}
    for name, used in middle.items():
        report.usage(what, name, used)
    wall = middle.pop("modelaudit").wall_seconds
    for name, used in middle.items():
        report.verdict(f"against {name}", wall / used.wall_seconds, 1.0, least=False, unit="×")


def main() -> int:
    """Measure and print."""
    options = arguments(__doc__ or "", runs=9).parse_args()
    report = Report("bench_startup")
    for peer in ALL:
        peer.install()
    runs = 1 if options.quick else options.runs
    (tiny,) = files(prepare("tiny"))
    asked = {"modelaudit": ours("--version"), **{peer.name: peer.version() for peer in ALL}}
    _against(report, "the version (for picklescan and modelscan, which have none, the help)", asked, runs)
    scans = {
        "modelaudit": ours("scan", str(tiny), "--format", "ndjson"),
        **{peer.name: peer.scan(tiny) for peer in ALL},
    }
    _against(report, f"one pickle of {tiny.stat().st_size} bytes", scans, runs)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
