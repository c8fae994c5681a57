"""The numbers of a run, counted in one place, so that every output adds up to the same."""

import time
from collections import Counter

from modelaudit.model import Ended, FileReport, Severity, Summary


class Statistics:
    """Counts records as they are delivered. Its memory does not grow with their number."""

    def __init__(self, fail_on: Severity = Severity.WARNING) -> None:
        self._fail_on = fail_on
        self._begun = time.monotonic()
        self._status: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._severity: Counter[Severity] = Counter()
        self._scanners: dict[str, None] = {}
        self._bytes_listed = 0
        self._bytes_read = 0

    def add(self, report: FileReport) -> None:
        """Count one record."""
        self._status[report.status] += 1
        if report.reason is not None:
            self._reasons[report.reason] += 1
        for finding in report.findings:
            self._severity[finding.severity] += 1
        for name in report.scanners:
            self._scanners[name] = None
        self._bytes_listed += report.size or 0
        self._bytes_read += report.bytes_read

    @property
    def worst(self) -> Severity | None:
        """The highest severity found so far."""
        return max(self._severity, key=lambda level: level.rank, default=None)

    def exit_code(self, ended: Ended) -> int:
        """1: a finding at or above the level to fail on, whatever else happened. 2: something was not scanned.

        Not scanned means a record that is failed or partial, a run that was stopped or ran out of budget, or
        a run in which nothing at all was scanned; objects of unsupported formats alone do not count.
        """
        if self.worst is not None and self.worst.rank >= self._fail_on.rank:
            return 1
        skipped = sum(self._reasons[reason] for reason in ("total_budget", "max_file_size", "interrupted"))
        nothing = not self._status["scanned"] and not self._reasons["dry_run"]
        if ended != "complete" or self._status["failed"] or self._status["partial"] or skipped or nothing:
            return 2
        return 0

    def summary(self, run_id: str, ended: Ended) -> Summary:
        """The last record of the run."""
        return Summary(
            run_id=run_id,
            ended=ended,
            exit_code=self.exit_code(ended),
            duration_seconds=round(time.monotonic() - self._begun, 6),
            objects=self._status.total(),
            by_status={name: self._status[name] for name in ("scanned", "partial", "skipped", "failed")},
            reasons=dict(sorted(self._reasons.items())),
            by_severity={level.value: self._severity[level] for level in Severity},
            worst=self.worst,
            bytes_listed=self._bytes_listed,
            bytes_read=self._bytes_read,
            scanners=tuple(self._scanners),
        )
