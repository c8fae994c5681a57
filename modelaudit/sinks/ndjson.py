"""NDJSON: a `run` record, one `file` record as each object ends, a `summary`. One line is one write.

The schema is `docs/output.schema.json`. Lines are bounded: assets go first, then details, then findings, and
what was cut is counted.
"""

import msgspec

from modelaudit.model import FileReport, RunRecord, Summary
from modelaudit.sinks.interface import Out


class NdjsonSink:
    """Records as lines, each at most `line_bytes` long."""

    def __init__(self, out: Out, line_bytes: int) -> None:
        self._out = out
        self._most = line_bytes
        self._encoder = msgspec.json.Encoder()

    def start(self, run: RunRecord) -> None:
        """Write the `run` line."""
        self._line(self._encoder.encode(run))

    def write(self, report: FileReport) -> None:
        """Write a `file` line."""
        line = self._encoder.encode(report)
        while len(line) >= self._most:
            shorter = _shorter(report)
            if shorter is None:
                break
            report = shorter
            line = self._encoder.encode(report)
        self._line(line)

    def finish(self, summary: Summary) -> None:
        """Write the `summary` line."""
        self._line(self._encoder.encode(summary))

    def _line(self, line: bytes) -> None:
        self._out.write(line + b"\n")


def _shorter(report: FileReport) -> FileReport | None:
    """`report` with less of what matters least; None when nothing can be cut any more."""
    replace = msgspec.structs.replace
    if report.assets:
        kept = len(report.assets) // 2
        return replace(report, assets=report.assets[:kept], assets_cut=report.assets_cut + len(report.assets) - kept)
    if any(finding.details for finding in report.findings):
        return replace(report, findings=tuple(replace(finding, details={}) for finding in report.findings))
    if report.findings:
        worst_first = sorted(report.findings, key=lambda finding: -finding.severity.rank)
        kept = len(worst_first) // 2
        cut = report.findings_cut + len(worst_first) - kept
        return replace(report, findings=tuple(worst_first[:kept]), findings_cut=cut)
    return None
