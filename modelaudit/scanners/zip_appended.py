"""A zip at the end of bytes that no format claims: Python's zipfile opens those like any other zip."""

from collections.abc import Iterator
from itertools import islice

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Child
from modelaudit.parsers.zip import ends
from modelaudit.parsers.zip.archive import Archive
from modelaudit.parsers.zip.ends import LOCAL_MAGIC
from modelaudit.unpack import UnpackedBlob

_LOOKED_AT = 64  # members; with more than that it is an archive, whatever became of the first ones


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether an end record at the end of `blob` leads to a directory. Reads the last 64 KiB.

    Compressed bytes are only asked when they are few: their end cannot be had without unpacking all of them.
    """
    most = limits.small_archive_bytes
    if isinstance(blob, UnpackedBlob) and len(blob.view(0, most + 1)) > most:
        return False
    end = ends.find(blob)
    return end is not None and not end.empty and _has_members(Archive(blob, end, limits.header_bytes))


def _has_members(archive: Archive) -> bool:
    """Whether something stands where the directory says: a directory cut off from its members is no archive."""
    blob, first = archive.blob, list(islice(archive.members(), _LOOKED_AT))
    places = [place for member in first for place in member.places if place < blob.size]
    blob.require([(place, len(LOCAL_MAGIC)) for place in places])
    found = any(bytes(blob.view(place, len(LOCAL_MAGIC))) == LOCAL_MAGIC for place in places)
    return found or len(first) == _LOOKED_AT


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """All of it as a zip; the bytes before the first member come back from there as a child."""
    yield Child("zip", 0, blob.size, format="zip")
