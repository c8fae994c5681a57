"""Data that DVC keeps: found in the working tree, else in the cache, else on the repository's remote.

A pointer is somebody's word and no more: it can name a digest, and that digest is looked for where the repository keeps
its data; a path in it that leads out of the repository is not followed.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import anyio.to_thread
import msgspec

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.dvc import repository as disk
from modelaudit.sources.dvc.pointer import Out, files, outs
from modelaudit.sources.dvc.repository import Repository
from modelaudit.sources.interface import Chunk, Source, failed, shown

_STORES: Final = {"file": "file", "s3": "s3", "gs": "gcs"}  # the source of each kind of remote
_FOLDER_BYTES: Final = 64 << 20  # of the list of a folder's files; half a million of them


class Dvc(Source):
    """`model.pkl.dvc`, `dvc.lock`, or `dvc://folder` for every pointer below it. `named` gives the other sources."""

    scheme = "dvc"

    def __init__(self, limits: Limits, access: Access, named: Callable[[str], Awaitable[Source]]) -> None:
        self._limits = limits
        self._access = access
        self._named = named

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    async def list(self, path: str) -> AsyncIterator[Sequence[Target]]:
        """The data of each pointer. See `Source.list`."""
        if not path.startswith("dvc://"):
            async for page in self._pointer(path):
                yield page
            return
        folder = path.removeprefix("dvc://")
        found = disk.pointers(folder)
        is_empty = True
        while (pointer := await anyio.to_thread.run_sync(next, found, None)) is not None:
            is_empty = False
            async for page in self._pointer(pointer):
                yield page
        if is_empty:
            yield [failed(shown(path), folder, "not_found", f"{shown(path)}: no pointer of DVC is there")]

    async def _pointer(self, path: str) -> AsyncIterator[Sequence[Target]]:
        try:
            text = await anyio.to_thread.run_sync(disk.read, path)
            repository = await anyio.to_thread.run_sync(disk.repository_of, path)
            named = [*outs(text)]
            if not named:
                raise SourceError("bad_pointer", f"{shown(path)}: names no data with an MD5, as DVC writes it")
        except SourceError as error:
            yield [failed(shown(path), path, error.reason, error.message)]
            return
        for out in named:
            uri = f"{shown(path)}:{shown(out.path)}"
            try:
                async for page in self._out(repository, path, out, uri):
                    yield page
            except SourceError as error:
                yield [failed(uri, path, error.reason, error.message)]

    async def _out(self, repository: Repository, path: str, out: Out, uri: str) -> AsyncIterator[Sequence[Target]]:
        here = await anyio.to_thread.run_sync(repository.here, path, out)
        if here is not None:
            source = await self._named("file")
            async for page in source.list(here):
                yield [_local(target, uri, here) for target in page]
            return
        if not out.is_folder:
            yield [await self._stored(repository, out, uri)]
            return
        listing = await self._stored(repository, out, uri)
        chunk = await self.read(listing, 0, _FOLDER_BYTES, None)
        try:
            entries = files(chunk.data)
        except ValueError:
            raise SourceError("bad_pointer", f"{uri}: what is stored is no list of a folder's files") from None
        for first in range(0, len(entries), self._limits.page_objects):
            page = []
            for entry in entries[first : first + self._limits.page_objects]:
                part = Out(entry.relpath, entry.md5, None, out.is_flat)
                page.append(await self._stored(repository, part, f"{uri}/{shown(entry.relpath)}"))
            yield page

    async def _stored(self, repository: Repository, out: Out, uri: str) -> Target:
        """The object in the cache, or else on the remote. Raises `SourceError` when neither can have it."""
        cached = await anyio.to_thread.run_sync(repository.cached, out)
        where = cached or repository.remote(out)
        if where is None:
            raise SourceError("not_found", f"{uri}: not in the working tree, not in the cache, and there is no remote")
        scheme = urlsplit(where).scheme if "://" in where else "file"
        if scheme not in _STORES:
            raise SourceError(
                "unsupported_store", f"{uri}: its remote is in a store ({shown(scheme)}:) that is not read"
            )
        endpoint = repository.settings.endpoint
        if scheme == "s3" and endpoint and endpoint != self._access.variable("AWS_ENDPOINT_URL"):
            raise SourceError("credentials", f"{uri}: its remote has a server of its own: set AWS_ENDPOINT_URL to it")
        if scheme == "file":
            path = await anyio.to_thread.run_sync(os.path.realpath, where.removeprefix("file://"))
            return Target(uri, f"file\n{path}", None, f"md5:{out.md5}")
        return Target(uri, f"{_STORES[scheme]}\n{where.partition('://')[2]}", out.size, f"md5:{out.md5}")

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        """One range, by the source that has the data. What is named by its digest has no other version."""
        name, _, key = target.key.partition("\n")
        source = await self._named(name)
        inner = msgspec.structs.replace(target, key=key, version=None)
        chunk = await source.read(inner, offset, length, None)
        return Chunk(chunk.data, chunk.size, target.version)

    async def names(self, target: Target, folder: str) -> Mapping[str, int | None] | None:
        """Known for what lies in the working tree. See `Source.names`."""
        name, _, key = target.key.partition("\n")
        if name != "file" or (target.version or "").startswith("md5:"):
            return None
        return await (await self._named(name)).names(msgspec.structs.replace(target, key=key), folder)


def _local(target: Target, uri: str, place: str) -> Target:
    """A file of the working tree, under the pointer's name."""
    inside = target.uri.removeprefix(shown(place))
    return msgspec.structs.replace(target, uri=uri + inside, key=f"file\n{target.key}")
