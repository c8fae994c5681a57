"""A million findings through each output: does the parent stay small? Also with `--quick`."""

import sys
from pathlib import Path

from benchmarks.measure import MIB, Command, Report, memory, ours
from benchmarks.places import WORK

_EACH = 1000  # findings of one object, as many as a record keeps
_MOST_BYTES = 200 * MIB
FORMATS = ("ndjson", "sarif", "json", "ocsf", "text", "ndjson with an SBOM")


def hostile(number: int) -> bytes:
    """A pickle that names `_EACH` functions of `os` which there are not, others in each file; never loaded."""
    return b"".join(b"cos\nf%d_%d\n0" % (number, n) for n in range(_EACH)) + b"N."


def folder(objects: int) -> Path:
    """Made once, and kept."""
    path = WORK / "corpus" / f"findings-{objects}"
    if not path.exists():
        path.mkdir(parents=True)
        for number in range(objects):
            (path / f"{number}.pkl").write_bytes(hostile(number))
    return path


def command(format: str, path: Path) -> Command:
    """The scan in that format."""
    words = ["scan", str(path), "--format", format.partition(" ")[0]]
    return ours(*words, *(["--sbom", str(WORK / "findings-sbom.json")] if "SBOM" in format else []))


def main() -> int:
    """Measure and print."""
    objects = 100 if "--quick" in sys.argv else 1000
    report = Report("bench_findings")
    path = folder(objects)
    report.heading(f"{objects * _EACH} findings in {objects} objects")
    for format in FORMATS:
        asked = command(format, path)
        peak = memory(asked)
        report.usage(path.name, format, peak.usage)
        report.note(f"{asked.output.stat().st_size / MIB:.0f} MiB written")
        report.verdict(f"{format}: the parent at most", peak.root / MIB, _MOST_BYTES / MIB, least=False, unit=" MiB")
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
