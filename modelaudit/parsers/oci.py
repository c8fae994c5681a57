"""Images of containers: the documents that name their layers, and whether bytes have the digest they are named by.

OCI Image Format Specification 1.1 (index, manifest, descriptor), Docker Image Specification 1.2 (`docker save`).
"""

import hashlib
from collections.abc import Iterator

import msgspec

from modelaudit.blob import Blob
from modelaudit.late import late
from modelaudit.limits import MIB

_DIGEST = late(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_SHA256 = late(r"(?:sha256[:-])?([0-9a-f]{64})(?:\.json)?")
_TEXT_BYTES = 4 * MIB  # what registries accept for a manifest


class Descriptor(msgspec.Struct, frozen=True):
    """What a document says about another blob. `size` in bytes."""

    digest: str = ""
    size: int = -1
    mediaType: str = ""
    urls: tuple[str, ...] = ()

    @property
    def sha256(self) -> str | None:
        """The digest in hexadecimal, if it is a SHA-256."""
        return sha256_in(self.digest)

    @property
    def is_path(self) -> bool:
        """Whether what should be a digest would lead somewhere else as part of a path."""
        return bool(self.digest) and not _DIGEST.fullmatch(self.digest) and bool(set(self.digest) & set("/\\"))


class _Root(msgspec.Struct, frozen=True):
    diff_ids: tuple[str, ...] = ()


class Document(msgspec.Struct, frozen=True):
    """An index, a manifest, an image's configuration, or a list of layers by path."""

    schemaVersion: int = 0
    config: Descriptor | None = None
    layers: tuple[Descriptor | str, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    rootfs: _Root | None = None

    def descriptors(self) -> Iterator[Descriptor]:
        """All blobs that are named."""
        yield from [self.config] if self.config is not None else []
        yield from (layer for layer in self.layers if isinstance(layer, Descriptor))
        yield from self.manifests


class Saved(msgspec.Struct, frozen=True, rename="pascal"):
    """One image in the `manifest.json` of `docker save`: paths in the tar."""

    config: str = ""
    layers: tuple[str, ...] = ()
    repo_tags: tuple[str, ...] | None = None


def document(data: bytes) -> Document | None:
    """`data` as a document; None when it is something else."""
    if len(data) > _TEXT_BYTES:
        return None
    try:
        found = msgspec.json.decode(data, type=Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.layers or found.manifests or found.rootfs else None


def saved(data: bytes) -> tuple[Saved, ...]:
    """`data` as the list of `docker save`; empty when it is something else."""
    if len(data) > _TEXT_BYTES:
        return ()
    try:
        found = msgspec.json.decode(data, type=tuple[Saved, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ()
    return tuple(image for image in found if image.layers)


def sha256_in(name: str) -> str | None:
    """The SHA-256 that a blob's name or digest gives, in hexadecimal."""
    found = _SHA256.fullmatch(name)
    return found[1] if found else None


def sha256_of(blob: Blob, offset: int, length: int) -> str:
    """The SHA-256 of bytes of `blob`, in hexadecimal. Asks for all of them at once. Raises `Missing`."""
    blob.require([(offset, length)])
    digest = hashlib.sha256()
    for place in range(offset, offset + length, MIB):
        digest.update(blob.view(place, min(MIB, offset + length - place)))
    return digest.hexdigest()


def codec_of(head: bytes) -> str:
    """How a layer that begins with `head` is packed."""
    if head.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    return "zstd" if head.startswith(b"\x28\xb5\x2f\xfd") else "stored"
