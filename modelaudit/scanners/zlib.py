"""zlib streams (RFC 1950). They have no magic: the header must check and the first bytes must unpack."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Child
from modelaudit.parsers.loadable import acts
from modelaudit.unpack import unpacks


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the header checks and the stream unpacks, at least at its beginning."""
    head = bytes(blob.view(0, 2))
    if len(head) < 2 or head[0] & 0x0F != 8 or head[0] > 0x78 or int.from_bytes(head, "big") % 31 or head[1] & 0x20:
        return False
    return unpacks(blob, "zlib", limits, acts)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """The unpacked bytes, as far as anybody reads them."""
    yield Child("unpacked", length=blob.size, codec="zlib")
