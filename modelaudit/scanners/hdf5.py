"""HDF5: Keras models of the old format, weights, and any other data. Links and storage outside the file are told.

The configuration of a Keras model, pickles that PyTables keeps in attributes, and what begins as a payload in a
dataset of bytes are children. Tensors are never read.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from modelaudit.blob import Blob, BytesBlob, RootBlob
from modelaudit.errors import ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Evidence, Hit, Note, Severity, Weights
from modelaudit.parsers import pickle, telltale
from modelaudit.parsers.hdf5.attributes import Attribute
from modelaudit.parsers.hdf5.datasets import Dataset
from modelaudit.parsers.hdf5.groups import Link
from modelaudit.parsers.hdf5.superblock import MAGIC, find, parse, places
from modelaudit.parsers.hdf5.walk import Object, objects

_NAMES: Final = (".h5", ".hdf5", ".hdf", ".he5", ".h5ad", ".keras", ".mat", ".nc", ".nc4", ".loom", ".h5py")
_HEAD_BYTES: Final = 48 * 1024  # of an object are always here
_CONFIGURATIONS: Final = frozenset(("model_config", "training_config"))
_KERAS: Final = frozenset(("keras_version", "model_config", "layer_names", "backend", "weight_names"))
_OF_KERAS: Final = late(r"/(?:layers|_layer_checkpoint_dependencies|model_weights|optimizer/vars)(?:/|\Z)")
_PAYLOAD_BYTES: Final = 16
_PAYLOADS: Final = 10_000  # datasets of bytes whose beginnings are looked at
_WEIGHTS: Final = 10_000  # datasets of numbers in one piece
_EACH: Final = 100  # hits of one rule, and notes
_CONFIGURATION: Final = late(rb"\s*\{\s*\"(?:class_name\"|module\":\s*\"k)")  # of Keras, under whatever name
_TEXT_LEAST: Final = 28  # bytes of a text; shorter ones hold no stream
_TEXT_BYTES: Final = 1 << 20  # of a text that may be bytes in disguise
_PADDING_BYTES: Final = 512
_HOPS: Final = 64  # soft links followed one after another
_LINKS: Final = 10_000  # soft links that are looked at for loops
_AWAY: Final = late(r"[a-zA-Z][a-zA-Z0-9+.-]*:|[\\/~]|(?:.*[\\/])?\.\.(?:[\\/]|\Z)")


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the signature stands at the start, or behind a user block. Raises `Missing`."""
    if bytes(blob.view(0, len(MAGIC))) == MAGIC:
        return True
    return blob.size > 512 and find(blob, _looked_for(blob)) is not None


def _looked_for(blob: Blob) -> int:
    """How far into the blob a superblock is looked for: all the way where the name promises one."""
    if blob.place.name.lower().endswith(_NAMES):
        blob.require([(place, len(MAGIC)) for place in places(blob.size, blob.size)])
        return blob.size
    return _HEAD_BYTES if isinstance(blob, RootBlob | BytesBlob) else 1


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset | Note | Weights]:
    """Hits on what leads out of the file, its configurations as children. Raises `ParseError`."""
    place = find(blob, _looked_for(blob))
    if place is None:
        return
    try:
        yield from _contents(blob, place, limits)
    except ParseError:  # others may know what stands behind a damaged beginning
        yield Child("rest", place + len(MAGIC), blob.size - place - len(MAGIC))
        raise


def _contents(blob: Blob, place: int, limits: Limits) -> Iterator[Hit | Child | Asset | Note | Weights]:
    superblock = parse(blob, place, limits)
    if place:
        yield Child("user block", 0, place)
    report = _Report(blob)
    for found in objects(superblock):
        yield from report.object(found)
    yield from report.rest()
    yield from report.weights
    if place < superblock.end < blob.size and not _is_padding(blob, superblock.end):
        yield Child("trailing bytes", superblock.end, blob.size - superblock.end)
    kind = "keras-h5" if report.is_keras else "hdf5"
    yield Asset("", kind, blob.size, tuple(report.tensors), report.tensors_total)


def _is_padding(blob: Blob, end: int) -> bool:
    """Whether no more than a few zeros follow, as old versions of the library left them."""
    return blob.size - end <= _PADDING_BYTES and not any(blob.view(end, _PADDING_BYTES))


