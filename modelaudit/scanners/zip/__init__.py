"""Zip archives: what their directory says, what stands in the bytes, and every member as a child.

All readings are followed: each directory and each local header that some program would believe. Bytes that
belong to nothing become children too. Tensors of a PyTorch archive that nothing unpickles are not read.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Evidence, Hit, Note
from modelaudit.parsers import torch_zip
from modelaudit.parsers.zip import ends, entries, names, sequence
from modelaudit.parsers.zip.archive import Archive, Member
from modelaudit.parsers.zip.entries import LOCAL_BYTES, Entry, Local
from modelaudit.parsers.zip.layout import Ranges, Spans
from modelaudit.scanners.zip import leftover
from modelaudit.scanners.zip.directory import Directory, of_name
from modelaudit.scanners.zip.members import (
    checksum_differs,
    contents,
    differences,
    fetch_bytes,
    hidden_fields,
    link_target,
)

Item = Hit | Child | Asset | Note

_EXTRA_BYTES = 100  # room for the local header's extra fields, which may be longer than the directory's


def scan(blob: Blob, limits: Limits, /) -> Iterator[Item]:
    """Hits on the archive's structure and names, and a child for each member, gap and comment."""
    if blob.size <= limits.small_archive_bytes:
        blob.require([(0, blob.size)])
    end = ends.find(blob)
    if end is None:
        yield from leftover.without_directory(blob)
    elif parts := sequence.pieces(blob, end, limits.members):
        yield Hit("zip-prefix", 0, {"bytes": parts[-1][0]})
        for start, stop in parts:
            yield Child(f"archive@{start}", start, stop - start)
    else:
        yield from _Scan(Archive(blob, end, limits.header_bytes), limits).items()


