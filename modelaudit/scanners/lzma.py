"""LZMA streams of the old `.lzma` kind. They have no magic: the header must check and the first bytes must unpack."""

from collections.abc import Iterator

from modelaudit.blob import Blob, SliceBlob
from modelaudit.limits import KIB, Limits
from modelaudit.model import Child
from modelaudit.parsers.loadable import acts
from modelaudit.unpack import begins, is_lzma_header, unpacks

_MAGICS = (b"\xfd7zXZ", b"LZIP")  # the same family, each a format of its own
_HEAD_BYTES = 16
_TRIED_BYTES = 256 * KIB  # zeros are streams of nothing, one after the other, and weights may be zeros for gigabytes


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the header is one and the stream unpacks, at least at its beginning."""
    head = bytes(blob.view(0, _HEAD_BYTES))
    if head.startswith(_MAGICS) or not is_lzma_header(head):
        return False
    tried = SliceBlob(blob, 0, min(blob.size, _TRIED_BYTES))
    return unpacks(tried, "lzma", limits, acts, certain=begins(blob, "lzma"))


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """The unpacked bytes, as far as anybody reads them."""
    yield Child("unpacked", length=blob.size, codec="lzma")
