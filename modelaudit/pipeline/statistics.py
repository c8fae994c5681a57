"""The numbers of a run, counted in one place, so that every output adds up to the same."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import get_args

from modelaudit.model import Change, Ended, FileReport, FindingChange, Heartbeat, Severity, Status, Summary

_NAMES = 100  # different reasons, formats and scanners counted by name; a worker in hostile hands may invent any
_NAME_CHARS = 64
_REST = "other"


class Statistics:
    """Counts records as they are delivered. Its memory does not grow with their number.

    `dry_run` says that nothing is meant to be scanned.
    """

    def __init__(self, fail_on: Severity = Severity.WARNING, *, dry_run: bool = False) -> None:
        self._fail_on = fail_on
        self._dry_run = dry_run
        self._begun = time.monotonic()
        self._status: Counter[Status] = Counter()
        self._severity: Counter[Severity] = Counter()
        self._reasons: Counter[str] = Counter()
        self._formats: Counter[str] = Counter()
        self._scanners: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._changes: Counter[Change] = Counter()
        self._findings: Counter[FindingChange] = Counter()

    def add(self, report: FileReport) -> None:
        """Count one record."""
        self._status[report.status] += 1
        if report.status != "scanned":
            _count(self._reasons, [report.reason or "unknown"])
        self._totals["incomplete"] += report.incomplete
        for finding in report.findings:
            self._severity[finding.severity] += 1
            if finding.change is not None:
                self._findings[finding.change] += 1
        if report.change is not None:
            self._changes[report.change] += 1
        self._findings["fixed"] += len(report.fixed)
        _count(self._formats, report.formats)
        _count(self._scanners, report.scanners)
        self._totals["findings_cut"] += report.findings_cut
        self._totals["suppressed"] += len(report.suppressed) + report.suppressed_cut
        self._totals["assets"] += len(report.assets)
        self._totals["assets_cut"] += report.assets_cut
        self._totals["bytes_listed"] += report.size or 0
        self._totals["bytes_read"] += report.bytes_read

    @property
    def worst(self) -> Severity | None:
        """The highest severity found so far."""
        return max(self._severity, key=lambda level: level.rank, default=None)

    def exit_code(self, ended: Ended) -> int:
        """The program's exit code.

        1: a finding at or above the level to fail on, whatever else happened. 2: something should have been
        scanned and was not, or not wholly; or the run did not come to its end; or nothing at all was scanned.
        """
        if self.worst is not None and self.worst.rank >= self._fail_on.rank:
            return 1
        looked_at = self._status.total() if self._dry_run else self._status["scanned"] + self._status["partial"]
        return 2 if ended != "complete" or self._totals["incomplete"] or not looked_at else 0

    def heartbeat(self, run_id: str, listed: int, all_listed: bool) -> Heartbeat:
        """How far the run has come. Its numbers are those of the file records so far."""
        return Heartbeat(
            run_id=run_id,
            time=round(time.time(), 6),
            duration_seconds=round(time.monotonic() - self._begun, 6),
            listed=max(listed, self._status.total()),
            all_listed=all_listed,
            objects=self._status.total(),
            findings_total=self._severity.total(),
            bytes_read=self._totals["bytes_read"],
        )

    def summary(self, run_id: str, ended: Ended) -> Summary:
        """The last record of the run."""
        return Summary(
            run_id=run_id,
            ended=ended,
            exit_code=self.exit_code(ended),
            duration_seconds=round(time.monotonic() - self._begun, 6),
            objects=self._status.total(),
            files_scanned=self._status["scanned"] + self._status["partial"],
            incomplete=self._totals["incomplete"],
            by_status={status: self._status[status] for status in get_args(Status)},
            reasons=_ranked(self._reasons),
            findings_total=self._severity.total(),
            findings_cut=self._totals["findings_cut"],
            by_severity={level: self._severity[level] for level in Severity},
            worst=self.worst,
            assets_total=self._totals["assets"],
            assets_cut=self._totals["assets_cut"],
            by_format=_ranked(self._formats),
            by_scanner=_ranked(self._scanners),
            bytes_listed=self._totals["bytes_listed"],
            bytes_read=self._totals["bytes_read"],
            by_change={change: self._changes[change] for change in get_args(Change)} if self._changes else {},
            findings_by_change={change: self._findings[change] for change in get_args(FindingChange)}
            if self._changes
            else {},
            suppressed_total=self._totals["suppressed"],
        )


def _count(counter: Counter[str], names: Iterable[str]) -> None:
    for name in names:
        plain = len(name) <= _NAME_CHARS and name.isascii() and name.isprintable()
        counter[name if name in counter or (plain and len(counter) < _NAMES) else _REST] += 1


def _ranked(counter: Counter[str]) -> dict[str, int]:
    """Most frequent first, and by name where they are equally frequent: the same run gives the same line."""
    return dict(sorted(counter.items(), key=lambda item: (-item[1], item[0])))
