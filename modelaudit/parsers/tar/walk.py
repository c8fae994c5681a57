"""From header to header through a tar, with as few questions as the sizes of its members allow."""

from collections.abc import Iterator

import msgspec

from modelaudit.blob import Blob, read
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import KIB, MIB
from modelaudit.parsers.tar import pax
from modelaudit.parsers.tar import sparse as maps
from modelaudit.parsers.tar.header import (
    BLOCK_BYTES,
    DEVICES,
    EXTENDED,
    FOLDER,
    HARD_LINK,
    LONG_LINK,
    LONG_NAME,
    PAX_GLOBAL,
    PLAIN_OLD,
    SPARSE,
    SYMBOLIC_LINK,
    Header,
    is_header,
    padded,
    read_header,
    text,
)

_EXTENDED_BYTES = 1 << 20  # a long name or a pax record; paths are at most 4096 bytes
_NEAR_BYTES = 1 * MIB  # where headers are nearer than this, reading on is quicker than asking for each
_WINDOW_BYTES = (256 * KIB, 32 * MIB)  # read at once where they are near: at first, and in the end
_GUESSES = 256  # headers asked for at once where the members before were all of one size
_RESYNC_BYTES = 64 * MIB  # searched for the next header behind damage, as GNU tar does
_WITHOUT_DATA = frozenset((HARD_LINK, SYMBOLIC_LINK, FOLDER, *DEVICES))


class Member(msgspec.Struct):
    """One member: `offset` and `size` of its stored bytes, `kind` as the header's type flag, `at` its header.

    `names` are what readers call it, `name` being the one that most do; `odd` are words for what they disagree
    about: `size`, `two-sizes`, `two-names`, `global`, `records`, `link-data`. `other_size` is the size in the header
    where another one overrides it. `broken` says why the map of a sparse member could not be read.
    """

    name: str
    kind: bytes
    offset: int
    size: int
    link: str
    at: int
    names: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    other_size: int | None = None
    sparse: maps.Sparse | None = None
    broken: str = ""


class Damage(msgspec.Struct, frozen=True):
    """Bytes from `start` to `end` where a header should be; at `end` is the next one, or nothing more."""

    start: int
    end: int


class _Told(msgspec.Struct):
    """What the extended headers before a member say about it."""

    names: list[str] = msgspec.field(default_factory=list)
    links: list[str] = msgspec.field(default_factory=list)
    records: pax.Records = msgspec.field(default_factory=lambda: pax.Records([]))
    odd: list[str] = msgspec.field(default_factory=list)
    others: list[str] = msgspec.field(default_factory=list)
    any: bool = False


