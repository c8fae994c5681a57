"""Models, data sets and spaces of Hugging Face, or of a hub that speaks its language (HF_ENDPOINT).

A repository is pinned to one commit when it is listed: what is pushed while it is scanned changes nothing.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import msgspec

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.huggingface.address import Repository, Wanted, is_path, wanted
from modelaudit.sources.huggingface.documents import Entry
from modelaudit.sources.huggingface.hub import Hub
from modelaudit.sources.interface import Chunk, Source, failed, shown
from modelaudit.sources.ranges import Place
from modelaudit.sources.web import Web

_REMEMBERED: Final = 16  # repositories whose files are known by name; they are scanned one after the other


class _Key(msgspec.Struct, frozen=True):
    """What it takes to read a target again, a line each. The path is last, behind a slash: its folder is cut off it."""

    kind: str
    id: str
    commit: str
    path: str

    @classmethod
    def of(cls, written: str) -> Self:
        """The key that `written` stands for."""
        kind, id, commit, path = written.split("\n", 3)
        return cls(kind, id, commit, path[1:])

    @property
    def repository(self) -> Repository:
        """Whose file it is."""
        return Repository(self.kind, self.id)

    def written(self) -> str:
        """The key as a text."""
        return "\n".join((self.kind, self.id, self.commit, f"/{self.path}"))


class HuggingFace(Source):
    """`hf://owner/repo[@revision][/path]`, `hf://datasets/…`, `hf://spaces/…`, `hf://owner`; URLs of a hub's pages."""

    scheme = "huggingface"

    def __init__(self, limits: Limits, web: Web, access: Access) -> None:
        self._limits = limits
        self._web = web
        self._access = access
        self._opened: Hub | None = None
        self._files: OrderedDict[tuple[str, str, str], dict[str, int | None]] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The connections are the run's."""

    async def list(self, path: str) -> AsyncIterator[Sequence[Target]]:
        """The files page by page; of an owner, repository by repository. See `Source.list`."""
        try:
            asked = wanted(path, self._access)
            hub = self._hub()
        except SourceError as error:
            yield [failed("hf://", "", error.reason, error.message)]
            return
        pages = self._named(hub, asked)
        try:
            async for page in pages:
                yield page
        except SourceError as error:
            yield [failed(asked.uri, asked.uri, error.reason, error.message)]

    async def _named(self, hub: Hub, asked: Wanted) -> AsyncIterator[Sequence[Target]]:
        """What `asked` names, under the first of its meanings that there is. Raises `SourceError`."""
        try:
            repository, commit = await hub.pinned(asked.repository, asked.revision, asked.root)
        except SourceError as error:
            other = asked.without_owner()
            if error.reason != "not_found" or not (asked.may_be_owner or other):
                raise
            if other is None:
                async for page in self._owned(hub, asked):
                    yield page
                return
            try:
                repository, commit = await hub.pinned(other.repository, "", other.root)
            except SourceError:
                raise error from None
            asked = other
        async for page in self._at(hub, asked, repository, commit):
            yield page

    async def _owned(self, hub: Hub, asked: Wanted) -> AsyncIterator[Sequence[Target]]:
        """All repositories of an owner; one that cannot be listed is a record, and the others go on."""
        kind, owner = asked.repository.kind, asked.repository.id
        is_empty = True
        async for infos in hub.repositories(kind, owner, f"the list of {asked.uri}"):
            for info in infos:
                is_empty = False
                each = Wanted(Repository(kind, info.id))
                try:
                    repository, commit = each.repository, info.commit
                    if commit is None:
                        repository, commit = await hub.pinned(each.repository, "", each.uri)
                    async for page in self._all(hub, each, repository, commit):
                        yield page
                except SourceError as error:
                    yield [failed(each.uri, each.uri, error.reason, error.message)]
        if is_empty:
            raise SourceError("not_found", f"{asked.uri}: the hub shows neither a repository nor an owner of this name")

    async def _at(
        self, hub: Hub, asked: Wanted, repository: Repository, commit: str
    ) -> AsyncIterator[Sequence[Target]]:
        """The file at the path that was asked for, or what lies below it. Raises `SourceError`."""
        if asked.path:
            entry = await hub.entry(repository, commit, asked.path, asked.uri)
            if not entry.is_folder:
                yield [self._target(asked, repository, commit, entry)]
                return
        is_empty = True
        async for page in self._all(hub, asked, repository, commit):
            is_empty = is_empty and not page
            yield page
        if is_empty:
            raise SourceError("not_found", f"{asked.uri}: the repository has no files there")

    async def _all(
        self, hub: Hub, asked: Wanted, repository: Repository, commit: str
    ) -> AsyncIterator[Sequence[Target]]:
        """Every file below the path that was asked for. Raises `SourceError`."""
        sizes: dict[str, int | None] | None = None if asked.path else {}  # as long as they are few
        async for entries in hub.tree(repository, commit, asked.path, asked.uri, deep=True):
            if sizes is not None:
                sizes |= {entry.path: entry.length for entry in entries if not entry.is_folder}
                sizes = sizes if len(sizes) <= self._limits.names else None
            targets = [self._target(asked, repository, commit, entry) for entry in entries if not entry.is_folder]
            for first in range(0, len(targets), self._limits.page_objects):
                yield targets[first : first + self._limits.page_objects]
        if sizes is not None:
            self._files[repository.kind, repository.id, commit] = sizes
            while len(self._files) > _REMEMBERED:
                self._files.popitem(last=False)

    def _target(self, asked: Wanted, repository: Repository, commit: str, entry: Entry) -> Target:
        uri = f"{asked.root}/{shown(entry.path)}"
        if not is_path(entry.path):
            return failed(uri, uri, "bad_answer", f"{asked.root}: the hub lists a file where none can be")
        key = _Key(repository.kind, repository.id, commit, entry.path).written()
        return Target(uri, key, entry.length, entry.version, entry.sha256)

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        """One range, of the commit that was listed. See `Source.read`."""
        key = _Key.of(target.key)
        place = Place(target.uri, target.size)
        chunk = await self._hub().read(key.repository, key.commit, key.path, place, offset, length)
        if target.size is not None and chunk.size != target.size:
            said = f"{target.uri}: the hub listed {target.size} bytes and gives {chunk.size}"
            raise SourceError("changed", said)
        return chunk

    async def names(self, target: Target, folder: str) -> Mapping[str, int | None] | None:
        """One folder, out of what was listed if that is remembered. See `Source.names`."""
        key = _Key.of(target.key)
        place = "/".join(part for part in (key.path.rpartition("/")[0], folder) if part)
        start = f"{place}/" if place else ""
        known = self._files.get((key.kind, key.id, key.commit))
        if known is not None:
            found: dict[str, int | None] = {}
            for path, size in known.items():
                if path.startswith(start):
                    name, slash, _ = path[len(start) :].partition("/")
                    found[shown(name) + slash] = None if slash else size
            return found
        return await self._asked(key, place, target.uri)

    async def _asked(self, key: _Key, place: str, what: str) -> Mapping[str, int | None] | None:
        found: dict[str, int | None] = {}
        try:
            async for entries in self._hub().tree(key.repository, key.commit, place, what, deep=False):
                for entry in entries:
                    name = shown(entry.path.rpartition("/")[2])
                    found[name + "/" * entry.is_folder] = None if entry.is_folder else entry.length
                if len(found) > self._limits.names:
                    return None
        except SourceError as error:
            if error.reason != "not_found":
                raise
        return found

    def _hub(self) -> Hub:
        """Raises `SourceError` when HF_ENDPOINT is no address."""
        if self._opened is None:
            self._opened = Hub(self._web, self._limits, self._access)
        return self._opened
