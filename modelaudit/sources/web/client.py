"""The one HTTP session of a run: opened when first used, TLS always verified, no redirect followed, no cookie kept."""

import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # unknown to the stubs

import aiohttp
import msgspec
from yarl import URL

from modelaudit.access import Access
from modelaudit.errors import UsageError
from modelaudit.limits import Limits
from modelaudit.sources.ranges import Answer
from modelaudit.sources.retry import Host
from modelaudit.sources.web.faults import ERRORS, bad_url, fault

_HEADER_BYTES = 32 << 10  # one header; signed URLs in redirects are long


class Request(msgspec.Struct, frozen=True):
    """One request. `url` is sent as it is written; `what` names it to people."""

    url: str
    what: str
    headers: Mapping[str, str] = {}
    method: str = "GET"
    body: bytes | None = None


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: who it is that a URL leads to. Raises `ValueError` where that is not to be seen."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme)


class Web:
    """Requests to any server, each sent once. `host` is who to go through for more tries."""

    def __init__(self, limits: Limits, access: Access) -> None:
        self._limits = limits
        self._proxies = access.proxies
        self._ca_bundle = access.ca_bundle
        self._session: aiohttp.ClientSession | None = None
        self._hosts: dict[tuple[str, str, int | None], Host] = {}

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def host(self, url: str) -> Host:
        """The server that `url` leads to, as asked so far in this run."""
        return self._hosts.setdefault(origin(url), Host(self._limits.concurrency))

    async def send(self, request: Request) -> Answer:
        """The answer, whatever its status. Raises `AttemptError` where none comes, or `url` is none."""
        session = self._opened()
        try:
            parts = urlsplit(request.url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
                raise bad_url(request.what)
            response = await session.request(
                request.method,
                URL(request.url, encoded=True),
                headers={"Accept-Encoding": "identity", **request.headers},
                data=request.body,
                allow_redirects=False,
                proxy=self._proxy(parts.scheme, parts.hostname, parts.port),
            )
        except ERRORS as error:
            raise fault(error, request.what) from None

        async def read(most: int) -> bytes:
            try:
                return await response.content.read(most)
            except ERRORS as error:
                raise fault(error, request.what) from None

        return Answer(response.status, response.headers, read, response.close)

    def _proxy(self, scheme: str, host: str, port: int | None) -> str | None:
        proxy = self._proxies.get(scheme) or self._proxies.get("all")
        named = host if port is None else f"{host}:{port}"
        return None if proxy is None or proxy_bypass_environment(named, dict(self._proxies)) else proxy

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            limits = self._limits
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=limits.concurrency, ssl=_trust(self._ca_bundle)),
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=limits.connect_timeout_seconds, sock_read=limits.stall_timeout_seconds
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "modelaudit"},
                auto_decompress=False,
                max_line_size=_HEADER_BYTES,
                max_field_size=_HEADER_BYTES,
            )
        return self._session


def _trust(ca_bundle: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--ca-bundle {ca_bundle}: holds no certificates that can be read") from error
