"""Bytes of a zip that its directory does not account for: prefixes, gaps, comments, hidden members."""

from collections.abc import Iterator

from modelaudit.blob import Blob, SliceBlob, read
from modelaudit.model import Child, Hit, Note
from modelaudit.parsers.zip import ends, names
from modelaudit.parsers.zip.archive import Archive
from modelaudit.parsers.zip.ends import END_BYTES, LOCAL_MAGIC
from modelaudit.parsers.zip.layout import Gap, Spans, shared
from modelaudit.parsers.zip.walk import Found, walk
from modelaudit.scanners.zip.members import TEXT, contents

Item = Hit | Child | Note

_SPLIT_MARKS = (b"PK\7\10", b"PK00")  # what spanning tools put before an archive of a single part
_PADDING_BYTES = 4096  # a gap up to this size is padding when it is all zeros


def leftovers(archive: Archive, spans: Spans, told: bool) -> Iterator[Item]:
    """What no member covers and what two cover, once `spans` holds all members.

    `told` says that overlaps have been told of before.
    """
    end = archive.end
    for one in archive.reads:
        spans.add(one.start, one.end)
    for start, length in end.zip64:
        spans.add(start, start + length)
    spans.add(end.position, end.end)
    if not told and (found := shared(spans, archive.blob.size)) is not None:
        yield Hit("zip-overlap", found.start, {"count": found.count, "bytes": found.length})
    yield from _comment(archive)
    gaps = [gap for gap in spans.sweep(archive.blob.size) if isinstance(gap, Gap)]
    archive.blob.require([(gap.start, min(gap.end - gap.start, _PADDING_BYTES)) for gap in gaps])
    for gap in gaps:
        yield from _gap(archive, gap)


def without_directory(blob: Blob) -> Iterator[Item]:
    """Members of what begins like a zip and has no directory that leads anywhere."""
    place = 0
    for found in walk(blob, 0, blob.size):
        yield from _found(blob, found, "")
        place = found.end
    yield Hit("zip-no-directory", 0)
    yield Note("truncated", "the zip has no directory: it is cut off, or no zip")
    if 0 < place < blob.size:
        yield Child("appended", place, blob.size - place)


def _comment(archive: Archive) -> Iterator[Item]:
    start = archive.end.position + END_BYTES
    length = archive.end.end - start
    if length > 0:
        if not TEXT.fullmatch(read(archive.blob, start, length)):
            yield Hit("zip-binary-comment", start, {"name": "the archive", "bytes": length})
        yield Child("comment", start, length)


def _gap(archive: Archive, gap: Gap) -> Iterator[Item]:
    blob, length = archive.blob, gap.end - gap.start
    head = read(blob, gap.start, min(length, _PADDING_BYTES))
    if head in _SPLIT_MARKS or (len(head) == length and not any(head)):
        return
    if head.startswith(LOCAL_MAGIC):
        yield from _hidden(blob, gap)
    elif gap.start == 0:
        yield Hit("zip-prefix", 0, {"bytes": length})
        yield Child("prefix", 0, length)
    elif gap.end == blob.size:
        yield Hit("zip-appended", gap.start, {"bytes": length})
        yield Child("appended", gap.start, length)
    else:
        yield Hit("zip-gap", gap.start, {"bytes": length, "offset": gap.start})
        yield Child(f"gap@{gap.start}", gap.start, length)


def _hidden(blob: Blob, gap: Gap) -> Iterator[Item]:
    """A gap that begins with a local header: a whole archive with a directory of its own, or stray members."""
    inside = SliceBlob(blob, gap.start, gap.end - gap.start)
    if ends.find(inside) is not None:
        yield Hit("zip-hidden-member", gap.start, {"name": "an archive of its own", "bytes": inside.size})
        yield Child(f"archive@{gap.start}", gap.start, inside.size, format="zip")
        return
    place = gap.start
    for found in walk(blob, gap.start, gap.end):
        name, length = names.text(found.local.name), found.end - found.local.position
        yield Hit("zip-hidden-member", found.local.position, {"name": name, "bytes": length})
        yield from _found(blob, found, " (not in the directory)")
        place = found.end
    if place < gap.end:
        yield Child(f"gap@{place}", place, gap.end - place)


def _found(blob: Blob, found: Found, label: str) -> Iterator[Item]:
    name = names.text(found.local.name) + label
    if found.packed or not found.local.name.endswith(b"/"):
        yield from contents(blob, name, found.local, found.local.data, found.packed)
