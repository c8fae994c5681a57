"""What the user wants: which objects are looked at, which rules count, and for how much."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

import msgspec

from modelaudit.model import FileReport, Finding, Severity, Target
from modelaudit.pipeline.objects import worst


class Policy:
    """Globs over names and levels over rules. Suppressed findings stay in the record, as debug."""

    def __init__(
        self,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        suppress: Sequence[str] = (),
        severity: Mapping[str, Severity] | None = None,
    ) -> None:
        self._include = include
        self._exclude = exclude
        self._suppress = frozenset(suppress)
        self._severity = severity or {}

    def wants(self, target: Target) -> bool:
        """Whether `target` is part of the run. A glob is held against the whole URI and the last part."""
        names = (target.uri, PurePosixPath(target.uri).name)
        if target.failed:
            return True  # a listing that failed is never filtered away
        if self._include and not any(fnmatchcase(name, glob) for name in names for glob in self._include):
            return False
        return not any(fnmatchcase(name, glob) for name in names for glob in self._exclude)

    def judge(self, report: FileReport) -> FileReport:
        """`report` with the user's levels on its findings."""
        if not report.findings or not (self._suppress or self._severity):
            return report
        findings = tuple(self._level(finding) for finding in report.findings)
        return msgspec.structs.replace(report, findings=findings, severity=worst(findings))

    def _level(self, finding: Finding) -> Finding:
        if finding.rule in self._suppress:
            details = {**finding.details, "suppressed": True}
            return msgspec.structs.replace(finding, severity=Severity.DEBUG, details=details)
        if finding.rule in self._severity:
            return msgspec.structs.replace(finding, severity=self._severity[finding.rule])
        return finding
