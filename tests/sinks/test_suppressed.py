"""What is suppressed is shown as suppressed in every output, with the reason, and counts in none."""

import json
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from modelaudit.model import FileReport
from modelaudit.sinks.interface import Sink
from modelaudit.sinks.json import JsonSink
from modelaudit.sinks.ndjson import NdjsonSink, file_line
from modelaudit.sinks.sarif import SarifSink
from modelaudit.sinks.text import TextSink
from tests.sinks.records import EVIL, RUN, file_output, finding, report, summary

REASON = "retired in March <b>"
ACCEPTED = report("models/old.pkl", suppressed=(replace(finding(place="models/old.pkl"), suppressed=REASON),))


def written(path: Path, make: type[Sink], *reports: FileReport, **options: object) -> str:
    sink = make(file_output(path), **options)
    sink.start(RUN)
    for each in reports:
        sink.write(each)
    sink.finish(summary(reports))
    sink.close()
    return path.read_text()


def test_ndjson(tmp_path: Path) -> None:
    """A list of its own in the record; a finding that counts has no word of it."""
    lines = [
        json.loads(line)
        for line in written(tmp_path / "o", NdjsonSink, EVIL, ACCEPTED, line_bytes=1 << 20).splitlines()
    ]
    assert [each["suppressed"] for each in lines[2]["suppressed"]] == [REASON]
    assert "suppressed" not in lines[1]
    assert all("suppressed" not in each for each in lines[1]["findings"])
    assert (lines[3]["suppressed_total"], lines[3]["findings_total"]) == (1, 2)
    assert msgspec.json.decode(file_line(ACCEPTED, 1 << 20), type=FileReport) == ACCEPTED


def test_a_line_that_is_too_long_counts_what_it_leaves_out() -> None:
    """Accepted findings go before those that count."""
    many = replace(EVIL, suppressed=tuple(replace(finding(), suppressed=REASON, why="w" * 900) for _ in range(400)))
    line = file_line(many, 1 << 16)
    cut = msgspec.json.decode(line, type=FileReport)
    assert len(line) <= 1 << 16
    assert cut.findings == EVIL.findings
    assert len(cut.suppressed) + cut.suppressed_cut == 400
    assert 0 < len(cut.suppressed) < 400


def test_json(tmp_path: Path) -> None:
    """An array of its own, there only if something is in it."""
    document = json.loads(written(tmp_path / "o", JsonSink, EVIL, ACCEPTED))
    assert [(each["path"], each["suppressed"]) for each in document["suppressed"]] == [("models/old.pkl", REASON)]
    assert len(document["issues"]) == 2
    assert [each["suppressed"] for each in document["files"]] == [0, 1]
    assert "suppressed" not in json.loads(written(tmp_path / "p", JsonSink, EVIL))


def test_sarif(tmp_path: Path) -> None:
    """A result with a suppression, as SARIF has it (3.27.23), and its justification."""
    results = json.loads(written(tmp_path / "o", SarifSink, EVIL, ACCEPTED))["runs"][0]["results"]
    assert [each.get("suppressions") for each in results] == [
        None,
        None,
        [{"kind": "external", "status": "accepted", "justification": REASON}],
    ]


@pytest.mark.parametrize("quiet", [True, False])
def test_text(tmp_path: Path, quiet: bool) -> None:
    """Counted beside the issues, and listed behind them; not with --quiet."""
    text = written(tmp_path / "o", TextSink, ACCEPTED, quiet=quiet)
    assert ("Issues found: none (1 suppressed)" in text) is not quiet
    line = f"   models/old.pkl (pos 28): [CRITICAL] Import of posix.system (critical) ({REASON})"
    assert (line in text.splitlines()) is not quiet
    assert quiet or "Scan completed without findings" in text
