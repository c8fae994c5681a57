"""What a registry says: the fields of an index or a manifest that lead to bytes (OCI Image 1.1, Docker schema 2)."""

import msgspec

from modelaudit.sources.oci.address import DIGEST

ACCEPTED = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
MOST_BYTES = 4 << 20  # of a manifest; registries take no larger ones
_TITLES = (  # where the file name of a layer stands: ORAS, ModelPack and its forerunner
    "org.opencontainers.image.title",
    "org.cncf.model.filepath",
    "org.cnai.model.filepath",
)
_EMPTY = "application/vnd.oci.empty.v1+json"


class Descriptor(msgspec.Struct, frozen=True):
    """A blob that a document names; `size` in bytes."""

    digest: str = ""
    size: int = -1
    mediaType: str = ""
    urls: tuple[str, ...] = ()
    annotations: dict[str, str] | None = None

    @property
    def title(self) -> str:
        """The path that the file had; empty for a layer of an image."""
        return next((title for name in _TITLES if (title := (self.annotations or {}).get(name))), "")

    @property
    def is_sound(self) -> bool:
        """Whether it can be asked for."""
        return DIGEST.fullmatch(self.digest) is not None and 0 <= self.size < 1 << 63

    @property
    def is_nothing(self) -> bool:
        """Whether it stands where there is nothing to say."""
        return self.mediaType == _EMPTY


class Document(msgspec.Struct, frozen=True):
    """An index (`manifests`) or a manifest (`config` and `layers`)."""

    schemaVersion: int = 0
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    manifests: tuple[Descriptor, ...] = ()
    blobs: tuple[Descriptor, ...] = ()  # of an artifact manifest, as OCI 1.1 had it for a while

    def members(self) -> list[Descriptor]:
        """Everything of a manifest that has bytes worth a look."""
        config = [self.config] if self.config is not None and not self.config.is_nothing else []
        return [*config, *self.layers, *self.blobs]


class Names(msgspec.Struct, frozen=True):
    """A page of the catalogue, or of the tags of a repository."""

    repositories: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
