"""LZ4 frames: what they hold is identified afresh. The engine looks at what follows the stream."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Child
from modelaudit.unpack import begins


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether a frame begins here: what readers skip before it is common to two formats."""
    return begins(blob, "lz4")


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """The unpacked bytes, as far as anybody reads them."""
    yield Child("unpacked", length=blob.size, codec="lz4")
