"""Requests through gcsfs's session, each sent once: gcsfs's own tries stay out of the way of `Host`'s."""

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # unknown to the stubs

import aiohttp
import anyio
import msgspec
from gcsfs.core import GCSFileSystem  # not gcsfs's default one, which asks over gRPC for the kind of each bucket
from yarl import URL

from modelaudit.access import Access
from modelaudit.errors import SourceError, UsageError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.gcs.credentials import HOW_TO_GIVE, found, renew
from modelaudit.sources.interface import Chunk
from modelaudit.sources.ranges import Answer, Headers, Place, RangeRead, bad_answer
from modelaudit.sources.retry import AttemptError, Host
from modelaudit.sources.web.faults import ERRORS, fault, refusal

T = TypeVar("T")

_ANSWER_BYTES = 32 << 20  # a page of a listing
_ERROR_BYTES = 64 << 10
_PIECE_BYTES = 1 << 20
_BUSY = (b'"rateLimitExceeded"', b'"userRateLimitExceeded"')


class Entry(msgspec.Struct, frozen=True):
    """An object in a listing; the server writes numbers as text."""

    name: str = ""
    size: str | int = -1
    generation: str | int | None = None


class Page(msgspec.Struct, frozen=True, rename="camel"):
    """A page of a listing."""

    items: list[Entry] = []
    prefixes: list[str] = []
    next_page_token: str | None = None


