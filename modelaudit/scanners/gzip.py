"""gzip streams (RFC 1952): what they hold is identified afresh, under the name that the header gives it."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Child
from modelaudit.unpack import gzip_header


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """The unpacked bytes, as far as anybody reads them."""
    try:
        _, name = gzip_header(lambda most: bytes(blob.view(0, most)))
    except ValueError:
        name = None  # the unpacking says what is wrong
    name = "".join(letter for letter in (name or "").replace("\\", "/").rpartition("/")[2] if letter.isprintable())
    yield Child(name or "unpacked", length=blob.size, codec="gzip")
