"""One server with its credentials: whole answers, ranges, redirects.

A redirect may lead to a store on another host. That one is asked without credentials, and remembered, so that the next
range of the same object goes there at once.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar
from urllib.parse import urljoin

import msgspec

from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.sources.interface import Chunk
from modelaudit.sources.ranges import Answer, Headers, Place, RangeRead, bad_answer, conditions, etag
from modelaudit.sources.retry import AttemptError
from modelaudit.sources.web.client import Request, Web, origin
from modelaudit.sources.web.faults import refusal

T = TypeVar("T")

_REDIRECTS = (301, 302, 303, 307, 308)
_HOPS = 5
_ANSWER_BYTES = 32 << 20  # a page of a listing, with all that servers say of each object
_ERROR_BYTES = 64 << 10  # of an error's body
_PIECE_BYTES = 1 << 20
_EXPIRED = (400, 401, 403, 404, 410)  # what stores say to a signed URL whose time is over

# From status, headers and the beginning of the body of a refusal to what it means; None: what it means anywhere.
Explain = Callable[[str, int, Headers, bytes], AttemptError | None]


class Credentials(Protocol):
    """What the requests to one server carry."""

    async def headers(self, url: str) -> Mapping[str, str]:
        """The headers that give us access to `url`. Raises `SourceError` or `AttemptError`."""

    async def challenged(self, url: str, headers: Headers) -> bool:
        """The server answered 401 with these headers. Whether it is worth asking once more, with other headers."""


class Fixed:
    """The same headers for every request. See `Credentials`."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)

    async def headers(self, url: str) -> Mapping[str, str]:
        """The headers."""
        return self._headers

    async def challenged(self, url: str, headers: Headers) -> bool:
        """There are no others."""
        return False


class Page(msgspec.Struct, frozen=True):
    """A whole answer."""

    body: bytes
    headers: Headers

    def decoded(self, type: type[T], what: str) -> T:
        """The JSON in it. Raises `AttemptError` when it is none, or another than `type`."""
        try:
            return msgspec.json.decode(self.body, type=type)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise bad_answer(what, "it is not what was asked for") from None


