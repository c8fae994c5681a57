"""Real scans of every hostile sample, each rule, and a changed folder: every output says the same, and why."""

import json
import re
import shutil
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelaudit import catalogue
from modelaudit.blob import Blob, BytesBlob
from modelaudit.catalogue import Catalogue, Format, Signature
from modelaudit.engine import Engine
from modelaudit.limits import MIB, Limits
from modelaudit.model import FileReport, Finding, Hit, Severity
from modelaudit.settings import Settings
from modelaudit.sinks import open_sink
from tests.cli.program import ENVIRONMENT, run
from tests.samples import hostile
from tests.sinks.records import RUN, file_output, report, summary

FORMATS = ("ndjson", "json", "text", "sarif", "ocsf")
RULES = catalogue.load().rules
MANY = 1500  # findings of one object, more than are kept
COUNTED = (
    *("objects", "files_scanned", "incomplete", "by_status", "reasons", "findings_total", "findings_cut"),
    *("by_severity", "worst", "assets_total", "assets_cut", "by_format", "by_scanner", "bytes_listed", "bytes_read"),
    *("exit_code", "ended"),
)

Said = dict[str, Any]


def many(number: int, count: int) -> bytes:
    """A pickle that names `count` functions of `os` which there are not, others for each `number`; never loaded."""
    return b"".join(b"cos\nf%d_%d\n0" % (number, n) for n in range(count)) + b"N."


def outputs(folder: Path, *words: str, state: Path | None = None) -> dict[str, str]:
    """What `modelaudit scan words` says in each format; each run gets its own copy of `state`."""
    said = {}
    for name in FORMATS:
        own = []
        if state is not None:
            own = ["--state", str(shutil.copy(state, folder / f"{name}.db"))]
        ended = run("scan", *words, *own, "--format", name, "--output", str(folder / name), cwd=folder)
        assert (ended.returncode, ended.stdout) == (1, ""), (name, ended.stderr)
        said[name] = (folder / name).read_text("utf-8")
    return said


def check(said: dict[str, str], folder: Path) -> tuple[list[Said], Said]:
    """Count the records by hand and hold every format against that; gives the file records and the summary."""
    lines = [json.loads(line) for line in said["ndjson"].splitlines()]
    records, total = [line for line in lines if line["type"] == "file"], lines[-1]
    document = json.loads(said["json"])
    [sarif] = json.loads(said["sarif"])["runs"]
    events = [json.loads(line) for line in said["ocsf"].splitlines()]
    found = [finding for record in records for finding in record["findings"]]
    accepted = [finding for record in records for finding in record.get("suppressed", ())]
    levels = {level.value: sum(one["severity"] == level for one in found) for level in Severity}
    cut = sum(record.get("findings_cut", 0) for record in records)

    assert total["objects"] == len(records) == sum(total["by_status"].values()) == len(document["files"])
    for status, count in total["by_status"].items():
        assert count == sum(record["status"] == status for record in records)
    assert total["findings_total"] == len(found) == sum(total["by_severity"].values())
    assert total["findings_cut"] == cut
    assert total["bytes_read"] == sum(record["bytes_read"] for record in records) == document["bytes_scanned"]
    assert total["files_scanned"] == document["files_scanned"]
    others = (document["totals"], sarif["properties"]["modelaudit/summary"], events[-1]["unmapped"]["summary"])
    for other in others:
        assert {name: other[name] for name in COUNTED} == {name: total[name] for name in COUNTED}

    def told(issues: list[Said]) -> list[tuple[str, ...]]:
        return sorted((one["location"], one["rule"], one["severity"], one["message"], one["why"]) for one in issues)

    assert told(document["issues"]) == told(found)
    assert told(document.get("suppressed", [])) == told(accepted)
    open_results = [
        one for one in sarif["results"] if one.get("baselineState") != "absent" and not one.get("suppressions")
    ]
    assert sorted(one["ruleId"] for one in open_results) == sorted(one["rule"] for one in found)
    new = [event for event in events if event["class_uid"] == 2004 and event["status_id"] == 1]
    assert len(new) == len(found)

    text = said["text"]
    shown = [f"{total['by_severity']['critical']} critical", f"{total['by_severity']['warning']} warnings"]
    assert f"Issues found: {', '.join(shown)}" in text
    assert f"Files scanned: {total['files_scanned']}\n" in text
    assert [int(number) for number in re.findall(r"^(\d+)\. ", text, re.M)] == list(range(1, len(found) + 1))
    assert len(re.findall(r"^   Why: .+", text, re.M)) == len(found)
    assert all(finding["why"] and finding["rule"] in RULES for finding in found)
    for level, count in levels.items():
        assert len(re.findall(rf"^\d+\. .*: \[{level.upper()}\] ", text, re.M)) == count

    (folder / "records.ndjson").write_text(said["ndjson"], "utf-8")
    assert run("report", "records.ndjson", "-o", "page.html", cwd=folder).returncode == 0
    page = (folder / "page.html").read_text("utf-8")
    for level, name in (("critical", "Critical"), ("warning", "Warning")):
        assert f"<dt>{name}</dt><dd>{total['by_severity'][level]:,}" in page
    assert f"<dt>Objects</dt><dd>{len(records):,}" in page
    return records, total


