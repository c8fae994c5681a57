"""Blobs that are named by their SHA-256, as in OCI layouts and Ollama's store: whether they are what the name says.

Nothing is read for it that would not be read anyway: documents, and packed blobs, which are unpacked to be scanned.
"""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import MIB, Limits
from modelaudit.model import Hit
from modelaudit.parsers import oci

_PACKED_BYTES = 256 * MIB  # of a gzip or zstd stream
_PLAIN_BYTES = 1 * MIB  # of anything else


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the name is a SHA-256 and the blob one whose digest costs little."""
    if oci.sha256_in(blob.place.name) is None:
        return False
    beside = blob.place.names()
    if beside is not None and not all(oci.sha256_in(name) and not name.endswith(".json") for name in beside):
        return False  # caches that name files by the digest of their address have others beside them
    return blob.size <= (_PLAIN_BYTES if oci.codec_of(bytes(blob.view(0, 4))) == "stored" else _PACKED_BYTES)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit]:
    """A hit when the bytes have another digest."""
    told = oci.sha256_in(blob.place.name)
    found = oci.sha256_of(blob, 0, blob.size)
    if told is not None and found != told:
        yield Hit("oci-blob-digest", 0, {"digest": told, "found": found})
