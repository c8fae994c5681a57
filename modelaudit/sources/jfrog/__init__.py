"""Files and folders in JFrog Artifactory."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.interface import Chunk, Source, failed, shown
from modelaudit.sources.jfrog.address import Place, place
from modelaudit.sources.jfrog.server import Server
from modelaudit.sources.jfrog.walk import Walk, target
from modelaudit.sources.ranges import Place as Object
from modelaudit.sources.web import Web

_REMEMBERED: Final = 8  # folders of which all files are known by name; their objects come one after the other


class JFrog(Source):
    """`https://host/artifactory/repository/path`: that file, or all that lies in the folder."""

    scheme = "jfrog"

    def __init__(self, limits: Limits, web: Web, access: Access) -> None:
        self._limits = limits
        self._web = web
        self._access = access
        self._servers: dict[str, Server] = {}
        self._sizes: OrderedDict[Place, Mapping[str, int | None]] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The connections are the run's."""

    async def list(self, path: str) -> AsyncIterator[Sequence[Target]]:
        """The one file, or the files of the folder page by page. See `Source.list`."""
        try:
            asked = place(path)
        except SourceError as error:
            yield [failed("https://", "", error.reason, error.message)]
            return
        try:
            server = self._server(asked.base)
            info = await server.info(asked)
            if info.children is None:
                yield [target(asked, info.known)]
                return
            is_empty = True
            async for page in Walk(server, self._limits, asked, self._remember).pages(info):
                is_empty = is_empty and not page
                yield page
            if is_empty:
                raise SourceError("not_found", f"{asked.uri}: there are no files in the folder")
        except SourceError as error:
            yield [failed(asked.uri, asked.uri, error.reason, error.message)]

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        """One range. See `Source.read`."""
        own = _place(target)
        return await self._server(own.base).read(own, Object(target.uri, target.size, version), offset, length)

    async def names(self, target: Target, folder: str) -> Mapping[str, int | None] | None:
        """One folder, out of what was listed if that is remembered. See `Source.names`."""
        own = _place(target)
        wanted = Place(own.base, "/".join(part for part in (own.path.rpartition("/")[0], folder) if part))
        for top, sizes in self._sizes.items():
            if top.base == own.base and own.path.startswith(f"{top.path}/"):
                return _within(sizes, f"{wanted.path}/"[len(top.path) + 1 :])
        try:
            return await self._asked(wanted)
        except SourceError as error:
            if error.reason != "not_found":
                raise
            return {}

    async def _asked(self, folder: Place) -> Mapping[str, int | None] | None:
        server = self._server(folder.base)
        try:
            lines = (await server.listing(folder, deep=False)).files
            names = {_shown(line.uri, line.folder): None if line.folder else line.known.size for line in lines}
        except SourceError as error:
            if error.reason != "no_listing":
                raise
            children = (await server.info(folder)).children or ()
            names = {_shown(child.uri, child.folder): None for child in children}
        return names if len(names) <= self._limits.names else None

    def _remember(self, top: Place, sizes: Mapping[str, int | None]) -> None:
        self._sizes[top] = sizes
        while len(self._sizes) > _REMEMBERED:
            self._sizes.popitem(last=False)

    def _server(self, base: str) -> Server:
        """Raises `SourceError` for a token that is none."""
        if base not in self._servers:
            self._servers[base] = Server(self._web, self._limits, base, self._access)
        return self._servers[base]


def _place(target: Target) -> Place:
    base, _, path = target.key.partition("\n")
    return Place(base, path)


def _shown(uri: str, is_folder: bool) -> str:
    return shown(uri.removeprefix("/")) + "/" * is_folder


def _within(sizes: Mapping[str, int | None], start: str) -> Mapping[str, int | None]:
    """The names in the folder `start` (empty, or with a slash at its end), out of all paths."""
    found: dict[str, int | None] = {}
    for path, size in sizes.items():
        if path.startswith(start):
            name, slash, _ = path[len(start) :].partition("/")
            found[shown(name) + slash] = None if slash else size
    return found
