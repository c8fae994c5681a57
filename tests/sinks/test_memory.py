"""A run of a hundred thousand objects takes no more memory than one of two thousand."""

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelaudit.limits import MIB
from modelaudit.model import Asset, FileReport, Severity
from modelaudit.pipeline.statistics import Statistics
from modelaudit.sinks.json import JsonSink
from modelaudit.sinks.ndjson import NdjsonSink
from modelaudit.sinks.ocsf import OcsfSink
from modelaudit.sinks.sarif import SarifSink
from modelaudit.sinks.text import TextSink
from tests.sinks.records import RUN, file_output, finding, refused, report

COUNT = 100_000
SINKS = {
    "ndjson": lambda output: NdjsonSink(output, MIB),
    "json": JsonSink,
    "sarif": SarifSink,
    "ocsf": lambda output: OcsfSink(output, MIB),
    "text": TextSink,
    "verbose": lambda output: TextSink(output, verbose=True),
}


def reports() -> Iterator[FileReport]:
    """Four of ten with two findings, one failed."""
    found = (finding(Severity.CRITICAL), finding(Severity.INFO))
    for number in itertools.count():
        uri = f"models/{number}.pkl"
        if number % 10 == 0:
            yield refused(uri, "failed", "timeout", "the scan took longer than 300 seconds")
        elif number % 2:
            yield report(uri, findings=found, severity=Severity.CRITICAL, assets=(Asset(uri, "pickle"),))
        else:
            yield report(uri)


def peak_bytes() -> int:
    """The most memory that this process has ever had (VmHWM of proc(5), in kB)."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


def fill(kind: str, path: str) -> int:
    """Write a run of `COUNT` objects; gives how far the peak rose after the first 2,000, in bytes."""
    sink = SINKS[kind](file_output(Path(path)))
    statistics = Statistics()
    sink.start(RUN)
    before = 0
    for number, done in enumerate(itertools.islice(reports(), COUNT)):
        statistics.add(done)
        sink.write(done)
        if number == 2000:
            before = peak_bytes()
    sink.finish(statistics.summary("a1b2", "complete"))
    sink.close()
    return peak_bytes() - before


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("ndjson", COUNT + 2),
        ("json", 2 * 50_000 + 90_000 + COUNT),
        ("sarif", 2 * 50_000 + 10_000),
        ("ocsf", 2 * 50_000 + 10_000 + 2),
        ("text", 4 * 50_000),
        ("verbose", 4 * 50_000 + COUNT),
    ],
)
def test_memory_is_flat(tmp_path: Path, kind: str, lines: int) -> None:
    """In a process of its own: less than 4 MiB more to the last line of the output, and the output is all there."""
    path = tmp_path / "out"
    program = "import sys; from tests.sinks.test_memory import fill; print(fill(sys.argv[1], sys.argv[2]))"
    done = subprocess.run(
        [sys.executable, "-c", program, kind, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        cwd=Path(__file__).parents[2],
    )
    assert int(done.stdout) < 4 * MIB
    with path.open("rb") as written:
        assert sum(1 for _ in written) >= lines
