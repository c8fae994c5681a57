"""What the user wants: which objects are looked at, which rules count, and for how much."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Self

import msgspec

from modelaudit.model import FileReport, Finding, Severity, Target
from modelaudit.pipeline.objects import worst
from modelaudit.settings import Settings, Suppression
from modelaudit.settings.suppressions import accepts

# What `--strict-license` makes warnings.
_OF_LICENSES = (
    "license-noncommercial",
    "license-commercial-terms",
    "license-use-limits",
    "license-network",
    "license-unrecognised",
)


class Policy:
    """Globs over names, levels over rules, and what the user accepts: that stays in the record, and counts no more."""

    def __init__(
        self,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        suppress: Sequence[Suppression] = (),
        severity: Mapping[str, Severity] | None = None,
    ) -> None:
        self._include = include
        self._exclude = exclude
        self._suppress = suppress
        self._used: set[Suppression] = set()
        self._severity = severity or {}

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """What `settings` say."""
        strict = dict.fromkeys(_OF_LICENSES, Severity.WARNING) if settings.strict_license else {}
        return cls(settings.include, settings.exclude, settings.suppress, strict | settings.severity)

    @property
    def unused(self) -> list[Suppression]:
        """The suppressions that no finding was held against so far with success."""
        return [each for each in self._suppress if each not in self._used]

    def wants(self, target: Target) -> bool:
        """Whether `target` is part of the run. A glob is held against the whole URI and the last part."""
        if target.failed or not (self._include or self._exclude):
            return True  # a listing that failed is never filtered away
        names = (target.uri, PurePosixPath(target.uri).name)
        if self._include and not any(fnmatchcase(name, glob) for name in names for glob in self._include):
            return False
        return not any(fnmatchcase(name, glob) for name in names for glob in self._exclude)

    def judge(self, report: FileReport) -> FileReport:
        """`report` with the user's levels on its findings, and those that are accepted set apart."""
        if not report.findings or not (self._suppress or self._severity):
            return report
        findings, accepted = [], []
        for finding in map(self._level, report.findings):
            by = self._accepted(report.uri, finding)
            if by is None:
                findings.append(finding)
            else:
                accepted.append(msgspec.structs.replace(finding, suppressed=by.reason))
        return msgspec.structs.replace(
            report, findings=tuple(findings), severity=worst(findings), suppressed=tuple(accepted)
        )

    def _accepted(self, uri: str, finding: Finding) -> Suppression | None:
        for each in self._suppress:
            if accepts(each, uri, finding.rule, finding.id):
                self._used.add(each)
                return each
        return None

    def _level(self, finding: Finding) -> Finding:
        if finding.rule in self._severity:
            return msgspec.structs.replace(finding, severity=self._severity[finding.rule])
        return finding
