"""Random access over bytes of which only some are here.

A scan is a function of the bytes it has. Reading a byte that has not been fetched raises `Missing` with the
range in the coordinates of the root object; the parent fetches it and the scan runs again from the start.
"""

import io
import mmap
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Protocol

from modelaudit.errors import Missing

Names = Mapping[str, int | None]


class Place:
    """Where a blob lies: its name, and the names around it.

    `name` is the last part of the object's path, or a member's name. `folders` are the names that are known,
    by the folder's path below the one that holds the object (`""`: that one itself).
    """

    __slots__ = ("_askable", "_folders", "name")

    def __init__(self, name: str = "", folders: Mapping[str, Names | None] | None = None) -> None:
        self.name = name
        self._folders = folders or {}
        self._askable = folders is not None

    def names(self, folder: str = "") -> Names | None:
        """What lies in `folder`, with sizes in bytes; names of folders end in `/` and have none.

        A symbolic link stands under its name with the size of what it leads to, and once more with `//` behind.
        None where nothing can be known: in an archive, or of a source that cannot tell. Raises `Missing`.
        """
        if folder not in self._folders and self._askable:
            raise Missing(folders=[folder])
        return self._folders.get(folder)

    def leads_elsewhere(self, name: str, folder: str = "") -> bool:
        """Whether `name` in `folder` is a symbolic link, and the blob itself is none, as in caches of links all are."""
        here = self.names()
        there = self.names(folder)
        return there is not None and f"{name}//" in there and (here is None or f"{self.name}//" not in here)


NOWHERE = Place()


class Blob(Protocol):
    """What a scanner or parser reads from. All positions are bytes; negative ones are a caller's bug."""

    place: Place

    @property
    def size(self) -> int:
        """Length in bytes. On a compressed stream this may have to unpack all of it."""

    def view(self, offset: int, length: int, least: int | None = None) -> memoryview:
        """Between `least` and `length` bytes at `offset` (default: exactly `length`), without a copy.

        Shorter only where the blob ends. Raises `Missing` when fewer than `least` bytes are here.
        """

    def require(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Raise one `Missing` for all of `ranges` that are not here: one round instead of many."""


def read(blob: Blob, offset: int, length: int) -> bytes:
    """Exactly `length` bytes at `offset` as a copy; shorter only where the blob ends."""
    return bytes(blob.view(offset, length))


def _union(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


class RootBlob:
    """An object as far as it has been fetched: a buffer of its full size, and the extents that are real.

    `extents` are sorted, disjoint `(offset, length)` pairs. `data` may be empty when nothing is here.
    """

    def __init__(
        self,
        data: bytes | mmap.mmap | memoryview,
        size: int,
        extents: Sequence[tuple[int, int]],
        place: Place = NOWHERE,
    ) -> None:
        self.place = place
        self._data = memoryview(data)
        self.size = size
        self._starts = [start for start, _ in extents]
        self._ends = [start + length for start, length in extents]
        self._viewed: list[tuple[int, int]] = []
        self._low = self._high = 0  # the last of them
        self.is_whole = self._available(0) >= size  # whether every byte is here

    def _available(self, offset: int) -> int:
        index = bisect_right(self._starts, offset) - 1
        return max(0, self._ends[index] - offset) if index >= 0 else 0

    def view(self, offset: int, length: int, least: int | None = None) -> memoryview:
        """See `Blob.view`."""
        if self.is_whole and offset >= 0:  # of local files, which are viewed some forty times each
            end = offset + length
            end = min(end, self.size)
            if end <= offset:
                return memoryview(b"")
            if offset < self._low or end > self._high:
                self._note_viewed(offset, end)
            return self._data[offset:end]
        length = max(0, min(length, self.size - offset))
        least = length if least is None else min(least, length)
        if length == 0:
            return memoryview(b"")
        here = self._available(offset)
        if here < least or here == 0:
            raise Missing([(offset + here, max(least, 1) - here)])
        end = offset + min(length, here)
        self._note_viewed(offset, end)
        return self._data[offset:end]

    def _note_viewed(self, start: int, end: int) -> None:
        viewed = self._viewed
        if viewed:
            first, last = viewed[-1]
            if first <= start <= last:
                if end > last:
                    viewed[-1] = (first, end)
                    self._high = end
                return
        viewed.append((start, end))
        self._low, self._high = start, end
        if len(viewed) > 4096:  # bounded: jumping about a file of a million members must not cost memory
            self._viewed = _union(viewed)
            if len(self._viewed) > 2048:
                self._viewed = [(self._viewed[0][0], self._viewed[-1][1])]

    @property
    def bytes_viewed(self) -> int:
        """Bytes that views have covered, each counted once."""
        return sum(end - start for start, end in _union(self._viewed))

    def require(self, ranges: Sequence[tuple[int, int]]) -> None:
        """See `Blob.require`."""
        absent = []
        for offset, length in ranges:
            wanted = max(0, min(length, self.size - offset))
            here = self._available(offset)
            if wanted > here:
                absent.append((offset + here, wanted - here))
        if absent:
            raise Missing(absent)


class BytesBlob:
    """Bytes that are all here: something decoded or unpacked, or a file read whole."""

    def __init__(self, data: bytes | bytearray | memoryview, place: Place = NOWHERE) -> None:
        self.place = place
        self._data = memoryview(data)
        self.size = len(self._data)

    def view(self, offset: int, length: int, least: int | None = None) -> memoryview:
        """See `Blob.view`."""
        return self._data[offset : offset + max(0, length)]

    def require(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Nothing is ever missing."""


class SliceBlob:
    """`length` bytes of `parent` from `offset`; what is missing is missing in the parent's coordinates."""

    def __init__(self, parent: Blob, offset: int, length: int, place: Place = NOWHERE) -> None:
        self.place = place
        self._parent = parent
        self._offset = offset
        self.size = max(0, length)

    def _clip(self, offset: int, length: int) -> int:
        return max(0, min(length, self.size - offset))

    def view(self, offset: int, length: int, least: int | None = None) -> memoryview:
        """See `Blob.view`."""
        length = self._clip(offset, length)
        least = None if least is None else min(least, length)
        return self._parent.view(self._offset + offset, length, least)

    def require(self, ranges: Sequence[tuple[int, int]]) -> None:
        """See `Blob.require`."""
        self._parent.require([(self._offset + offset, self._clip(offset, length)) for offset, length in ranges])


class BlobFile(io.RawIOBase):
    """A read-only, seekable file object over a blob, for libraries that want one. `Missing` passes through."""

    def __init__(self, blob: Blob) -> None:
        super().__init__()
        self._blob = blob
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset` bytes from `whence`. Raises `ValueError` before the start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._blob.size}[whence]
        if base + offset < 0:
            raise ValueError(f"seek to {base + offset}")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed says WriteableBuffer, which 3.11 cannot name
        """Fill `buffer`, less at the end. Raises `Missing`."""
        piece = self._blob.view(self._position, len(buffer))
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
