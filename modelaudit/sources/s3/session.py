"""What sends the AWS library's requests: the library's own, but it follows no redirect and takes no endless answer.

Where a bucket moved to, S3 says in a header that the library understands. An HTTP redirect can lead anywhere, with
the session's token in the request: such an answer is an error's.
"""

from typing import Any

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession

_ANSWER_BYTES = 16 << 20  # of a listing's page or an error; a page of 1000 names of 1024 bytes, escaped, has 4 MiB
_PIECE_BYTES = 1 << 20
_NOT_HERE = (301, 302, 307, 400)


class Elsewhere(ValueError):
    """Asked where a bucket is, the server said: elsewhere."""


class AnyService:
    """Instead of the list of Amazon's services, which the library makes by looking into some 1,300 folders."""

    def __contains__(self, name: str) -> bool:
        return True


class Session(AIOHTTPSession):  # type: ignore[misc]  # the library has no types
    """The session that `AioConfig(http_session_cls=…)` takes."""

    async def _get_session(self, proxy_url: str | None) -> "_Direct":
        return _Direct(await super()._get_session(proxy_url))

    async def send(self, request: Any) -> Any:
        """The answer to `request`. All of it is here, unless it streams and went well."""
        streamed, request.stream_output = request.stream_output, True
        try:
            answer = await super().send(request)
        finally:
            request.stream_output = streamed
        asked_again = request.method == "HEAD" and answer.status_code in _NOT_HERE
        if asked_again and "x-amz-bucket-region" not in answer.headers:  # the library would ask this for ever
            raise Elsewhere
        if not streamed or answer.status_code >= 300:
            try:
                answer._content = await _whole(answer.raw)
            finally:
                answer.raw.close()
        return answer


class _Direct:
    """An HTTP session that follows no redirect."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(self, method: str, **more: Any) -> aiohttp.ClientResponse:
        """The answer to one request, whatever it is."""
        return await self._session.request(method, allow_redirects=False, **more)


async def _whole(body: aiohttp.ClientResponse) -> bytes:
    """The whole body. Raises `ValueError` when it is longer than any answer of S3."""
    said = bytearray()
    while piece := await body.content.read(_PIECE_BYTES):
        said += piece
        if len(said) > _ANSWER_BYTES:
            raise ValueError("an endless answer")
    return bytes(said)
