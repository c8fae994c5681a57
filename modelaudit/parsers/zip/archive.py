"""A zip as its directories tell it: members in the directory's order, each with the places of its header."""

from collections.abc import Iterator

import msgspec

from modelaudit.blob import Blob
from modelaudit.parsers.zip.ends import Directory, End
from modelaudit.parsers.zip.entries import Entry, entries

_KEEP_BYTES = 1 << 20  # a directory up to this size is kept as values; a larger one is parsed again


class Member(msgspec.Struct, frozen=True, gc=False):
    """An entry, and the positions where readers look for its local header, the likeliest first."""

    entry: Entry
    places: tuple[int, ...]


class Read(msgspec.Struct, frozen=True):
    """A directory as read: its bytes from `start` to `end`, how many entries it has and should have."""

    start: int
    end: int
    count: int
    declared: int


class Archive:
    """The members of all directories that readers find, each once, however often it is asked.

    At most `directory_bytes` of each directory are read; `cut` says that there was more.
    """

    def __init__(self, blob: Blob, end: End, directory_bytes: int) -> None:
        self.blob = blob
        self.end = end
        self.reads: tuple[Read, ...] = ()
        self.cut = False
        self._directory_bytes = directory_bytes
        self._kept: list[Member] | None = None

    @property
    def shifted(self) -> bool:
        """Bytes lie before the archive, so that some readers add to every offset and some do not."""
        return any(directory.shift for directory in self.end.directories)

    def members(self) -> Iterator[Member]:
        """Every member. `reads` and `cut` are known when the first pass is over. Raises `Missing`."""
        if self._kept is not None:
            return iter(self._kept)
        if self.reads:
            return self._pass()
        return self._first_pass()

    def _first_pass(self) -> Iterator[Member]:
        total = sum(directory.limit - directory.start for directory in self.end.directories)
        keep: list[Member] | None = [] if total <= _KEEP_BYTES else None
        for member in self._pass():
            if keep is not None:
                keep.append(member)
            yield member
        self._kept = keep

    def _pass(self) -> Iterator[Member]:
        """The directories from the first in the blob; one that starts within another was read with it."""
        directories = sorted(self.end.directories, key=lambda directory: directory.start)
        pending = {directory.start for directory in directories}
        reads: list[Read] = []
        for directory in directories:
            if directory.start not in pending:
                continue
            limit = min(directory.limit, directory.start + self._directory_bytes)
            place, count = directory.start, 0
            for entry in entries(self.blob, directory.start, limit):
                pending.discard(entry.position)
                yield Member(entry, _places(entry, directory))
                place, count = sum(entry.comment), count + 1
            self.cut = self.cut or limit < directory.limit
            reads.append(Read(directory.start, place, count, directory.count))
        self.reads = tuple(reads)


def _places(entry: Entry, directory: Directory) -> tuple[int, ...]:
    if directory.shift == 0:
        return (entry.offset,)
    return tuple(place for place in (entry.offset + directory.shift, entry.offset) if place >= 0)
