"""The one client of a run: opened when first used, with as many connections as there may be requests."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import anyio
import msgspec
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from modelaudit.limits import Limits
from modelaudit.sources.retry import AttemptError, Host
from modelaudit.sources.s3.faults import ERRORS, fault

Headers = Mapping[str, str]  # names in lower case


class Place(msgspec.Struct, frozen=True):
    """An object: where it is, `uri` as people see it, and what is known of it (see `Target`)."""

    bucket: str
    key: str
    uri: str
    size: int | None = None
    version: str | None = None


class Answer:
    """The answer to a GET, its body still to be read."""

    def __init__(self, status: int, headers: Headers, body: Any, what: str) -> None:
        self.status = status
        self.headers = headers
        self._body = body
        self._what = what

    async def read(self, most: int) -> bytes:
        """The next bytes, at most `most`; none at the end. Raises `AttemptError`."""
        try:
            data: bytes = await self._body.read(most)
        except ERRORS as error:
            raise fault(error, self._what) from None
        return data

    def close(self) -> None:
        """Be done. The connection is used again if the body was read to its end, else closed."""
        self._body.close()


class Connection:
    """Requests to one endpoint, each tried once. `host` is who to go through for more tries."""

    def __init__(self, limits: Limits, scheme: str) -> None:
        self._limits = limits
        self._scheme = scheme
        self._stack = AsyncExitStack()
        self._opening = anyio.Lock()
        self._client: Any = None
        self.host = Host("the server", limits.concurrency)

    async def close(self) -> None:
        """Close what was opened."""
        await self._stack.aclose()
        self._client = None

    async def get(self, place: Place, first: int, last: int, version: str | None) -> Answer:
        """Ask for the bytes from `first` to `last` of an object; with `version`, only if that is its ETag."""
        client = await self._opened(place.uri)
        asked = {"Bucket": place.bucket, "Key": place.key, "Range": f"bytes={first}-{last}"}
        if version is not None and not version.startswith("W/"):  # a weak one never matches
            asked["IfMatch"] = f'"{version}"'
        try:
            said = await client.get_object(**asked)
            meta = said["ResponseMetadata"]
            return Answer(meta["HTTPStatusCode"], meta["HTTPHeaders"], said["Body"], place.uri)
        except ERRORS as error:
            raise fault(error, place.uri) from None

    async def page(self, bucket: str, prefix: str, most: int, token: str | None, what: str) -> Mapping[str, Any]:
        """One page of a listing: the answer of ListObjectsV2, its keys decoded."""
        client = await self._opened(what)
        asked = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": most}
        if token is not None:
            asked["ContinuationToken"] = token
        try:
            page: Mapping[str, Any] = await client.list_objects_v2(**asked)
        except ERRORS as error:
            raise fault(error, what) from None
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
            region = session.get_config_variable("region") or ("auto" if self._scheme == "r2" else None)
            opening = session.create_client("s3", region_name=region, config=config)
            client = await self._stack.enter_async_context(opening)
        except ERRORS as error:
            raise _not_opened(error, what) from None
        server = urlsplit(client.meta.endpoint_url)
        if self._scheme == "r2" and (server.hostname or "").endswith(".amazonaws.com"):
            raise AttemptError(
                "credentials", f"{what}: set AWS_ENDPOINT_URL to https://<account id>.r2.cloudflarestorage.com"
            )
        self.host.name = server.hostname or self.host.name
        return client


def _not_opened(error: BaseException, what: str) -> AttemptError:
    if isinstance(error, ValueError):  # the library's word for an endpoint that is no URL
        return AttemptError("bad_address", f"{what}: AWS_ENDPOINT_URL is not a URL such as https://host:port")
    return fault(error, what)
