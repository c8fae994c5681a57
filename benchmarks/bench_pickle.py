"""How much faster are large pickles judged than by picklescan, in how much memory, and is all of them read?"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from benchmarks.corpus import files, prepare
from benchmarks.measure import MIB, Command, Report, Usage, arguments, in_turn, median, memory, ours, records, run, warm
from benchmarks.peers import ALL, PICKLESCAN, Peer
from benchmarks.places import WORK

_FASTER = 10.0
_BULK = ("one-array", "many-arrays")  # hardly an opcode in them: picklescan takes 0.2 s too, most of it start-up
_MEMORY = 3.0  # private memory of a worker, in sizes of the file


def _compare(report: Report, path: Path, peers: list[Peer], runs: int) -> float:
    """Measure one file; how many times faster than picklescan we are (wall)."""
    size = path.stat().st_size
    warm(path)
    mine = ours("scan", str(path), "--format", "ndjson")
    taken = in_turn({"modelaudit": mine, **{peer.name: peer.scan(path) for peer in peers}}, runs)
    report.heading(f"{path.name} ({size / 1e6:.1f} MB)")
    middle = {name: median(usages) for name, usages in taken.items()}
    for name, used in middle.items():
        report.usage(path.name, name, used, _spread(taken[name]))
    peak = memory(mine)
    report.note(
        f"worker at most {peak.worker / MIB:.0f} MiB resident, {peak.worker_private / MIB:.0f} MiB of it private;"
        f" parent {peak.root / MIB:.0f} MiB"
    )
    found = _one_record(mine)
    wrong = [finding["rule"] for finding in found["findings"] if finding["severity"] in ("critical", "warning")]
    report.true("scanned, nothing found", found["status"] == "scanned" and not wrong, f"{found['status']} {wrong[:3]}")
    _read_to_the_end(report, path)
    report.verdict("worker's private memory", peak.worker_private / size, _MEMORY, least=False, unit="×file")
    ratio = middle[PICKLESCAN.name].wall_seconds / middle["modelaudit"].wall_seconds
    least = 1.0 if path.name.startswith(_BULK) else _FASTER
    report.verdict("faster than picklescan", ratio, least, least=True, unit="×")
    return ratio


def _one_record(mine: Command) -> dict[str, Any]:
    found = records(mine.output)
    if len(found) != 1:
        said = (WORK / "errors.out").read_text(errors="replace")[-2000:]
        raise SystemExit(f"{' '.join(mine.words)}: {len(found)} records instead of one\n{said}")
    return found[0]


def _spread(taken: list[Usage]) -> str:
    walls = [used.wall_seconds for used in taken]
    return f"{min(walls):.2f}–{max(walls):.2f} s of {len(walls)}"


def _read_to_the_end(report: Report, path: Path) -> None:
    """The same stream with a call put between its last opcode and STOP: who does not find it has not read it."""
    attacked = WORK / "attack-last.pkl"
    shutil.copyfile(path, attacked)
    with attacked.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        place = file.tell()
        file.write(b"0cos\nsystem\n(S'echo harmless'\ntR.")  # the STOP becomes a POP; it is written, never loaded
    mine = ours("scan", str(attacked), "--format", "ndjson")
    used = run(mine)
    worst = [finding for finding in _one_record(mine)["findings"] if finding["severity"] == "critical"]
    attacked.unlink()
    here = any((finding["offset"] or 0) > place for finding in worst)
    report.true("an attack behind the last opcode is found", here, f"{used.wall_seconds:.2f} s")


def main() -> int:
    """Measure and print."""
    parser = arguments(__doc__ or "", runs=3)
    parser.add_argument("--all-peers", action="store_true", help="the other two peers as well (slow)")
    parser.add_argument("--only", default="", help="files whose name holds this")
    options = parser.parse_args()
    report = Report("bench_pickle")
    peers = list(ALL) if options.all_peers else [PICKLESCAN]
    for peer in peers:
        peer.install()
    ending = "-quick" if options.quick else ""
    folders = [prepare(f"pickles{ending}"), prepare(f"arrays{ending}")]
    ratios = {
        path.name: _compare(report, path, peers, 1 if options.quick else options.runs)
        for folder in folders
        for path in files(folder)
        if options.only in path.name
    }
    print("\nTimes faster than picklescan: " + ", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items()))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
