"""A zip at the end of bytes that no format claims: Python's zipfile opens those like any other zip."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Child
from modelaudit.parsers.zip import ends
from modelaudit.unpack import UnpackedBlob


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether an end record at the end of `blob` leads to a directory. Reads the last 64 KiB.

    Compressed bytes are only asked when they are few: their end cannot be had without unpacking all of them.
    """
    most = limits.small_archive_bytes
    if isinstance(blob, UnpackedBlob) and len(blob.view(0, most + 1)) > most:
        return False
    end = ends.find(blob)
    return end is not None and not end.empty


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """All of it as a zip; the bytes before the first member come back from there as a child."""
    yield Child("zip", 0, blob.size, format="zip")
