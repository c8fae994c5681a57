"""PyTorch archives: storages that are not what the pickle says, source code and native code beside the tensors.

The archive as such, its pickles and its TorchScript are looked at by the scanners of those formats.
"""

import math
from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Evidence, Hit, Weights
from modelaudit.parsers import torch_zip
from modelaudit.parsers.torch_zip import TorchZip
from modelaudit.parsers.zip import ends, names, sequence
from modelaudit.parsers.zip.archive import Archive

_SOURCE = (b".py", b".pyc", b".pyo")
_NATIVE = (b".so", b".dll", b".dylib", b".pyd", b".exe")
_FLOATS = {"Double": "<f8", "Float": "<f4", "Half": "<f2", "BFloat16": "<bf16"}
_ITEM_BYTES = {"Double": 8, "Float": 4, "Half": 2, "BFloat16": 2}
_SHOWN = 10  # names in one finding


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the zip's directory has the members of a PyTorch archive."""
    if not torch_zip.fits(blob):
        return False
    end = ends.find(blob)
    return end is None or not sequence.pieces(blob, end, limits.members)  # of those each is looked at by itself


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Weights]:
    """What makes this archive an unusual PyTorch file."""
    end = ends.find(blob)
    if end is None:
        return
    archive = Archive(blob, end, limits.header_bytes)
    if not torch_zip.is_torch(archive):
        return
    found = torch_zip.read(archive, limits)
    yield from _storages(found)
    source: list[bytes] = []
    native: list[bytes] = []
    for member in archive.members():
        name = member.entry.name
        if name.lower().endswith(_SOURCE) and not found.is_code(name):
            source.append(name)
        elif name.lower().endswith(_NATIVE) or b".so." in name.lower():
            native.append(name)
    if source:
        yield Hit("pytorch-python-source", None, _named(source))
    if native:
        yield Hit("pytorch-native-code", None, _named(native))
    yield from _weights(found)


def _weights(found: TorchZip) -> Iterator[Weights]:
    """The tensors that lie in one piece: row by row, or as the transpose of one that does."""
    for tensor, offset, length in found.shapes:
        dtype = _FLOATS[tensor.kind]
        size = math.prod(tensor.shape) * _ITEM_BYTES[tensor.kind]
        start = tensor.start * _ITEM_BYTES[tensor.kind]
        if start + size > length:
            continue
        if tensor.strides == _strides(tensor.shape):
            yield Weights(tensor.name, dtype, tensor.shape, offset + start, size)
        elif tensor.strides == _strides(tensor.shape[::-1])[::-1]:
            yield Weights(tensor.name, dtype, tensor.shape, offset + start, size, is_fortran=True)


def _strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """What PyTorch gives to a tensor of this shape that lies row by row."""
    return tuple(math.prod(shape[index + 1 :]) for index in range(len(shape)))


def _storages(found: TorchZip) -> Iterator[Hit]:
    for one in found.mismatches:
        evidence: Evidence = {"name": names.text(one.name), "declared": one.declared, "stored": one.stored}
        yield Hit("pytorch-storage-size", one.position, evidence)
    if found.absent:
        yield Hit("pytorch-storage-absent", None, _named(found.absent))
    if not (found.has_data or found.is_package or found.is_other):
        yield Hit("pytorch-no-data")


def _named(found: list[bytes] | tuple[bytes, ...]) -> Evidence:
    shown = [names.text(name) for name in found[:_SHOWN]]
    return {"count": len(found), "names": shown, "name": shown[0]}
