"""The one client of a run: opened when first used, with as many connections as there may be requests."""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import msgspec
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.utils import parse_timestamp

from modelaudit.limits import Limits
from modelaudit.sources.ranges import Answer, RangeRead, bad_answer, conditions
from modelaudit.sources.ranges import Place as Known
from modelaudit.sources.retry import AttemptError, Host
from modelaudit.sources.s3.faults import ERRORS, fault, refusal
from modelaudit.sources.s3.session import AnyService, Session
from modelaudit.sources.s3.signing import Signer, Way, learn, utc_now

_ERROR_CODE = re.compile(rb"<Code>([^<]{1,100})</Code>")
# Refusals of a request as such: the library may know another region, or another way to sign.
_FOR_THE_LIBRARY = frozenset(
    (
        "SignatureDoesNotMatch",
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidRequest",
        "InvalidArgument",
    )
)


class Place(msgspec.Struct, frozen=True):
    """An object: where it is, and `uri` as people see it."""

    bucket: str
    key: str
    uri: str


class _Request(msgspec.Struct):
    """What the library's HTTP session sends."""

    url: str
    headers: dict[str, str]
    method: str = "GET"
    body: None = None
    stream_output: bool = True


class Connection:
    """Requests to one endpoint, each tried once. `host` is who to go through for more tries."""

    def __init__(self, limits: Limits, scheme: str) -> None:
        self._limits = limits
        self._scheme = scheme
        self._stack = AsyncExitStack()
        self._opening = anyio.Lock()
        self._client: Any = None
        self._credentials: Any = None
        self._signer = Signer()
        self._ways: dict[str, Way | None] = {}  # by bucket; None where only the library may send
        self.host = Host(limits.concurrency)

    async def close(self) -> None:
        """Close what was opened."""
        await self._stack.aclose()
        self._client = None

    def range_read(
        self, place: Place, offset: int, length: int, size: int | None = None, version: str | None = None
    ) -> RangeRead:
        """Attempts to read a range of an object; `size` and `version` are what is known of it."""
        return RangeRead(partial(self.get, place), self._limits, Known(place.uri, size, version), offset, length)

    async def get(self, place: Place, first: int, last: int, version: str | None) -> Answer:
        """Ask for the bytes from `first` to `last` of an object; with `version`, only if that is its ETag."""
        client = await self._opened(place.uri)
        asked = conditions(first, last, version)
        try:
            way = self._ways.get(place.bucket)
            answer = None if way is None else await self._get_signed(way, place, asked)
            return answer or await self._get_by_library(client, place, asked, refused=way is not None)
        except ERRORS as error:
            raise fault(error, place.uri) from None

    async def _get_signed(self, way: Way, place: Place, asked: dict[str, str]) -> Answer | None:
        """The answer to a request signed by us; None if the library had better make it."""
        url = way.url(place.key)
        keys = await self._credentials.get_frozen_credentials()
        headers = self._signer.headers(way, url, keys, asked, utc_now())
        answer = await self._client._endpoint.http_session.send(_Request(url, headers))
        raw = answer.raw
        if raw.status < 300:
            return Answer(raw.status, raw.headers, _reader(raw.content.read, place.uri), raw.close)
        code = _ERROR_CODE.search(await answer.content)
        name = code[1].decode("ascii", "replace") if code else ""
        if raw.status < 400 or name in _FOR_THE_LIBRARY:
            return None
        raise refusal(place.uri, name, raw.status, raw.headers)

    async def _get_by_library(self, client: Any, place: Place, asked: dict[str, str], refused: bool) -> Answer:
        """The answer to a request made by the library; from one that goes well the way is learnt.

        `refused`: the bucket did not take ours. If it takes the library's, the library makes all from now on.
        """
        more = {"IfMatch": asked["if-match"]} if "if-match" in asked else {}
        said = await client.get_object(Bucket=place.bucket, Key=place.key, Range=asked["range"], **more)
        body, meta = said["Body"], said["ResponseMetadata"]
        if refused:
            self._ways[place.bucket] = None
        elif place.bucket not in self._ways:
            self._ways[place.bucket] = await self._learn(body, place)
        return Answer(meta["HTTPStatusCode"], meta["HTTPHeaders"], _reader(body.read, place.uri), body.close)

    async def _learn(self, body: Any, place: Place) -> Way | None:
        try:
            request = body.raw_stream.request_info
            self._client._endpoint.http_session.send  # noqa: B018  what `_get_signed` needs is there
        except AttributeError:  # another version of the library, or another HTTP library below it
            return None
        if self._credentials is None:
            return None
        keys = await self._credentials.get_frozen_credentials()
        return learn(str(request.url), request.headers, place.key, keys.access_key)

    async def page(
        self, bucket: str, prefix: str, most: int, token: str | None, what: str, delimiter: str = ""
    ) -> Mapping[str, Any]:
        """One page of a listing: the answer of ListObjectsV2, its keys decoded."""
        client = await self._opened(what)
        asked = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": most}
        if delimiter:
            asked["Delimiter"] = delimiter
        if token is not None:
            asked["ContinuationToken"] = token
        try:
            page: Mapping[str, Any] = await client.list_objects_v2(**asked)
        except ERRORS as error:
            raise fault(error, what) from None
        if "IsTruncated" not in page and "Name" not in page:
            raise bad_answer(what, "it is no listing; is AWS_ENDPOINT_URL right?")
        return page

    async def _opened(self, what: str) -> Any:
        if self._client is None:
            async with self._opening:
                if self._client is None:
                    self._client = await self._open(what)
        return self._client

    async def _open(self, what: str) -> Any:
        limits = self._limits
        config = AioConfig(
            http_session_cls=Session,
            max_pool_connections=limits.concurrency,
            connect_timeout=limits.connect_timeout_seconds,
            read_timeout=limits.stall_timeout_seconds,
            # All tries are ours: the library's never mend a body, and its adaptive mode all but stops.
            retries={"mode": "standard", "total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            user_agent_extra="modelaudit",
        )
        try:
            session = get_session()
            session.get_component("data_loader").list_available_services = lambda kind: AnyService()
            session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
            region = session.get_config_variable("region") or ("auto" if self._scheme == "r2" else None)
            opening = session.create_client("s3", region_name=region, config=config)
            client = await self._stack.enter_async_context(opening)
            self._credentials = await session.get_credentials()
        except ERRORS as error:
            raise _not_opened(error, what) from None
        server = urlsplit(client.meta.endpoint_url)
        if self._scheme == "r2" and (server.hostname or "").endswith(".amazonaws.com"):
            raise AttemptError(
                "credentials", f"{what}: set AWS_ENDPOINT_URL to https://<account id>.r2.cloudflarestorage.com"
            )
        return client


def _reader(read: Callable[[int], Awaitable[bytes]], uri: str) -> Callable[[int], Awaitable[bytes]]:
    """`read`, which raises `AttemptError` only."""

    async def checked(most: int) -> bytes:
        try:
            return await read(most)
        except ERRORS as error:
            raise fault(error, uri) from None

    return checked


def _moment(said: str) -> datetime:
    """A time in an answer. The library's own parser takes most of the time of reading a listing."""
    with suppress(ValueError):
        return datetime.fromisoformat(said)
    try:
        moment: datetime = parse_timestamp(said)
    except (RuntimeError, ArithmeticError) as error:
        raise ValueError("no time") from error
    return moment


def _not_opened(error: BaseException, what: str) -> AttemptError:
    if isinstance(error, ValueError):  # the library's word for an endpoint that is no URL
        return AttemptError("bad_address", f"{what}: AWS_ENDPOINT_URL is not a URL such as https://host:port")
    return fault(error, what)
