"""PyTorch archives: storages that are not what the pickle says, source code and native code beside the tensors.

The archive as such, its pickles and its TorchScript are looked at by the scanners of those formats.
"""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Evidence, Hit
from modelaudit.parsers import torch_zip
from modelaudit.parsers.torch_zip import TorchZip
from modelaudit.parsers.zip import ends, names
from modelaudit.parsers.zip.archive import Archive

_SOURCE = (b".py", b".pyc", b".pyo")
_NATIVE = (b".so", b".dll", b".dylib", b".pyd", b".exe")
_SHOWN = 10  # names in one finding


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the zip's directory has the members of a PyTorch archive."""
    return torch_zip.fits(blob)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit]:
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
