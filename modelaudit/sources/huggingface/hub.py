"""Requests to a hub: the repositories of an owner, their commits, their files (Hub API, as its own client uses it)."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar
from urllib.parse import quote, urlencode, urljoin

import anyio
import msgspec

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.sources.huggingface.address import Repository, endpoint, is_id
from modelaudit.sources.huggingface.documents import Entry, Info
from modelaudit.sources.interface import Chunk
from modelaudit.sources.paging import Way
from modelaudit.sources.ranges import Headers, Place
from modelaudit.sources.retry import AttemptError, retry_after_seconds
from modelaudit.sources.web import Fixed, Service, Web
from modelaudit.sources.web.client import origin

T = TypeVar("T")

_NEXT = re.compile(r"<([^>]{1,4000})>\s*;[^,]*\brel=\"?next\"?", re.IGNORECASE)
_RESET = re.compile(
    r";\s*t=(\d{1,6})(?:\.\d+)?(?:;|,|\s|$)"
)  # of a RateLimit header: seconds until there is room again
_TOKEN = re.compile(r"[!-~]{0,4096}")
_PAGE: Final = 1000  # repositories asked for at a time
_WINDOWS: Final = 3  # of the hub's rate limit that are waited for, one after the other
_MOST_WAIT_SECONDS: Final = 900.0  # for one of them; the hub's last five minutes
_HOW: Final = "set HF_TOKEN to a token of an account that has access"


class Hub:
    """One hub. Raises `SourceError` for an address or a token that is none."""

    def __init__(self, web: Web, limits: Limits, access: Access) -> None:
        token = (access.variable("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN") or access.hub_token or "").strip()
        if not _TOKEN.fullmatch(token):
            raise SourceError(
                "credentials", f"the token in HF_TOKEN or of `hf auth login` is none; {_HOW}, or unset it"
            )
        self._url = endpoint(access)
        self._has_token = bool(token)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._service = Service(web, limits, self._url, Fixed(headers), _HOW, self._explain)
        self._full_until = {"api": 0.0, "resolvers": 0.0}  # by the hub's name of the limit, on the clock of anyio

    async def repositories(self, kind: str, owner: str, what: str) -> AsyncIterator[Sequence[Info]]:
        """All repositories of `owner`, a page at a time. Raises `SourceError`."""
        query = urlencode({"author": owner, "limit": _PAGE, "expand": "sha"})
        try:
            async for page in self._paged(f"{self._url}/api/{kind}?{query}", list[Info], what):
                yield [info for info in page if is_id(info.id) and info.id.partition("/")[0].lower() == owner.lower()]
        except SourceError as error:
            if error.reason != "not_found":
                raise
            said = f"{what}: the hub has no repository of this name, and does not tell what owners have"
            raise SourceError("not_found", said) from None

    async def pinned(self, repository: Repository, revision: str, what: str) -> tuple[Repository, str]:
        """The repository under the name that it has now, and the commit of `revision`. Raises `SourceError`."""
        end = f"/revision/{quote(revision, safe='')}" if revision else ""
        url = f"{self._url}/api/{repository.kind}/{repository.id}{end}?expand=sha"
        info, _ = await self._patient("api", lambda: self._service.json(url, Info, what))
        if info.commit is None:
            raise SourceError("bad_answer", f"{what}: the hub does not say which commit this is")
        id = info.id if is_id(info.id) else repository.id
        return msgspec.structs.replace(repository, id=id), info.commit

    async def tree(
        self, repository: Repository, commit: str, folder: str, what: str, *, deep: bool
    ) -> AsyncIterator[Sequence[Entry]]:
        """What lies in `folder`, and with `deep` in all folders of it, a page at a time. Raises `SourceError`."""
        place = f"/{quote(folder, safe='')}" if folder else ""
        query = urlencode({"recursive": str(deep).lower(), "expand": "false"})
        url = f"{self._url}/api/{repository.kind}/{repository.id}/tree/{commit}{place}?{query}"
        async for page in self._paged(url, list[Entry], what):
            yield page

    async def entry(self, repository: Repository, commit: str, path: str, what: str) -> Entry:
        """What lies at `path`: a file or a folder. Raises `SourceError`, `not_found` when nothing does."""
        url = f"{self._url}/api/{repository.kind}/{repository.id}/paths-info/{commit}"
        body = msgspec.json.encode({"paths": [path], "expand": False})
        headers = {"Content-Type": "application/json"}
        try:
            found, _ = await self._patient(
                "api", lambda: self._service.json(url, list[Entry], what, headers=headers, body=body)
            )
            return _at(path, found, what)
        except SourceError as error:
            if error.reason not in ("not_found", "refused"):
                raise
        seen: list[Entry] = []  # a mirror that knows less: look from the folder above
        async for page in self.tree(repository, commit, path.rpartition("/")[0], what, deep=False):
            seen += [entry for entry in page if entry.path == path]
        return _at(path, seen, what)

    async def read(
        self, repository: Repository, commit: str, path: str, place: Place, offset: int, length: int
    ) -> Chunk:
        """A range of a file. Raises `SourceError`; see `Source.read`. `place` has no version: the commit is one."""
        url = f"{self._url}/{repository.page}/resolve/{commit}/{quote(path)}"
        return await self._patient("resolvers", lambda: self._service.read(url, place, offset, length, _unversioned))

    async def _paged(self, url: str, type: type[list[T]], what: str) -> AsyncIterator[list[T]]:
        way = Way(what)
        while True:
            here = url
            page, headers = await self._patient("api", lambda: self._service.json(here, type, what))  # noqa: B023
            way.check(page)
            yield page
            found = _NEXT.search(headers.get("link", ""))
            if found is None:
                return
            url = self._next(url, found[1], what)
            way.go_on(url)

    def _next(self, url: str, link: str, what: str) -> str:
        with suppress(ValueError):
            onward = urljoin(url, link)
            if origin(onward) == origin(self._url):
                return onward
        raise SourceError("bad_answer", f"{what}: the next page is to be somewhere else")

    async def _patient(self, limit: str, ask: Callable[[], Awaitable[T]]) -> T:
        """The result of `ask`, made again when the hub's rate limit, of some minutes, has been waited for."""
        for _ in range(_WINDOWS):
            await anyio.sleep(max(0.0, self._full_until[limit] - anyio.current_time()))
            try:
                return await ask()
            except SourceError as error:
                if error.reason != "throttled" or self._full_until[limit] <= anyio.current_time():
                    raise
        return await ask()

    def _explain(self, what: str, status: int, headers: Headers, body: bytes) -> AttemptError | None:
        """What the hub means by its headers (huggingface_hub, `hf_raise_for_status`)."""
        if status == 429:
            return self._full(what, headers)
        match headers.get("x-error-code"):
            case "GatedRepo":
                more = _HOW if status == 401 else "the account of this token has not been let in"
                said = f"{what}: the repository is gated: its owner lets people in on its page; {more}"
                return AttemptError("gated", said)
            case "RevisionNotFound":
                return AttemptError("not_found", f"{what}: the repository has no such branch, tag or commit")
            case "EntryNotFound":
                return AttemptError("not_found", f"{what}: the repository has no such file at this revision")
            case "RepoNotFound":
                return self._no_repository(what)
        if status == 401 and self._has_token:
            said = (
                f"{what}: the hub does not take the token of HF_TOKEN or of `hf auth login`; give a valid one, or none"
            )
            return AttemptError("credentials", said)
        if status in (401, 404):
            return self._no_repository(what)
        return None

    def _no_repository(self, what: str) -> AttemptError:
        more = "the account of the token may not see it" if self._has_token else f"it is private: then {_HOW}"
        return AttemptError("not_found", f"{what}: the hub has no such repository, or {more}")

    def _full(self, what: str, headers: Headers) -> AttemptError | None:
        """The hub's rate limit is reached; its headers say for how long. None where they do not."""
        said = headers.get("ratelimit", "")
        reset = _RESET.search(said)
        seconds = retry_after_seconds(headers.get("retry-after", "")) or (float(reset[1]) + 1 if reset else 0.0)
        if not seconds:
            return None
        seconds = min(seconds, _MOST_WAIT_SECONDS)
        self._full_until["resolvers" if "resolvers" in said else "api"] = anyio.current_time() + seconds
        return AttemptError(
            "throttled", f"{what}: the hub is asked too much (429)", again=True, busy=True, pause_seconds=seconds
        )


def _at(path: str, entries: Sequence[Entry], what: str) -> Entry:
    found = next((entry for entry in entries if entry.path == path), None)
    if found is None:
        raise SourceError("not_found", f"{what}: the repository has no such file or folder at this revision")
    return found


def _unversioned(headers: Headers) -> None:
    """The commit says which bytes these are; each store behind the hub has its own idea of an ETag."""
