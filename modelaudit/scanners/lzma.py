"""LZMA streams of the old `.lzma` kind. Their header is weak: the first bytes must unpack as well."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Child
from modelaudit.unpack import unpacks


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the stream unpacks, at least at its beginning."""
    return unpacks(blob, "lzma", limits)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """The unpacked bytes, as far as anybody reads them."""
    yield Child("unpacked", length=blob.size, codec="lzma")
