"""lzip streams, which Python's lzma reads as well. The engine looks at what follows the stream."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Child
from modelaudit.unpack import begins


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the version behind the magic is the one that there is."""
    return begins(blob, "lzip")


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """The unpacked bytes, as far as anybody reads them."""
    yield Child("unpacked", length=blob.size, codec="lzip")
