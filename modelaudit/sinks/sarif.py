"""SARIF 2.1.0 (OASIS Static Analysis Results Interchange Format), for code scanning: written as the run goes on.

A result a finding. What could not be scanned is a notification of the invocation, which stands at the end and is kept
in a spool until then. Nothing else is held: the rules come from the catalogue before the first result.
"""

import datetime
import re
from contextlib import ExitStack, closing
from typing import Final
from urllib.parse import quote

import msgspec

from modelaudit import __version__, catalogue
from modelaudit.catalogue import Rule
from modelaudit.model import FileReport, Finding, Heartbeat, RunRecord, Severity, Summary
from modelaudit.sinks.encoding import encode
from modelaudit.sinks.output import Output
from modelaudit.sinks.spool import Spool

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_HOME: Final = "https://github.com/modelaudit/modelaudit"
_LEVELS: Final = {
    Severity.CRITICAL: "error",
    Severity.WARNING: "warning",
    Severity.INFO: "note",
    Severity.DEBUG: "none",
}
# What code scanning sorts by, on the scale of CVSS.
_SCORES: Final = {Severity.CRITICAL: "9.5", Severity.WARNING: "6.0", Severity.INFO: "2.0", Severity.DEBUG: "0.0"}
_BLANK: Final = re.compile(r"\{[^{}]*\}")  # of a template, filled in for each finding
_SAFE: Final = "/:@!$&'()*+,;=~-._"  # what stands in a URI as it is
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")


class SarifSink:
    """One document with one run, whose results are written as they come."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._held = ExitStack()
        self._held.callback(output.close)
        self._troubles = self._held.enter_context(closing(Spool()))
        self._rules = {rule: index for index, rule in enumerate(catalogue.load().rules)}
        self._run: RunRecord | None = None
        self._results = 0

    def start(self, run: RunRecord) -> None:
        """Write the head: the tool and its rules."""
        self._run = run
        driver = {
            "name": "modelaudit",
            "semanticVersion": __version__,
            "informationUri": _HOME,
            "rules": [_descriptor(rule) for rule in catalogue.load().rules.values()],
        }
        head = encode({"$schema": _SCHEMA, "version": "2.1.0"})[:-1]
        self._output.write(head + b',"runs":[{"tool":{"driver":' + encode(driver) + b'},"columnKind":"utf16CodeUnits"')
        self._output.write(b',"results":[')

    def write(self, report: FileReport) -> None:
        """Write the results of one object."""
        lines = []
        for finding in (*report.findings, *report.suppressed):
            lines.append((b",\n" if self._results else b"\n") + encode(self._result(report, finding)))
            self._results += 1
        if lines:
            self._output.write(b"".join(lines))
        if report.incomplete:
            self._troubles.add(encode(_trouble(report)))

    def beat(self, heartbeat: Heartbeat) -> bool:
        """The format has no place for it."""
        return False

    def finish(self, summary: Summary) -> None:
        """Write how the run ended, and end the document."""
        began = self._run.started if self._run is not None else 0.0
        invocation = {
            "executionSuccessful": summary.ended == "complete",
            "exitCode": summary.exit_code,
            "startTimeUtc": _time(began),
            "endTimeUtc": _time(began + summary.duration_seconds),
        }
        self._output.write(b'\n],"invocations":[' + encode(invocation)[:-1] + b',"toolExecutionNotifications":[')
        for number, line in enumerate(self._troubles.replay()):
            self._output.write((b",\n" if number else b"\n") + line)
        self._output.write(b']}],"properties":' + encode({"modelaudit/summary": summary}) + b"}]}\n")

    def close(self) -> None:
        """Close the output and give the spool back."""
        self._held.close()

    def _result(self, report: FileReport, finding: Finding) -> dict[str, object]:
        place: dict[str, object] = {"artifactLocation": {"uri": _uri(report.uri)}}
        if finding.location.removesuffix(f" (pos {finding.offset})") == report.uri and finding.offset is not None:
            place["region"] = {"byteOffset": finding.offset}
        result: dict[str, object] = {
            "ruleId": finding.rule,
            "level": _LEVELS[finding.severity],
            "message": {"text": f"{finding.message}. {finding.why}"},
            "locations": [
                {"physicalLocation": place, "logicalLocations": [{"fullyQualifiedName": finding.location}]},
            ],
            "partialFingerprints": {"modelaudit/v1": finding.id},
            "properties": {"severity": finding.severity, "offset": finding.offset, "details": finding.details},
        }
        if finding.suppressed is not msgspec.UNSET:
            result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": finding.suppressed}]
        if finding.rule in self._rules:
            result["ruleIndex"] = self._rules[finding.rule]
        return result


def _descriptor(rule: Rule) -> dict[str, object]:
    tags = ["security", *([f"external/cwe/{rule.cwe.lower()}"] if rule.cwe else [])]
    cves = f" ({', '.join(rule.cve)})" if rule.cve else ""
    why = _BLANK.sub("…", rule.why)
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.id.split("-")),
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": f"{why}{cves}"},
        "help": {"text": f"{why}{cves} {rule.advice}", "markdown": f"{why}{cves}\n\n**What to do.** {rule.advice}"},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"security-severity": _SCORES[rule.severity], "precision": "high", "tags": tags},
    }


def _trouble(report: FileReport) -> dict[str, object]:
    """An object that was not scanned, or not wholly."""
    return {
        "descriptor": {"id": report.reason or report.status},
        "level": "error" if report.status == "failed" else "warning",
        "message": {"text": f"{report.uri}: {report.status}: {report.message or report.reason or 'not scanned'}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(report.uri)}}}],
    }


def _uri(uri: str) -> str:
    """An address as a URI reference (RFC 3986); a local path stays one, absolute or relative."""
    if _URL.match(uri):
        return quote(uri, safe=_SAFE + "?%[]")
    absolute = "file://" if uri.startswith("/") else ""
    return absolute + quote(uri, safe=_SAFE.replace(":", "") if not absolute else _SAFE)


def _time(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
