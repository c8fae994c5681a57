"""LZMA streams of the old `.lzma` kind. They have no magic: the header must check and the first bytes must unpack."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Child
from modelaudit.unpack import begins, unpacks

_MAGICS = (b"\xfd7zXZ", b"LZIP")  # the same family, each a format of its own


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the header is one and the stream unpacks, at least at its beginning."""
    return begins(blob, "lzma") and not bytes(blob.view(0, 5)).startswith(_MAGICS) and unpacks(blob, "lzma", limits)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """The unpacked bytes, as far as anybody reads them."""
    yield Child("unpacked", length=blob.size, codec="lzma")
