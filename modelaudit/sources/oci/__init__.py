"""Artifacts and images in OCI registries: each manifest, configuration and layer is an object of its own.

Layers are read by ranges; those that are packed, as far as a scan has to unpack them.
"""

import base64
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import PurePosixPath
from types import TracebackType
from typing import Final, Self

import msgspec

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.interface import Chunk, Source, failed, shown
from modelaudit.sources.oci.address import Reference, reference
from modelaudit.sources.oci.documents import Descriptor
from modelaudit.sources.oci.registry import Manifest, Registry
from modelaudit.sources.web import Web

_DEPTH: Final = 3  # of indexes in indexes
_REMEMBERED: Final = 16  # manifests; their layers come one after the other


class _Key(msgspec.Struct, frozen=True):
    """What it takes to read a target again, written a line each. The name is last: what goes by names looks there."""

    host: str
    repository: str
    manifest: str  # the digest of the manifest that names it
    digest: str  # of the blob; empty for the manifest itself
    name: str

    @classmethod
    def of(cls, written: str) -> Self:
        """The key that `written` stands for."""
        return cls(*written.split("\n", 4))

    def written(self) -> str:
        """The key as a text."""
        return "\n".join((self.host, self.repository, self.manifest, self.digest, self.name))


class Oci(Source):
    """`oci://host/repository:tag`, `…@sha256:…`; without a tag all of them; `oci://host`: the whole catalogue."""

    scheme = "oci"

    def __init__(self, limits: Limits, web: Web, access: Access) -> None:
        self._limits = limits
        self._web = web
        self._access = access
        self._registries: dict[str, Registry] = {}
        self._manifests: OrderedDict[str, Manifest] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The connections are the run's."""

    async def list(self, path: str) -> AsyncIterator[Sequence[Target]]:
        """A page for each manifest. See `Source.list`."""
        try:
            wanted = reference(path)
        except SourceError as error:
            yield [failed("oci://", "", error.reason, error.message)]
            return
        try:
            async for tagged in self._tagged(wanted):
                async for page in self._of(tagged, _DEPTH):
                    yield page
        except SourceError as error:
            yield [failed(wanted.uri, wanted.uri, error.reason, error.message)]

    async def _tagged(self, wanted: Reference) -> AsyncIterator[Reference]:
        """Every tag that `wanted` covers, or the one it names."""
        if wanted.named:
            yield wanted
            return
        registry = self._registry(wanted)
        if wanted.repository:
            async for tags in registry.tags(wanted.repository, f"the tags of {wanted.uri}"):
                for tag in tags:
                    yield msgspec.structs.replace(wanted, tag=tag)
            return
        async for repositories in registry.repositories(f"the catalogue of {wanted.uri}"):
            for repository in repositories:
                async for tagged in self._tagged(msgspec.structs.replace(wanted, repository=repository)):
                    yield tagged

    async def _of(self, wanted: Reference, depth: int) -> AsyncIterator[Sequence[Target]]:
        """What a manifest names; of an index, what each of its manifests names."""
        try:
            manifest = await self._manifest(wanted)
        except SourceError as error:
            yield [failed(wanted.uri, wanted.uri, error.reason, error.message)]
            return
        key = _Key(wanted.host, wanted.repository, manifest.digest, "", "manifest.json")
        own = Target(
            f"{wanted.uri}/manifest.json", key.written(), len(manifest.data), manifest.digest, _hex(manifest.digest)
        )
        targets = [own, *(self._target(manifest, part) for part in manifest.document.members())]
        for first in range(0, len(targets), self._limits.page_objects):
            yield targets[first : first + self._limits.page_objects]
        for part in manifest.document.manifests:
            inner = msgspec.structs.replace(wanted, tag="", digest=part.digest)
            if not part.is_sound or depth == 0:
                why = "an index in an index in an index" if part.is_sound else "a manifest without a digest"
                yield [failed(inner.uri if part.is_sound else wanted.uri, wanted.uri, "bad_answer", why)]
                continue
            async for page in self._of(inner, depth - 1):
                yield page

    def _target(self, manifest: Manifest, part: Descriptor) -> Target:
        wanted = manifest.reference
        uri = f"{wanted.uri}/{shown(_name(part))}"
        key = _Key(wanted.host, wanted.repository, manifest.digest, part.digest, _name(part)).written()
        if not part.is_sound:
            return failed(uri, key, "bad_answer", f"{wanted.uri}: the manifest names something without digest or size")
        skip = None
        if part.urls:
            skip = ("foreign_layer", "the layer is not in the registry but at an address that the manifest gives")
        return Target(uri, key, part.size, part.digest, _hex(part.digest), skip)

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        """One range. See `Source.read`."""
        key = _Key.of(target.key)
        holder = Reference(key.host, key.repository, digest=key.manifest)
        if not key.digest:
            data = (await self._manifest(holder)).data
            return Chunk(data[offset : offset + length], len(data), key.manifest)
        registry = self._registry(holder)
        return await registry.read(key.repository, key.digest, target.uri, target.size, offset, length)

    async def names(self, target: Target, folder: str) -> Mapping[str, int | None] | None:
        """The files that the manifest names; none for the layers of an image. See `Source.names`."""
        key = _Key.of(target.key)
        manifest = await self._manifest(Reference(key.host, key.repository, digest=key.manifest))
        files = {part.title: part.size for part in manifest.document.members() if part.title}
        if key.name not in files:
            return None
        place = PurePosixPath(key.name).parent / folder
        found: dict[str, int | None] = {}
        for name, size in files.items():
            path = PurePosixPath(name)
            if path.is_relative_to(place) and path != place:
                first, *more = path.relative_to(place).parts
                found[shown(first) + ("/" if more else "")] = None if more else size
        return found

    async def _manifest(self, wanted: Reference) -> Manifest:
        """The manifest, asked for once while its layers are in hand."""
        known = self._manifests.get(wanted.uri)
        if known is None:
            known = await self._registry(wanted).manifest(wanted)
        by_digest = Reference(wanted.host, wanted.repository, digest=known.digest)
        self._manifests[by_digest.uri] = known
        self._manifests.move_to_end(by_digest.uri)
        while len(self._manifests) > _REMEMBERED:
            self._manifests.popitem(last=False)
        return known

    def _registry(self, wanted: Reference) -> Registry:
        if wanted.host not in self._registries:
            login = self._access.registry_logins.get(wanted.host)
            self._registries[wanted.host] = Registry(self._web, self._limits, wanted.server, _password(login))
        return self._registries[wanted.host]


def _name(part: Descriptor) -> str:
    return part.title or part.digest or "nothing"


def _hex(digest: str) -> str | None:
    return digest.removeprefix("sha256:") if digest.startswith("sha256:") else None


def _password(login: str | None) -> str | None:
    """`user:password` out of its base64; None where it is none."""
    try:
        return base64.b64decode(login, validate=True).decode() if login else None
    except ValueError:
        return None
