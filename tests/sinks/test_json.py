"""One valid document with the fields that scripts know, and nothing of it in memory while the run goes on."""

import json
from pathlib import Path

import pytest

from modelaudit.errors import SinkFailed
from modelaudit.model import FileReport
from modelaudit.sinks import json as module
from modelaudit.sinks.json import JsonSink
from tests.sinks.records import EVIL, MIXED, RUN, file_output, refused, report, summary

GOLDEN = """\
{
  "schema": "modelaudit/1",
  "version": "0.1.0",
  "run_id": "a1b2",
  "paths": ["models/","s3://bucket/nightly/"],
  "paths_cut": 0,
  "settings": {"fail_on":"warning"},
  "start_time": 1750168822.5,
  "duration": 0.25,
  "ended": "complete",
  "exit_code": 1,
  "scanner_names": ["pickle"],
  "files_scanned": 1,
  "bytes_scanned": 100,
  "has_errors": true,
  "totals": {"type":"summary","run_id":"a1b2","ended":"complete","exit_code":1,"duration_seconds":0.25,"objects":2,\
"files_scanned":1,"incomplete":1,"by_status":{"scanned":1,"partial":0,"skipped":0,"failed":1},"reasons":{"timeout":1},\
"findings_total":2,"findings_cut":3,"by_severity":{"critical":1,"warning":1,"info":0,"debug":0},"worst":"critical",\
"assets_total":1,"assets_cut":0,"by_format":{"pickle":1},"by_scanner":{"pickle":1},"bytes_listed":200,"bytes_read":100},
  "issues": [
    {"message":"Import of posix.system (warning)","severity":"warning","location":"models/evil.pkl (pos 52)",\
"details":{"position":52,"module":"posix","function":"system"},"timestamp":1750168823.25,\
"why":"It runs a command of the author's choice.","rule":"pickle-import","id":"f00d","path":"models/evil.pkl",\
"offset":52,"change":null},
    {"message":"Import of posix.system (critical)","severity":"critical","location":"models/evil.pkl (pos 28)",\
"details":{"position":28,"module":"posix","function":"system"},"timestamp":1750168823.25,\
"why":"It runs a command of the author's choice.","rule":"pickle-import","id":"f00d","path":"models/evil.pkl",\
"offset":28,"change":null}
  ],
  "assets": [
    {"path":"models/evil.pkl","type":"pickle","size":null,"tensors":[],"tensors_total":0}
  ],
  "files": [
    {"path":"models/evil.pkl","size":100,"bytes_read":100,"version":"v1","sha256":null,"formats":["pickle"],\
"scanners":["pickle"],"status":"scanned","reason":null,"message":null,"severity":"critical","issues":2,\
"issues_cut":3,"assets":1,"assets_cut":0,"duration_ms":1.5,"change":null,"fixed":0,"suppressed":0},
    {"path":"models/slow.pkl","size":100,"bytes_read":0,"version":"v1","sha256":null,"formats":[],"scanners":[],\
"status":"failed","reason":"timeout","message":"too slow","severity":null,"issues":0,"issues_cut":0,"assets":0,\
"assets_cut":0,"duration_ms":1.5,"change":null,"fixed":0,"suppressed":0}
  ]
}
"""


def written(path: Path, reports: tuple[FileReport, ...]) -> str:
    sink = JsonSink(file_output(path))
    sink.start(RUN)
    for done in reports:
        sink.write(done)
    sink.finish(summary(reports))
    sink.close()
    return path.read_text()


def test_the_whole_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared to the byte: one element a line, so that it can be read by eye and by grep too."""
    monkeypatch.setattr(module.time, "time", lambda: 1750168823.25)
    text = written(tmp_path / "out", (EVIL, refused("models/slow.pkl", "failed", "timeout", "too slow")))
    assert text == GOLDEN
    json.loads(text)


def test_a_document_of_nothing(tmp_path: Path) -> None:
    """Without any object it is a valid document as well, and says that it is an error."""
    document = json.loads(written(tmp_path / "out", ()))
    assert (document["issues"], document["assets"], document["files"]) == ([], [], [])
    assert (document["files_scanned"], document["has_errors"], document["exit_code"]) == (0, True, 2)


def test_what_a_script_relies_on(tmp_path: Path) -> None:
    """The documented fields, with their documented meaning."""
    document = json.loads(written(tmp_path / "out", MIXED))
    assert document["scanner_names"] == ["pickle"]
    assert document["start_time"] == RUN.started
    assert document["bytes_scanned"] == sum(done.bytes_read for done in MIXED)
    assert document["files_scanned"] == 3
    assert [entry["status"] for entry in document["files"]] == [done.status for done in MIXED]
    assert sum(entry["issues"] for entry in document["files"]) == len(document["issues"]) == 2
    assert {"message", "severity", "location", "details", "timestamp", "why", "rule"} <= set(document["issues"][0])
    assert sum(document["totals"]["by_status"].values()) == len(document["files"])


def test_a_quiet_run_has_no_errors(tmp_path: Path) -> None:
    """`has_errors` speaks of what could not be scanned, not of what is no model."""
    reports = (report(), refused("notes.txt", "skipped", "unsupported", "no known model format"))
    assert json.loads(written(tmp_path / "out", reports))["has_errors"] is False


def test_no_half_document(tmp_path: Path) -> None:
    """Where the document does not fit, an empty file is left: nobody can mistake it for a result."""
    sink = JsonSink(file_output(Path("/dev/full")))
    sink.start(RUN)
    sink.write(EVIL)
    with pytest.raises(SinkFailed, match="No space left on device"):
        sink.finish(summary((EVIL,)))
    sink.close()
