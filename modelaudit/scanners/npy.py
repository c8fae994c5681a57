"""NumPy arrays: a header that lies about the data, arrays of objects (which are pickles), what follows the data."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.errors import ParseError
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Evidence, Hit, Note
from modelaudit.parsers.npy import HEADER_MOST_BYTES, parse

_DIMENSIONS = 64  # NPY_MAXDIMS of NumPy 2


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset | Note]:
    """Hold the header against the file's size; the data itself is read only where it is a pickle."""
    try:
        header = parse(blob)
    except ParseError as error:
        yield Note("broken", error.message, error.offset)
        yield Child("after the magic", 6, max(0, blob.size - 6))
        return
    yield Asset("", "npy", blob.size)
    if header.header_length > HEADER_MOST_BYTES:
        yield Hit("npy-long-header", 8, {"length": header.header_length, "allowed": HEADER_MOST_BYTES})
    shape = str(header.shape)[:200]
    if len(header.shape) > _DIMENSIONS or any(size < 0 for size in header.shape):
        yield Hit("npy-dimensions", header.data_start, {"shape": shape, "count": len(header.shape)})
    here = blob.size - header.data_start
    if header.objects:
        yield Hit("npy-object-array", header.data_start, {"descr": header.descr})
        yield Child("objects", header.data_start, here, format="pickle")
        return
    if header.data_bytes > here:
        evidence: Evidence = {"shape": shape, "descr": header.descr, "needed": str(header.data_bytes), "here": here}
        yield Hit("npy-shape", header.data_start, evidence)
    elif 0 <= header.data_bytes < here:
        yield Hit("npy-trailing", header.data_start + header.data_bytes, {"length": here - header.data_bytes})
        yield Child("trailing bytes", header.data_start + header.data_bytes, here - header.data_bytes)
