"""SHA-256 of objects, for inventories: of what was read anyway, or of everything where that was asked for."""

import hashlib
import os
from collections.abc import Awaitable, Callable
from typing import Final, Literal

import anyio
import anyio.to_thread

# Whose digests a run computes itself: nobody's, those of objects all of whose bytes were read, everybody's.
Hashes = Literal["none", "read", "all"]

_PIECE_BYTES: Final = 8 << 20
_AHEAD: Final = 4  # pieces on their way at a time


def of_file(descriptor: int, size: int) -> str | None:
    """The digest of the first `size` bytes behind `descriptor`, in hexadecimal; None when there are fewer.

    Blocks for as long as the disk takes. Raises `OSError`.
    """
    digest = hashlib.sha256()
    place = 0
    while place < size:
        piece = os.pread(descriptor, min(_PIECE_BYTES, size - place), place)
        if not piece:
            return None
        digest.update(piece)
        place += len(piece)
    return digest.hexdigest()


async def of_ranges(size: int, read: Callable[[int, int], Awaitable[bytes]]) -> str:
    """The digest of an object of `size` bytes that `read(offset, length)` gives. Raises what `read` raises."""
    digest = hashlib.sha256()
    for first in range(0, size, _AHEAD * _PIECE_BYTES):
        pieces: dict[int, bytes] = {}

        async def fetch(offset: int, pieces: dict[int, bytes] = pieces) -> None:
            pieces[offset] = await read(offset, min(_PIECE_BYTES, size - offset))

        async with anyio.create_task_group() as group:
            for offset in range(first, min(size, first + _AHEAD * _PIECE_BYTES), _PIECE_BYTES):
                group.start_soon(fetch, offset)
        for offset in sorted(pieces):
            await anyio.to_thread.run_sync(digest.update, pieces[offset])
    return digest.hexdigest()
