"""Objects in S3 and in what speaks its protocol (R2, SeaweedFS, Ceph …).

Credentials, region and endpoint are what the AWS library finds in the environment, the shared files, and the
roles of the machine. The only place that knows that library.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.interface import Chunk, Source, failed
from modelaudit.sources.s3.connection import Connection, Place
from modelaudit.sources.s3.listing import Listing, address
from modelaudit.sources.s3.surroundings import names_in


class S3(Source):
    """`s3://bucket/key`: that object, or what lies below `key/`; `s3://bucket`: everything; `r2://` likewise."""

    def __init__(self, limits: Limits, scheme: str = "s3") -> None:
        self.scheme = scheme
        self._limits = limits
        self._connection = Connection(limits, scheme)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def list(self, path: str) -> AsyncIterator[Sequence[Target]]:
        """Pages as the server gives them. See `Source.list`."""
        try:
            place = address(path)
        except SourceError as error:
            yield [failed(f"{self.scheme}://", "", error.reason, error.message)]
            return
        async for page in Listing(self._connection, self._limits, place).pages():
            yield page

    async def names(self, target: Target, folder: str) -> Mapping[str, int | None] | None:
        """One listing, without what lies deeper. See `Source.names`."""
        bucket, _, key = target.key.partition("/")
        prefix = "/".join(part for part in (key.rpartition("/")[0], folder) if part)
        return await names_in(self._connection, self._limits, bucket, f"{prefix}/" if prefix else "")

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        """One range by one GET, more only where that fails. See `Source.read`."""
        bucket, _, key = target.key.partition("/")
        place = Place(bucket, key, target.uri)
        attempts = self._connection.range_read(place, offset, length, target.size, version)
        return await self._connection.host.ask(attempts.attempt, self._limits.read_deadline_seconds, target.uri)
