"""Text for people: a header, the numbers, every finding with its reason, and what could not be scanned.

Findings and the rest of the report wait in spools until the run ends; the worst come first.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing

import msgspec

from modelaudit.model import FileReport, Finding, Heartbeat, RunRecord, Severity, Summary
from modelaudit.sinks.output import Output
from modelaudit.sinks.spool import Spool

_WIDTH = 80
_PATHS = 10  # named in the header; the rest are counted
_INCOMPLETE = 100  # objects that were not scanned wholly, one line each; --verbose shows all, the rest are counted
_LICENSES = 1000  # counted by name; those beyond are counted together
_LICENSES_SHOWN = 10
_UNKNOWN_LICENSE, _OTHERS = "not recognised", "others"
_COLOURS = {Severity.CRITICAL: "1;31", Severity.WARNING: "33", Severity.INFO: "36", Severity.DEBUG: "2"}
_HOW_IT_ENDED = {
    "complete": "Scan completed",
    "budget": "Scan stopped at --max-total-size",
    "interrupted": "Scan interrupted",
    "terminated": "Scan terminated by a signal",
    "closed": "Scan ended early",
    "failed": "Scan broken off",
}


class TextSink:
    """What a person reads.

    `colour` is for terminals. `verbose` adds a line an object and debug findings; `quiet` leaves findings and
    what could not be scanned. `fail_on` is for the closing line.
    """

    def __init__(
        self,
        output: Output,
        *,
        colour: bool = False,
        verbose: bool = False,
        quiet: bool = False,
        fail_on: Severity = Severity.WARNING,
    ) -> None:
        self._output = output
        self._colour = colour
        self._verbose = verbose
        self._quiet = quiet
        self._fail_on = fail_on
        self._good, self._bad, self._rule = _marks(output.encoding)
        self._bars = " ▁▂▃▄▅▆▇█" if self._good == "✓" and _can_say("▁▇█", output.encoding) else " .:-=+*#@"
        self._held = ExitStack()
        self._held.callback(output.close)
        self._findings = {level: self._held.enter_context(closing(Spool())) for level in Severity}
        self._suppressed = self._held.enter_context(closing(Spool()))
        self._fixed = self._held.enter_context(closing(Spool()))
        self._incomplete = self._held.enter_context(closing(Spool()))
        self._licenses: Counter[str] = Counter()
        self._dry_run = False

    def start(self, run: RunRecord) -> None:
        """Write the header."""
        self._dry_run = run.settings.get("dry_run") is True
        if self._quiet:
            return
        shown = [visible(path) for path in run.paths[:_PATHS]]
        more = len(run.paths) + run.paths_cut - len(shown)
        self._say(
            self._rule,
            "ModelAudit Security Scanner",
            "Scanning for potential security issues in ML model files",
            self._rule,
            f"Paths to scan: {', '.join(shown)}" + (f" and {more} more" if more else ""),
            self._rule,
            "",
            *(f"{self._paint(self._good, '32')} Scanning {path}" for path in shown),
            *([f"{self._paint(self._good, '32')} Scanning {more} more"] if more else []),
        )
        if self._dry_run:
            self._say("", "Would be looked at:")

    def write(self, report: FileReport) -> None:
        """Keep the findings for the end; say what became of the object where that was asked for."""
        for finding in report.findings:
            self._findings[finding.severity].add(msgspec.json.encode(_Shown.of(finding)))
        for finding in report.suppressed:
            said = f"{visible(finding.location)}: [{finding.severity.upper()}] {visible(finding.message)}"
            self._suppressed.add(f"{said} ({visible(str(finding.suppressed))})".encode())
        for finding in report.fixed:
            self._fixed.add(
                f"{visible(finding.location)}: [{finding.severity.upper()}] {visible(finding.message)}".encode()
            )
        for stated in {each.expression or _UNKNOWN_LICENSE for each in report.licenses}:
            self._licenses[stated if stated in self._licenses or len(self._licenses) < _LICENSES else _OTHERS] += 1
        if report.incomplete:
            self._incomplete.add(_line_of(report).encode())
        if self._dry_run and report.reason == "dry_run":
            size = "?" if report.size is None else str(report.size)
            self._say(f"{size:>16} bytes  {visible(report.uri)}")
        elif self._verbose and not self._quiet:
            self._say(f"  {_line_of(report)}")

    def beat(self, heartbeat: Heartbeat) -> bool:
        """The format has no place for it."""
        return False

    def finish(self, summary: Summary) -> None:
        """Write the numbers, the findings, what could not be scanned, and how it ended."""
        if not self._quiet:
            self._say("", *_numbers(summary, self._dry_run))
        if self._licenses and not self._quiet:
            counts = [f"{visible(name)} {count}" for name, count in self._licenses.most_common(_LICENSES_SHOWN)]
            more = len(self._licenses) - len(counts)
            self._say(f"Licences stated: {', '.join(counts)}" + (f" and {more} more" if more else ""))
        self._replay()
        if summary.suppressed_total and not self._quiet:
            self._say("", self._paint(f"Suppressed: {summary.suppressed_total}", "2"))
            for line in self._suppressed.replay():
                self._say(self._paint(f"   {line.decode()}", "2"))
        if self._fixed.lines:
            self._say(*([] if self._quiet else [""]), f"Fixed since the last run: {self._fixed.lines}")
            for line in self._fixed.replay():
                self._say(f"   {line.decode()}")
        if summary.findings_cut:
            self._say("", f"{summary.findings_cut} more findings were counted and not kept")
        self._say(*self._not_scanned())
        if not self._quiet:
            mark = self._paint(self._bad, "31") if summary.exit_code else self._paint(self._good, "32")
            self._say("", self._rule, f"{mark} {_verdict(summary, self._fail_on, self._dry_run)}")

    def close(self) -> None:
        """Close the output and give the spools back."""
        self._held.close()

    def _replay(self) -> None:
        levels = [level for level in Severity if self._verbose or level is not Severity.DEBUG]
        lines = (line for level in levels for line in self._findings[level].replay())
        for number, line in enumerate(lines, 1):
            finding = msgspec.json.decode(line, type=_Shown)
            level = self._paint(f"[{finding.severity.upper()}]", _COLOURS[finding.severity])
            entry = [f"{number}. {finding.location}: {level} {finding.message}{' (new)' if finding.is_new else ''}"]
            if finding.why:
                entry.append("   " + self._paint(f"Why: {finding.why}", "2"))
            if finding.counts and self._verbose:
                entry.append(f"   Distribution: {finding.low:g} |{_bar(finding.counts, self._bars)}| {finding.high:g}")
            self._say(*([""] if number == 1 and not self._quiet else []), *entry)

    def _not_scanned(self) -> Iterator[str]:
        if not self._incomplete.lines:
            return
        if not self._quiet:
            yield ""
        yield f"Not scanned, or not wholly: {self._incomplete.lines}"
        for number, line in enumerate(self._incomplete.replay()):
            if number == _INCOMPLETE and not self._verbose:
                yield f"   … and {self._incomplete.lines - number} more; --verbose or --format ndjson shows them"
                return
            yield f"   {line.decode()}"

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _say(self, *lines: str) -> None:
        if lines:
            self._output.write("\n".join((*lines, "")).encode(self._output.encoding, "backslashreplace"))


class _Shown(msgspec.Struct, frozen=True, array_like=True):
    """The part of a finding that is shown, already safe to print."""

    severity: Severity
    location: str
    message: str
    why: str
    is_new: bool = False
    counts: tuple[int, ...] = ()
    low: float = 0.0
    high: float = 0.0

    @classmethod
    def of(cls, finding: Finding) -> "_Shown":
        texts = (visible(finding.location), visible(finding.message), visible(finding.why))
        is_new = finding.change == "new"
        counts = finding.details.get("histogram")
        low, high = (finding.details.get(name) for name in ("histogram_from", "histogram_to"))
        if not isinstance(counts, list) or not isinstance(low, float | int) or not isinstance(high, float | int):
            return cls(finding.severity, *texts, is_new)
        known = tuple(int(count) for count in counts[:64] if count.isdecimal())
        return cls(finding.severity, *texts, is_new, known, low, high)


def _bar(counts: tuple[int, ...], marks: str) -> str:
    """One mark a count, on a logarithmic scale: what stands out is single and must be seen."""
    most = math.log1p(max(counts))
    steps = len(marks) - 1
    return "".join(marks[math.ceil(steps * math.log1p(count) / most) if count else 0] for count in counts)


def visible(text: str) -> str:
    r"""`text` on one line, without anything that steers a terminal or turns text around: that is shown as `\x1b`.

    Controls, invisible marks, bidirectional marks, line breaks, unassigned and private characters, broken UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(
        mark
        if mark.isprintable() or unicodedata.category(mark) == "Zs"
        else mark.encode("unicode-escape").decode("ascii")
        for mark in text
    )


