"""What is wrong with a zip's directory: names, flags, duplicates, counts, and directories that disagree."""

from collections.abc import Iterator

from modelaudit.blob import read
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Child, Evidence, Hit, Note, Severity
from modelaudit.parsers.zip import entries, names
from modelaudit.parsers.zip.archive import Archive, Member
from modelaudit.parsers.zip.entries import LOCAL_BYTES, Entry
from modelaudit.parsers.zip.layout import Spans, Starts, shared
from modelaudit.scanners.zip.members import TEXT

Item = Hit | Child | Note

# Names made of other characters only need no closer look; most names are.
_NOTABLE = late(rb"[\x00-\x1f\x7f-\xff\\:]|\.\.|^/")
_PYTHON_VERSION = 63  # CPython's zipfile refuses members that need more (6.3)
# Of an array store in a zip, which is only ever appended to: what describes it stands there again after each change.
_STORE = (".zattrs", ".zarray", ".zgroup", ".zmetadata", "zarr.json")
_REFUSED = entries.PATCHED | entries.STRONG | entries.MASKED
_PLAIN_FLAGS = 0x0006 | entries.DESCRIPTOR | entries.UTF8


class Directory:
    """The first pass over an archive's members; it counts them, and stops at `Limits.members`.

    `starts` is where members and directories begin; `overlapping` says that members share bytes; `cut` says that
    there were more members, so that what they cover is not known.
    """

    def __init__(self, archive: Archive, limits: Limits) -> None:
        self._archive = archive
        self._most = limits.members
        self._names: set[int] = set()
        self._folded: set[int] = set()
        self._claimed = Spans()
        self.starts = Starts()
        self.overlapping = False
        self.count = 0
        self.cut = False

    def items(self) -> Iterator[Item]:
        """Hits, and a child for each comment. Raises `Missing` for the whole directory at once."""
        for member in self._archive.members():
            if self.count >= self._most:
                yield Note("members", f"the archive has more than {self._most} members")
                self.cut = True
                break
            self.count += 1
            self._claim(member)
            yield from self._entry(member.entry)
        for one in self._archive.reads:
            self.starts.add(one.start)
        yield from self._overlaps()
        yield from self._disagreements()

    def members(self) -> Iterator[Member]:
        """The members that were counted, again."""
        for index, member in enumerate(self._archive.members()):
            if index >= self.count:
                return
            yield member

    def _entry(self, entry: Entry) -> Iterator[Item]:
        if _NOTABLE.search(entry.name):
            yield from of_name(names.text(entry.name), entry.position)
        if entry.extra and (path := entries.unicode_path(entry.name, entry.extra)) not in {None, entry.name}:
            yield from _of_unicode_path(entry, path or b"")
        if entry.flags & ~_PLAIN_FLAGS or entry.version & 0xFF > _PYTHON_VERSION:
            yield from _of_flags(entry)
        yield from self._duplicates(entry)
        offset, length = entry.comment
        if length:
            name = names.text(entry.name)
            if not TEXT.fullmatch(read(self._archive.blob, offset, length)):
                yield Hit("zip-binary-comment", offset, {"name": name, "bytes": length})
            yield Child(f"{name} (comment)", offset, length)
        if names.is_special(entry.mode):
            yield Hit("zip-special-file", entry.position, {"name": names.text(entry.name), "mode": oct(entry.mode)})

    def _claim(self, member: Member) -> None:
        """Note what the member takes up at least: its local header may have another name and an extra field."""
        place = member.places[0]
        self.starts.add(place)
        self._claimed.add(place, place + LOCAL_BYTES + member.entry.packed)

    def _overlaps(self) -> Iterator[Hit]:
        """Told before any member is unpacked, as unpacking them all may not end in time."""
        found = shared(self._claimed, self._archive.blob.size)
        if found is not None and len(self._archive.reads) == 1:
            self.overlapping = True
            yield Hit("zip-overlap", found.start, {"count": found.count, "bytes": found.length})

    def _duplicates(self, entry: Entry) -> Iterator[Hit]:
        name = entry.name
        exact, lower = hash(name), name.lower()
        folded = exact if lower == name else hash(lower)  # one object for both, mostly
        if not name.endswith(b"/"):
            if exact in self._names:
                text = names.text(name)
                severity = Severity.INFO if text.rpartition("/")[2] in _STORE else None
                yield Hit("zip-duplicate-name", entry.position, {"name": text}, severity)
            elif folded in self._folded:
                yield Hit("zip-folded-name", entry.position, {"name": names.text(name)})
        self._names.add(exact)
        self._folded.add(folded)

    def _disagreements(self) -> Iterator[Item]:
        """Directories that readers disagree about, and what they say of themselves."""
        end, reads = self._archive.end, self._archive.reads
        for position in end.decoys:
            yield Hit("zip-decoy-end", position)
        if len(reads) > 1:
            places = [str(one.start) for one in reads]
            yield Hit("zip-two-directories", reads[0].start, {"count": len(reads), "places": places})
        for claim in end.claims:
            if all(claim.count % 0x10000 != one.count % 0x10000 for one in reads) and (reads or claim.count):
                actual = max((one.count for one in reads), default=0)
                yield Hit("zip-entry-count", end.position, {"declared": claim.count, "count": actual})
        if self._archive.cut:
            self.cut = True
            yield Note("header_bytes", "the zip's directory is larger than any real one and was not read to its end")


def of_name(name: str, position: int) -> Iterator[Hit]:
    """What is wrong with a member's name, as text, that stands at `position`."""
    evidence: Evidence = {"name": name}
    if names.escapes(name):
        yield Hit("zip-traversal", position, evidence)
    elif names.climbs(name):
        yield Hit("zip-parent-name", position, evidence)
    elif names.is_drive(name) or names.is_absolute(name):
        array = name.endswith(".npy") and "\\" not in name  # arrays are called by paths, and are not unpacked to disk
        yield Hit("zip-absolute-name", position, evidence, Severity.INFO if array else None)
    elif "\\" in name:
        yield Hit("zip-backslash-name", position, evidence)
    if names.has_control(name):
        yield Hit("zip-control-character", position, evidence)


def _of_unicode_path(entry: Entry, path: bytes) -> Iterator[Hit]:
    """Info-ZIP's second name: ordinary beside a name that is not ASCII, a trick beside one that is."""
    other = names.text(path)
    if path.isascii() and entry.name.isascii():
        yield Hit("zip-unicode-path", entry.position, {"name": names.text(entry.name), "other": other})
    yield from of_name(other, entry.position)


def _of_flags(entry: Entry) -> Iterator[Hit]:
    evidence: Evidence = {
        "name": names.text(entry.name),
        "flags": f"{entry.flags:#06x}",
        "version": entry.version & 0xFF,
    }
    if entry.flags & _REFUSED:
        yield Hit("zip-refused-flags", entry.position, evidence)
    elif entry.flags & entries.RESERVED:
        yield Hit("zip-reserved-flags", entry.position, evidence)
    if entry.version & 0xFF > _PYTHON_VERSION:
        yield Hit("zip-refused-version", entry.position, evidence)
