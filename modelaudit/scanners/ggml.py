"""GGML files from before GGUF: a header, a vocabulary and tensors that do not add up, and what stands behind."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.errors import ParseError
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Hit, Note
from modelaudit.parsers import ggml
from modelaudit.parsers.zip import ends

_TENSORS_READ = 8  # each costs a question of its own, because the one before says where it is
_VERSION_MOST = 255  # what follows the magic in a text is larger
_MEMORY = 1 << 32  # bytes of one tensor in these formats' own sums


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether a number that makes a header stands behind the magic, and not text."""
    head = bytes(blob.view(0, 8))
    number = int.from_bytes(head[4:], "little")
    if len(head) < 8 or head[:4] not in (ggml.GGML, *ggml.VERSIONS):
        return False
    return not all(0x20 <= byte < 0x7F for byte in head[4:]) if head[:4] == ggml.GGML else 0 < number <= _VERSION_MOST


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset | Note]:
    """Hold the header against itself and against the file's size; the first tensors' places, not their bytes."""
    yield Asset("", "ggml", blob.size)
    end = ends.find(blob)  # no other format claims this file, so an archive behind it would be nobody's
    if end is not None and not end.empty:
        yield Child("archive", 0, blob.size, format="zip")
    try:
        header = ggml.header(blob)
        what = ggml.odd(header)
        if what is not None:
            yield Hit("ggml-header", 4, {"what": what})
            yield Note("broken", f"the GGML header says {what}", 4)
            yield Child("rest", header.end, blob.size - header.end)
        elif header.whole:
            yield from _tensors(blob, header)
    except ParseError as error:
        impossible = error.message.startswith("a ")
        yield Hit("ggml-length" if impossible else "ggml-truncated", error.offset, {"what": error.message})
        yield Note("broken", f"GGML: {error.message}", error.offset)
        if error.offset < blob.size:
            yield Child("rest", error.offset, blob.size - error.offset)


def _tensors(blob: Blob, header: ggml.Header) -> Iterator[Hit | Child]:
    place = ggml.vocabulary_end(blob, header)
    for tensor in ggml.tensors(blob, header, place, _TENSORS_READ):
        if tensor.end is None:
            raise ParseError(f"a tensor of type {tensor.type}, which does not exist", tensor.begin)
        if tensor.end > blob.size:
            if tensor.end - tensor.begin >= _MEMORY and tensor.end > 2 * blob.size:
                what = f"{tensor.end - tensor.begin} bytes for tensor {tensor.name!r}"
                yield Hit("ggml-length", min(tensor.begin, blob.size), {"what": what})
            else:
                what = f"Tensor {tensor.name!r} ends at byte {tensor.end}, the file at {blob.size}"
                yield Hit("ggml-truncated", min(tensor.begin, blob.size), {"what": what})
            return
