"""One object from its bytes to its findings: identify, scan, go into the children. Pure and synchronous.

The engine is the only place that knows about depth, budgets and the catalogue's wording; scanners only say
what they saw. It runs inside a caged worker, or in the caller's process through `inspect`.
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Final, Protocol, cast

from modelaudit import catalogue
from modelaudit.blob import Blob, RootBlob
from modelaudit.catalogue import Catalogue, Format
from modelaudit.errors import Absent, LimitExceeded, Missing, ParseError
from modelaudit.identify import Identifier, polyglot
from modelaudit.kept import Kept
from modelaudit.licensing import Stated, hits
from modelaudit.limits import Limits
from modelaudit.model import (
    Asset,
    Child,
    Evidence,
    Finding,
    Hit,
    Inspection,
    License,
    Note,
    Scalar,
    Status,
    finding_id,
    shown,
)
from modelaudit.unpack import Budget, UnpackedBlob, open_child
from modelaudit.weights import Item, Mode, Ration, Yielded


class Scanner(Protocol):
    """A module of `modelaudit.scanners`, named after its format."""

    def scan(self, blob: Blob, limits: Limits, /) -> Iterator[Yielded]:
        """What is wrong with these bytes, and what is inside them."""


class Engine:
    """The catalogue and the scanners, loaded once and never changed.

    Without `imports`, as in a cage, a format that needs modules that are not loaded raises `Missing` with them.
    """

    def __init__(
        self, known: Catalogue, scanners: Mapping[str, Scanner] | None = None, *, imports: bool = True
    ) -> None:
        self.catalogue = known
        self._imports = imports
        self._identifier = Identifier(known.formats.values())
        self.scanners: Mapping[str, Scanner] = scanners or {
            format.id: cast(Scanner, importlib.import_module(f"modelaudit.scanners.{format.id}"))
            for format in known.formats.values()
            if format.scanned
        }
        self._looks: dict[str, Callable[[Blob, Limits], bool] | None] = {
            name: getattr(scanner, "fits", None) for name, scanner in self.scanners.items()
        }

    def warm(self) -> None:
        """Load what scanners load late: afterwards nothing needs the file system."""
        for scanner in self.scanners.values():
            getattr(scanner, "warm", lambda: None)()

    def require_modules(self, needs: Sequence[str]) -> None:
        """See to it that the modules `needs` are loaded. Raises `Missing` where nothing can be imported."""
        absent = [name for name in needs if name not in sys.modules]
        if absent and not self._imports:
            raise Missing(modules=absent)
        for name in absent:
            importlib.import_module(name)

    def formats_of(self, blob: Blob, limits: Limits) -> list[Format]:
        """Every format that fits, in the catalogue's order. Raises `Missing`."""
        found = []
        for format in self._identifier.candidates(blob):
            if not format.always:  # those are asked about every blob, for which nothing is loaded
                self.require_modules(format.needs)
            look = self._looks.get(format.id)
            if look is None or look(blob, limits):
                found.append(format)
        claimed = [format for format in found if format.scanned]
        if all(_LOOSE.intersection(format.kin) for format in claimed):
            for format in self._identifier.fallbacks(blob):
                if claimed and "archive" not in format.kin:
                    continue
                look = self._looks.get(format.id)
                if look is None or look(blob, limits):
                    found.append(format)
        return found

    def inspect(
        self,
        blob: Blob,
        limits: Limits,
        *,
        uri: str = "",
        blacklist: Sequence[str] = (),
        weights: Mode = "auto",
        on_finding: Callable[[Finding], None] | None = None,
    ) -> Inspection:
        """Scan `blob` and everything in it.

        `weights` says whether tensors are read too, see `modelaudit.weights.Ration`.
        `on_finding` hears of each finding at once, for callers that may be killed before the end. Raises
        `Missing` with all ranges that this run could not go on without.
        """
        ration = Ration(weights, limits, blob, self.require_modules)
        run = _Run(self, limits, uri, blacklist, ration, on_finding)
        formats = run.root(blob)
        if run.missing:
            raise run.missing.all()
        return run.result(blob, formats)


@cache
def default_engine() -> Engine:
    """The engine over the catalogue that ships. Frozen data, so one for the process is enough."""
    return Engine(catalogue.load())


def inspect(
    blob: Blob,
    limits: Limits | None = None,
    *,
    uri: str = "",
    blacklist: Sequence[str] = (),
    weights: Mode = "auto",
) -> Inspection:
    """Scan `blob` in this process. See `Engine.inspect`; `modelaudit.scan` runs it in caged workers."""
    return default_engine().inspect(blob, limits or Limits(), uri=uri, blacklist=blacklist, weights=weights)


_LOOSE: Final = frozenset(("text", "protobuf"))  # kin whose readers take what is behind a format for a part of it


class _Template(dict[str, object]):
    """Evidence for `str.format_map`; a name that the evidence lacks is shown as `?`."""

    def __missing__(self, key: str) -> str:
        return "?"


