"""Requests to one registry: its catalogue, tags, manifests and blobs (OCI Distribution 1.1)."""

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urljoin

import msgspec

from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.sources.interface import Chunk
from modelaudit.sources.oci.address import Reference, is_repository, is_tag
from modelaudit.sources.oci.documents import ACCEPTED, MOST_BYTES, Document, Names
from modelaudit.sources.oci.login import ADVICE, Login
from modelaudit.sources.paging import Way
from modelaudit.sources.ranges import Headers, Place
from modelaudit.sources.web import Service, Web
from modelaudit.sources.web.client import origin

_NEXT = re.compile(r"<([^>]{1,2000})>\s*;[^,]*\brel=\"?next\"?", re.IGNORECASE)
_NAMES = 1000  # asked for in a page


class Manifest(msgspec.Struct, frozen=True):
    """A manifest or an index as it came, with the digest of its bytes."""

    reference: Reference
    digest: str
    data: bytes
    document: Document


class Registry:
    """One registry. `password` is `user:password`, should there be a login for it."""

    def __init__(self, web: Web, limits: Limits, server: str, password: str | None) -> None:
        self._server = server
        self._service = Service(web, limits, server, Login(web, server, password), ADVICE)

    async def repositories(self, what: str) -> AsyncIterator[list[str]]:
        """All repositories, a page at a time. Raises `SourceError`; many registries do not tell."""
        async for names in self._paged(f"{self._server}/v2/_catalog?n={_NAMES}", what):
            yield [name for name in names.repositories or () if is_repository(name)]

    async def tags(self, repository: str, what: str) -> AsyncIterator[list[str]]:
        """All tags of a repository, a page at a time. Raises `SourceError`."""
        async for names in self._paged(f"{self._server}/v2/{repository}/tags/list?n={_NAMES}", what):
            yield [name for name in names.tags or () if is_tag(name)]

    async def manifest(self, wanted: Reference) -> Manifest:
        """The manifest or index of a tag or digest. Raises `SourceError`, `digest` when it is not the one asked for."""
        url = f"{self._server}/v2/{wanted.repository}/manifests/{wanted.named}"
        page = await self._service.page(url, wanted.uri, headers={"Accept": ACCEPTED})
        algorithm = wanted.digest.partition(":")[0] or "sha256"
        digest = f"{algorithm}:{hashlib.new(algorithm, page.body).hexdigest()}"
        told = wanted.digest or page.headers.get("docker-content-digest", digest)
        if told.startswith("sha256:") and algorithm == "sha256" and told != digest:
            raise SourceError("digest", f"{wanted.uri}: the manifest has another digest than the registry says")
        if wanted.digest and digest != wanted.digest:
            raise SourceError("digest", f"{wanted.uri}: the registry gives a manifest with another digest")
        if len(page.body) > MOST_BYTES:
            raise SourceError("bad_answer", f"{wanted.uri}: a manifest of more than {MOST_BYTES} bytes")
        try:
            document = msgspec.json.decode(page.body, type=Document)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise SourceError("bad_answer", f"{wanted.uri}: what the registry gives is no manifest") from None
        if document.schemaVersion != 2:
            raise SourceError("unsupported_manifest", f"{wanted.uri}: a manifest of another schema than version 2")
        return Manifest(wanted, digest, page.body, document)

    async def read(self, repository: str, digest: str, uri: str, size: int | None, offset: int, length: int) -> Chunk:
        """A range of a blob. Raises `SourceError`; see `Source.read`."""
        url = f"{self._server}/v2/{repository}/blobs/{digest}"
        return await self._service.read(url, Place(uri, size), offset, length, _unversioned)

    async def _paged(self, url: str, what: str) -> AsyncIterator[Names]:
        way = Way(what)
        while True:
            names, headers = await self._service.json(url, Names, what)
            yield names
            found = _NEXT.search(headers.get("link", ""))
            if found is None:
                return
            url = self._next(url, found[1], what)
            way.go_on(url)

    def _next(self, url: str, link: str, what: str) -> str:
        with suppress(ValueError):
            onward = urljoin(url, link)
            if origin(onward) == origin(self._server):
                return onward
        raise SourceError("bad_answer", f"{what}: the next page is to be somewhere else")


def _unversioned(headers: Headers) -> None:
    """A blob is what its digest says: no header of a store behind the registry says more."""
