"""Where the tensors of a GGUF file lie, and what lies beside them."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from modelaudit.blob import Blob
from modelaudit.model import Child, Evidence, Hit, Severity
from modelaudit.parsers.gguf import TYPES, Header, Tensor, overflows

_DIMENSIONS = 4  # GGML_MAX_DIMS
_DIMENSIONS_SEEN = 6  # what converters of video models write all the same
_PADDING_BYTES = 64  # nothing fits into less; larger paddings are looked at
_GAPS = 100  # gaps that are looked at
_LOOK_BYTES = 4096


def shapes(header: Header) -> Iterator[Hit]:
    """Hits on tensors that cannot be, each rule once with the first of them."""
    tensors = header.tensors
    many = [tensor for tensor in tensors if len(tensor.shape) > _DIMENSIONS]
    if many:
        worst = max(many, key=lambda tensor: len(tensor.shape))
        evidence: Evidence = {"tensor": worst.name, "dimensions": len(worst.shape), "count": len(many)}
        severity = Severity.INFO if len(worst.shape) <= _DIMENSIONS_SEEN else None
        yield Hit("gguf-dimensions", worst.offset, evidence, severity)
    wrapped = [tensor for tensor in tensors if overflows(tensor)]
    total = sum(tensor.bytes_needed or 0 for tensor in tensors)
    if wrapped or total >= 1 << 63:
        tensor = wrapped[0] if wrapped else tensors[-1]
        yield Hit(
            "gguf-overflow", tensor.offset, {"tensor": tensor.name, "shape": _shape(tensor), "count": len(wrapped)}
        )
    empty = [tensor for tensor in tensors if 0 in tensor.shape[1:]]
    if empty:
        evidence = {"tensor": empty[0].name, "shape": _shape(empty[0]), "count": len(empty)}
        yield Hit("gguf-empty-dimension", empty[0].offset, evidence)
    unknown = [tensor for tensor in tensors if tensor.bytes_needed is None]
    if unknown:
        evidence = {"tensor": unknown[0].name, "type_number": unknown[0].type, "count": len(unknown)}
        yield Hit("gguf-unknown-type", unknown[0].offset, evidence)
    ragged = [tensor for tensor in tensors if tensor.shape and tensor.shape[0] % TYPES.get(tensor.type, (1, 1))[0]]
    if ragged:
        first = ragged[0]
        evidence = {
            "tensor": first.name,
            "row": first.shape[0],
            "block": TYPES[first.type][0],
            "count": len(ragged),
        }
        yield Hit("gguf-row-size", first.offset, evidence)


def _shape(tensor: Tensor) -> str:
    return " × ".join(str(size) for size in tensor.shape)


def layout(blob: Blob, header: Header) -> Iterator[Hit | Child]:
    """Whether the tensors cover the data: once, wholly, and nothing but it."""
    tensors, start = header.tensors, header.data_start
    if not tensors:
        if blob.size > start:
            yield from _rest(blob, header.end, blob.size, header.alignment)
        return
    data_bytes = blob.size - start
    misaligned = [tensor for tensor in tensors if tensor.begin % header.alignment]
    if misaligned:
        first = misaligned[0]
        evidence: Evidence = {
            "tensor": first.name,
            "begin": first.begin,
            "alignment": header.alignment,
            "count": len(misaligned),
        }
        yield Hit("gguf-misaligned", first.offset, evidence)
    disorder = [tensor for before, tensor in pairwise(tensors) if tensor.begin < before.begin]
    if disorder:
        yield Hit("gguf-order", disorder[0].offset, {"tensor": disorder[0].name, "count": len(disorder)})
    outside = [tensor for tensor in tensors if tensor.begin + (tensor.bytes_needed or 0) > data_bytes]
    if outside:
        yield _outside(outside, header, data_bytes)
    if header.data_start - header.end >= _PADDING_BYTES:
        yield from _hidden(blob, "padding", header.end, min(header.data_start, blob.size) - header.end)
    yield from _cover(blob, header, data_bytes)


def _cover(blob: Blob, header: Header, data_bytes: int) -> Iterator[Hit | Child]:
    start, alignment = header.data_start, header.alignment
    end, known, before = 0, True, ""
    overlaps: list[tuple[Tensor, str]] = []
    gaps: list[tuple[int, int]] = []
    for tensor in sorted(header.tensors, key=lambda tensor: tensor.begin):
        stop = tensor.begin + (tensor.bytes_needed or 0)
        if tensor.begin < end and stop > tensor.begin:
            overlaps.append((tensor, before))
        elif tensor.begin > end and known:
            gaps.append((end, tensor.begin - end))
        if stop >= end:
            end, before, known = stop, tensor.name, tensor.bytes_needed is not None
    if overlaps:
        tensor, other = overlaps[0]
        yield Hit("gguf-overlap", tensor.offset, {"tensor": tensor.name, "other": other, "count": len(overlaps)})
    holes = [gap for gap in gaps if gap[1] >= alignment]
    if holes:
        evidence: Evidence = {"begin": start + holes[0][0], "length": holes[0][1], "count": len(holes)}
        yield Hit("gguf-gap", min(start + holes[0][0], blob.size), evidence)
    for place, length in [gap for gap in gaps if gap[1] >= _PADDING_BYTES and gap[0] < data_bytes][:_GAPS]:
        yield from _hidden(blob, "gap", start + place, min(length, data_bytes - place))
    if known and end < data_bytes:
        yield from _rest(blob, start + end, blob.size, alignment)


def _rest(blob: Blob, begin: int, end: int, alignment: int) -> Iterator[Hit | Child]:
    """What follows the last tensor: padding up to the alignment is how files end."""
    length = end - begin
    padding = -begin % alignment
    if length <= min(padding, _PADDING_BYTES):
        return
    if length > padding:
        look = bytes(blob.view(begin, min(length, _LOOK_BYTES)))
        zeros = length <= _LOOK_BYTES and not any(look)
        yield Hit("gguf-trailing", begin, {"length": length}, Severity.INFO if zeros else None)
    yield from _hidden(blob, "trailing bytes", begin, length)


def _hidden(blob: Blob, name: str, begin: int, length: int) -> Iterator[Child]:
    """What lies where no tensor does, from its first byte that is not zero: before it is padding."""
    look = bytes(blob.view(begin, min(length, _LOOK_BYTES)))
    zeros = len(look) - len(look.lstrip(b"\0"))
    if zeros < length:
        yield Child(name, begin + zeros, length - zeros)


def _outside(outside: Sequence[Tensor], header: Header, data_bytes: int) -> Hit:
    """A file that was cut short is told from one whose offsets lie: the former is whole but for its end."""
    ordered = sorted(header.tensors, key=lambda tensor: tensor.begin)
    whole = all(
        before.bytes_needed is not None and 0 <= tensor.begin - before.begin - before.bytes_needed < header.alignment
        for before, tensor in pairwise(ordered)
    )
    first = outside[0]
    needed = max(tensor.begin + (tensor.bytes_needed or 0) for tensor in outside)
    if whole and ordered[0].begin == 0 and data_bytes > 0 and not any(overflows(tensor) for tensor in outside):
        what = f"The data ends after {data_bytes} of {needed} bytes; {len(outside)} tensors are not all there"
        return Hit("gguf-truncated", None, {"what": what})
    evidence: Evidence = {
        "tensor": first.name,
        "starts": str(first.begin),
        "ends": str(first.begin + (first.bytes_needed or 0)),
        "data_bytes": data_bytes,
        "count": len(outside),
    }
    return Hit("gguf-out-of-bounds", first.offset, evidence)
