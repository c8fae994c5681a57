"""OCSF 1.5.0 (https://schema.ocsf.io/1.5.0/): one event a line, for security data lakes and SIEMs.

A finding is a Detection Finding (2004). The run begins, lives and ends as Scan Activity (6007). An object that was not
scanned, or not wholly, is an Application Error (6008): nothing is lost on the way.
"""

import time
from typing import Final

import msgspec
from msgspec.structs import replace

from modelaudit import __version__, catalogue
from modelaudit.model import FileReport, Finding, Heartbeat, RunRecord, Severity, Summary
from modelaudit.sinks.encoding import encode
from modelaudit.sinks.output import Output

VERSION: Final = "1.5.0"
_FINDING, _SCAN, _ERROR = 2004, 6007, 6008
_FINDINGS, _APPLICATION = (2, "Findings"), (6, "Application Activity")
_CREATE, _UPDATE, _CLOSE, _OTHER = (1, "Create"), (2, "Update"), (3, "Close"), (99, "Other")
_STARTED, _COMPLETED, _CANCELLED = (1, "Started"), (2, "Completed"), (3, "Cancelled")
_FAILED, _RESUMED = (6, "Error"), (8, "Resumed")
_NEW, _SUPPRESSED, _RESOLVED = (1, "New"), (3, "Suppressed"), (4, "Resolved")
_LEVELS: Final = {
    Severity.CRITICAL: (5, "Critical"),
    Severity.WARNING: (3, "Medium"),
    Severity.INFO: (1, "Informational"),
    Severity.DEBUG: (1, "Informational"),
}
_INFORMATIONAL, _LOW, _MEDIUM = (1, "Informational"), (2, "Low"), (3, "Medium")
# Where a line would be too long: characters of a text, then fewer of them. A list keeps its first few.
_SHORT_CHARS: Final = (1000, 400)
_FEW: Final = 10

Event = dict[str, object]


