"""Text for people: a header, the numbers, and every finding with its reason. Findings wait on disk, not in memory."""

import tempfile
import unicodedata

import msgspec

from modelaudit.model import FileReport, Finding, RunRecord, Severity, Summary
from modelaudit.sinks.interface import Out

_LINE = "─" * 80
_COLOURS = {Severity.CRITICAL: "31;1", Severity.WARNING: "33", Severity.INFO: "36", Severity.DEBUG: "2"}
_REASONS_SHOWN = 50  # objects that were not scanned whole, one line each; the rest are counted


class TextSink:
    """What a person reads. `colour` only for terminals; names and evidence can never move the cursor."""

    def __init__(self, out: Out, *, colour: bool = False, verbose: bool = False, quiet: bool = False) -> None:
        self._out = out
        self._colour = colour
        self._verbose = verbose
        self._quiet = quiet
        self._findings = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the sink
        self._incomplete: list[str] = []
        self._incomplete_cut = 0

    def start(self, run: RunRecord) -> None:
        """Write the header."""
        if self._quiet:
            return
        self._say(_LINE)
        self._say("ModelAudit Security Scanner")
        self._say("Scanning for potential security issues in ML model files")
        self._say(_LINE)
        self._say(f"Paths to scan: {clean(', '.join(run.paths))}")
        self._say(_LINE)
        self._say("")
        for path in run.paths:
            self._say(f"{self._paint('✓', '32')} Scanning {clean(path)}")

    def write(self, report: FileReport) -> None:
        """Keep the findings for the end; with --verbose, say what became of each object."""
        for finding in report.findings:
            self._findings.write(msgspec.json.encode(finding) + b"\n")
        if (report.reason is not None and report.status != "skipped") or report.status == "failed":
            self._note(report)
        if self._verbose:
            what = "+".join(report.formats) or "unknown"
            reason = f": {report.reason}" if report.reason else ""
            self._say(f"  {report.status}{reason}  {clean(report.uri)}  ({what}, {report.bytes_read} bytes read)")

    def _note(self, report: FileReport) -> None:
        if len(self._incomplete) >= _REASONS_SHOWN:
            self._incomplete_cut += 1
            return
        self._incomplete.append(f"{report.uri}: {report.status} ({report.reason}): {report.message}")

    def finish(self, summary: Summary) -> None:
        """Write the numbers, the findings, and how it ended."""
        if not self._quiet:
            self._numbers(summary)
        self._replay()
        if self._incomplete:
            self._say("")
            self._say("Not scanned, or not whole:")
            for line in self._incomplete:
                self._say(f"   {clean(line)}")
            if self._incomplete_cut:
                self._say(f"   … and {self._incomplete_cut} more")
        if not self._quiet:
            self._say("")
            self._say(_LINE)
            self._say(self._verdict(summary))

    def _numbers(self, summary: Summary) -> None:
        counts, levels = summary.by_status, summary.by_severity
        self._say("")
        self._say(f"Active Scanner: {', '.join(summary.scanners) or 'none'}")
        self._say(f"Scan completed in {summary.duration_seconds:.2f} seconds")
        self._say(f"Files scanned: {counts['scanned'] + counts['partial']}")
        others = [f"{counts[name]} {name}" for name in ("partial", "skipped", "failed") if counts[name]]
        if others:
            reasons = ", ".join(f"{reason}: {count}" for reason, count in summary.reasons.items())
            self._say(f"Of {summary.objects} objects: {', '.join(others)} ({reasons})")
        self._say(f"Scanned {summary.bytes_read} bytes")
        found = [f"{levels['critical']} critical", f"{levels['warning']} warnings"]
        found += [f"{levels[name]} {name}" for name in ("info", "debug") if levels[name]]
        self._say(f"Issues found: {', '.join(found)}" if any(levels.values()) else "Issues found: none")

    def _replay(self) -> None:
        self._findings.seek(0)
        for number, line in enumerate(self._findings, 1):
            finding = msgspec.json.decode(line, type=Finding)
            if number == 1:
                self._say("")
            level = self._paint(f"[{finding.severity.upper()}]", _COLOURS[finding.severity])
            self._say(f"{number}. {clean(finding.location)}: {level} {clean(finding.message)}")
            if finding.why:
                self._say(f"   Why: {clean(finding.why)}")
        self._findings.close()

    def _verdict(self, summary: Summary) -> str:
        if summary.ended not in ("complete", "budget"):
            return self._paint(f"✗ Scan ended early: {summary.ended}", "31")
        if summary.exit_code == 1:
            return self._paint("✗ Scan completed with findings", "31")
        if summary.exit_code == 2:
            return self._paint("✗ Scan completed, but not everything could be scanned", "33")
        return self._paint("✓ Scan completed successfully", "32")

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _say(self, line: str) -> None:
        self._out.write(line.encode("utf-8", "backslashreplace") + b"\n")


def clean(text: str) -> str:
    r"""`text` without anything that could steer a terminal or reorder a line: such characters stand as `\x1b`."""
    if text.isprintable():
        return text
    return "".join(
        mark
        if mark.isprintable() and unicodedata.category(mark) != "Cf"
        else mark.encode("unicode-escape").decode("ascii")
        for mark in text
    )
