"""One pass over a run: its numbers, counted where all outputs' are, and the rows of the page's tables."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing

import msgspec

from modelaudit.catalogue import Catalogue, Rule
from modelaudit.model import Evidence, FileReport, Finding, RunRecord, Scalar, Severity, Summary
from modelaudit.pipeline.statistics import Statistics
from modelaudit.report.comparing import Earlier, Fate
from modelaudit.report.escaping import data, plain
from modelaudit.report.reading import Run
from modelaudit.sinks.spool import Spool

ROWS = 250_000  # of each table: about 100 MB of page, which browsers still open
_NAMES = 200  # sources told apart; the rest are "other"
_WHYS = 20_000  # reasons that are written once and pointed at
_PLACES = 3  # examples of a rule's findings
_LEVELS = list(Severity)
_INCOMPLETE, _CLEAN = len(_LEVELS), len(_LEVELS) + 1  # order of objects, behind those with findings
OTHER = "other"
_NO_MORE: tuple[Fate, ...] = ("fixed", "gone", "open", "suppressed")  # shown, and not counted with what was found


class Told:
    """What one rule found: how much, how much of it is new, in how many objects, and where first."""

    def __init__(self, rule: str, severity: Severity) -> None:
        self.rule = rule
        self.severity = severity
        self.findings = 0
        self.new = 0
        self.objects = 0
        self.places: list[str] = []
        self._last: str | None = None

    def add(self, finding: Finding, uri: str, fate: Fate | None) -> None:
        """Count `finding` in the object `uri`; those of one object come together."""
        self.findings += 1
        self.new += fate == "new"
        if self._last != uri:
            self._last = uri
            self.objects += 1
        if len(self.places) < _PLACES:
            self.places.append(finding.location)


class Gathering:
    """Counts and keeps. Its memory grows with the number of rules, formats and sources; rows wait in spools."""

    def __init__(self, known: Catalogue, record: RunRecord | None, earlier: Earlier) -> None:
        self._known = known
        self._paths = sorted(record.paths if record is not None else (), key=len, reverse=True)
        self._earlier = earlier
        self._statistics = Statistics()
        self._held = ExitStack()
        self._findings = [self._spool() for _ in range(2 * len(_LEVELS) + 1)]
        self._objects = [self._spool() for _ in range(_CLEAN + 1)]
        self._whys: dict[str, int] = {}
        self.fates: Counter[Fate] = Counter()
        self.fates_by_severity: Counter[tuple[Fate, Severity]] = Counter()
        self.by_source: dict[str, Counter[Severity]] = {}
        self.by_format: dict[str, Counter[Severity]] = {}
        self.rules: dict[tuple[str, Severity], Told] = {}
        self.rule_names: set[str] = set()
        self.objects_new = 0
        self.objects_gone = 0
        self.objects_by_severity: Counter[Severity] = Counter()
        self._summary: Summary | None = None

    def _spool(self) -> Spool:
        return self._held.enter_context(closing(Spool()))

    def close(self) -> None:
        """Give the spools back."""
        self._held.close()

    @property
    def summary(self) -> Summary:
        """The numbers over the records that were read."""
        assert self._summary is not None  # noqa: S101  `take` comes first
        return self._summary

    def take(self, run: Run) -> None:
        """Read `run`, and what the earlier ones had beyond it."""
        for report in run.files():
            self._earlier.note(report)
        for report in run.files():
            self._add(report)
        for fate, finding, report in self._earlier.old():
            self._finding(report, finding, fate)
        ended = "failed" if run.summary is None else run.summary.ended
        self._summary = self._statistics.summary("", ended)
        gone = self._summary.by_change.get("gone", 0)
        self.objects_gone = self._earlier.gone() or gone

    def _add(self, report: FileReport) -> None:
        self._statistics.add(report)
        self.objects_new += self._earlier.is_new(report)
        self.by_source.setdefault(self.source(report.uri), Counter())
        if report.severity is not None:
            self.objects_by_severity[report.severity] += 1
        for finding in report.findings:
            fate = self._earlier.fate(report, finding)
            self._count(report, finding, fate)
            self._finding(report, finding, fate)
        for finding in report.suppressed:
            self._finding(report, finding, "suppressed")
        for fate, finding, _ in self._earlier.fixed(report):
            self._finding(report, finding, fate)
        self._object(report)

    def _count(self, report: FileReport, finding: Finding, fate: Fate | None) -> None:
        self.by_source[self.source(report.uri)][finding.severity] += 1
        self.by_format.setdefault(self.format(report, finding), Counter())[finding.severity] += 1
        rule = finding.rule if finding.rule in self._known.rules else OTHER
        key = (rule, finding.severity)
        self.rules.setdefault(key, Told(*key)).add(finding, report.uri, fate)

    def source(self, uri: str) -> str:
        """Where the object `uri` lies: `s3://bucket`, or the path of the command line that led there."""
        scheme, mark, rest = uri.partition("://")
        if mark:
            name = f"{scheme}://{rest.partition('/')[0]}"
        else:
            ours = (path for path in self._paths if uri == path or uri.startswith(path.rstrip("/") + "/"))
            name = next(ours, "other files")
        return name if name in self.by_source or len(self.by_source) < _NAMES else OTHER

    def format(self, report: FileReport, finding: Finding) -> str:
        """What kind of bytes `finding` is about: the rule's format, else the object's first."""
        parts = finding.rule.split("-")
        for count in range(len(parts) - 1, 0, -1):
            name = "_".join(parts[:count])
            if name in self._known.formats:
                return name
        return next((name for name in report.formats if name in self._known.formats), OTHER)

    def rule(self, id: str) -> Rule | None:
        """What the catalogue says about rule `id`."""
        return self._known.rules.get(id)

    def _finding(self, report: FileReport, finding: Finding, fate: Fate | None) -> None:
        if fate is not None:
            self.fates[fate] += 1
            self.fates_by_severity[fate, finding.severity] += 1
        level = _LEVELS.index(finding.severity)
        spool = self._findings[-1 if fate in _NO_MORE else 2 * level + (fate != "new")]
        if spool.lines >= ROWS:
            return
        uri, place = plain(report.uri), plain(finding.location)
        row = [
            level,
            fate or "",
            plain(finding.rule),
            uri,
            "+" + place[len(uri) :] if place.startswith(uri) else "=" + place,
            plain(finding.message),
            self.format(report, finding),
            plain(self.source(report.uri)),
            self._why(plain(finding.why)),
            _details(finding),
            plain(finding.id),
        ]
        if finding.rule in self._known.rules:
            self.rule_names.add(finding.rule)
        spool.add(data(row))

    def _why(self, why: str) -> int | str:
        if why not in self._whys and len(self._whys) >= _WHYS:
            return why
        return self._whys.setdefault(why, len(self._whys))

    def _object(self, report: FileReport) -> None:
        worst = None if report.severity is None else _LEVELS.index(report.severity)
        order = worst if worst is not None else _INCOMPLETE if report.incomplete else _CLEAN
        spool = self._objects[order]
        if spool.lines >= ROWS:
            return
        row = [
            -1 if worst is None else worst,
            report.status,
            int(report.incomplete),
            plain(report.uri),
            " ".join(map(plain, report.formats)),
            report.size,
            len(report.findings) + report.findings_cut,
            plain(report.message or report.reason or ""),
            "new" if self._earlier.is_new(report) else "",
            report.sha256 and plain(report.sha256),
            plain(self.source(report.uri)),
        ]
        spool.add(data(row))

    def whys(self) -> list[str]:
        """The reasons that rows point at."""
        return list(self._whys)

    def finding_rows(self) -> Iterator[bytes]:
        """Findings as JSON, worst first and new before known; what is there no more comes last."""
        return _first(self._findings)

    def object_rows(self) -> Iterator[bytes]:
        """Objects as JSON, worst first, those that were not looked at wholly before clean ones."""
        return _first(self._objects)

    @property
    def rows_cut(self) -> int:
        """How many rows the page does not hold, of both tables."""
        findings = self.summary.findings_total + sum(self.fates[fate] for fate in _NO_MORE)
        return max(0, findings - ROWS) + max(0, self.summary.objects - ROWS)


def _first(spools: list[Spool]) -> Iterator[bytes]:
    room = ROWS
    for spool in spools:
        if room <= 0:
            return
        for line in spool.replay():
            if room <= 0:
                return
            room -= 1
            yield line


def _details(finding: Finding) -> Evidence:
    """The details without what the row says anyway."""
    shown: Evidence = {} if finding.suppressed is msgspec.UNSET else {"suppressed because": plain(finding.suppressed)}
    for name, value in finding.details.items():
        if name == "why" or value is None or value == []:
            continue
        shown[plain(name)] = _seen(value)
    return shown


def _seen(value: Scalar | list[str]) -> Scalar | list[str]:
    """One value of the details, as it may be shown."""
    if isinstance(value, str):
        return plain(value)
    return [plain(entry) for entry in value] if isinstance(value, list) else value