class _Run:
    """The state of one inspection: the budget, what was found, what is missing."""

    def __init__(
        self,
        engine: Engine,
        limits: Limits,
        uri: str,
        blacklist: Sequence[str],
        ration: Ration,
        on_finding: Callable[[Finding], None] | None,
    ) -> None:
        self._engine = engine
        self._ration = ration
        self._limits = limits
        self._uri = uri
        self._blacklist = [pattern.casefold() for pattern in blacklist]
        self._on_finding = on_finding
        self._budget = Budget(limits)
        self._kept = Kept(limits.findings)
        self._assets: list[Asset] = []
        self._assets_cut = 0
        self._stated = Stated(limits)
        self._licenses: tuple[License, ...] = ()
        self._notes: list[Note] = []
        self._scanners: dict[str, None] = {}
        self.missing = Absent()

    def root(self, blob: Blob) -> list[Format]:
        """Scan the object itself; gives the formats that it was found to be."""
        self._check_name(self._uri, self._uri)
        formats: list[Format] = []
        try:
            formats = self._engine.formats_of(blob, self._limits)
            for hit in polyglot.at_once(formats):
                self._hit(hit, self._uri)
            self._scan_as(blob, formats, self._uri, 0)
        except Missing as missing:
            self.missing.add(missing)
        except LimitExceeded as limit:
            self._exceeded(limit, self._uri)
        try:
            self._licenses = self._stated.understood(self._engine.require_modules)
        except Missing as missing:
            self.missing.add(missing)
        for location, hit in hits(self._licenses):
            self._hit(hit, location)
        return formats

    def result(self, blob: Blob, formats: Sequence[Format]) -> Inspection:
        """Everything that was learnt, with the status that it adds up to."""
        status: Status = "scanned"
        reason = message = None
        pointer = any(format.id == "lfs_pointer" for format in formats)  # the object itself, not a member of it
        skips = [note for note in self._notes if pointer and note.reason == "lfs_pointer"]
        if skips:
            status, reason, message = "skipped", skips[0].reason, skips[0].message
        elif self._notes:
            status, reason, message = "partial", self._notes[0].reason, self._notes[0].message
            if len(self._notes) > 1:
                message += f" (and {len(self._notes) - 1} more)"
        elif not self._understood() and not self._kept.findings:
            named = " and ".join(format.title for format in formats)
            status, reason = "skipped", "unsupported"
            message = f"{named}: nothing in it that is scanned" if named else "no known model format"
        return Inspection(
            status=status,
            reason=reason,
            message=None if message is None else shown(message, self._limits.evidence_chars),
            formats=tuple(format.id for format in formats),
            scanners=tuple(self._scanners),
            findings=tuple(self._kept.findings),
            findings_cut=self._kept.cut,
            assets=tuple(self._assets),
            assets_cut=self._assets_cut,
            bytes_viewed=blob.bytes_viewed if isinstance(blob, RootBlob) else blob.size,
            licenses=self._licenses,
            licenses_cut=self._stated.cut,
        )

    def _understood(self) -> bool:
        """Whether any scanner ran on more than a wrapping."""
        known = self._engine.catalogue.formats
        return any(not known[name].wrapper for name in self._scanners)

    # --- going through items ------------------------------------------------------------------------------

    def _scan_as(self, blob: Blob, formats: Sequence[Format], location: str, depth: int) -> None:
        named = False
        for format in formats:
            scanner = self._engine.scanners.get(format.id)
            if scanner is None:
                continue
            self._engine.require_modules(format.needs)
            self._scanners[format.id] = None
            for item in self._items(scanner, blob, location):
                if isinstance(item, Hit):
                    self._hit(item, location)
                elif isinstance(item, Child):
                    self._child(item, blob, location, depth, format)
                elif isinstance(item, Asset):
                    named = named or not item.path
                    self._asset(item, location)
                elif isinstance(item, License):
                    self._stated.add(item, location)
                else:
                    self._notes.append(item)
            if self._blacklist:
                self._check_texts(scanner, blob, location)
        if not named:
            kind = "+".join(format.id for format in formats) or "unknown"
            self._asset(Asset("", kind), location)

    def _items(self, scanner: Scanner, blob: Blob, location: str) -> Iterator[Item]:
        """The scanner's items; the three exceptions that it may raise become what they mean."""
        try:
            yield from self._ration.read(scanner.scan(blob, self._limits), blob)
        except Missing as missing:
            self.missing.add(missing)
        except ParseError as error:
            self._notes.append(Note("broken", f"{location}: {error.message} (at byte {error.offset})", error.offset))
        except LimitExceeded as limit:
            self._exceeded(limit, location)

    def _child(self, child: Child, blob: Blob, location: str, depth: int, outer: Format | None = None) -> None:
        name = shown(child.name, self._limits.name_chars)
        place = f"{location}{child.separator}{name}"
        self._check_name(name, place)
        if depth >= self._limits.depth:
            self._hit(Hit("shared-nesting", None, {"name": name, "allowed": self._limits.depth}), location)
            self._notes.append(Note("depth", f"{place}: containers nested deeper than {self._limits.depth}"))
            return
        try:
            self._budget.add_member()
            inner = open_child(blob, child, self._budget, self._limits)
            formats = self._formats_of_child(child, inner)
            for hit in polyglot.behind(child, outer, formats):
                self._hit(hit, location)
            if any(format.id == "jinja" for format in formats):
                self._budget.add_template(min(inner.size, self._limits.template_bytes))
            self._scan_as(inner, formats, place, depth + 1)
            if isinstance(inner, UnpackedBlob):
                if not formats:
                    inner.sample()
                self._after_stream(inner, child, blob, location, depth)
        except Missing as missing:
            self.missing.add(missing)
        except ParseError as error:
            self._notes.append(Note("broken", f"{place}: {error.message}", error.offset))
        except LimitExceeded as limit:
            if limit.limit == "members":
                raise  # the whole object is out of members: going on with its siblings is no use
            self._exceeded(limit, place)

    def _after_stream(self, inner: UnpackedBlob, child: Child, blob: Blob, location: str, depth: int) -> None:
        """What a compressed stream turned out to be: broken, or shorter than the bytes it lies in."""
        if inner.exceeded is not None:
            self._exceeded(inner.exceeded, location)
        if inner.broken is not None:
            self._notes.append(Note("broken", f"{location}: {inner.broken.message}", inner.broken.offset))
        end = child.offset + child.length
        if inner.packed_end is not None and inner.packed_end < end:
            rest = Child("trailing bytes", inner.packed_end, end - inner.packed_end)
            self._child(rest, blob, location, depth)

    def _formats_of_child(self, child: Child, inner: Blob) -> list[Format]:
        if child.format is not None:
            return [self._engine.catalogue.formats[child.format]]
        formats = self._engine.formats_of(inner, self._limits)
        for format in formats:
            if not format.scanned:
                self._notes.append(Note("unsupported_member", f"{child.name}: {format.title} is not scanned"))
        return formats

    # --- what was found -----------------------------------------------------------------------------------

    def _exceeded(self, limit: LimitExceeded, location: str) -> None:
        if limit.limit == "unpack_ratio":
            self._hit(Hit("shared-bomb", None, {"name": location, "allowed": limit.allowed}), location)
        self._notes.append(Note(limit.limit, f"{location}: {limit}"))

    def _check_name(self, name: str, location: str) -> None:
        folded = name.casefold()
        for pattern in self._blacklist:
            if pattern in folded:
                self._hit(Hit("shared-blacklisted", None, {"pattern": pattern, "name": name}), location)

    def _check_texts(self, scanner: Scanner, blob: Blob, location: str) -> None:
        """Hold what a configuration says against the blacklist; each pattern is told once."""
        left = list(self._blacklist)
        texts = getattr(scanner, "texts", None)
        with suppress(Missing, ParseError, LimitExceeded):  # the scan itself has told of them
            for text in () if texts is None else texts(blob, self._limits):
                folded = text.casefold()
                for pattern in [pattern for pattern in left if pattern in folded]:
                    left.remove(pattern)
                    start = max(0, folded.find(pattern) - 40)
                    shown = text[start : start + self._limits.evidence_chars]
                    self._hit(Hit("shared-blacklisted", None, {"pattern": pattern, "name": shown}), location)

    def _hit(self, hit: Hit, location: str) -> None:
        rule = self._engine.catalogue.rules[hit.rule]
        details = self._details(hit.evidence)
        values = _Template(details)
        message = shown(rule.message.format_map(values), 2 * self._limits.evidence_chars)
        place = location if hit.offset is None else f"{location} (pos {hit.offset})"
        finding = Finding(
            id=finding_id(location, hit.rule, hit.offset, message),
            rule=hit.rule,
            severity=hit.severity or rule.severity,
            message=message,
            why=shown(rule.why.format_map(values), 2 * self._limits.evidence_chars),
            location=place,
            offset=hit.offset,
            details=details,
        )
        self._kept.add(finding)
        if self._on_finding is not None:
            self._on_finding(finding)

    def _details(self, evidence: Mapping[str, Scalar | list[str]]) -> Evidence:
        most = self._limits.evidence_chars
        details: Evidence = {}
        for key, value in evidence.items():
            if isinstance(value, str):
                details[key] = shown(value, most)
            elif isinstance(value, list):
                details[key] = [shown(text, most) for text in value[:50]]
            else:
                details[key] = value
        return details

    def _asset(self, asset: Asset, location: str) -> None:
        if len(self._assets) >= self._limits.assets:
            self._assets_cut += 1
            return
        most = self._limits.name_chars
        path = f"{location}:{shown(asset.path, most)}" if asset.path else location
        tensors = tuple(shown(name, most) for name in asset.tensors[: self._limits.tensors_named])
        self._assets.append(Asset(path, asset.type, asset.size, tensors, asset.tensors_total or len(asset.tensors)))