def _can_say(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _marks(encoding: str) -> tuple[str, str, str]:
    """Good, bad, and a line across: plain ones where the reader's encoding has no others."""
    try:
        "✓✗─".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return "+", "x", "-" * _WIDTH
    return "✓", "✗", "─" * _WIDTH


def _line_of(report: FileReport) -> str:
    """What became of one object."""
    if report.status == "scanned":
        what = visible("+".join(report.formats)) or "unknown"
        read = "unchanged" if report.change == "unchanged" else f"{report.bytes_read} bytes read"
        return f"{visible(report.uri)}: scanned as {what}, {read}"
    message = f": {visible(report.message)}" if report.message else ""
    return f"{visible(report.uri)}: {report.status} ({visible(report.reason or 'unknown')}){message}"


def _numbers(summary: Summary, dry_run: bool) -> Iterator[str]:
    levels = summary.by_severity
    done = _HOW_IT_ENDED[summary.ended]
    if dry_run:
        count = f"{summary.reasons.get('dry_run', 0)} of {_counted(summary.objects, 'object')}"
        yield f"{count} would be looked at, {summary.bytes_listed} bytes listed"
        return
    yield f"Active Scanner: {', '.join(sorted(summary.by_scanner)) or 'none'}"
    yield f"{done} {'in' if summary.ended == 'complete' else 'after'} {summary.duration_seconds:.2f} seconds"
    yield f"Files scanned: {summary.files_scanned}"
    others = [
        f"{summary.by_status[name]} {name}" for name in ("partial", "skipped", "failed") if summary.by_status[name]
    ]
    if others:
        reasons = ", ".join(f"{reason} {count}" for reason, count in summary.reasons.items())
        yield f"Of {_counted(summary.objects, 'object')}: {', '.join(others)} ({reasons})"
    yield f"Scanned {summary.bytes_read} bytes" + (
        f" of {summary.bytes_listed}" if summary.bytes_listed != summary.bytes_read else ""
    )
    found = [f"{levels[Severity.CRITICAL]} critical", f"{levels[Severity.WARNING]} warnings"]
    found += [f"{levels[level]} {level}" for level in (Severity.INFO, Severity.DEBUG) if levels[level]]
    accepted = f" ({summary.suppressed_total} suppressed)" if summary.suppressed_total else ""
    yield f"Issues found: {', '.join(found) if summary.findings_total else 'none'}{accepted}"
    if summary.by_change:
        objects = ", ".join(f"{count} {change}" for change, count in summary.by_change.items() if count)
        issues = ", ".join(f"{count} {change}" for change, count in summary.findings_by_change.items() if count)
        yield f"Since the last run: objects: {objects}; issues: {issues or 'none'}"


def _verdict(summary: Summary, fail_on: Severity, dry_run: bool) -> str:
    ended = _HOW_IT_ENDED[summary.ended]
    missed = f"{summary.incomplete} of {_counted(summary.objects, 'object')} not scanned, or not wholly"
    if summary.exit_code == 1:
        return f"{ended} with findings" + (f"; {missed}" if summary.incomplete else "")
    if not summary.objects:
        return f"{ended}: nothing was found to scan"
    if summary.incomplete:
        return f"{ended}: {missed}"
    if dry_run:
        return "Dry run: nothing was read"
    if not summary.files_scanned:
        return f"{ended}: nothing could be scanned"
    if summary.exit_code:
        return ended
    return f"{ended}; nothing at or above {fail_on}" if summary.findings_total else f"{ended} without findings"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
