"""Whole archives one right behind the other: PyTorch's distributed checkpoints are such files.

Source: torch/distributed/checkpoint/filesystem.py (`_FileSystemWriter`): each tensor of a `.distcp` file is a
`torch.save` of its own, and `.metadata` beside it says where each one lies.
"""

from modelaudit.blob import Blob
from modelaudit.parsers.zip import ends
from modelaudit.parsers.zip.ends import CENTRAL_MAGIC, END_BYTES, LOCAL_MAGIC, Directory, End


def pieces(blob: Blob, end: End, most: int) -> tuple[tuple[int, int], ...]:
    """The start and the end of each archive, where `blob` is nothing but archives, else nothing.

    Also nothing where `end`, the end record of the whole, leads to a directory that is neither that of the first nor
    that of the last archive: then some reader sees another archive. Looks for at most `most`. Raises `Missing`.
    """
    if end.end != blob.size or not any(directory.shift for directory in end.directories):
        return ()
    found: list[tuple[int, int]] = []
    directories: list[int] = []
    place = blob.size
    while place > 0 and len(found) < most:
        piece = _piece(blob, place)
        if piece is None:
            return ()
        start, directory = piece
        found.append((start, place))
        directories.append(directory)
        place = start
    if place > 0 or len(found) < 2:
        return ()
    last = (directories[0], found[0][0])
    known = {last, (directories[-1], 0)}
    return tuple(reversed(found)) if all(_lies(one) in known for one in end.directories) else ()


def _lies(directory: Directory) -> tuple[int, int]:
    return directory.start, directory.shift


def _piece(blob: Blob, end: int) -> tuple[int, int] | None:
    """Where the archive that ends at `end`, without a comment, starts, and where its directory does."""
    for claim in ends.claims(blob, end - END_BYTES):
        directory = claim.limit - claim.size
        start = directory - claim.offset
        if 0 <= start < directory and _is(blob, start, LOCAL_MAGIC) and _is(blob, directory, CENTRAL_MAGIC):
            return start, directory
    return None


def _is(blob: Blob, place: int, magic: bytes) -> bool:
    return bytes(blob.view(place, len(magic))) == magic