class Connection:
    """Requests to Google's endpoint or STORAGE_EMULATOR_HOST. `host` is who to go through for more tries."""

    def __init__(self, limits: Limits, access: Access) -> None:
        self._limits = limits
        self._access = access
        self._opening = anyio.Lock()
        self._renewing = anyio.Lock()
        self._files: Any = None
        self._credentials: Any = None
        self.host = Host(limits.concurrency)

    async def close(self) -> None:
        """Close every connection."""
        files, self._files = self._files, None
        if files is not None and files._session is not None:
            await files._session.close()

    async def page(
        self, bucket: str, prefix: str, most: int, token: str | None, what: str, delimiter: str = ""
    ) -> Page:
        """One page of a listing. Raises `SourceError`."""
        asked = {
            "prefix": prefix,
            "maxResults": str(most),
            "fields": "items(name,size,generation),prefixes,nextPageToken",
        }
        asked |= {"delimiter": delimiter} if delimiter else {}
        asked |= {"pageToken": token} if token is not None else {}
        path = f"b/{quote(bucket, safe='')}/o?{urlencode(asked)}"
        return await self._ask(path, Page, what)

    async def entry(self, bucket: str, key: str, what: str) -> Entry:
        """What the server knows of an object. Raises `SourceError`."""
        return await self._ask(f"{_object(bucket, key)}?fields=name,size,generation", Entry, what)

    async def _ask(self, path: str, type: type[T], what: str) -> T:
        async def attempt() -> T:
            answer = await self._send(path, {"Accept-Encoding": "identity"}, what)
            try:
                return msgspec.json.decode(await _body(answer, _ANSWER_BYTES, what), type=type)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise bad_answer(what, "it is not what was asked for") from None
            finally:
                answer.close()

        return await self.host.ask(attempt, self._limits.listing_deadline_seconds, what)

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        """A range of one generation. Raises `SourceError`; see `Source.read`."""
        bucket, _, key = target.key.partition("/")
        place = Place(target.uri, target.size, version)
        attempts = RangeRead(
            partial(self._range, bucket, key, target.uri), self._limits, place, offset, length, _generation
        )
        try:
            return await self.host.ask(attempts.attempt, self._limits.read_deadline_seconds, target.uri)
        except SourceError as error:
            if error.reason != "not_found" or version is None:
                raise
        await self.entry(bucket, key, target.uri)  # it is gone, or only this generation is
        raise SourceError("changed", f"{target.uri} was changed after it was listed")

    async def _range(self, bucket: str, key: str, what: str, first: int, last: int, version: str | None) -> Answer:
        asked = {"alt": "media"} | ({} if version is None else {"generation": version})
        # With gzip allowed an object that is stored packed comes as it is stored, not unpacked on the way.
        headers = {"Range": f"bytes={first}-{last}", "Accept-Encoding": "gzip"}
        answer = await self._send(f"{_object(bucket, key)}?{urlencode(asked)}", headers, what)
        packed = answer.headers.get("Content-Encoding", "identity")
        if packed != answer.headers.get("X-Goog-Stored-Content-Encoding", packed):
            answer.close()
            raise bad_answer(what, "it was packed or unpacked on the way")
        return answer

    async def _send(self, path: str, headers: Mapping[str, str], what: str) -> Answer:
        """The good answer to a GET. Raises `AttemptError` for any other."""
        files = await self._opened(what)
        token = await self._token(what)
        try:
            session = await files._set_session()
            url = files.base + path
            sent = {**headers, **token, "User-Agent": "modelaudit"}
            proxy = self._proxy(url)
            response = await session.get(URL(url, encoded=True), headers=sent, allow_redirects=False, proxy=proxy)
        except ERRORS as error:
            raise fault(error, what) from None

        async def read(most: int) -> bytes:
            try:
                piece: bytes = await response.content.read(most)
            except ERRORS as error:
                raise fault(error, what) from None
            return piece

        answer = Answer(response.status, response.headers, read, response.close)
        if answer.status in (200, 206):
            return answer
        raise await self._refused(answer, what)

    async def _refused(self, answer: Answer, what: str) -> AttemptError:
        try:
            body = await _body(answer, _ERROR_BYTES, what)
        except AttemptError:
            body = b""
        finally:
            answer.close()
        if answer.status == 403 and any(word in body for word in _BUSY):
            return refusal(what, 429, answer.headers, HOW_TO_GIVE)
        if answer.status == 400 and b"requester pays" in body:
            return AttemptError("refused", f"{what}: a bucket whose requesters pay is not read")
        if answer.status in (401, 403) and self._credentials is None:
            message = f"{what}: access denied, and no Google credentials were found; {HOW_TO_GIVE}"
            return AttemptError("credentials", message)
        return refusal(what, answer.status, answer.headers, HOW_TO_GIVE)

    async def _token(self, what: str) -> Mapping[str, str]:
        if self._credentials is None:
            return {}
        async with self._renewing:
            if not self._credentials.valid:
                await renew(self._credentials, what, self._access.ca_bundle)
        headers: dict[str, str] = {}
        self._credentials.apply(headers)
        return headers

    async def _opened(self, what: str) -> Any:
        async with self._opening:
            if self._files is None:
                self._files = await self._open(what)
        return self._files

    async def _open(self, what: str) -> Any:
        emulator = self._access.variable("STORAGE_EMULATOR_HOST")
        if emulator is not None and "://" not in emulator:
            emulator = f"http://{emulator}"
        # A token that nobody named is not sent to a server that is not Google's.
        if emulator is None or self._access.variable("GOOGLE_APPLICATION_CREDENTIALS"):
            self._credentials = await found(what, self._access.ca_bundle)
        limits = self._limits
        kwargs: dict[str, Any] = {
            "auto_decompress": False,
            "cookie_jar": aiohttp.DummyCookieJar(),
            "timeout": aiohttp.ClientTimeout(
                total=None, sock_connect=limits.connect_timeout_seconds, sock_read=limits.stall_timeout_seconds
            ),
        }
        if self._access.ca_bundle is not None:
            kwargs["connector"] = aiohttp.TCPConnector(limit=limits.concurrency, ssl=_trust(self._access.ca_bundle))
        return GCSFileSystem(
            token=self._credentials or "anon",
            access="read_only",
            asynchronous=True,
            endpoint_url=emulator,
            session_kwargs=kwargs,
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def _proxy(self, url: str) -> str | None:
        parts = urlsplit(url)
        proxies = self._access.proxies
        proxy = proxies.get(parts.scheme) or proxies.get("all")
        return None if proxy is None or proxy_bypass_environment(parts.netloc, dict(proxies)) else proxy


def _trust(ca_bundle: str) -> Any:
    import ssl

    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--ca-bundle {ca_bundle}: holds no certificates that can be read") from error


def _object(bucket: str, key: str) -> str:
    return f"b/{quote(bucket, safe='')}/o/{quote(key, safe='')}"


def _generation(headers: Headers) -> str | None:
    said = headers.get("X-Goog-Generation", "")
    return said if said.isascii() and said.isdecimal() else None


async def _body(answer: Answer, most: int, what: str) -> bytes:
    said = bytearray()
    while piece := await answer.read(_PIECE_BYTES):
        said += piece
        if len(said) > most:
            raise bad_answer(what, "it is endless")
    return bytes(said)