class Service:
    """Requests to the server at `base`, with `credentials`; to others, only where it sends us, and without.

    `advice` tells people how to give credentials.
    """

    def __init__(
        self,
        web: Web,
        limits: Limits,
        base: str,
        credentials: Credentials,
        advice: str,
        explain: Explain = lambda what, status, headers, body: None,
    ) -> None:
        self._web = web
        self._limits = limits
        self._own = origin(base)
        self._credentials = credentials
        self._advice = advice
        self._explain = explain
        self._moved: OrderedDict[str, str] = OrderedDict()  # where the bytes of a URL really are

    async def json(
        self, url: str, type: type[T], what: str, *, headers: Mapping[str, str] = {}, body: bytes | None = None
    ) -> tuple[T, Headers]:
        """The JSON at `url` as `type`, and the headers that came with it; a POST where there is a `body`.

        Tried again within the deadline of a listing. Raises `SourceError`.
        """
        asked = {"Accept": "application/json", **headers}

        async def attempt() -> tuple[T, Headers]:
            page = await self._whole(Request(url, what, asked, "GET" if body is None else "POST", body))
            return page.decoded(type, what), page.headers

        return await self._ask(url, attempt, self._limits.listing_deadline_seconds, what)

    async def page(self, url: str, what: str, *, headers: Mapping[str, str] = {}) -> Page:
        """All that is at `url`. Tried again within the deadline of a listing. Raises `SourceError`."""
        attempt = partial(self._whole, Request(url, what, headers))
        return await self._ask(url, attempt, self._limits.listing_deadline_seconds, what)

    async def read(
        self,
        url: str,
        place: Place,
        offset: int,
        length: int,
        version_of: Callable[[Headers], str | None] = lambda headers: etag(headers.get("etag")),
    ) -> Chunk:
        """A range of the object at `url`. Raises `SourceError`; see `Source.read`.

        `version_of` takes the version from an answer's headers; where it gives None always, `place.version` must be
        None too.
        """
        attempts = RangeRead(partial(self._range, url, place.uri), self._limits, place, offset, length, version_of)
        where = self._moved.get(url, url)
        return await self._ask(where, attempts.attempt, self._limits.read_deadline_seconds, place.uri)

    async def _ask(self, url: str, attempt: Callable[[], Awaitable[T]], seconds: float, what: str) -> T:
        try:
            host = self._web.host(url)
        except ValueError:
            raise SourceError("bad_address", f"{what} is not an address that can be asked") from None
        return await host.ask(attempt, seconds, what)

    async def _range(self, url: str, what: str, first: int, last: int, version: str | None) -> Answer:
        asked = Request(url, what, conditions(first, last, version))
        answer = await self._follow(asked)
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            answer.close()
            raise bad_answer(what, "it is packed, which was not asked for")
        return answer

    async def _whole(self, request: Request) -> Page:
        answer = await self._follow(request)
        try:
            return Page(await _body(answer, _ANSWER_BYTES, request.what), answer.headers)
        finally:
            answer.close()

    async def _follow(self, request: Request) -> Answer:
        """The good answer to `request`, wherever it comes from. Raises `AttemptError` for any other."""
        url = self._moved.get(request.url, request.url)
        is_remembered, is_challenged = url != request.url, False
        hops = 0
        while True:
            is_own = origin(url) == self._own
            headers = {**request.headers, **(await self._credentials.headers(url) if is_own else {})}
            answer = await self._web.send(Request(url, request.what, headers, request.method, request.body))
            if answer.status in (200, 206):
                return answer
            if answer.status in _REDIRECTS:
                answer.close()
                hops += 1
                url = self._onward(request, url, answer.headers.get("location", ""), hops)
                continue
            if is_remembered and answer.status in _EXPIRED:
                answer.close()
                self._moved.pop(request.url, None)
                url, is_remembered = request.url, False
                continue
            if is_own and answer.status == 401 and not is_challenged:
                is_challenged = True
                if await self._credentials.challenged(url, answer.headers):
                    answer.close()
                    continue
            raise await self._refused(request.what, answer)

    def _onward(self, request: Request, url: str, location: str, hops: int) -> str:
        """Where a redirect leads, from now on for this request's URL too."""
        if not location or hops > _HOPS or request.method != "GET":
            raise bad_answer(request.what, "it sends elsewhere, and again")
        try:
            onward = urljoin(url, location)
            scheme, _, _ = origin(onward)
        except ValueError:
            raise bad_answer(request.what, "it sends to what is no address") from None
        if scheme not in ("http", "https") or (url.startswith("https:") and scheme != "https"):
            raise AttemptError("refused", f"{request.what}: the server sends to where nothing is encrypted")
        self._moved[request.url] = onward
        while len(self._moved) > 4 * self._limits.concurrency:
            self._moved.popitem(last=False)
        return onward

    async def _refused(self, what: str, answer: Answer) -> AttemptError:
        try:
            body = await _body(answer, _ERROR_BYTES, what)
        except AttemptError:
            body = b""
        finally:
            answer.close()
        explained = self._explain(what, answer.status, answer.headers, body)
        return explained or refusal(what, answer.status, answer.headers, self._advice)


async def send_whole(web: Web, url: str, what: str, headers: Mapping[str, str], advice: str) -> Page:
    """All that is at `url`, asked once and nowhere else. Raises `AttemptError`."""
    answer = await web.send(Request(url, what, headers))
    try:
        if answer.status != 200:
            raise refusal(what, answer.status, answer.headers, advice)
        return Page(await _body(answer, _ANSWER_BYTES, what), answer.headers)
    finally:
        answer.close()


async def _body(answer: Answer, most: int, what: str) -> bytes:
    """The whole body. Raises `AttemptError` when it is longer than `most`, packed, or cut short."""
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise bad_answer(what, "it is packed, which was not asked for")
    said = bytearray()
    while piece := await answer.read(_PIECE_BYTES):
        said += piece
        if len(said) > most:
            raise AttemptError("too_long", f"{what}: the server's answer is longer than {most >> 20} MiB")
    return bytes(said)
