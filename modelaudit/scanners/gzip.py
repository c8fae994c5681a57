"""gzip streams (RFC 1952): what they hold is identified afresh, under the name that the header gives it."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Child
from modelaudit.unpack import gzip_header

_HEADER_BYTES = 4096


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """The unpacked bytes, as far as anybody reads them."""
    try:
        _, name = gzip_header(bytes(blob.view(0, _HEADER_BYTES)))
    except ValueError:
        name = None  # the unpacking says what is wrong
    yield Child(name or "unpacked", length=blob.size, codec="gzip")
