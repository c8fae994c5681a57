"""One JSON document, written when the run has ended. Until then its parts wait in spools, never in memory."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import msgspec

from modelaudit.model import (
    Change,
    Evidence,
    FileReport,
    Finding,
    FindingChange,
    Heartbeat,
    License,
    RunRecord,
    Severity,
    Status,
    Summary,
)
from modelaudit.sinks.encoding import encode
from modelaudit.sinks.output import Output
from modelaudit.sinks.spool import Spool

_PIECE_BYTES = 64 * 1024  # elements are written together up to about this size


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """One element of `issues`. `timestamp` is Unix time in seconds; `offset` is in bytes."""

    message: str
    severity: Severity
    location: str
    details: Evidence
    timestamp: float
    why: str
    rule: str
    id: str
    path: str
    offset: int | None
    change: FindingChange | None
    suppressed: str | msgspec.UnsetType = msgspec.UNSET


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One element of `files`: the object's record, with its issues and assets counted instead of repeated."""

    path: str
    size: int | None
    bytes_read: int
    version: str | None
    sha256: str | None
    formats: tuple[str, ...]
    scanners: tuple[str, ...]
    status: Status
    reason: str | None
    message: str | None
    severity: Severity | None
    issues: int
    issues_cut: int
    assets: int
    assets_cut: int
    duration_ms: float
    change: Change | None
    fixed: int
    suppressed: int
    licenses: tuple[License, ...] | msgspec.UnsetType = msgspec.UNSET


class JsonSink:
    """The document that scripts read whole: `issues`, `fixed`, `assets` and `files` are arrays, an element a line.

    `fixed` is there with `--state` only, `suppressed` when issues were accepted.
    """

    def __init__(self, output: Output) -> None:
        self._output = output
        self._held = ExitStack()
        self._held.callback(output.close)
        self._issues, self._suppressed, self._fixed, self._assets, self._files = (
            self._held.enter_context(closing(Spool())) for _ in range(5)
        )
        self._run: RunRecord | None = None

    def start(self, run: RunRecord) -> None:
        """Keep what the head of the document will say."""
        self._run = run

    def write(self, report: FileReport) -> None:
        """Keep the object's issues, assets and its element of `files`."""
        now = round(time.time(), 6)
        for finding in report.findings:
            self._issues.add(encode(_issue(report, finding, now)))
        for finding in report.suppressed:
            self._suppressed.add(encode(_issue(report, finding, now)))
        for finding in report.fixed:
            self._fixed.add(encode(_issue(report, finding, now)))
        for asset in report.assets:
            self._assets.add(encode(asset))
        self._files.add(encode(_file(report)))

    def beat(self, heartbeat: Heartbeat) -> bool:
        """The format has no place for it."""
        return False

    def finish(self, summary: Summary) -> None:
        """Write the document. If that fails, a file is left empty rather than broken."""
        with self._output.whole():
            for piece in _joined(self._document(summary)):
                self._output.write(piece)

    def _document(self, summary: Summary) -> Iterator[bytes]:
        yield b"{"
        for name, value in _head(self._run, summary).items():
            yield b"\n  " + encode(name) + b": " + encode(value) + b","
        yield from _array(b"issues", self._issues)
        yield b","
        if summary.suppressed_total:
            yield from _array(b"suppressed", self._suppressed)
            yield b","
        if summary.by_change:
            yield from _array(b"fixed", self._fixed)
            yield b","
        yield from _array(b"assets", self._assets)
        yield b","
        yield from _array(b"files", self._files)
        yield b"\n}\n"

    def close(self) -> None:
        """Close the output and give the spools back."""
        self._held.close()


def _head(run: RunRecord | None, summary: Summary) -> dict[str, object]:
    said = (
        {}
        if run is None
        else {"schema": run.schema, "version": run.version, "run_id": run.run_id, "paths": run.paths}
        | {"paths_cut": run.paths_cut, "settings": run.settings, "start_time": run.started}
    )
    return {
        **said,
        "duration": summary.duration_seconds,
        "ended": summary.ended,
        "exit_code": summary.exit_code,
        "scanner_names": sorted(summary.by_scanner),
        "files_scanned": summary.files_scanned,
        "bytes_scanned": summary.bytes_read,
        "has_errors": summary.exit_code == 2 or summary.incomplete > 0 or summary.ended != "complete",
        "totals": summary,
    }


def _array(name: bytes, spool: Spool) -> Iterator[bytes]:
    yield b'\n  "' + name + b'": ['
    for number, element in enumerate(spool.replay()):
        yield (b",\n    " if number else b"\n    ") + element
    yield b"\n  ]" if spool.lines else b"]"


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer pieces."""
    together = bytearray()
    for piece in pieces:
        together += piece
        if len(together) >= _PIECE_BYTES:
            yield bytes(together)
            together.clear()
    yield bytes(together)


def _issue(report: FileReport, finding: Finding, now: float) -> Issue:
    details = finding.details if finding.offset is None else {"position": finding.offset, **finding.details}
    return Issue(
        message=finding.message,
        severity=finding.severity,
        location=finding.location,
        details=details,
        timestamp=now,
        why=finding.why,
        rule=finding.rule,
        id=finding.id,
        path=report.uri,
        offset=finding.offset,
        change=finding.change,
        suppressed=finding.suppressed,
    )


def _file(report: FileReport) -> File:
    return File(
        path=report.uri,
        size=report.size,
        bytes_read=report.bytes_read,
        version=report.version,
        sha256=report.sha256,
        formats=report.formats,
        scanners=report.scanners,
        status=report.status,
        reason=report.reason,
        message=report.message,
        severity=report.severity,
        issues=len(report.findings),
        issues_cut=report.findings_cut,
        assets=len(report.assets),
        assets_cut=report.assets_cut,
        duration_ms=report.duration_ms,
        change=report.change,
        fixed=len(report.fixed),
        suppressed=len(report.suppressed) + report.suppressed_cut,
        licenses=report.licenses or msgspec.UNSET,
    )
