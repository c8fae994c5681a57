"""Requests to one Artifactory: what it knows of files and folders, and their bytes."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.sources.interface import Chunk
from modelaudit.sources.jfrog.address import Place
from modelaudit.sources.jfrog.documents import Info, Known, Listing
from modelaudit.sources.ranges import Headers
from modelaudit.sources.ranges import Place as Object
from modelaudit.sources.retry import AttemptError
from modelaudit.sources.web import Service, Web
from modelaudit.sources.web.client import origin

_HOW: Final = "give --jfrog-access-token or set JFROG_ACCESS_TOKEN (old servers: --jfrog-api-token, JFROG_API_TOKEN)"


class Tokens:
    """The headers that give access, the ones of today first; the old ones when those are not taken. Never shown.

    Where JFROG_URL says whose the tokens in the environment are, no other server gets them.
    """

    def __init__(self, base: str, access: Access) -> None:
        token, key = access.jfrog_access_token, access.jfrog_api_token
        if _is_same(access.variable("JFROG_URL") or base, base):
            token = token or access.variable("JFROG_ACCESS_TOKEN")
            key = key or access.variable("JFROG_API_TOKEN")
        for said, name in ((token, "access token"), (key, "API token")):
            if said and not (said.isascii() and said.isprintable() and " " not in said):
                raise SourceError(
                    "credentials", f"the {name} for Artifactory is none: it has other characters than tokens"
                )
        ways = [{"Authorization": f"Bearer {token}"}] if token else []
        self._ways: list[Mapping[str, str]] = [*ways, {"X-JFrog-Art-Api": key}] if key else [*ways]
        self._way = 0

    def __bool__(self) -> bool:
        return bool(self._ways)

    async def headers(self, url: str) -> Mapping[str, str]:
        """The headers for this server."""
        return self._ways[self._way] if self._ways else {}

    async def challenged(self, url: str, headers: Headers) -> bool:
        """Whether there is something else to try. Many requests may ask at a time, all about the first way."""
        is_first, self._way = len(self._ways) > 1 and self._way == 0, len(self._ways) - 1
        return is_first


class Server:
    """One Artifactory, at the URL `base`."""

    def __init__(self, web: Web, limits: Limits, base: str, access: Access) -> None:
        self._tokens = Tokens(base, access)
        self._service = Service(web, limits, base, self._tokens, _HOW, self._explain)

    async def info(self, place: Place) -> Info:
        """What there is at `place`. Raises `SourceError`."""
        info, _ = await self._service.json(_storage(place), Info, place.uri)
        return info

    async def listing(self, place: Place, *, deep: bool) -> Listing:
        """The files in a folder, with `deep` in all folders below, without also the folders. Raises `SourceError`.

        `no_listing` where the server gives none (it needs a licence, and a user).
        """
        how = "list&deep=1" if deep else "list&deep=0&listFolders=1"
        try:
            listing, _ = await self._service.json(f"{_storage(place)}?{how}", Listing, place.uri)
        except SourceError as error:
            if error.reason not in ("refused", "credentials", "access_denied", "not_found"):
                raise
            raise SourceError("no_listing", error.message) from None
        return listing

    async def read(self, place: Place, known: Object, offset: int, length: int) -> Chunk:
        """A range of a file; `known.version` is checked against what the server says of the bytes that it sends.

        Raises `SourceError`; see `Source.read`.
        """
        seen: list[Headers] = []

        def note(headers: Headers) -> None:
            seen.append(headers)

        url = f"{place.base}/{quote(place.path)}"
        unversioned = Object(known.uri, known.size)
        chunk = await self._service.read(url, unversioned, offset, length, note)
        version = known.version
        for headers in seen:  # each of them brought a part of the range
            now = Known.of(None, headers.get("x-checksum-sha256"), headers.get("x-checksum-sha1"), None).version
            if version and version.startswith("sha1:"):
                now = Known.of(None, None, headers.get("x-checksum-sha1"), None).version
            if now and version and now != version and now.partition(":")[0] == version.partition(":")[0]:
                raise SourceError("changed", f"{known.uri} was changed while it was read")
            version = version or now
        return Chunk(chunk.data, chunk.size, version)

    def _explain(self, what: str, status: int, headers: Headers, body: bytes) -> AttemptError | None:
        if status == 404 and not self._tokens:
            said = f"{what}: there is no such file or folder, or only for those who sign in: {_HOW}"
            return AttemptError("not_found", said)
        if status == 401 and self._tokens:
            return AttemptError("credentials", f"{what}: the server does not take the token; {_HOW}")
        return None


def _is_same(url: str, base: str) -> bool:
    try:
        return origin(url) == origin(base)
    except ValueError:
        return False


def _storage(place: Place) -> str:
    return f"{place.base}/api/storage/{quote(place.path)}"
