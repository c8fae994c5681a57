"""CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/): what was met, as a bill of materials for machine learning.

Each component and each vulnerability is made and serialised by cyclonedx-python-lib on its own, and written as it
comes: the library's own `Bom` would hold a million of them in memory.
"""

import datetime
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Final

import msgspec

from modelaudit import __version__, catalogue
from modelaudit.model import FileReport, Finding, Heartbeat, License, RunRecord, Severity, Summary
from modelaudit.sinks.encoding import encode
from modelaudit.sinks.output import Output
from modelaudit.sinks.spool import Spool

if TYPE_CHECKING:
    from cyclonedx.model.component import Component
    from cyclonedx.model.vulnerability import Vulnerability

_SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_PREFIX: Final = "modelaudit:"
# Formats that hold, describe or run models, and are none. A file of nothing else is a plain file.
NOT_MODELS: Final = frozenset({
    "bz2", "executable", "gzip", "jinja", "lfs_pointer", "license", "lz4", "lzip", "lzma", "manifest", "model_card",
    "notebook", "oci_blob", "oci_layer", "oci_manifest", "package_metadata", "python_bytecode", "python_source", "rar",
    "sevenzip", "tar", "xz", "zip", "zip_appended", "zlib", "zstd",
})  # fmt: skip
_SEVERITIES: Final = {
    Severity.CRITICAL: "critical",
    Severity.WARNING: "medium",
    Severity.INFO: "info",
    Severity.DEBUG: "none",
}


class SbomSink:
    """One document: components as objects come, vulnerabilities behind them, what is known of the run at the end."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._held = ExitStack()
        self._held.callback(output.close)
        self._vulnerabilities = self._held.enter_context(closing(Spool()))
        self._known = catalogue.load()
        self._run: RunRecord | None = None
        self._objects = 0

    def start(self, run: RunRecord) -> None:
        """Begin the document."""
        self._run = run
        head = encode({"$schema": _SCHEMA, "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1})
        self._output.write(head[:-1] + b',"components":[')

    def write(self, report: FileReport) -> None:
        """Write the object's component; keep its findings. What is not there is no component."""
        if report.change == "gone" or (report.status == "failed" and report.size is None and report.version is None):
            return
        self._objects += 1
        reference = f"object-{self._objects}"
        line = _json(_component(report, reference))
        self._output.write((b",\n" if self._objects > 1 else b"\n") + line)
        for number, finding in enumerate((*report.findings, *report.suppressed)):
            self._vulnerabilities.add(_json(self._vulnerability(finding, reference, number)))

    def beat(self, heartbeat: Heartbeat) -> bool:
        """The format has no place for it."""
        return False

    def finish(self, summary: Summary) -> None:
        """Write the findings and how the run ended."""
        self._output.write(b'\n],"vulnerabilities":[')
        for number, line in enumerate(self._vulnerabilities.replay()):
            self._output.write((b",\n" if number else b"\n") + line)
        self._output.write(b'\n],"metadata":' + encode(_metadata(self._run, summary)) + b"}\n")

    def close(self) -> None:
        """Close the output and give the spool back."""
        self._held.close()

    def _vulnerability(self, finding: Finding, reference: str, number: int) -> "Vulnerability":
        from cyclonedx.model import vulnerability as cdx
        from cyclonedx.model.impact_analysis import ImpactAnalysisState

        rule = self._known.rules.get(finding.rule)
        accepted = finding.suppressed
        return cdx.Vulnerability(
            bom_ref=f"{reference}-finding-{number + 1}",
            id=finding.rule,
            source=cdx.VulnerabilitySource(name="modelaudit"),
            ratings=[
                cdx.VulnerabilityRating(
                    source=cdx.VulnerabilitySource(name="modelaudit"),
                    severity=cdx.VulnerabilitySeverity(_SEVERITIES[finding.severity]),
                    method=cdx.VulnerabilityScoreSource.OTHER,
                )
            ],
            cwes=[int(rule.cwe.rpartition("-")[2])] if rule is not None and rule.cwe else None,
            references=[
                cdx.VulnerabilityReference(id=cve, source=cdx.VulnerabilitySource(name="NVD"))
                for cve in (rule.cve if rule is not None else ())
            ],
            description=finding.message,
            detail=finding.why,
            recommendation=rule.advice if rule is not None else None,
            affects=[cdx.BomTarget(ref=reference)],
            analysis=None
            if accepted is msgspec.UNSET
            else cdx.VulnerabilityAnalysis(state=ImpactAnalysisState.NOT_AFFECTED, detail=accepted),
            properties=_properties({"severity": finding.severity, "location": finding.location, "id": finding.id}),
        )


def _component(report: FileReport, reference: str) -> "Component":
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    is_model = any(name not in NOT_MODELS for name in report.formats)
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL if is_model else ComponentType.FILE,
        name=report.uri,
        version=report.version,
        bom_ref=reference,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=report.sha256)] if report.sha256 else None,
        licenses=_licenses(report.licenses),
        properties=_properties(
            {
                "status": report.status,
                "reason": report.reason,
                "severity": report.severity,
                "formats": " ".join(report.formats) or None,
                "size": report.size,
                "findings": len(report.findings) + report.findings_cut,
            }
        ),
    )


def _licenses(licenses: tuple[License, ...]) -> list[Any]:
    """What the object states: one expression of all, or the names that were written."""
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression

    expressions = sorted({each.expression for each in licenses if each.expression is not None})
    if expressions:
        joined = " AND ".join(f"({each})" if len(expressions) > 1 and " " in each else each for each in expressions)
        return [LicenseExpression(joined)]
    return [DisjunctiveLicense(name=name) for name in sorted({each.declared for each in licenses if each.declared})]


def _properties(values: dict[str, object]) -> list[Any]:
    from cyclonedx.model import Property

    return [Property(name=_PREFIX + name, value=str(value)) for name, value in values.items() if value is not None]


def _metadata(run: RunRecord | None, summary: Summary) -> dict[str, object]:
    paths = [{"name": _PREFIX + "path", "value": path} for path in run.paths] if run is not None else []
    ends = {"ended": summary.ended, "exit-code": summary.exit_code, "objects": summary.objects}
    began = datetime.datetime.fromtimestamp(0 if run is None else run.started, datetime.UTC)
    tool = {"type": "application", "name": "modelaudit", "version": __version__}
    return {
        "timestamp": began.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "tools": {"components": [tool]},
        "properties": [*paths, *({"name": _PREFIX + name, "value": str(value)} for name, value in ends.items())],
    }


def _json(value: Any) -> bytes:  # every class of the library gains `as_json` from its serialiser
    from cyclonedx.schema.schema import SchemaVersion1Dot6

    text: str = value.as_json(view_=SchemaVersion1Dot6)
    return text.encode("utf-8", "backslashreplace")
