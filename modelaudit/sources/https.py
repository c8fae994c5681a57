"""A single file at an https:// (or http://) URL."""

from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.interface import Chunk, Source, failed, shown
from modelaudit.sources.ranges import Place
from modelaudit.sources.web import Fixed, Service, Web

_ADVICE = "only URLs that need no sign-in, or carry their own signature, can be read"


class Https(Source):
    """`https://host/path/file?signature`: read by ranges, or whole where the server has none (up to a bound)."""

    scheme = "https"

    def __init__(self, limits: Limits, web: Web) -> None:
        self._limits = limits
        self._web = web
        self._services: dict[str, Service] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The connections are the run's."""

    async def list(self, path: str) -> AsyncIterator[Sequence[Target]]:
        """The one file; its size is known with the first read."""
        uri = address(path)
        try:
            parts = urlsplit(path)
            parts.port  # noqa: B018  raises for one that is none
        except ValueError:
            yield [failed(uri, "", "bad_address", f"{uri} is not an address that can be asked")]
            return
        if parts.username is not None or parts.password is not None:
            yield [failed(uri, "", "bad_address", f"{uri}: a URL with a password in it is not used")]
            return
        yield [Target(uri, path.partition("#")[0])]

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        """One range. See `Source.read`."""
        parts = urlsplit(target.key)
        base = f"{parts.scheme}://{parts.netloc}"
        service = self._services.setdefault(base, Service(self._web, self._limits, base, Fixed({}), _ADVICE))
        return await service.read(target.key, Place(target.uri, target.size, version), offset, length)


def address(url: str) -> str:
    """`url` as people may see it: without what may be a secret in it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "https://"
    place = host if port is None else f"{host}:{port}"
    return f"{parts.scheme}://{shown(place)}{shown(unquote(parts.path))}{'?…' if parts.query else ''}"
