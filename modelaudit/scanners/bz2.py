"""bzip2 streams: what they hold is identified afresh. The engine looks at what follows the stream."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Child
from modelaudit.unpack import begins


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether a block stands behind the magic: three letters alone are text."""
    return begins(blob, "bz2")


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """The unpacked bytes, as far as anybody reads them."""
    yield Child("unpacked", length=blob.size, codec="bz2")
