"""Images of containers in a tar, from `docker save` or as an OCI layout: what is a layer, and the layers' digests."""

from collections.abc import Iterator

from modelaudit.blob import Blob, read
from modelaudit.limits import MIB, Limits
from modelaudit.model import Asset, Child, Evidence, Hit
from modelaudit.parsers import oci
from modelaudit.parsers.tar.header import BLOCK_BYTES, HARD_LINK, SYMBOLIC_LINK, is_header
from modelaudit.parsers.tar.walk import Member

_PACKED_BYTES = 256 * MIB  # packed layers up to this size have their digest taken: they are read to be unpacked anyway
_PLAIN_BYTES = 16 * MIB  # others, of which only headers would be read otherwise
_DOCUMENTS = 256  # indexes and manifests that are followed
_MARKS = frozenset(("manifest.json", "index.json", "oci-layout"))


class Image:
    """What the documents in a tar say about its members; nothing, where it is no image."""

    def __init__(self, blob: Blob, members: list[Member], limits: Limits) -> None:
        self._blob = blob
        self._most = limits.text_bytes
        self._layers: dict[int, str] = {}
        self._sizes: list[tuple[Member, int]] = []
        self._missing: dict[str, None] = {}
        self._by_name = {member.name.removeprefix("./"): member for member in members if not member.name.endswith("/")}
        self._nemo = "model_config.yaml" in self._by_name and any(name.endswith(".ckpt") for name in self._by_name)
        if not _MARKS.isdisjoint(self._by_name):
            self._saved()
            self._layout()

    def items(self) -> Iterator[Hit | Asset]:
        """What the tar is, and what its documents say that is not so."""
        if self._nemo:
            yield Asset("", "nemo", self._blob.size)
        if not self._layers:
            return
        yield Asset("", "container image", self._blob.size)
        if self._missing:
            names = list(self._missing)
            yield Hit("tar-image-missing", None, {"name": names[0], "names": names[:50], "count": len(names)})
        for member, told in self._sizes:
            if member.size != told:
                yield Hit("tar-image-size", member.at, {"name": member.name, "size": member.size, "told": told})

    def layer(self, member: Member) -> Iterator[Hit | Child]:
        """The member as a layer; nothing, if it is none."""
        digest = self._layers.get(member.at)
        if digest is None or not member.size:
            return
        head = read(self._blob, member.offset, BLOCK_BYTES)
        codec = oci.codec_of(head)
        here = max(0, min(member.size, self._blob.size - member.offset))
        name = f"layer sha256:{digest}" if digest else f"layer {member.name}"
        known = codec != "stored" or is_header(head)
        if digest and here <= (_PLAIN_BYTES if codec == "stored" else _PACKED_BYTES):
            found = oci.sha256_of(self._blob, member.offset, here)
            if found != digest:
                evidence: Evidence = {"name": member.name, "digest": digest, "found": found}
                yield Hit("tar-image-digest", member.at, evidence)
        yield Child(name, member.offset, here, codec, format="oci_layer" if known else None)

    def _saved(self) -> None:
        """The images that `docker save` lists: layers by path, their digests in the configuration."""
        for image in oci.saved(self._text("manifest.json")):
            config = oci.document(self._text(image.config))
            told = config.rootfs.diff_ids if config is not None and config.rootfs is not None else ()
            for index, path in enumerate(image.layers):
                member = self._find(path)
                if member is None:
                    self._missing[path] = None
                    continue
                digest = oci.sha256_in(path.rpartition("/")[2])
                if digest is None and index < len(told) and not self._is_packed(member):
                    digest = oci.sha256_in(told[index])  # that of the layer when it is not packed
                self._layers[member.at] = digest or ""

    def _layout(self) -> None:
        """An OCI layout: from the index to the manifests to the layers."""
        todo, seen = ["index.json"], set[str]()
        while todo and len(seen) < _DOCUMENTS:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            found = oci.document(self._text(name))
            if found is None:
                continue
            for told in found.descriptors():
                member = self._blob_of(told)
                if member is not None and told.size >= 0:
                    self._sizes.append((member, told.size))
            for layer in found.layers:
                member = self._blob_of(layer) if isinstance(layer, oci.Descriptor) else None
                if member is not None and isinstance(layer, oci.Descriptor):
                    self._layers[member.at] = layer.sha256 or ""
            todo += [f"blobs/{told.digest.replace(':', '/', 1)}" for told in found.manifests[:_DOCUMENTS]]

    def _blob_of(self, told: oci.Descriptor) -> Member | None:
        """The blob with that digest; of an image for several systems, only some need be here."""
        return self._find(f"blobs/{told.digest.replace(':', '/', 1)}")

    def _find(self, path: str) -> Member | None:
        """The member at `path`; older versions of Docker put links where layers are the same."""
        for _ in range(8):
            member = self._by_name.get(path.removeprefix("./"))
            if member is None or member.kind not in (SYMBOLIC_LINK, HARD_LINK):
                return member
            folder = path.rpartition("/")[0] if member.kind == SYMBOLIC_LINK else ""
            path = _joined(folder, member.link)
        return None

    def _text(self, name: str) -> bytes:
        member = self._find(name)
        return read(self._blob, member.offset, member.size) if member and member.size <= self._most else b""

    def _is_packed(self, member: Member) -> bool:
        return oci.codec_of(read(self._blob, member.offset, 4)) != "stored"


def _joined(folder: str, target: str) -> str:
    parts: list[str] = []
    for part in f"{folder}/{target}".split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)
