"""Models of an MLflow registry: their artifacts, wherever the registry says that these are."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import msgspec

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.interface import Chunk, Source, failed, shown
from modelaudit.sources.mlflow.address import Wanted, server, wanted
from modelaudit.sources.mlflow.registry import Registry, Version
from modelaudit.sources.ranges import Place
from modelaudit.sources.web import Web

_DEPTH: Final = 32  # of folders in folders
_OWN: Final = "mlflow"  # before the keys of artifacts that the server hands through
_ELSEWHERE: Final = {"s3": "s3", "gs": "gcs", "file": "file", "": "file"}  # the sources of other artifacts
_HERE: Final = ("localhost", "127.0.0.1", "::1")


class MLflow(Source):
    """`models:/name/version`, `/stage`, `@alias`; `models:/name`: all its versions; `models:/`: the whole registry.

    `named` gives the source of artifacts that the server does not hand through itself.
    """

    scheme = "mlflow"

    def __init__(self, limits: Limits, web: Web, access: Access, named: Callable[[str], Awaitable[Source]]) -> None:
        self._limits = limits
        self._web = web
        self._access = access
        self._named = named
        self._opened: Registry | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The connections are the run's."""

    async def list(self, path: str) -> AsyncIterator[Sequence[Target]]:
        """The artifacts of each version, a page a folder. See `Source.list`."""
        uri = shown(path)
        try:
            asked = wanted(path)
            is_empty = bool(asked.name)
            async for versions in self._registry().versions(asked):
                for version in versions:
                    is_empty = False
                    async for page in self._of(version, asked):
                        yield page
            if is_empty:
                raise SourceError("not_found", f"{asked.uri}: the registry has no version of such a model")
        except SourceError as error:
            yield [failed(uri, uri, error.reason, error.message)]

    async def _of(self, version: Version, asked: Wanted) -> AsyncIterator[Sequence[Target]]:
        """The artifacts of one version; what fails is its record, and the other versions go on."""
        uri = f"models:/{shown(version.name)}/{shown(version.version)}"
        try:
            place = await self._registry().place(version, uri)
            own = self._registry().proxied(place)
            found = self._elsewhere(place, uri, asked.path) if own is None else self._proxied(own, uri, asked.path)
            is_empty = True
            async for page in found:
                is_empty = is_empty and not page
                yield page
            if is_empty:
                raise SourceError("not_found", f"{uri}: the version has no such artifacts")
        except SourceError as error:
            yield [failed(uri, uri, error.reason, error.message)]

    async def _proxied(self, root: str, uri: str, path: str) -> AsyncIterator[Sequence[Target]]:
        """Artifacts that the server hands through, folder by folder; `path` is one of them, or a folder."""
        path = path.strip("/")
        holder, _, name = path.rpartition("/")
        if path:  # a file's own name lists nothing: look at it from its folder
            beside = await self._registry().files(f"{root}/{holder}".rstrip("/"), uri)
            file = next((file for file in beside if file.path == name and not file.is_dir), None)
            if file is not None:
                yield [Target(f"{uri}/{shown(path)}", f"{_OWN}\n{root}/{path}", file.size)]
                return
        folders = [(path, 0)]
        while folders:
            folder, depth = folders.pop()
            page: list[Target] = []
            for file in await self._registry().files(f"{root}/{folder}".rstrip("/"), uri):
                name = "/".join(part for part in (folder, file.path) if part)
                if not file.path or file.path in (".", ".."):
                    continue
                if not file.is_dir:
                    page.append(Target(f"{uri}/{shown(name)}", f"{_OWN}\n{root}/{name}", file.size))
                elif depth < _DEPTH:
                    folders.append((name, depth + 1))
                else:
                    page.append(failed(f"{uri}/{shown(name)}", name, "too_deep", "a folder in more folders than 32"))
            yield page

    async def _elsewhere(self, place: str, uri: str, path: str) -> AsyncIterator[Sequence[Target]]:
        """Artifacts that another source reads, under the addresses of this one."""
        scheme = urlsplit(place).scheme.lower()
        name = _ELSEWHERE.get(scheme)
        if name is None:
            raise SourceError(
                "unsupported_store", f"{uri}: its artifacts are in a store ({shown(scheme)}:) not read yet"
            )
        if name == "file" and not self._is_here():
            raise SourceError(
                "unsupported_store", f"{uri}: its artifacts are files of the registry's machine, and not handed through"
            )
        source = await self._named(name)
        base = place.rstrip("/") + (f"/{path}" if path else "")
        async for page in source.list(base):
            yield [self._renamed(target, name, shown(place.rstrip("/")), uri) for target in page]

    def _renamed(self, target: Target, name: str, place: str, uri: str) -> Target:
        inside = target.uri.removeprefix(place).removeprefix(place.removeprefix("file://")).lstrip("/")
        own = f"{uri}/{inside}" if inside else uri
        return msgspec.structs.replace(target, uri=own, key=f"{name}\n{target.key}")

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        """One range, by whoever has the artifact. See `Source.read`."""
        name, _, key = target.key.partition("\n")
        if name == _OWN:
            return await self._registry().read(key, Place(target.uri, target.size), offset, length)
        source = await self._named(name)
        return await source.read(msgspec.structs.replace(target, key=key), offset, length, version)

    async def names(self, target: Target, folder: str) -> Mapping[str, int | None] | None:
        """One folder. See `Source.names`."""
        name, _, key = target.key.partition("\n")
        if name != _OWN:
            source = await self._named(name)
            return await source.names(msgspec.structs.replace(target, key=key), folder)
        place = "/".join(part for part in (key.rpartition("/")[0], folder) if part)
        files = await self._registry().files(place, target.uri)
        if len(files) > self._limits.names:
            return None
        return {shown(file.path) + "/" * file.is_dir: None if file.is_dir else file.size for file in files}

    def _is_here(self) -> bool:
        return urlsplit(server(self._access).url).hostname in _HERE

    def _registry(self) -> Registry:
        """Raises `SourceError` when nobody said where it is."""
        if self._opened is None:
            self._opened = Registry(self._web, self._limits, server(self._access))
        return self._opened
