"""Compressed joblib files of versions before 0.10: `ZF`, a length in hexadecimal, a zlib stream.

joblib still reads them (joblib.numpy_pickle_compat.read_zfile): the length takes 19 characters, in the
oldest ones 20.
"""

from collections.abc import Iterator

from modelaudit.blob import Blob, read
from modelaudit.limits import Limits
from modelaudit.model import Child

_MAGIC_BYTES = 2
_HEADER_BYTES = 21


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether a number stands behind the two letters, in any spelling that Python takes."""
    try:
        int(read(blob, _MAGIC_BYTES, _HEADER_BYTES - _MAGIC_BYTES), 16)
    except ValueError:
        return False
    return True


def scan(blob: Blob, limits: Limits, /) -> Iterator[Child]:
    """The pickle inside."""
    start = min(blob.size, _HEADER_BYTES + (read(blob, _HEADER_BYTES, 1) == b" "))
    yield Child("unpacked", start, blob.size - start, "zlib")
