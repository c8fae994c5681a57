"""Where the bytes of tensors are: in the model, in another file, or where they should not be."""

from collections.abc import Iterator, Sequence

from modelaudit.blob import Blob
from modelaudit.late import late
from modelaudit.model import Child, Evidence, Hit, Weights
from modelaudit.parsers import telltale
from modelaudit.parsers.onnx import TYPE_BITS, Model, Tensor

AWAY = late(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\~]|^[A-Za-z]:|^[A-Za-z][A-Za-z0-9+.-]+://|[\x00-\x1f]")
_MEMORY = "_ORT_MEM_ADDR_"
_KEYS = frozenset(("location", "offset", "length", "checksum", "basepath"))
_PREPACKED = "prepacked_"  # ONNX Runtime notes down with this where weights lie that it has laid out for a processor
_NUMBER = late(r"\s*[+-]?\d{1,30}\s*")
_FOLDERS_MOST = 16  # folders of external data that are looked into; each costs a listing
_CHILDREN = 64
_HEAD_BYTES = 16
_ADDRESSES = 1 << 63
_FLOATS = {1: "<f4", 10: "<f2", 11: "<f8", 16: "<bf16"}
_FLOAT_TYPES = {1: 4, 14: 8}  # bytes that an element has among packed floats; doubles below
_DOUBLE_TYPES = {11: 8, 15: 16}


def tensors(blob: Blob, model: Model) -> Iterator[Hit]:
    """Hold every tensor against its shape, and those that lie elsewhere against the names beside the model."""
    elsewhere = [tensor for tensor in model.tensors if tensor.external or tensor.elsewhere]
    yield from _paths(elsewhere)
    yield from _keys(elsewhere)
    yield from _files(blob, [tensor for tensor in elsewhere if tensor.elsewhere])
    yield from _shapes(model.tensors)


def held(blob: Blob, model: Model) -> Iterator[Child]:
    """Tensors that begin like something that is no weights."""
    raws = [(tensor, *tensor.raw) for tensor in model.tensors if tensor.raw is not None]
    raws += [(tensor, start, end) for tensor in model.tensors for start, end in tensor.strings]
    raws = [(tensor, start, end) for tensor, start, end in raws if end - start >= _HEAD_BYTES]
    blob.require([(start, _HEAD_BYTES) for _, start, _ in raws])  # most are here: they stand behind the headers
    found = [raw for raw in raws if telltale.is_payload(blob.view(raw[1], _HEAD_BYTES))]
    yield from (Child(f"tensor {tensor.name}", start, end - start) for tensor, start, end in found[:_CHILDREN])


def weights(model: Model) -> Iterator[Weights]:
    """The initializers of floating numbers whose bytes are in the model. Matrices have their outputs last."""
    for tensor in model.tensors:
        if tensor.initializer and tensor.raw is not None and tensor.data_type in _FLOATS and len(tensor.dims) >= 2:
            start, end = tensor.raw
            last = len(tensor.dims) == 2
            yield Weights(tensor.name, _FLOATS[tensor.data_type], tensor.dims, start, end - start, last)


def _location(tensor: Tensor) -> str:
    return next((value for key, value in reversed(tensor.external) if key == "location"), "")


def _number(tensor: Tensor, name: str) -> int | None:
    value = next((value for key, value in reversed(tensor.external) if key == name), None)
    return int(value) if value is not None and _NUMBER.fullmatch(value) else None


def _paths(elsewhere: Sequence[Tensor]) -> Iterator[Hit]:
    locations = [
        (tensor, value) for tensor in elsewhere for key, value in tensor.external if key == "location" and value
    ]
    memory = [(tensor, value) for tensor, value in locations if _MEMORY in value]
    if memory:
        tensor, value = memory[0]
        offset = next((text for key, text in tensor.external if key == "offset"), "0")
        evidence: Evidence = {"tensor": tensor.name, "location": value, "starts": offset, "count": len(memory)}
        yield Hit("onnx-memory-address", tensor.place, evidence)
    outside: dict[str, list[Tensor]] = {}
    for tensor, value in locations:
        if AWAY.search(value) and _MEMORY not in value:
            outside.setdefault(value, []).append(tensor)
    for value, those in list(outside.items())[:20]:
        evidence = {"tensor": those[0].name, "location": value, "count": len(those)}
        yield Hit("onnx-external-path", those[0].place, evidence)


