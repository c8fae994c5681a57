"""OCSF events: valid to the schema's own types, nothing in them that it does not know, nothing lost."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from py_ocsf_models import OCSF_VERSION
from py_ocsf_models.events.findings.detection_finding import DetectionFinding

from modelaudit.model import FileReport, Heartbeat, Severity
from modelaudit.sinks.ocsf import VERSION, OcsfSink
from tests.cli.program import models, run
from tests.sinks.records import EVIL, MIXED, RUN, file_output, finding, report, summary

CHANGED = report(
    "models/old.pkl",
    findings=(replace(finding(), change="unchanged"), replace(finding(Severity.INFO), change="new")),
    suppressed=(replace(finding(), suppressed="a drill"),),
    fixed=(replace(finding(), change="fixed"),),
)
# What the schema requires of the two classes that the package has no types for (schema.ocsf.io/1.5.0/classes/…).
REQUIRED = {
    6007: {"activity_id", "category_uid", "class_uid", "metadata", "scan", "severity_id", "time", "type_uid"},
    6008: {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"},
}


def events(path: Path, *reports: FileReport, line_bytes: int = 1 << 20, beat: Heartbeat | None = None) -> list[Any]:
    sink = OcsfSink(file_output(path), line_bytes)
    sink.start(RUN)
    for each in reports:
        sink.write(each)
    if beat is not None:
        assert sink.beat(beat)
    sink.finish(summary(reports))
    sink.close()
    lines = path.read_bytes().splitlines(keepends=True)
    assert all(len(line) <= line_bytes and line.endswith(b"\n") for line in lines)
    return [valid(json.loads(line)) for line in lines]


def valid(event: dict[str, Any]) -> dict[str, Any]:
    assert event["metadata"]["version"] == VERSION == OCSF_VERSION
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    if event["class_uid"] == 2004:
        known = DetectionFinding.model_validate(event).model_dump(mode="json")
        unknown_to(event, known)
    else:
        assert event.keys() >= REQUIRED[event["class_uid"]]
        assert event["category_uid"] == 6
    return event


def unknown_to(said: Any, known: Any, place: str = "") -> None:
    """Fail on what the schema's types have dropped: it is none of theirs."""
    if isinstance(said, dict) and not place.endswith("data"):
        assert said.keys() <= known.keys(), place
        for key, value in said.items():
            unknown_to(value, known[key], f"{place}.{key}")
    elif isinstance(said, list):
        for one, other in zip(said, known, strict=True):
            unknown_to(one, other, place)


def test_each_finding_is_an_event(tmp_path: Path) -> None:
    """With its severity, rule, place, why and advice, and the object as the affected resource."""
    found = [event for event in events(tmp_path / "o", EVIL) if event["class_uid"] == 2004]
    assert [(event["severity_id"], event["activity_id"], event["status_id"]) for event in found] == [
        (3, 1, 1),
        (5, 1, 1),
    ]
    event = found[1]
    assert event["finding_info"]["uid"] == "f00d"
    assert event["finding_info"]["analytic"]["uid"] == "pickle-import"
    assert event["finding_info"]["desc"] == "It runs a command of the author's choice."
    assert event["resources"][0]["uid"] == "models/evil.pkl"
    assert event["evidences"][0]["data"]["offset"] == 28
    assert event["remediation"]["desc"]


def test_what_became_of_a_finding(tmp_path: Path) -> None:
    """Seen again is an update, fixed a close, accepted suppressed with the reason."""
    found = [event for event in events(tmp_path / "o", CHANGED) if event["class_uid"] == 2004]
    assert [(event["activity_id"], event["status_id"], event.get("comment")) for event in found] == [
        (2, 1, None),
        (1, 1, None),
        (1, 3, "a drill"),
        (3, 4, None),
    ]


