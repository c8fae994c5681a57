"""All files below a folder of an Artifactory, with as few questions as the server allows.

One listing of everything is asked for first. What is too large for that is listed folder by folder, and where there
are no listings at all (they need a licence, and a user), folders are gone through and each file is asked about.
"""

from collections.abc import AsyncIterator, Callable, Mapping, MutableSequence, Sequence
from typing import Final, TypeVar

import anyio

from modelaudit.errors import SourceError, first_cause
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.interface import failed
from modelaudit.sources.jfrog.address import Place, is_path
from modelaudit.sources.jfrog.documents import Child, Info, Known, Listed
from modelaudit.sources.jfrog.server import Server

L = TypeVar("L", Child, Listed)

_DEPTH: Final = 32  # of folders in folders
_TOO_MUCH: Final = ("too_long", "stalled", "server_error")  # what comes of listings that are too large
_TURNS: Final = 4  # as many files are asked about at once as that many times the requests that may be on their way


class Walk:
    """From the folder `top` down. `remember` is told the sizes of all files below a folder that was listed at once."""

    def __init__(
        self, server: Server, limits: Limits, top: Place, remember: Callable[[Place, Mapping[str, int | None]], None]
    ) -> None:
        self._server = server
        self._limits = limits
        self._top = top
        self._remember = remember
        self._has_listings = True

    async def pages(self, info: Info) -> AsyncIterator[Sequence[Target]]:
        """The files page by page; a folder that cannot be listed is a record. `info` is that of the top."""
        folders = [(self._top, 0)]
        while folders:
            folder, depth = folders.pop()
            inner: list[Place] = []
            try:
                if depth > _DEPTH:
                    raise SourceError("too_deep", f"{folder.uri}: a folder in more than {_DEPTH} folders")
                async for page in self._of(folder, info if folder == self._top else None, inner):
                    yield page
            except SourceError as error:
                yield [failed(folder.uri, folder.uri, error.reason, error.message)]
            folders += [(place, depth + 1) for place in reversed(inner)]

    async def _of(
        self, folder: Place, info: Info | None, inner: MutableSequence[Place]
    ) -> AsyncIterator[Sequence[Target]]:
        """The files of a folder; the folders in it that are still to be looked at are added to `inner`."""
        if self._has_listings:
            try:
                lines = await self._lines(folder, inner)
            except SourceError as error:
                if error.reason != "no_listing":
                    raise
                self._has_listings = False
            else:
                for first in range(0, len(lines), self._limits.page_objects):
                    yield [_listed(folder, line) for line in lines[first : first + self._limits.page_objects]]
                return
        children = (info or await self._server.info(folder)).children or ()
        files = _without_folders(folder, children, inner)
        at_once = _TURNS * self._limits.concurrency
        for first in range(0, len(files), at_once):
            yield await self._asked(folder, files[first : first + at_once])

    async def _lines(self, folder: Place, inner: MutableSequence[Place]) -> Sequence[Listed]:
        try:
            listing = await self._server.listing(folder, deep=True)
        except SourceError as error:
            if error.reason not in _TOO_MUCH:
                raise
            listing = await self._server.listing(folder, deep=False)
            return _without_folders(folder, listing.files, inner)
        lines = [line for line in listing.files if not line.folder]
        if len(lines) <= self._limits.names:
            self._remember(folder, {line.uri[1:]: line.known.size for line in lines})
        return lines

    async def _asked(self, folder: Place, children: Sequence[Child]) -> Sequence[Target]:
        """The files of which only the names are known."""
        found: dict[int, Target] = {}

        async def ask(number: int, child: Child) -> None:
            place = _below(folder, child.uri)
            try:
                found[number] = target(place, (await self._server.info(place)).known)
            except SourceError as error:
                found[number] = failed(place.uri, place.uri, error.reason, error.message)

        try:
            async with anyio.create_task_group() as group:
                for number, child in enumerate(children):
                    if is_path(child.uri[1:]):
                        group.start_soon(ask, number, child)
                    else:
                        found[number] = _nowhere(folder)
        except BaseExceptionGroup as errors:
            raise first_cause(errors) from None
        return [found[number] for number in range(len(children))]


def _without_folders(folder: Place, lines: Sequence[L], inner: MutableSequence[Place]) -> Sequence[L]:
    """The files in a folder, and whatever cannot be looked into; the folders are added to `inner`."""
    inner += [_below(folder, line.uri) for line in lines if line.folder and is_path(line.uri[1:])]
    return [line for line in lines if not (line.folder and is_path(line.uri[1:]))]


def target(place: Place, known: Known) -> Target:
    """The file at `place`."""
    return Target(place.uri, f"{place.base}\n{place.path}", known.size, known.version, known.sha256)


def _listed(folder: Place, line: Listed) -> Target:
    if not is_path(line.uri[1:]):
        return _nowhere(folder)
    return target(_below(folder, line.uri), line.known)


def _below(folder: Place, uri: str) -> Place:
    return Place(folder.base, f"{folder.path}/{uri[1:]}")


def _nowhere(folder: Place) -> Target:
    return failed(folder.uri, folder.uri, "bad_answer", f"{folder.uri}: the server lists a file where none can be")