class _Report:
    """What is found on the way through the objects; what needs all of them comes at the end."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._outside: list[tuple[str, int, Evidence]] = []
        self._soft: dict[str, str] = {}
        self._bytes: list[tuple[str, int, int]] = []
        self._notes = 0
        self.is_keras = blob.place.name.endswith(".weights.h5")
        self.tensors: list[str] = []
        self.tensors_total = 0
        self.weights: list[Weights] = []

    def object(self, found: Object) -> Iterator[Child | Note | Hit]:
        self.is_keras = self.is_keras or _OF_KERAS.match(found.path) is not None
        for attribute in found.attributes:
            self.is_keras = self.is_keras or attribute.name in _KERAS
            yield from self._attribute(found.path, attribute)
        for link in found.links:
            yield from self._link(found, link)
        if found.dataset is not None:
            self._dataset(found, found.dataset)
            yield from self._note(found.path, found.dataset.trouble, found.offset)
        for error in found.broken:
            yield from self._note(found.path, error.message, error.offset)

    def rest(self) -> Iterator[Hit | Child]:
        """Findings that depend on what the file is, loops, and payloads in datasets."""
        for rule, offset, evidence in self._outside[:_EACH]:
            away = _AWAY.match(str(evidence["file"])) is not None
            yield Hit(rule, offset, evidence, None if away or self.is_keras else Severity.INFO)
        for path in loops(self._soft)[:_EACH]:
            yield Hit("hdf5-link-loop", None, {"path": path, "target": self._soft[path]})
        self._blob.require([(offset, _PAYLOAD_BYTES) for _, offset, _ in self._bytes])
        for path, offset, length in self._bytes:
            head, within = bytes(self._blob.view(offset, _PAYLOAD_BYTES)), min(length, self._blob.size - offset)
            if telltale.is_payload(head):
                yield Child(path.lstrip("/"), offset, within)
            elif _CONFIGURATION.match(head):
                yield Child(path.lstrip("/"), offset, within, format="keras_config")

    def _note(self, path: str, trouble: str, offset: int) -> Iterator[Note]:
        self._notes += bool(trouble)
        if trouble and self._notes <= _EACH:
            yield Note("broken", f"{path}: {trouble}", min(offset, self._blob.size))

    def _attribute(self, path: str, attribute: Attribute) -> Iterator[Child]:
        name = f"{path.lstrip('/')}@{attribute.name}".lstrip("@")
        for value in attribute.values:
            own = attribute.name in _CONFIGURATIONS and (path == "/" or value.lstrip()[:1] == b"{")
            if own or _CONFIGURATION.match(value):
                yield Child(name, data=value.rstrip(b"\0"), format="keras_config")
            elif len(value) >= 4 and _is_payload(value):
                yield Child(name, data=value)
            elif _TEXT_LEAST <= len(value) <= _TEXT_BYTES and value.isascii():
                for data in telltale.payloads(value.decode("ascii").rstrip("\0")):
                    if _is_payload(data):
                        yield Child(name, data=data)

    def _link(self, found: Object, link: Link) -> Iterator[Hit]:
        path = f"{found.path.rstrip('/')}/{link.name}"
        evidence: Evidence = {"path": path, "target": link.target, "file": link.file}
        if link.kind == "external":
            self._outside.append(("hdf5-external-link", found.offset, evidence))
        elif link.kind == "soft" and len(self._soft) < _LINKS:
            self._soft[path] = link.target
        elif link.kind == "other":
            yield Hit("hdf5-unknown-link", found.offset, evidence)

    def _dataset(self, found: Object, dataset: Dataset) -> None:
        self.tensors_total += 1
        if len(self.tensors) < 10_000:
            self.tensors.append(found.path)
        names = [name for name in dataset.sources if dataset.external or name != "."]
        if names:
            rule = "hdf5-external-storage" if dataset.external else "hdf5-virtual-dataset"
            worst = next((name for name in names if _AWAY.match(name)), names[0])
            evidence: Evidence = {"path": found.path, "file": worst, "files": names[:50], "count": len(names)}
            self._outside.append((rule, found.offset, evidence))
        kind = dataset.type
        if kind is not None and kind.floating and dataset.length and len(dataset.shape) >= 2:
            place = (dataset.offset, dataset.length)
            if len(self.weights) < _WEIGHTS and not dataset.external:
                self.weights.append(Weights(found.path, kind.floating, dataset.shape, *place, outputs_last=True))
        if kind is None or not dataset.length or len(self._bytes) >= _PAYLOADS or dataset.external:
            return
        if (kind.is_text or kind.is_byte or kind.is_opaque) and dataset.length >= _PAYLOAD_BYTES:
            self._bytes.append((found.path, dataset.offset, dataset.length))


def _is_payload(value: bytes) -> bool:
    """Whether the value of an attribute is a pickle of any protocol, or begins as something else to be looked at."""
    return pickle.is_pickle(BytesBlob(value)) or telltale.is_payload(value[:_PAYLOAD_BYTES])


def loops(soft: Mapping[str, str]) -> list[str]:
    """The soft links, by path, that come back to themselves when they are followed."""
    found: list[str] = []
    for path in soft:
        at, seen = path, {path}
        for _ in range(_HOPS):
            target = _followed(at, soft)
            if target is None:
                break
            if target in seen:
                found.append(path)
                break
            seen.add(target)
            at = target
        else:
            found.append(path)
    return found


def _followed(path: str, soft: Mapping[str, str]) -> str | None:
    """`path` with the first soft link on the way replaced by where it leads; None where there is none."""
    parts = [part for part in path.split("/") if part and part != "."][:256]
    for count in range(1, len(parts) + 1):
        prefix = "/" + "/".join(parts[:count])
        target = soft.get(prefix)
        if target is not None:
            base = "" if target.startswith("/") else prefix.rpartition("/")[0]
            whole = [part for part in (f"{base}/{target}").split("/") if part and part != "."]
            return "/" + "/".join([*whole, *parts[count:]])[:4096]
    return None
