"""Where a zip's directory may lie: the end record, its zip64 relatives, and every place readers would look.

Readers disagree. All search the end record backwards, but some trust its offset and some its position minus
its size (which forgives bytes before the archive); some believe zip64 records wherever they stand, some only
where the locator points, some only when the old fields are saturated. All these readings are given.
Source: PKWARE APPNOTE 6.3.10 sections 4.3.14–4.3.16; CPython zipfile; miniz 3; Go archive/zip.
"""

import struct
from collections.abc import Iterator

import msgspec

from modelaudit.blob import Blob

END_MAGIC = b"PK\5\6"
CENTRAL_MAGIC = b"PK\1\2"
LOCAL_MAGIC = b"PK\3\4"

END_BYTES = 22
TAIL_BYTES = END_BYTES + 0xFFFF  # the comment's length is a 16-bit number
_LOCATOR_BYTES = 20
_RECORD_BYTES = 56
_AHEAD_BYTES = 1 << 20  # of a directory, asked for with its first entry; most are smaller
_CANDIDATES = 16  # end records tried, from the last; a file with more is made to waste our time

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_RECORD = struct.Struct("<4sQ2H2L4Q")


class Claim(msgspec.Struct, frozen=True):
    """What one record says of the directory: entries, bytes, and offset from the archive's own start.

    `limit` is the position of the record before which the directory ends, unless the offset leads beyond it.
    """

    count: int
    size: int
    offset: int
    limit: int


class Directory(msgspec.Struct, frozen=True):
    """A central directory that some reader finds: it starts at `start` and ends before `limit`.

    `shift` bytes lie before the archive: to be added to the offsets that its entries declare.
    """

    start: int
    limit: int
    shift: int
    count: int


class End(msgspec.Struct, frozen=True):
    """An end record at `position`, its comment, the zip64 records that belong to it, and the directories.

    `end` is the first byte after the comment, at most the blob's size; `zip64` holds `(offset, length)` of
    the records; `claims` are the distinct ones; `decoys` are positions of later end records that lead nowhere.
    """

    position: int
    end: int
    comment_declared: int
    disk: int
    zip64: tuple[tuple[int, int], ...]
    claims: tuple[Claim, ...]
    directories: tuple[Directory, ...]
    decoys: tuple[int, ...] = ()

    @property
    def empty(self) -> bool:
        """The archive says that it has no members."""
        return not self.directories


def find(blob: Blob) -> End | None:
    """The last end record that leads to a directory, or to none because the archive is empty.

    Readers take the last one; where that leads nowhere some go on to earlier ones, so this does too, and
    says so. `None` when there is no end record at all or none that leads anywhere. Raises `Missing`.
    """
    base = max(0, blob.size - TAIL_BYTES)
    tail = bytes(blob.view(base, TAIL_BYTES))
    decoys: list[int] = []
    place = len(tail)
    for _ in range(_CANDIDATES):
        place = tail.rfind(END_MAGIC, 0, place)
        if place < 0:
            return None
        found = _end_at(blob, base + place, tuple(decoys)) if len(tail) - place >= END_BYTES else None
        if found is not None:
            return found
        decoys.append(base + place)
        place += len(END_MAGIC) - 1  # the next one may end where this one starts
    return None


def claims(blob: Blob, position: int) -> list[Claim]:
    """What the end record at `position` says, and its zip64 relatives; nothing where none without a comment stands."""
    if position < 0:
        return []
    magic, _, _, _, count, size, offset, comment = _END.unpack(blob.view(position, END_BYTES))
    if magic != END_MAGIC or comment:
        return []
    records: list[tuple[int, int]] = []
    found = list(_zip64_claims(blob, position, records))
    return [*found, Claim(count, size, offset, min([position, *(start for start, _ in records)]))]


def _end_at(blob: Blob, position: int, decoys: tuple[int, ...]) -> End | None:
    """The end record at `position`, if it leads somewhere."""
    _, disk, _, _, count, size, offset, comment = _END.unpack(blob.view(position, END_BYTES))
    records: list[tuple[int, int]] = []
    claims = list(_zip64_claims(blob, position, records))
    if not (claims and (count == 0xFFFF or 0xFFFFFFFF in (size, offset))):
        # zipfile goes by the end record where no zip64 record stands right before the locator
        limits = {min([position, *(start for start, _ in records)]), position}
        claims += [Claim(count, size, offset, limit) for limit in sorted(limits)]
    directories = _directories(blob, claims)
    if not directories and not any(claim.count == 0 and claim.size == 0 for claim in claims):
        return None
    return End(
        position,
        min(blob.size, position + END_BYTES + comment),
        comment,
        disk,
        tuple(sorted(records)),
        tuple(dict.fromkeys(claims)),
        directories,
        decoys,
    )


def _zip64_claims(blob: Blob, position: int, records: list[tuple[int, int]]) -> Iterator[Claim]:
    """The claims of the zip64 records before the end record at `position`; their places go to `records`."""
    at = position - _LOCATOR_BYTES
    if at < 0:
        return
    magic, _, pointed, _ = _LOCATOR.unpack(blob.view(at, _LOCATOR_BYTES))
    if magic != b"PK\6\7":
        return
    records.append((at, _LOCATOR_BYTES))
    for place in dict.fromkeys((at - _RECORD_BYTES, pointed)):
        if not 0 <= place <= blob.size - _RECORD_BYTES:  # miniz follows the locator anywhere, into the comment too
            continue
        magic, length, *_, count, size, offset = _RECORD.unpack(blob.view(place, _RECORD_BYTES))
        if magic == b"PK\6\6":
            room = (at if place < at else blob.size) - place
            records.append((place, min(max(length + 12, _RECORD_BYTES), room)))
            yield Claim(count, size, offset, place)


def _directories(blob: Blob, claims: list[Claim]) -> tuple[Directory, ...]:
    """Every place that one of the claims names and where a directory entry stands, the likeliest first."""
    places: dict[int, Directory] = {}
    for claim in claims:
        for start in (claim.limit - claim.size, claim.offset):
            if 0 <= start <= blob.size - len(CENTRAL_MAGIC) and start not in places:
                limit = claim.limit if start < claim.limit else blob.size
                places[start] = Directory(start, limit, start - claim.offset, claim.count)
    blob.require([(start, min(found.limit - start, _AHEAD_BYTES)) for start, found in places.items()])
    return tuple(found for start, found in places.items() if bytes(blob.view(start, 4)) == CENTRAL_MAGIC)
