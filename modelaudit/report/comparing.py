"""What is new, fixed and gone: a run against those before it, or against what `--state` remembered."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Literal, NamedTuple

from modelaudit.model import FileReport, Finding
from modelaudit.report.reading import Run

# What became of a finding. `open`: it was found before, and this run could not look again (or not wholly).
# `suppressed`: it is there, and accepted.
Fate = Literal["new", "known", "fixed", "gone", "open", "suppressed"]
FATES: tuple[Fate, ...] = ("new", "known", "fixed", "gone", "open", "suppressed")


class Old(NamedTuple):
    """A finding of an earlier run that this run does not have, with what became of it."""

    fate: Fate
    finding: Finding
    report: FileReport


class Earlier:
    """What the runs `before` knew. With none of them, the `change` that the records carry is believed.

    An object's last conclusive record counts: one in which everything was looked at. Keeps 8 bytes' digests of
    addresses and findings, about 200 bytes of memory each.
    """

    def __init__(self, before: Sequence[Run], now: Run) -> None:
        self._before = before
        self._now = now
        self._last: dict[int, int] = {}  # of each object: the run with its last conclusive record
        self._there: set[int] = set()  # objects that were there at last
        self._known: dict[int, int] = {}  # of each finding: the last run that had it
        for number, run in enumerate(before):
            for report in run.files():
                self._learn(number, report)
        self._seen: dict[int, bool] = {}  # objects of this run: whether all of it was looked at
        self._found: set[int] = set()
        self._by_state = False

    @property
    def compared(self) -> bool:
        """Whether there is anything to compare with."""
        return bool(self._before) or self._by_state

    @property
    def since(self) -> float | None:
        """When the run began that this one is compared with: Unix time in seconds."""
        record = self._before[-1].record if self._before else None
        return None if record is None else record.started

    def _learn(self, number: int, report: FileReport) -> None:
        place = digest(report.uri)
        if _is_conclusive(report) or place not in self._last:
            self._last[place] = number
        if _is_gone(report):
            self._there.discard(place)
        else:
            self._there.add(place)
        for finding in (*report.findings, *report.suppressed):
            self._known[digest(report.uri, finding.id)] = number

    def note(self, report: FileReport) -> None:
        """Take in one record of this run: all of them, before `fate` and `old` are asked."""
        place = digest(report.uri)
        self._seen[place] = _is_conclusive(report)
        self._by_state = self._by_state or report.change not in (None, "new")
        if self._before:
            self._found.update(digest(report.uri, finding.id) for finding in (*report.findings, *report.suppressed))

    def fate(self, report: FileReport, finding: Finding) -> Fate | None:
        """What `finding` of this run is: new or known; None where there is nothing to compare with."""
        if self._before:
            key = digest(report.uri, finding.id)
            return "known" if self._known.get(key, -1) >= self._last.get(digest(report.uri), 0) else "new"
        if not self._by_state or finding.change is None:
            return None
        return "new" if finding.change == "new" else "known"

    def is_new(self, report: FileReport) -> bool:
        """Whether the object was not there before."""
        if self._before:
            return digest(report.uri) not in self._there
        return self._by_state and report.change == "new"

    def fixed(self, report: FileReport) -> Iterator[Old]:
        """What a record of this run itself says was there before."""
        if not self._before:
            fate: Fate = "gone" if _is_gone(report) else "fixed"
            yield from (Old(fate, finding, report) for finding in report.fixed)

    def gone(self) -> int:
        """How many objects were there before, and are not any more; 0 unless this run went through to its end.

        An object counts whose place this run was to look at.
        """
        if not self._is_through:
            return 0
        lost = self._there - self._seen.keys()
        told: set[int] = set()
        for run in self._before if lost else ():
            for report in run.files():
                if digest(report.uri) in lost and self._covers(run, report.uri):
                    told.add(digest(report.uri))
        return len(told)

    def old(self) -> Iterator[Old]:
        """What the earlier runs found and this one does not have, each once."""
        told: set[int] = set()
        for number, run in enumerate(self._before):
            for report in run.files():
                place = digest(report.uri)
                for finding in report.findings:
                    key = digest(report.uri, finding.id)
                    is_last = self._known[key] == number >= self._last[place]
                    if not is_last or key in self._found or key in told:
                        continue
                    told.add(key)
                    fate = self._lost_fate(run, report)
                    if fate is not None:
                        yield Old(fate, finding, report)

    def _lost_fate(self, run: Run, report: FileReport) -> Fate | None:
        whole = self._seen.get(digest(report.uri))
        if whole is not None:
            return "fixed" if whole else "open"
        if not self._covers(run, report.uri):
            return None
        return "gone" if self._is_through else "open"

    @property
    def _is_through(self) -> bool:
        return self._now.summary is not None and self._now.summary.ended == "complete"

    def _covers(self, run: Run, uri: str) -> bool:
        """Whether this run was to look at `uri`, of the earlier `run`."""
        now, before = self._now.record, run.record
        if now is None or now.paths_cut or (before is not None and set(before.paths) == set(now.paths)):
            return True
        return any(uri == path or uri.startswith(path.rstrip("/") + "/") for path in now.paths)


def digest(*words: str) -> int:
    """64 bits that stand for `words`."""
    joined = "\0".join(words).encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(joined, digest_size=8).digest(), "big")


def _is_gone(report: FileReport) -> bool:
    return report.change == "gone" or report.reason == "gone"


def _is_conclusive(report: FileReport) -> bool:
    """Whether a finding that is not in `report` is not in the object."""
    if report.findings_cut:
        return False
    return report.status == "scanned" or _is_gone(report) or (report.status == "skipped" and not report.incomplete)