def _keys(elsewhere: Sequence[Tensor]) -> Iterator[Hit]:
    odd = [
        (tensor, key)
        for tensor in elsewhere
        for key, _ in tensor.external
        if key not in _KEYS and not key.startswith(_PREPACKED)
    ]
    if odd:
        tensor, key = odd[0]
        yield Hit("onnx-external-key", tensor.place, {"tensor": tensor.name, "key": key, "count": len(odd)})


def _files(blob: Blob, elsewhere: Sequence[Tensor]) -> Iterator[Hit]:
    """Whether the files are there, and long enough."""
    folders: set[str] = set()
    missing: dict[str, Tensor] = {}
    linked: dict[str, Tensor] = {}
    beyond: list[tuple[Tensor, int, int, int | None]] = []
    for tensor in elsewhere:
        location = _location(tensor)
        offset = _number(tensor, "offset") or 0
        length = _number(tensor, "length")
        needed = _needed(tensor) or 0
        end = offset + (needed if length is None else length)
        size = None
        path = location.replace("\\", "/").removeprefix("./")
        folder, _, name = path.rpartition("/")
        if location and not AWAY.search(location) and _MEMORY not in location:
            folders.add(folder)
            names = blob.place.names(folder) if len(folders) <= _FOLDERS_MOST else None
            if names is not None and name not in names:
                missing.setdefault(location, tensor)
            elif names is not None and blob.place.leads_elsewhere(name, folder):
                linked.setdefault(location, tensor)
            size = names.get(name) if names is not None else None
        if offset < 0 or (length or 0) < 0 or end >= _ADDRESSES or (size is not None and end > size):
            beyond.append((tensor, offset, end, size))
    for rule, found in (("onnx-external-missing", missing), ("onnx-external-link", linked)):
        if found:
            location, tensor = next(iter(found.items()))
            evidence: Evidence = {"tensor": tensor.name, "location": location, "count": len(found)}
            yield Hit(rule, tensor.place, evidence)
    if beyond:
        tensor, offset, end, size = beyond[0]
        evidence = {
            "tensor": tensor.name,
            "location": _location(tensor),
            "starts": str(offset),
            "ends": str(end),
            "held": "no such place" if size is None else f"{size} bytes",
            "count": len(beyond),
        }
        yield Hit("onnx-external-bounds", tensor.place, evidence)


def _count(tensor: Tensor) -> int:
    """The number of elements, or -1 where no memory holds as many."""
    count = 1
    for size in tensor.dims:
        count *= size
        if size < 0 or count >= _ADDRESSES:
            return -1
    return count


def _needed(tensor: Tensor) -> int | None:
    """Bytes of the elements, None where they cannot be known."""
    bits, count = TYPE_BITS.get(tensor.data_type), _count(tensor)
    return None if bits is None or count < 0 else (count * bits + 7) // 8


def _shapes(every: Sequence[Tensor]) -> Iterator[Hit]:
    impossible: list[Tensor] = []
    wrong: list[tuple[Tensor, int, int]] = []
    for tensor in every:
        needed = _needed(tensor)
        if _count(tensor) < 0 or (needed is not None and needed >= _ADDRESSES):
            impossible.append(tensor)
        elif needed is not None and not tensor.segmented:
            lengths = [] if tensor.raw is None or tensor.elsewhere else [tensor.raw[1] - tensor.raw[0]]
            if tensor.elsewhere and _number(tensor, "length") is not None:
                lengths.append(_number(tensor, "length") or 0)
            elif tensor.raw is None and not tensor.elsewhere:
                lengths += _packed(tensor)
            wrong += [(tensor, length, needed) for length in lengths if length != needed and length]
    if impossible:
        first = impossible[0]
        yield Hit("onnx-shape", first.place, {"tensor": first.name, "shape": _shape(first), "count": len(impossible)})
    if wrong:
        first, length, needed = wrong[0]
        evidence: Evidence = {
            "tensor": first.name,
            "shape": _shape(first),
            "length": length,
            "needed": needed,
            "count": len(wrong),
        }
        yield Hit("onnx-size-mismatch", first.place, evidence)


def _packed(tensor: Tensor) -> list[int]:
    """Bytes of the tensor that its packed floats or doubles make, where it has them."""
    if tensor.data_type in _FLOAT_TYPES and tensor.float_bytes:
        return [tensor.float_bytes]
    if tensor.data_type in _DOUBLE_TYPES and tensor.double_bytes:
        return [tensor.double_bytes]
    return []


def _shape(tensor: Tensor) -> str:
    return " × ".join(str(size) for size in tensor.dims[:16])
