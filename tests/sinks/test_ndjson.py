"""A `run` line, a `file` line an object, a `summary` line: golden, bounded, complete."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.model import Asset, FileReport, RunRecord, Severity, Summary
from modelaudit.sinks.ndjson import NdjsonSink, file_line, run_line
from tests.sinks.records import EVIL, MIXED, RUN, file_output, finding, refused, report, summary

GOLDEN = """\
{"type":"run","schema":"modelaudit/1","version":"0.1.0","run_id":"a1b2","started":1750168822.5,\
"paths":["models/","s3://bucket/nightly/"],"paths_cut":0,"settings":{"fail_on":"warning"},"resumed":false}
{"type":"file","uri":"models/evil.pkl","size":100,"bytes_read":100,"version":"v1","sha256":null,\
"formats":["pickle"],"scanners":["pickle"],"status":"scanned","reason":null,"message":null,\
"severity":"critical","findings":[\
{"id":"f00d","rule":"pickle-import","severity":"warning","message":"Import of posix.system (warning)",\
"why":"It runs a command of the author's choice.","location":"models/evil.pkl (pos 52)","offset":52,\
"details":{"module":"posix","function":"system"},"change":null},\
{"id":"f00d","rule":"pickle-import","severity":"critical","message":"Import of posix.system (critical)",\
"why":"It runs a command of the author's choice.","location":"models/evil.pkl (pos 28)","offset":28,\
"details":{"module":"posix","function":"system"},"change":null}],\
"findings_cut":3,"assets":[{"path":"models/evil.pkl","type":"pickle","size":null,"tensors":[],"tensors_total":0}],\
"assets_cut":0,"duration_ms":1.5}
{"type":"file","uri":"models/notes.txt","size":100,"bytes_read":0,"version":"v1","sha256":null,\
"formats":[],"scanners":[],"status":"skipped","reason":"unsupported","message":"no known model format",\
"severity":null,"findings":[],"findings_cut":0,"assets":[],"assets_cut":0,"duration_ms":1.5}
{"type":"summary","run_id":"a1b2","ended":"complete","exit_code":1,"duration_seconds":0.25,"objects":2,\
"files_scanned":1,"incomplete":0,"by_status":{"scanned":1,"partial":0,"skipped":1,"failed":0},\
"reasons":{"unsupported":1},"findings_total":2,"findings_cut":3,\
"by_severity":{"critical":1,"warning":1,"info":0,"debug":0},"worst":"critical","assets_total":1,"assets_cut":0,\
"by_format":{"pickle":1},"by_scanner":{"pickle":1},"bytes_listed":200,"bytes_read":100}
"""


def test_the_whole_output(tmp_path: Path) -> None:
    """Compared to the byte."""
    reports = (EVIL, refused("models/notes.txt", "skipped", "unsupported", "no known model format"))
    sink = NdjsonSink(file_output(tmp_path / "out"), 1 << 20)
    sink.start(RUN)
    for done in reports:
        sink.write(done)
    sink.finish(summary(reports))
    sink.close()
    assert (tmp_path / "out").read_text() == GOLDEN


def test_each_record_is_there_at_once(tmp_path: Path) -> None:
    """Nothing waits in a buffer: what has ended can be read while the run goes on."""
    sink = NdjsonSink(file_output(tmp_path / "out"), 1 << 20)
    sink.start(RUN)
    for count, done in enumerate(MIXED, 2):
        sink.write(done)
        assert (tmp_path / "out").read_bytes().count(b"\n") == count
    sink.close()


def test_every_line_can_be_read_by_type(tmp_path: Path) -> None:
    """The types that make the schema read what the sink writes, unchanged."""
    sink = NdjsonSink(file_output(tmp_path / "out"), 1 << 20)
    sink.start(RUN)
    for done in MIXED:
        sink.write(done)
    sink.finish(summary())
    sink.close()
    decoder = msgspec.json.Decoder(RunRecord | FileReport | Summary)
    lines = [decoder.decode(line) for line in (tmp_path / "out").read_bytes().splitlines()]
    assert lines == [RUN, *MIXED, summary()]


def test_assets_are_cut_before_findings() -> None:
    """A line that is too long loses assets, as few as will do, and says how many."""
    assets = tuple(Asset(f"models/evil.zip:member-{number}", "pickle") for number in range(1000))
    whole = report(findings=EVIL.findings, assets=assets, assets_cut=5)
    line = file_line(whole, 10_000)
    cut = msgspec.json.decode(line, type=FileReport)
    assert 9_900 < len(line) <= 10_000
    assert cut.findings == EVIL.findings
    assert cut.assets == assets[: len(cut.assets)]
    assert len(cut.assets) + cut.assets_cut == 1005


def test_details_are_cut_before_findings() -> None:
    """The worst findings keep their details as long as there is room."""
    findings = tuple(
        msgspec.structs.replace(finding(level), details={"evidence": "e" * 400})
        for level in (Severity.INFO, Severity.CRITICAL) * 10
    )
    cut = msgspec.json.decode(file_line(report(findings=findings), 9_000), type=FileReport)
    assert len(cut.findings) == 20
    assert cut.findings_cut == 0
    levels = [found.severity for found in cut.findings]
    assert levels == [Severity.CRITICAL] * 10 + [Severity.INFO] * 10
    full = [found.details != {"details_cut": True} for found in cut.findings]
    assert full == sorted(full, reverse=True)
    assert 0 < sum(full) < 20


def test_the_mildest_findings_are_cut_first() -> None:
    """What does not fit even without details is counted, on top of what was cut before."""
    findings = (finding(Severity.INFO),) * 500 + (finding(Severity.CRITICAL),)
    line = file_line(report(findings=findings, findings_cut=7), 4_000)
    cut = msgspec.json.decode(line, type=FileReport)
    assert len(line) <= 4_000
    assert cut.findings[0].severity is Severity.CRITICAL
    assert len(cut.findings) + cut.findings_cut == 508


def test_many_paths_are_cut_and_counted() -> None:
    """The run line is bounded like any other."""
    run = msgspec.structs.replace(RUN, paths=tuple(f"models/{number}" for number in range(1000)))
    cut = msgspec.json.decode(run_line(run, 5_000), type=RunRecord)
    assert cut.paths == run.paths[: len(cut.paths)]
    assert 0 < len(cut.paths) < 1000
    assert len(cut.paths) + cut.paths_cut == 1000
    assert cut.settings == RUN.settings


def test_long_settings_are_left_out_of_the_run_line() -> None:
    """Paths matter more than patterns."""
    run = msgspec.structs.replace(RUN, settings={"blacklist": ["x" * 100] * 1000})
    cut = msgspec.json.decode(run_line(run, 5_000), type=RunRecord)
    assert (cut.paths, cut.settings) == (RUN.paths, {"settings_cut": True})


TEXT = st.text(st.sampled_from('a"\\\x1b\x7f\u202e\u2028ü\U0001f600\udcff'), max_size=3000)


@given(
    uri=TEXT,
    message=TEXT,
    findings=st.lists(st.builds(finding, st.sampled_from(Severity), TEXT), max_size=30),
    assets=st.lists(st.builds(Asset, TEXT, st.just("x"), tensors=st.lists(TEXT, max_size=3).map(tuple)), max_size=30),
    most=st.integers(64 * 1024, 128 * 1024),
)
@pytest.mark.parametrize("times", [1, 7])
def test_no_line_is_longer_than_it_may_be(
    uri: str, message: str, findings: list[object], assets: list[Asset], most: int, times: int
) -> None:
    """Whatever is in a record: the bound holds, what is left can be read, and what was cut is counted."""
    whole = report(uri, message=message, findings=tuple(findings) * times, assets=tuple(assets) * times)
    line = file_line(whole, most)
    cut = msgspec.json.decode(line, type=FileReport)
    assert len(line) <= most
    assert len(cut.findings) + cut.findings_cut == len(whole.findings)
    assert len(cut.assets) + cut.assets_cut == len(whole.assets)


def test_a_record_of_endless_words_is_still_one_line() -> None:
    """No source makes such a record; if one did, it would not break the log pipeline."""
    endless = report("u" * 200_000, message="m" * 200_000, version="v" * 200_000, formats=("f",) * 100_000)
    line = file_line(endless, 64 * 1024)
    assert len(line) <= 64 * 1024
    assert msgspec.json.decode(line, type=FileReport).uri.startswith("uuu")
