"""A SARIF document that the standard's schema takes, that tools read, and that is written while the run goes on."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Document
from sarif.loader import load_sarif_file

from modelaudit import catalogue
from modelaudit.model import FileReport, Severity
from modelaudit.sinks.sarif import SarifSink, _uri
from tests.sinks.records import EVIL, MIXED, RUN, file_output, finding, report, summary


def written(path: Path, reports: tuple[FileReport, ...] = MIXED) -> dict[str, Any]:
    sink = SarifSink(file_output(path))
    sink.start(RUN)
    for done in reports:
        sink.write(done)
    sink.finish(summary(reports))
    sink.close()
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


@pytest.mark.parametrize("reports", [MIXED, (), (report(),)], ids=["mixed", "none", "clean"])
def test_it_keeps_to_the_schema(tmp_path: Path, reports: tuple[FileReport, ...]) -> None:
    """As types made from the official schema see it: no property that it does not know, none missing."""
    document = written(tmp_path / "out.sarif", reports)
    Document.model_validate(document)
    assert document["version"] == "2.1.0"
    assert len(document["runs"]) == 1


def test_each_finding_is_a_result(tmp_path: Path) -> None:
    """With its rule, level, place, and a fingerprint that stays from run to run."""
    run = written(tmp_path / "out.sarif")["runs"][0]
    results = run["results"]
    assert [result["level"] for result in results] == ["warning", "error"]
    for result in results:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == "pickle-import"
        assert result["partialFingerprints"] == {"modelaudit/v1": "f00d"}
    place = results[1]["locations"][0]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "models/evil.pkl"},
        "region": {"byteOffset": 28},
    }
    assert place["logicalLocations"] == [{"fullyQualifiedName": "models/evil.pkl (pos 28)"}]


def test_an_offset_inside_a_member_is_none_of_the_file(tmp_path: Path) -> None:
    """The member's place is told in words."""
    inside = finding(place="models/evil.zip:inner/model.pkl")
    run = written(tmp_path / "out", (report("models/evil.zip", findings=(inside,)),))["runs"][0]
    assert "region" not in run["results"][0]["locations"][0]["physicalLocation"]
    assert run["results"][0]["properties"]["offset"] == 28


def test_what_was_not_scanned_is_a_notification(tmp_path: Path) -> None:
    """And the run says how it ended, and with which exit code."""
    (invocation,) = written(tmp_path / "out.sarif")["runs"][0]["invocations"]
    told = [(one["descriptor"]["id"], one["level"]) for one in invocation["toolExecutionNotifications"]]
    assert told == [("truncated", "warning"), ("access_denied", "error")]
    assert (invocation["executionSuccessful"], invocation["exitCode"]) == (True, 1)
    assert invocation["startTimeUtc"] == "2025-06-17T14:00:22.500Z"


def test_every_rule_has_help_and_a_score(tmp_path: Path) -> None:
    """For code scanning: what is wrong, what to do, how bad it is, which weakness."""
    rules = written(tmp_path / "out.sarif")["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(catalogue.load().rules)
    for rule in rules:
        assert rule["help"]["text"]
        assert "{" not in rule["fullDescription"]["text"]
        assert 0 <= float(rule["properties"]["security-severity"]) <= 10
    scores = {rule["defaultConfiguration"]["level"]: rule["properties"]["security-severity"] for rule in rules}
    assert float(scores["error"]) > float(scores["warning"]) > float(scores["note"])


def test_another_tool_reads_it(tmp_path: Path) -> None:
    """sarif-tools counts the same errors and warnings."""
    written(tmp_path / "out.sarif")
    read = load_sarif_file(str(tmp_path / "out.sarif"))
    counts = {
        level: len([one for one in read.get_records() if one["Severity"] == level]) for level in ("error", "warning")
    }
    assert counts == {"error": 1, "warning": 1}
    assert read.get_distinct_tool_names() == ["modelaudit"]


def test_results_leave_as_they_come(tmp_path: Path) -> None:
    """Before the run has ended, what was found is in the file."""
    sink = SarifSink(file_output(tmp_path / "out.sarif"))
    sink.start(RUN)
    sink.write(EVIL)
    assert (tmp_path / "out.sarif").read_text().count('"ruleId":"pickle-import"') == 2
    sink.close()


@pytest.mark.parametrize(
    ("shown", "uri"),
    [
        ("models/a b#1?.pkl", "models/a%20b%231%3F.pkl"),
        ("/srv/ü.pkl", "file:///srv/%C3%BC.pkl"),
        ("a:b.pkl", "a%3Ab.pkl"),
        ("s3://bucket/a b#.pkl", "s3://bucket/a%20b%23.pkl"),
        ("models:/name/1/m.pkl", "models:/name/1/m.pkl"),
        ("https://h/m?…", "https://h/m?%E2%80%A6"),
    ],
)
def test_addresses_are_uri_references(shown: str, uri: str) -> None:
    """Whatever the object is called."""
    assert _uri(shown) == uri


def test_debug_findings_have_no_level(tmp_path: Path) -> None:
    """They stay in the document: nothing that was found is left out."""
    reports = (report(findings=(finding(Severity.DEBUG),)),)
    assert written(tmp_path / "out", reports)["runs"][0]["results"][0]["level"] == "none"