class OcsfSink:
    """Events as lines, each at most `line_bytes` long, its line break included."""

    def __init__(self, output: Output, line_bytes: int) -> None:
        self._output = output
        self._most = line_bytes - 1
        self._known = catalogue.load()
        self._run_id = ""
        self._metadata: Event = {
            "version": VERSION,
            "product": {"name": "modelaudit", "vendor_name": "modelaudit", "version": __version__},
            "log_name": "modelaudit",
        }

    def start(self, run: RunRecord) -> None:
        """Say that the scan has started, and of what."""
        self._run_id = run.run_id
        self._metadata["correlation_uid"] = run.run_id
        event = self._begun(run)
        if len(encode(event)) > self._most:
            kept = run.paths[:_FEW]
            event = self._begun(replace(run, paths=kept, paths_cut=run.paths_cut + len(run.paths) - len(kept)))
        self._put(event)

    def write(self, report: FileReport) -> None:
        """An event for each finding, one for an object that was not looked at wholly."""
        for finding in report.findings:
            self._put(self._finding(report, finding, _UPDATE if finding.change == "unchanged" else _CREATE, _NEW))
        for finding in report.suppressed:
            self._put(self._finding(report, finding, _CREATE, _SUPPRESSED))
        for finding in report.fixed:
            self._put(self._finding(report, finding, _CLOSE, _RESOLVED))
        if report.incomplete or report.findings_cut:
            self._put(self._error(report))

    def beat(self, heartbeat: Heartbeat) -> bool:
        """Say that the scan goes on."""
        numbers: Event = {"total": heartbeat.listed, "num_files": heartbeat.objects}
        numbers |= {"num_detections": heartbeat.findings_total, "status_detail": "heartbeat"}
        self._put(self._scan(_OTHER, "modelaudit is scanning", heartbeat.time, numbers))
        return True

    def finish(self, summary: Summary) -> None:
        """Say how the scan ended."""
        activity = _COMPLETED if summary.ended in ("complete", "budget") else _CANCELLED
        if summary.ended == "failed":
            activity = _FAILED
        self._put(
            self._scan(
                activity,
                f"modelaudit has scanned {summary.files_scanned} of {summary.objects} objects",
                time.time(),
                {
                    "total": summary.objects,
                    "num_files": summary.files_scanned,
                    "num_skipped_items": summary.objects - summary.files_scanned,
                    "num_detections": summary.findings_total,
                    "duration": round(summary.duration_seconds * 1000),
                    "status_id": 1 if summary.exit_code in (0, 1) and summary.ended == "complete" else 2,
                    "status_detail": summary.ended,
                    "unmapped": {"summary": summary},
                },
            )
        )

    def close(self) -> None:
        """Close the output."""
        self._output.close()

    # --- events -------------------------------------------------------------------------------------------

    def _event(
        self,
        kind: tuple[int, str],
        category: tuple[int, str],
        activity: tuple[int, str],
        level: tuple[int, str],
        at: float,
    ) -> Event:
        return {
            "class_uid": kind[0],
            "class_name": kind[1],
            "category_uid": category[0],
            "category_name": category[1],
            "activity_id": activity[0],
            "activity_name": activity[1],
            "type_uid": kind[0] * 100 + activity[0],
            "type_name": f"{kind[1]}: {activity[1]}",
            "severity_id": level[0],
            "severity": level[1],
            "time": round(at * 1000),
            "metadata": self._metadata,
        }

    def _scan(self, activity: tuple[int, str], message: str, at: float, more: Event) -> Event:
        event = self._event((_SCAN, "Scan Activity"), _APPLICATION, activity, _INFORMATIONAL, at)
        return {**event, "message": message, "scan": {"uid": self._run_id, "name": "modelaudit", "type_id": 0}, **more}

    def _begun(self, run: RunRecord) -> Event:
        more: Event = {"unmapped": {"paths": list(run.paths), "paths_cut": run.paths_cut, "resumed": run.resumed}}
        activity = _RESUMED if run.resumed else _STARTED
        return self._scan(activity, f"modelaudit scans {', '.join(run.paths)}", run.started, more)

    def _finding(
        self, report: FileReport, finding: Finding, activity: tuple[int, str], status: tuple[int, str]
    ) -> Event:
        rule = self._known.rules.get(finding.rule)
        event = self._event(
            (_FINDING, "Detection Finding"), _FINDINGS, activity, _LEVELS[finding.severity], time.time()
        )
        event |= {
            "message": f"{finding.location}: {finding.message}",
            "status_id": status[0],
            "status": status[1],
            "finding_info": {
                "uid": finding.id,
                "title": finding.message,
                "desc": finding.why,
                "types": [finding.rule],
                "analytic": {
                    "uid": finding.rule,
                    "name": rule.title if rule else finding.rule,
                    "type_id": 1,
                    "type": "Rule",
                },
            },
            "resources": [_resource(report)],
            "evidences": [{"data": {"location": finding.location, "offset": finding.offset, **finding.details}}],
        }
        if rule is not None:
            event["remediation"] = {"desc": rule.advice}
        if finding.suppressed is not msgspec.UNSET:
            event["comment"] = finding.suppressed
        return event

    def _error(self, report: FileReport) -> Event:
        level = _MEDIUM if report.status == "failed" else _LOW
        event = self._event((_ERROR, "Application Error"), _APPLICATION, (1, "General Error"), level, time.time())
        reason = report.reason or ("findings_cut" if report.findings_cut else report.status)
        said = report.message or f"{report.findings_cut} findings were counted and not kept"
        return {
            **event,
            "message": f"{report.uri}: {report.status}: {said}",
            "status_code": reason,
            "unmapped": {"resource": _resource(report), "status": report.status, "findings_cut": report.findings_cut},
        }

    def _put(self, event: Event) -> None:
        line = encode(event)
        for chars in _SHORT_CHARS:
            if len(line) > self._most:
                line = encode(_shortened(event, chars))
            if len(line) > self._most and "evidences" in event:
                event = _without_details(event)
                line = encode(_shortened(event, chars))
        self._output.write(line + b"\n")


def _resource(report: FileReport) -> Event:
    resource: Event = {
        "uid": report.uri,
        "name": report.uri.rstrip("/").rpartition("/")[2] or report.uri,
        "type": "+".join(report.formats) or "unknown",
        "data": {"size": report.size, "sha256": report.sha256},
    }
    return resource | ({"version": report.version} if report.version is not None else {})


def _without_details(event: Event) -> Event:
    """The same finding with its place alone as evidence, which says that details were cut."""
    evidence = event["evidences"]
    data = evidence[0]["data"] if isinstance(evidence, list) else {}
    place = {"location": data.get("location"), "offset": data.get("offset"), "details_cut": True}
    return {**event, "evidences": [{"data": place}]}


def _shortened(value: object, chars: int) -> object:
    """The same event with texts of at most `chars` and short lists.

    A text that was cut ends in an ellipsis; evidence that was cut says so.
    """
    if isinstance(value, str):
        return value if len(value) <= chars else value[: chars - 1] + "…"
    if isinstance(value, dict):
        short: Event = {key: _shortened(part, chars) for key, part in value.items()}
        if "location" in value and short != value:  # the evidence of a finding
            short["details_cut"] = True
        return short
    if isinstance(value, list | tuple):
        return [_shortened(part, chars) for part in value[:_FEW]]
    return value
