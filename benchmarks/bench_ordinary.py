"""How often is an ordinary file said to be dangerous? Scans what gather_ordinary.py has laid out.

    python -m benchmarks.bench_ordinary               # the temporary folder, see places.py
    python -m benchmarks.bench_ordinary FOLDER        # another one
    python -m benchmarks.bench_ordinary --records F   # count the records of a scan that was made before

Files are counted once by their bytes: a copy of an earlier one is left out, and what a tuned package has is not held
out. Every alarm (critical or warning) is printed. `ordinary_alarms.toml` says of each alarm that somebody has looked
at why it is raised, and whether that is right. What is not said to be right there is a false alarm.
"""

import argparse
import fnmatch
import json
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gather_ordinary import FOLDER, LISTED, PARTS
from benchmarks.measure import Report, ours, run
from benchmarks.places import RESULTS

_EXPLAINED = Path(__file__).with_name("ordinary_alarms.toml")
_MOST_WARNED = 0.01  # of the files that were scanned
_OUTPUT = RESULTS / "ordinary.ndjson"
_COLUMNS = ("files", "critical", "warning", "info", "partial")
_NOT_SCANNED = "(no scanned format)"
_CONTAINERS = {"zip", "gzip", "bz2", "xz", "lzma", "zlib", "tar"}  # named only where nothing else is


@dataclass(slots=True)
class Tally:
    """Counts of one part: by format, and the files with alarms, false ones by severity and right ones."""

    formats: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    critical: set[str] = field(default_factory=set)
    warning: set[str] = field(default_factory=set)
    right: set[str] = field(default_factory=set)

    def scanned(self) -> int:
        return sum(counts["files"] for kind, counts in self.formats.items() if kind != _NOT_SCANNED)


@dataclass(frozen=True, slots=True)
class Known:
    """Alarms that somebody has looked at: how the file's path ends, the rules, why, and whether it is right."""

    file: str
    rules: frozenset[str]
    why: str
    right: bool


def _origins(folder: Path) -> tuple[dict[str, str], int]:
    """The part of each file by its path below `files`, without copies; and how many those are."""
    listed = [json.loads(line) for line in (folder / LISTED).read_text().splitlines()]
    listed.sort(key=lambda line: (PARTS.index(line["part"]), line["path"]))
    met: set[str] = set()
    parts = {}
    for line in listed:
        if line["sha256"] not in met:
            met.add(line["sha256"])
            parts[line["path"]] = line["part"]
    return parts, len(listed) - len(parts)


def _known() -> list[Known]:
    read = tomllib.loads(_EXPLAINED.read_text())
    return [Known(one["file"], frozenset(one["rules"]), one["why"], one["right"]) for one in read["explained"]]


def _file_records(output: Path) -> Iterator[dict[str, Any]]:
    with output.open("rb") as lines:
        for line in lines:
            record = json.loads(line)
            if record["type"] == "file":
                yield record


def _kind(record: dict[str, Any]) -> str:
    """The format that a row of the table is for."""
    if record["status"] not in {"scanned", "partial"}:
        return _NOT_SCANNED
    formats = [name for name in record["formats"] if name not in _CONTAINERS] or record["formats"]
    return " + ".join(formats)


def _count(tally: Tally, record: dict[str, Any], path: str, known: list[Known]) -> None:
    counts = tally.formats[_kind(record)]
    counts["files"] += 1
    counts["partial"] += record["status"] in {"partial", "failed"}
    if record["severity"] in {"critical", "warning", "info"}:
        counts[record["severity"]] += 1
    if record["severity"] not in {"critical", "warning"}:
        return
    alarms = {one["rule"]: one for one in record["findings"] if one["severity"] in {"critical", "warning"}}
    looked_at = [one for one in known if fnmatch.fnmatch(path, "*" + one.file) and alarms.keys() <= one.rules]
    print(f"  {record['severity']:8s} {path}")
    for rule, one in sorted(alarms.items()):
        print(f"      {rule}: {one['message'][:160]}")
    right = any(one.right for one in looked_at)
    word = "right" if right else "FALSE" if looked_at else "not looked at yet"
    print(f"      {word}: {looked_at[0].why if looked_at else '?'}", flush=True)
    (tally.right if right else tally.critical if record["severity"] == "critical" else tally.warning).add(path)


def _tables(report: Report, tallies: dict[str, Tally]) -> None:
    for part, tally in tallies.items():
        print(f"\n## {part}\n\n| format | {' | '.join(_COLUMNS)} |\n|---|{'---:|' * len(_COLUMNS)}")
        kinds = sorted(tally.formats, key=lambda kind: (kind == _NOT_SCANNED, -tally.formats[kind]["files"], kind))
        for kind in kinds:
            print(f"| {kind} | {' | '.join(str(tally.formats[kind][column]) for column in _COLUMNS)} |")
            report.rows.append({"part": part, "format": kind, **tally.formats[kind]})


def main() -> int:
    """Scan, count and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help=f"default: {FOLDER}")
    parser.add_argument("--records", type=Path, help="the NDJSON of a scan of the same folder")
    options = parser.parse_args()
    files = options.folder.absolute() / "files"
    parts, copies = _origins(options.folder)
    report = Report("bench_ordinary")
    report.note(f"{len(parts)} files, without {copies} copies")
    output: Path = options.records or _OUTPUT
    if options.records is None:
        RESULTS.mkdir(parents=True, exist_ok=True)
        used = run(ours("scan", str(files), "--quiet", "--format", "ndjson", "--output", str(output)))
        report.note(f"scanned in {used.wall_seconds:.0f} s")
        report.true("the scan came to its end", used.code in {0, 1}, f"exit code {used.code}")
    known, tallies = _known(), {part: Tally() for part in PARTS if part in parts.values()}
    for record in _file_records(output):
        path = record["uri"].partition(f"{files.name}/")[2]
        if path in parts:
            _count(tallies[parts[path]], record, path, known)
    _tables(report, tallies)
    print()
    for part, tally in tallies.items():
        scanned = tally.scanned()
        report.note(f"{part}: {scanned} files of scanned formats; {len(tally.right)} with an alarm that is right")
        report.verdict(f"{part}: files with a false critical", len(tally.critical), 0, least=False)
        share = (len(tally.critical) + len(tally.warning)) / max(1, scanned)
        report.verdict(f"{part}: share of files with any false alarm", share, _MOST_WARNED, least=False)
        every = share + len(tally.right) / max(1, scanned)
        report.verdict(f"{part}: share of files with any alarm at all", every, _MOST_WARNED, least=False)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
