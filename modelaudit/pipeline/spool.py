"""Where the fetched ranges of one object lie, and which ranges to fetch next."""

import errno
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from modelaudit.errors import SourceError
from modelaudit.limits import Limits

Range = tuple[int, int]  # (offset, length) in bytes

_HASHED_BYTES = 1 << 20  # at a time
_JUMP_BYTES = 4096  # the least to fetch at a place that does not continue what is here


class Spool:
    """A sparse, nameless file of the object's size that holds the ranges fetched so far.

    Small objects lie in memory (memfd), larger ones in an unlinked temporary file. `descriptor` is
    read-only and is what a worker gets. Raises `SourceError("too_large")` for a size that no file can have.
    """

    def __init__(self, size: int, limits: Limits, folder: Path | None = None) -> None:
        self.size = size
        self.extents: list[Range] = []
        self.bytes_fetched = 0
        if size <= limits.memfd_bytes:
            self._file = os.memfd_create("modelaudit", os.MFD_CLOEXEC)
        else:
            import tempfile  # slow to load, and most objects need no file

            self._file, name = tempfile.mkstemp(prefix="modelaudit-", dir=folder)
            os.unlink(name)
        try:
            os.ftruncate(self._file, size)
            self.descriptor = os.open(f"/proc/self/fd/{self._file}", os.O_RDONLY | os.O_CLOEXEC)
        except (OSError, OverflowError) as error:
            os.close(self._file)
            if isinstance(error, OverflowError) or error.errno == errno.EFBIG:
                raise SourceError("too_large", f"no file of this machine can be {size} bytes long") from error
            raise

    def add(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset`. Raises `SourceError("spool_full")` when the disk has no room."""
        view = memoryview(data)
        place = offset
        while view:
            try:
                written = os.pwrite(self._file, view, place)
            except OSError as error:
                import tempfile

                raise SourceError(
                    "spool_full",
                    f"no room for {len(data)} bytes in {tempfile.gettempdir()}: {error.strerror}; set TMPDIR",
                ) from error
            view, place = view[written:], place + written
        self.bytes_fetched += len(data)
        self.extents = merge([*self.extents, (offset, len(data))])

    @property
    def is_whole(self) -> bool:
        """Whether every byte of the object is here."""
        return self.extents == [(0, self.size)]

    def sha256(self) -> str:
        """The SHA-256 of the object, all of which is here, in hexadecimal. Blocks."""
        digest = hashlib.sha256()
        for place in range(0, self.size, _HASHED_BYTES):
            digest.update(os.pread(self._file, _HASHED_BYTES, place))
        return digest.hexdigest()

    def close(self) -> None:
        """Give the bytes back to the system."""
        os.close(self.descriptor)
        os.close(self._file)


def merge(ranges: Iterable[Range], gap: int = 0) -> list[Range]:
    """Sorted, disjoint ranges that cover `ranges`; those at most `gap` bytes apart become one."""
    merged: list[Range] = []
    for offset, length in sorted(ranges):
        if merged and offset <= merged[-1][0] + merged[-1][1] + gap:
            start = merged[-1][0]
            merged[-1] = (start, max(merged[-1][0] + merged[-1][1], offset + length) - start)
        elif length > 0:
            merged.append((offset, length))
    return merged


def absent(ranges: Iterable[Range], extents: Sequence[Range], size: int) -> list[Range]:
    """What of `ranges` lies inside an object of `size` bytes and is not covered by `extents` (merged)."""
    holes: list[Range] = []
    for offset, length in merge(ranges):
        place, end = offset, min(offset + length, size)
        for start, here in extents:
            if start + here <= place:
                continue
            if start >= end:
                break
            if start > place:
                holes.append((place, start - place))
            place = start + here
        if place < end:
            holes.append((place, end - place))
    return holes


class ReadAhead:
    """Turns what a scan needs into what to fetch: far ahead while it reads on, little when it jumps."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._step = limits.head_bytes

    def first(self, size: int, head_bytes: int, tail_bytes: int) -> list[Range]:
        """The ranges worth fetching before the first scan of an object of `size` bytes."""
        if size <= self._limits.whole_object_bytes:
            return [(0, size)]
        head = min(size, max(head_bytes, self._limits.head_bytes))
        tail = min(tail_bytes, size - head)
        return merge([(0, head), (size - tail, tail)], self._limits.coalesce_gap_bytes)

    def next(self, needed: Sequence[Range], extents: Sequence[Range], size: int) -> list[Range]:
        """The ranges to fetch for a scan that cannot go on without `needed`; empty if it has them all."""
        if not absent(needed, extents, size):
            return []
        ends = {start + length for start, length in extents}
        sequential = any(offset in ends for offset, _ in needed)
        if sequential:
            self._step = min(2 * self._step, self._limits.read_ahead_max_bytes)
        wanted = [(offset, max(length, self._step if offset in ends else _JUMP_BYTES)) for offset, length in needed]
        holes = absent(merge(wanted, self._limits.coalesce_gap_bytes), extents, size)
        here = sum(length for _, length in extents) + sum(length for _, length in holes)
        if holes and here >= self._limits.whole_fraction * size and size <= self._limits.spool_object_bytes:
            holes = absent([(0, size)], extents, size)
        return [piece for hole in holes for piece in _pieces(hole, self._limits.read_ahead_max_bytes)]


def _pieces(hole: Range, most: int) -> list[Range]:
    offset, length = hole
    return [(place, min(most, offset + length - place)) for place in range(offset, offset + length, most)]
