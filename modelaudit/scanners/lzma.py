"""LZMA streams of the old `.lzma` kind. They have no magic: the header must check and the first bytes must unpack."""

from collections.abc import Iterator

from modelaudit.blob import Blob, BytesBlob, SliceBlob
from modelaudit.limits import KIB, Limits
from modelaudit.model import Child
from modelaudit.parsers import telltale
from modelaudit.parsers.pickle import is_pickle
from modelaudit.unpack import begins, unpacks

_MAGICS = (b"\xfd7zXZ", b"LZIP")  # the same family, each a format of its own
_TRIED_BYTES = 256 * KIB  # zeros are streams of nothing, one after the other, and weights may be zeros for gigabytes


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the header is one and the stream unpacks, at least at its beginning."""
    if not begins(blob, "lzma") or bytes(blob.view(0, 5)).startswith(_MAGICS):
        return False
    return unpacks(SliceBlob(blob, 0, min(blob.size, _TRIED_BYTES)), "lzma", limits, _acts)


def _acts(begun: bytes) -> bool:
    """Whether a stream that is cut short is worth it: a pickle has acted before its reader misses the end.

    Arrays of small integers are such streams too, a few of each thousand.
    """
    return is_pickle(BytesBlob(begun)) or telltale.is_payload(begun)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """The unpacked bytes, as far as anybody reads them."""
    yield Child("unpacked", length=blob.size, codec="lzma")
