"""Indexes and manifests of container images, and lists of layers by path: where they lead, and whether it is there.

Registries, Ollama and `.manifest` files use the same shape. The layers themselves are objects of their own.
"""

from collections.abc import Iterator

from modelaudit.blob import Blob, Names, read
from modelaudit.limits import Limits
from modelaudit.model import Evidence, Hit
from modelaudit.parsers import oci
from modelaudit.parsers.zip import names

_HEAD_BYTES = 4096
_MARKS = (b'"schemaVersion"', b'"layers"', b'"Layers"')
_KNOWN_HOSTS = (
    "https://mcr.microsoft.com/",
    "https://go.microsoft.com/",
)  # layers of Windows that only it may give out
_SHOWN = 50


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the blob begins like JSON and names what such documents have."""
    if bytes(blob.view(0, 1)) not in (b"{", b"[") or blob.size > limits.text_bytes:
        return False
    head = bytes(blob.view(0, _HEAD_BYTES))
    return any(mark in head for mark in _MARKS) and _documents(blob) is not None


def _documents(blob: Blob) -> tuple[oci.Document | None, tuple[oci.Saved, ...]] | None:
    data = read(blob, 0, blob.size)
    found = oci.document(data) if data[:1] == b"{" else None
    saved = oci.saved(data) if data[:1] == b"[" else ()
    is_image = found is not None and (found.schemaVersion == 2 or any(found.layers))
    return (found, saved) if saved or is_image else None


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit]:
    """Hits on references that lead elsewhere, on layers that are not there, and on sizes that differ."""
    documents = _documents(blob)
    if documents is None:
        return
    found, saved = documents
    paths = [path for image in saved for path in (image.config, *image.layers) if path]
    if found is not None:
        paths += [layer for layer in found.layers if isinstance(layer, str)]
        yield from _of_descriptors(list(found.descriptors()), blob)
        if found.layers and found.manifests:
            yield Hit("oci-manifest-two-kinds", 0, {})
    absent = []
    for path in paths:
        if names.is_absolute(path) or names.is_drive(path) or names.escapes(path):
            yield Hit("oci-manifest-reference", 0, {"reference": path})
        elif not path.startswith(("http://", "https://")) and not _is_there(path, blob):
            absent.append(path)
    yield from _missing(absent)


def _of_descriptors(told: list[oci.Descriptor], blob: Blob) -> Iterator[Hit]:
    beside = _blobs(blob) if told else None
    absent = []
    for item in told:
        if item.is_path:
            yield Hit("oci-manifest-reference", 0, {"reference": item.digest})
        foreign = [url for url in item.urls if not url.startswith(_KNOWN_HOSTS)]
        if foreign:
            yield Hit("oci-manifest-foreign-layer", 0, {"digest": item.digest, "urls": foreign[:_SHOWN]})
        digest = item.sha256
        if beside is None or digest is None:
            continue
        size = next((beside[name] for name in (digest, f"sha256-{digest}") if name in beside), -1)
        if size == -1:
            absent.append(item.digest)
        elif size is not None and item.size >= 0 and size != item.size:
            yield Hit("oci-manifest-size", 0, {"digest": item.digest, "size": size, "told": item.size})
    yield from _missing(absent)


def _blobs(blob: Blob) -> Names | None:
    """The folder where the blobs are: of a layout, or the one this document lies in itself. None if unknown."""
    if oci.sha256_in(blob.place.name.removesuffix(".json")):
        return blob.place.names()
    if blob.place.name == "index.json" and "blobs/" in (blob.place.names() or ()):
        return blob.place.names("blobs/sha256")
    return None


def _is_there(path: str, blob: Blob) -> bool:
    """Whether `path`, below the document's folder, is there, or cannot be known not to be."""
    folder, _, name = path.removeprefix("./").rpartition("/")
    beside = blob.place.names()
    if beside is None or (folder and f"{folder.partition('/')[0]}/" not in beside):
        return beside is None
    within = blob.place.names(folder) if folder else beside
    return within is None or name in within


def _missing(absent: list[str]) -> Iterator[Hit]:
    if absent:
        evidence: Evidence = {"reference": absent[0], "references": absent[:_SHOWN], "count": len(absent)}
        yield Hit("oci-manifest-missing", 0, evidence)