def test_every_sample(tmp_path: Path) -> None:
    """A real scan of every small hostile sample; then one of each rule, status and reason in every output."""
    for sample in hostile():
        if len(sample.data) > 200_000:  # bombs, slow to look at, of two rules that no other sample fires
            continue
        path = tmp_path / "all" / sample.id / sample.filename
        path.parent.mkdir(parents=True)
        path.write_bytes(sample.data)
    first = run("scan", "all", "--format", "ndjson", "--timeout", "60", cwd=tmp_path)
    seen: dict[str, str] = {}
    for line in map(json.loads, first.stdout.splitlines()):
        if line["type"] == "file":
            for key in (line["status"], f"{line['reason']}", *(finding["rule"] for finding in line["findings"])):
                seen.setdefault(key, line["uri"])
    assert len(seen.keys() & RULES.keys()) > 190
    assert {"partial", "skipped"} <= seen.keys()
    for uri in set(seen.values()):
        kept = tmp_path / "kept" / Path(uri).relative_to("all")
        kept.parent.mkdir(parents=True)
        shutil.copy(tmp_path / uri, kept)
    records, _ = check(outputs(tmp_path, "kept", "--timeout", "60"), tmp_path)
    assert seen.keys() & RULES.keys() <= {finding["rule"] for record in records for finding in record["findings"]}


def test_a_changed_folder(tmp_path: Path) -> None:
    """What is new, changed, unchanged, gone, cut, accepted, skipped, broken and missing counts the same everywhere."""
    models = tmp_path / "models"
    models.mkdir()
    sound = {"kept": many(1, 3), "changed": many(2, 3), "gone": many(3, 3), "fine": b"\x80\x04N."}
    for name, data in sound.items():
        (models / f"{name}.pkl").write_bytes(data)
    assert (
        run("scan", "models", "missing.pkl", "--state", "audit.db", "--format", "ndjson", cwd=tmp_path).returncode == 1
    )
    (models / "gone.pkl").unlink()
    (models / "changed.pkl").write_bytes(many(2, 2) + many(4, 2))
    (models / "new.pkl").write_bytes(b"cos\nsystem\n(Vecho\ntR.")
    (models / "much.pkl").write_bytes(many(5, MANY))
    (models / "broken.pkl").write_bytes(b"\x80\x04cos\nsystem\n\x8c\xff")
    (models / "empty.bin").write_bytes(b"")
    words = ("models", "missing.pkl", "--suppress", "pickle-call=we know")
    records, total = check(outputs(tmp_path, *words, state=tmp_path / "audit.db"), tmp_path)
    assert {"scanned", "partial", "skipped", "failed"} == {record["status"] for record in records}
    assert total["findings_cut"] == MANY - Limits().findings
    assert all(total["by_change"][change] for change in ("new", "changed", "unchanged", "gone"))
    assert all(total["findings_by_change"][change] for change in ("new", "unchanged", "fixed"))
    assert total["suppressed_total"] > 0


def shown_findings() -> tuple[Finding, ...]:
    """A finding of every rule, made by the engine from a scanner that has no evidence for any."""

    def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit]:
        for rule in RULES:
            yield Hit(rule, 0, {})

    scanner = types.ModuleType("every")
    scanner.scan = scan  # type: ignore[attr-defined]
    known = Catalogue({"every": Format("every", "Every", signature=(Signature("7f"),))}, RULES)
    engine = Engine(known, {"every": scanner})
    return tuple(engine.inspect(BytesBlob(b"\x7f"), Limits(), uri="every").findings)


def test_each_rule_says_why(tmp_path: Path) -> None:
    """All rules of the catalogue, whether or not a sample fires them: text and JSON say each one's message and why."""
    found = shown_findings()
    assert {each.rule for each in found} == RULES.keys()
    done: FileReport = report("every", findings=found)
    said = {}
    for name in ("text", "json"):
        sink = open_sink(Settings(paths=("every",), format=name, verbose=True), file_output(tmp_path / name))
        sink.start(RUN)
        sink.write(done)
        sink.finish(summary((done,)))
        sink.close()
        said[name] = (tmp_path / name).read_text("utf-8")
    issues = {issue["rule"]: issue for issue in json.loads(said["json"])["issues"]}
    for each in found:
        assert each.why, each.rule
        assert not re.search(r"\{\w*\}", each.message + each.why), each.rule
        issue = issues[each.rule]
        assert (issue["message"], issue["why"], issue["location"]) == (each.message, each.why, "every (pos 0)")
        entry = f"every (pos 0): [{each.severity.upper()}] {each.message}\n   Why: {each.why}\n"
        assert entry in said["text"], each.rule


PEAK = """
import os, pathlib, runpy

def leave(code, ended=os._exit):
    if os.getpid() == parent:
        status = pathlib.Path("/proc/self/status").read_text()
        os.write(2, next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")).encode())
    ended(code)

parent, os._exit = os.getpid(), leave
runpy.run_module("modelaudit", run_name="__main__", alter_sys=True)
"""


def peak_bytes(folder: Path, format: str) -> int:
    """The most memory that the parent of a scan of `folder` ever had (VmHWM of proc(5))."""
    with (folder.parent / "out").open("wb") as out:
        done = subprocess.run(
            [sys.executable, "-c", PEAK, "scan", str(folder), "--format", format],
            env=ENVIRONMENT, stdout=out, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    return int(done.stderr) * 1024


@pytest.mark.parametrize("format", ["ndjson", "json", "sarif"])
def test_findings_do_not_pile_up(tmp_path: Path, format: str) -> None:
    """Through the whole program: 50,000 findings take hardly more than 20,000, and all are written."""
    peaks = []
    for objects in (200, 500):
        folder = tmp_path / f"{objects}"
        folder.mkdir()
        for number in range(objects):
            (folder / f"{number}.pkl").write_bytes(many(number, 100))
        peaks.append(peak_bytes(folder, format))
        assert (tmp_path / "out").read_bytes().count(b"Suspicious module reference found: posix.f") >= objects * 100
    assert max(peaks) < 100 * MIB
    assert peaks[1] - peaks[0] < 8 * MIB