class _Scan:
    """One archive on its way. `_spans` collects what its bytes belong to."""

    def __init__(self, archive: Archive, limits: Limits) -> None:
        self._archive = archive
        self._blob = archive.blob
        self._limits = limits
        self._small = archive.blob.size <= limits.small_archive_bytes
        self._directory = Directory(archive, limits)
        self._torch: torch_zip.TorchZip | None = None
        self._tensors: dict[bytes, int] = {}
        self._spans = Spans()
        self._met: set[int] = set()
        self._unpacked: set[int] = set()
        self._lost: list[str] = []
        self._lost_count = 0

    def items(self) -> Iterator[Item]:
        """The directory, then the members, then what is left over."""
        yield from self._directory.items()
        if torch_zip.is_torch(self._archive):
            beside = [] if self._small else self._heads(but_storages=True)
            self._torch = torch_zip.read(self._archive, self._limits, beside)
            self._tensors = {} if self._small else self._torch.tensors
        if not self._small:
            self._fetch()
        for member in self._directory.members():
            end = self._tensors.get(member.entry.name)
            if end is None:
                yield from self._member(member)
            else:
                self._spans.add(member.places[0], end)
                yield Asset(names.text(member.entry.name), "tensor", member.entry.size)
        yield from self._lost_headers()
        if not self._directory.cut:
            yield from leftover.leftovers(self._archive, self._spans, self._directory.overlapping)

    def _fetch(self) -> None:
        """Ask at once for the head of every member that will be looked at, wherever its data start."""
        self._blob.require(self._heads())
        wanted = Ranges(self._limits.coalesce_gap_bytes)
        for entry, place in self._looked_at():
            start = place + entries.local_bytes(self._blob, place)
            wanted.add(place, start - place + fetch_bytes(entry))
            if entry.flags & entries.DESCRIPTOR and not self._trailer(place, start + entry.packed):
                wanted.add(start + entry.packed, max(entries.DESCRIPTOR_BYTES))
        self._blob.require(wanted.merged())

    def _heads(self, but_storages: bool = False) -> list[tuple[int, int]]:
        """Where the members begin, with some room for local extra fields that only the local headers tell of."""
        wanted = Ranges(self._limits.coalesce_gap_bytes)
        for entry, place in self._looked_at():
            if not (but_storages and torch_zip.is_storage(entry.name)):
                around = LOCAL_BYTES + len(entry.name) + len(entry.extra) + _EXTRA_BYTES
                wanted.add(place, around + fetch_bytes(entry))
        return wanted.merged()

    def _looked_at(self) -> Iterator[tuple[Entry, int]]:
        for member in self._directory.members():
            if member.entry.name not in self._tensors:
                yield from ((member.entry, place) for place in member.places if place < self._blob.size)

    def _member(self, member: Member) -> Iterator[Item]:
        entry = member.entry
        found = [header for place in member.places if (header := entries.local(self._blob, place)) is not None]
        if not found:
            self._lost_count += 1
            self._lost += [names.text(entry.name)] if len(self._lost) < 10 else []
        for header in found:
            if len(self._archive.reads) > 1:  # two directories list the same members, perhaps
                if header.position in self._met:
                    continue
                self._met.add(header.position)
            yield from self._located(entry, header)

    def _located(self, entry: Entry, header: Local) -> Iterator[Item]:
        """A member whose local header was found."""
        name = names.text(entry.name)
        fields = differences(entry, header)
        end = header.data + entry.packed
        if entry.flags & entries.DESCRIPTOR:
            trailer = self._trailer(header.position, end) or entries.descriptor_bytes(self._blob, entry, end)
            if not trailer and bytes(self._blob.view(end, 4)) == b"PK\7\10":
                fields.append("data descriptor")
            end += trailer
        self._spans.add(header.position, min(end, self._blob.size))
        if fields:
            other = names.text(header.name)
            yield Hit("zip-header-mismatch", header.position, {"name": name, "fields": fields, "other": other})
            if "name" in fields:
                yield from of_name(other, header.position)
        if end > self._blob.size:
            yield Note("truncated", f"{name}: {end - self._blob.size} bytes beyond the end", header.position)
        yield from self._content_hits(entry, header, name)
        if not (entry.name.endswith(b"/") and not entry.packed):
            yield from self._contents(entry, header, name)
        if entry.method == 0 and entry.packed < entry.size and not entry.flags & entries.ENCRYPTED:
            yield from contents(self._blob, f"{name} (unpacked size)", entry, header.data, entry.size)
        if "method" in fields or "packed size" in fields:
            yield from contents(self._blob, f"{name} (local header)", header, header.data, header.packed)
        yield from hidden_fields(name, header.extra, header.data)

    def _contents(self, entry: Entry, header: Local, name: str) -> Iterator[Item]:
        """The member as a child; the same bytes once, where members share them."""
        code = self._torch is not None and self._torch.is_code(entry.name)
        if self._directory.overlapping:
            same = hash((header.data, entry.packed, entry.method, code))
            if same in self._unpacked:
                return
            self._unpacked.add(same)
        for item in contents(self._blob, name, entry, header.data, entry.packed):
            yield replace(item, format="torchscript") if code and isinstance(item, Child) else item

    def _trailer(self, position: int, end: int) -> int:
        """Length of the data descriptor after data that end at `end`, where it need not be read to be known.

        In a large archive it is what lies between the data and the next member, if that is as long as one.
        """
        following = None if self._small else self._directory.starts.after(position)
        return following - end if following is not None and following - end in entries.DESCRIPTOR_BYTES else 0

    def _content_hits(self, entry: Entry, header: Local, name: str) -> Iterator[Item]:
        encrypted = entry.flags & entries.ENCRYPTED
        summed = entry.crc or self._torch is None  # PyTorch can be told to leave the CRC out
        most = max(self._limits.unpack_ratio * entry.packed, self._limits.unpack_ratio_floor_bytes)
        if entry.method and entry.size > most:
            yield Hit("zip-bomb", entry.position, {"name": name, "packed": entry.packed, "size": entry.size})
        if entry.method == 0 and entry.packed != entry.size and not encrypted:
            yield Hit("zip-stored-size", entry.position, {"name": name, "packed": entry.packed, "size": entry.size})
        elif summed and not encrypted and checksum_differs(self._blob, entry, header.data):
            yield Hit("zip-crc", header.position, {"name": name})
        if entry.mode & 0o170000 == 0o120000:
            target = link_target(self._blob, entry, header.data)
            leads_out = target is not None and names.link_escapes(name, target)
            rule = "zip-symlink-escape" if leads_out else "zip-symlink"
            yield Hit(rule, header.position, {"name": name, "target": target})

    def _lost_headers(self) -> Iterator[Item]:
        if self._lost_count:
            evidence: Evidence = {"count": self._lost_count, "names": self._lost, "name": self._lost[0]}
            yield Hit("zip-no-local-header", None, evidence)
            yield Note("broken", f"{self._lost_count} members have no data where the directory says")