class Walk:
    """One way through `blob`. `place` is where it stands, in bytes: at the end, where the archive ends."""

    def __init__(self, blob: Blob, place: int = 0) -> None:
        self._blob = blob
        self.place = place
        self._global = pax.Records([])
        self._asked = 0  # bytes up to here were asked for
        self._run = _WINDOW_BYTES[0] // 2  # half of what to read on
        self._last = place
        self._stride = 0
        self._alike = 0
        self._count = 0
        self._mean = 0

    def items(self) -> Iterator[Member | Damage]:
        """The members, and what stands where one should. Raises `Missing`, `LimitExceeded`."""
        told = _Told()
        while self.place + BLOCK_BYTES <= self._blob.size:
            at = self.place
            if not told.any:
                self._ask(at)
            block = read(self._blob, at, BLOCK_BYTES)
            header = _header(block)
            if header is None:
                if not block.strip(b"\0"):
                    return
                end = self._next_header(at)
                yield Damage(at, end)
                self.place, told = end, _Told()
            elif header.kind in EXTENDED:
                self._extended(header, at, told)
            else:
                member = self._member(header, block, at, told)
                yield member
                told = _Told() if told.any else told

    def _ask(self, place: int) -> None:
        """Ask for the header at `place` and, where it is likely that they are needed, for those that follow.

        What is asked depends on the bytes before `place` alone, so that the same way is gone again with more bytes.
        """
        stride, self._last = place - self._last, place
        self._count += 1
        self._mean += (stride - self._mean) // max(1, min(self._count - 1, 32))
        self._alike = self._alike + 1 if stride == self._stride else 0
        self._stride = stride
        if place < self._asked:
            return
        if self._mean < _NEAR_BYTES:
            self._run = min(2 * self._run, _WINDOW_BYTES[1])
            self._blob.require([(place, self._run)])
            self._asked = place + self._run
        elif self._alike:
            count = min(2**self._alike, _GUESSES)
            self._blob.require([(place + index * stride, BLOCK_BYTES) for index in range(count)])
            self._asked = place + (count - 1) * stride + 1  # and where a guess is wrong, reading tells
        else:
            self._run = _WINDOW_BYTES[0] // 2
            self._asked = place

    def _member(self, header: Header, block: bytes, at: int, told: _Told) -> Member:
        name, data, size = header.name, at + BLOCK_BYTES, header.size
        member = Member(name, header.kind, data, size, header.link, at)
        if told.any or self._global.pairs or header.alias or header.odd:
            self._apply(member, header, told)
        if header.kind == SPARSE:
            try:
                member.sparse = maps.old_gnu(self._blob, at, block)
                member.offset = member.sparse.data
            except ParseError as error:
                member.broken = error.message
        folder = header.kind == PLAIN_OLD and member.name.endswith("/")  # of v7: readers take it for one
        if header.kind in _WITHOUT_DATA or folder:
            member.size = self._after_link(member, folder)
        self.place = member.offset + padded(member.size)
        return member

    def _after_link(self, member: Member, folder: bool) -> int:
        """The size of what follows a member that has no data: of those that claim some, readers disagree."""
        if not member.size or is_header(read(self._blob, member.offset, BLOCK_BYTES)):
            member.odd = (*member.odd, "link-data") if member.size else member.odd
            return 0
        after = member.offset + padded(member.size)
        if folder or after >= self._blob.size:
            return member.size
        following = read(self._blob, after, BLOCK_BYTES)
        return member.size if is_header(following) or not following.strip(b"\0") else 0

    def _apply(self, member: Member, header: Header, told: _Told) -> None:
        """Let what comes before the member override what its own header says."""
        odd = [*told.odd, *header.odd]
        both = pax.Records([*self._global.pairs, *told.records.pairs])
        names = [*told.names, *told.others]
        if not told.names:
            names += [name for name in (header.alias, self._global.get("path")) if name]
        member.links = tuple(dict.fromkeys([*told.links, member.link]))
        if len(set(told.names)) > 1 or len(set(told.links)) > 1:
            odd.append("two-names")
        member.name = names[-1] if told.names else member.name
        member.link = told.links[-1] if told.links else member.link
        member.names = tuple(dict.fromkeys([member.name, *names]))
        size = both.number("size")
        if size is not None and size != member.size:
            if size < pax.LARGE_BYTES:
                member.other_size = member.size
                odd.append("two-sizes")
            member.size = size
        member.sparse = maps.of_pax(self._blob, both, member.offset, member.size)
        member.odd = tuple(dict.fromkeys(odd))

    def _extended(self, header: Header, at: int, told: _Told) -> None:
        if header.size > _EXTENDED_BYTES:
            raise LimitExceeded("tar_header_bytes", header.size, _EXTENDED_BYTES)
        data = read(self._blob, at + BLOCK_BYTES, header.size)
        self.place = at + BLOCK_BYTES + padded(header.size)
        told.any = True
        told.odd += header.odd
        if header.kind == LONG_NAME:
            told.names.append(text(data))
        elif header.kind == LONG_LINK:
            told.links.append(text(data))
        else:
            self._records(header.kind, pax.records(data), told)

    def _records(self, kind: bytes, records: pax.Records, told: _Told) -> None:
        if records.broken:
            told.odd.append("records")
        if kind == PAX_GLOBAL:
            if any(key in ("path", "linkpath", "size") or key.startswith("GNU.sparse") for key, _ in records.pairs):
                told.odd.append("global")
            self._global.pairs = [*self._global.pairs, *records.pairs][-256:]
            return
        path, link, sparse_name = (records.get(key) for key in ("path", "linkpath", "GNU.sparse.name"))
        if sparse_name:  # it is meant to replace the path beside it
            told.others += [path] if path else []
            path = sparse_name
        told.names += [path] if path else []
        told.links += [link] if link else []
        told.records.pairs += records.pairs

    def _next_header(self, place: int) -> int:
        """Where the next header is, for readers that look for one behind damage; else the end of the blob."""
        end = min(self._blob.size, place + _RESYNC_BYTES)
        for start in range(place + BLOCK_BYTES, end, MIB):
            piece = read(self._blob, start, MIB)
            for inner in range(0, len(piece), BLOCK_BYTES):
                if is_header(piece[inner : inner + BLOCK_BYTES]):
                    return start + inner
        return self._blob.size


def _header(block: bytes) -> Header | None:
    if not is_header(block):
        return None
    try:
        return read_header(block)
    except ParseError:
        return None


def members(blob: Blob) -> Iterator[Member]:
    """The members of `blob` in order, damage left out. Raises `Missing`, `LimitExceeded`."""
    return (item for item in Walk(blob).items() if isinstance(item, Member))


def end_of(blob: Blob, place: int, most: int) -> int:
    """Where what follows the empty blocks at `place` begins. Raises `LimitExceeded` behind `most` bytes of them."""
    begun = place
    while place + BLOCK_BYTES <= blob.size:
        piece = read(blob, place, MIB)
        filled = len(piece) - len(piece.lstrip(b"\0"))
        if filled < len(piece):
            return place + filled // BLOCK_BYTES * BLOCK_BYTES
        place += filled
        if place - begun > most:
            raise LimitExceeded("header_bytes", blob.size - begun, most)
    return min(place, blob.size)
