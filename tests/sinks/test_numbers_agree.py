"""One run, every output: each says the same numbers, because one place counts."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelaudit.model import FileReport, Severity
from modelaudit.report import make
from modelaudit.settings import Settings
from modelaudit.sinks import open_sink
from tests.sinks.records import EVIL, MIXED, RUN, file_output, finding, report, summary

CHANGED = (
    replace(EVIL, findings=tuple(replace(each, change="new") for each in EVIL.findings), change="new"),
    report("models/known.pkl", findings=(replace(finding(Severity.INFO), change="unchanged"),), change="unchanged"),
    report("models/fixed.pkl", fixed=(replace(finding(), change="fixed"),), change="changed"),
    report("models/gone.pkl", status="skipped", reason="gone", change="gone"),
    report("models/old.pkl", suppressed=(replace(finding(), suppressed="known"),), suppressed_cut=2, change="new"),
    *(replace(each, change="new") for each in MIXED[2:]),
)


def written(folder: Path, format: str, reports: tuple[FileReport, ...]) -> str:
    """The output of the run in that format."""
    path = folder / format
    sink = open_sink(Settings(paths=("models",), format=format), file_output(path))  # type: ignore[arg-type]
    sink.start(RUN)
    for each in reports:
        sink.write(each)
    sink.finish(summary(reports))
    sink.close()
    return path.read_text("utf-8")


@pytest.mark.parametrize("reports", [MIXED, CHANGED, ()], ids=["mixed", "changed", "none"])
def test_every_output_says_the_same(tmp_path: Path, reports: tuple[FileReport, ...]) -> None:
    """Counted by hand from the records, and found in text, JSON, NDJSON, SARIF, OCSF and the page."""
    found = [each for done in reports for each in done.findings]
    levels = {level: sum(each.severity is level for each in found) for level in Severity}
    statuses = {
        name: sum(done.status == name for done in reports) for name in ("scanned", "partial", "skipped", "failed")
    }
    accepted = sum(len(done.suppressed) + done.suppressed_cut for done in reports)

    lines = [json.loads(line) for line in written(tmp_path, "ndjson", reports).splitlines()]
    document = json.loads(written(tmp_path, "json", reports))
    sarif = json.loads(written(tmp_path, "sarif", reports))["runs"][0]
    events = [json.loads(line) for line in written(tmp_path, "ocsf", reports).splitlines()]
    for totals in (
        lines[-1],
        document["totals"],
        sarif["properties"]["modelaudit/summary"],
        events[-1]["unmapped"]["summary"],
    ):
        said: dict[str, Any] = totals
        assert (said["objects"], said["by_status"]) == (len(reports), statuses)
        assert (said["findings_total"], said["by_severity"]) == (len(found), levels)
        assert said["findings_cut"] == sum(done.findings_cut for done in reports)
        assert said.get("suppressed_total", 0) == accepted
        assert said["bytes_read"] == sum(done.bytes_read for done in reports)

    assert sum(len(line["findings"]) for line in lines if line["type"] == "file") == len(found)
    assert (len(document["issues"]), len(document["files"])) == (len(found), len(reports))
    assert len([one for one in sarif["results"] if "suppressions" not in one]) == len(found)
    new = [event for event in events if event["class_uid"] == 2004 and event["status_id"] == 1]
    assert len(new) == len(found)
    assert events[-1]["num_detections"] == len(found)

    text = written(tmp_path, "text", reports)
    assert f"Files scanned: {statuses['scanned'] + statuses['partial']}" in text
    shown = [f"{levels[Severity.CRITICAL]} critical", f"{levels[Severity.WARNING]} warnings"]
    assert ("Issues found: none" if not found else f"Issues found: {', '.join(shown)}") in text
    assert len(re.findall(r"^\d+\. ", text, re.M)) == len(found)
    assert (f"({accepted} suppressed)" in text) is bool(accepted)

    make([str(tmp_path / "ndjson")], str(tmp_path / "page.html"))
    page = (tmp_path / "page.html").read_text("utf-8")
    for level, name in ((Severity.CRITICAL, "Critical"), (Severity.WARNING, "Warning")):
        assert f"<dt>{name}</dt><dd>{levels[level]}" in page
    assert f"<dt>Objects</dt><dd>{len(reports)}" in page