def test_the_run_and_what_was_not_scanned(tmp_path: Path) -> None:
    """A beginning and an end with numbers; an error for each object that was not looked at, a clean one none."""
    beat = Heartbeat(
        run_id="a1b2",
        time=1.5,
        duration_seconds=1,
        listed=9,
        all_listed=False,
        objects=5,
        findings_total=2,
        bytes_read=7,
    )
    all_events = events(tmp_path / "o", *MIXED, beat=beat)
    scans = [event for event in all_events if event["class_uid"] == 6007]
    assert [event["activity_id"] for event in scans] == [1, 99, 2]
    assert (scans[1]["time"], scans[1]["total"], scans[1]["num_files"]) == (1500, 9, 5)
    assert (scans[2]["total"], scans[2]["num_files"], scans[2]["num_detections"]) == (5, 3, 2)
    errors = [event for event in all_events if event["class_uid"] == 6008]
    assert [(event["unmapped"]["resource"]["uid"], event["status_code"]) for event in errors] == [
        ("models/evil.pkl", "findings_cut"),
        ("models/half.zip", "truncated"),
        ("s3://bucket/nightly/secret.pt", "access_denied"),
    ]
    assert {event["metadata"]["correlation_uid"] for event in all_events} == {"a1b2"}


def test_long_words_are_cut(tmp_path: Path) -> None:
    """No line is longer than it may be, and the event stays one."""
    long = replace(finding(), message="m" * 60_000, details={"list": ["x" * 9000] * 50})
    found = events(tmp_path / "o", report("u" * 9000, findings=(long,)), line_bytes=1 << 16)
    assert found[1]["finding_info"]["title"].endswith("m…")


@pytest.mark.parametrize("lists", [1, 5, 20])
def test_no_details_are_too_long(tmp_path: Path, lists: int) -> None:
    """However much evidence there is and however it is escaped, the shortest bound holds and the cut is told."""
    details: dict[str, Any] = {f"list{number}": ["ü\u2028" * 200] * 50 for number in range(lists)}
    long = replace(finding(), message="\x01" * 5000, why="\x01" * 5000, details=details)
    found = events(tmp_path / "o", report("\x01" * 9000, findings=(long,)), line_bytes=1 << 16)
    assert found[1]["finding_info"]["uid"] == long.id
    assert found[1]["evidences"][0]["data"]["details_cut"] is True


def test_many_paths(tmp_path: Path) -> None:
    """Those that are left out of the first event are counted in it."""
    sink = OcsfSink(file_output(tmp_path / "o"), 1 << 16)
    sink.start(replace(RUN, paths=tuple("\x01" * 2000 + str(number) for number in range(5000))))
    sink.close()
    line = (tmp_path / "o").read_bytes()
    told = valid(json.loads(line))["unmapped"]
    assert len(line) <= 1 << 16
    assert len(told["paths"]) + told["paths_cut"] == 5000


def test_how_a_run_begins_and_ends(tmp_path: Path) -> None:
    """Resumed, cancelled and failed have numbers of their own (schema.ocsf.io, class scan_activity)."""
    sink = OcsfSink(file_output(tmp_path / "o"), 1 << 16)
    sink.start(replace(RUN, resumed=True))
    for ended in ("complete", "terminated", "failed"):
        sink.finish(replace(summary(()), ended=ended))
    sink.close()
    lines = (tmp_path / "o").read_bytes().splitlines()
    assert [valid(json.loads(line))["activity_id"] for line in lines] == [8, 2, 3, 6]


@pytest.mark.parametrize("format", ["ocsf"])
def test_from_the_command_line(tmp_path: Path, format: str) -> None:
    """Each line is an event; the exit code is that of any format."""
    (models(tmp_path, 1) / "evil.pkl").write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    done = run("scan", "models", "--format", format, cwd=tmp_path)
    assert done.returncode == 1
    assert [valid(json.loads(line))["class_uid"] for line in done.stdout.splitlines()] == [6007, 2004, 2004, 6007]
