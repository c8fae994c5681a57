"""NumPy arrays: a header that lies about the data, arrays of objects (which are pickles), what follows the data."""

from collections.abc import Iterator

from modelaudit.blob import Blob, SliceBlob, read
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.late import late
from modelaudit.limits import MIB, Limits
from modelaudit.model import Asset, Child, Evidence, Hit, Note, Weights
from modelaudit.parsers.npy import HEADER_MOST_BYTES, MAGIC, Header, extent, parse

_FLOATS = late(r"[<>]f[248]")
_DIMENSIONS = 64  # NPY_MAXDIMS of NumPy 2
_ARRAYS_MOST = 100_000  # in one file
_SEARCHED_BYTES = 64 * MIB  # for the next array, behind one of unknown length
_PIECE_BYTES = 1 * MIB


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset | Note | Weights]:
    """Hold each header against the file's size; the data itself is read only where it is a pickle.

    A file may hold several arrays, one behind the other, as `numpy.save` to an open file writes them.
    """
    yield Asset("", "npy", blob.size)
    place = 0
    for _ in range(_ARRAYS_MOST):
        begin = place
        try:
            header = parse(SliceBlob(blob, begin, blob.size - begin))
        except (ParseError, LimitExceeded) as error:
            yield from _unread(blob, begin, error)
            place = _next(blob, begin + len(MAGIC))
            if place == blob.size:
                return
            continue
        yield from _array(header, begin, blob.size)
        end = header.data_bytes
        place = begin + header.data_start + (end or 0)
        if end is None and not header.objects:
            place = _next(blob, place)
        if header.objects or place > blob.size or (end is None and place == blob.size):
            return
        if read(blob, place, len(MAGIC)) != MAGIC:
            break
    if place < blob.size:
        yield Hit("npy-trailing", place, {"length": blob.size - place})
        yield Child("trailing bytes", place, blob.size - place)


def _next(blob: Blob, place: int) -> int:
    """Where another array may begin behind one of unknown length; the size where none does within reach."""
    stop = min(blob.size, place + _SEARCHED_BYTES)
    while place < stop:
        piece = bytes(blob.view(place, _PIECE_BYTES))
        found = piece.find(MAGIC)
        if found >= 0:
            return place + found
        place += max(len(piece) - len(MAGIC) + 1, 1)
    return blob.size


def _array(header: Header, begin: int, size: int) -> Iterator[Hit | Child | Weights]:
    data_start = begin + header.data_start
    here = size - data_start
    if header.header_length > HEADER_MOST_BYTES:
        yield Hit("npy-long-header", begin + 8, {"length": header.header_length, "allowed": HEADER_MOST_BYTES})
    if len(header.shape) > _DIMENSIONS or any(size < 0 for size in header.shape):
        yield Hit("npy-dimensions", data_start, {"shape": header.shape_text, "count": len(header.shape)})
    if header.objects:
        yield Hit("npy-object-array", data_start, {"descr": header.descr})
        yield Child("objects", data_start, here, format="pickle")
    elif header.data_bytes is None:
        yield Child("data", data_start, here)
    elif header.data_bytes > here:
        evidence: Evidence = {
            "shape": header.shape_text,
            "descr": header.descr,
            "takes": str(header.data_bytes),
            "here": here,
        }
        yield Hit("npy-shape", data_start, evidence)
    elif _FLOATS.fullmatch(header.descr) and len(header.shape) >= 2:
        order = header.fortran_order
        yield Weights("array", header.descr, header.shape, data_start, header.data_bytes, True, order, is_data=True)


def _unread(blob: Blob, begin: int, error: ParseError | LimitExceeded) -> Iterator[Hit | Child | Note]:
    """A header that was not understood: say so, and look at what is in it and behind it all the same."""
    part = SliceBlob(blob, begin, blob.size - begin)
    try:
        start, length = extent(part)
    except ParseError:
        start, length = len(MAGIC), 0
    if isinstance(error, LimitExceeded):
        yield Hit("npy-long-header", begin, {"length": max(length, error.asked), "allowed": HEADER_MOST_BYTES})
        yield Note(error.limit, f"the .npy header was not read: {error}", begin)
    else:
        yield Note("broken", error.message, begin + error.offset)
    length = min(length, part.size - start)
    if length > 0:
        yield Child("header", begin + start, length)
    if part.size > start + length:
        yield Child("data", begin + start + length, part.size - start - length)
