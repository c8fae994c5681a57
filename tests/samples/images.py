"""Images of containers, as `docker save` and OCI layouts write them, with whatever the tests want wrong in them."""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence

Entry = tuple[str, bytes] | tarfile.TarInfo


def info(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", **fields: object) -> tarfile.TarInfo:
    """A member without data."""
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def tar(entries: Iterable[Entry], format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of files (name, bytes) and of members without data."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
            else:
                made = tarfile.TarInfo(entry[0])
                made.size = len(entry[1])
                archive.addfile(made, io.BytesIO(entry[1]))
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def docker_save(layers: Sequence[bytes], *, missing: bool = False, told: Sequence[str] = ()) -> bytes:
    """The tar that `docker save` wrote up to version 24. `told` are digests other than the right ones."""
    digests = [f"sha256:{digest}" for digest in (told or [sha256(layer) for layer in layers])]
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": digests}})
    paths = [f"{sha256(layer)[:12]}{'0' * 52}/layer.tar" for layer in layers]
    name = f"{sha256(config.encode())}.json"
    listed = [{"Config": name, "RepoTags": ["model:latest"], "Layers": [*paths, *["gone/layer.tar"] * missing]}]
    files = [*zip(paths, layers, strict=True), (name, config.encode()), ("manifest.json", json.dumps(listed).encode())]
    return tar(files)


def layout(layers: Sequence[bytes], *, wrong: Mapping[int, bytes] | None = None, size: int | None = None) -> bytes:
    """An OCI layout as a tar. `wrong` puts other bytes in place of layers; `size` is told of the first one."""
    blobs: list[tuple[str, bytes]] = []

    def add(data: bytes, kind: str, stored: bytes | None = None, told: int | None = None) -> dict[str, object]:
        blobs.append((f"blobs/sha256/{sha256(data)}", data if stored is None else stored))
        return {"mediaType": kind, "digest": f"sha256:{sha256(data)}", "size": len(data) if told is None else told}

    kind = "application/vnd.oci.image.layer.v1.tar"
    listed = [
        add(
            layer,
            kind + ("+gzip" if layer[:2] == b"\x1f\x8b" else ""),
            (wrong or {}).get(index),
            size if index == 0 else None,
        )
        for index, layer in enumerate(layers)
    ]
    config = add(b'{"architecture": "amd64", "os": "linux"}', "application/vnd.oci.image.config.v1+json")
    manifest = json.dumps({"schemaVersion": 2, "config": config, "layers": listed}).encode()
    index = {"schemaVersion": 2, "manifests": [add(manifest, "application/vnd.oci.image.manifest.v1+json")]}
    marks = [("index.json", json.dumps(index).encode()), ("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')]
    return tar([*blobs, *marks])


def packed(data: bytes) -> bytes:
    """A layer as registries keep it."""
    return gzip.compress(data, mtime=0)
