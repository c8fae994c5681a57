"""Objects in Google Cloud Storage. The only place that knows gcsfs and Google's authentication."""

from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.gcs.connection import Connection
from modelaudit.sources.gcs.listing import Listing, address, names_in
from modelaudit.sources.interface import Chunk, Source, failed


class GCS(Source):
    """`gs://bucket/name`: that object, or what lies below `name/`; `gs://bucket`: everything."""

    scheme = "gs"

    def __init__(self, limits: Limits, access: Access) -> None:
        self._limits = limits
        self._connection = Connection(limits, access)

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
            yield [failed("gs://", "", error.reason, error.message)]
            return
        async for page in Listing(self._connection, self._limits, place).pages():
            yield page

    async def names(self, target: Target, folder: str) -> Mapping[str, int | None] | None:
        """One listing, without what lies deeper. See `Source.names`."""
        bucket, _, key = target.key.partition("/")
        prefix = "/".join(part for part in (key.rpartition("/")[0], folder) if part)
        return await names_in(self._connection, self._limits, bucket, f"{prefix}/" if prefix else "")

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        """One range of one generation, as it is stored. See `Source.read`."""
        return await self._connection.read(target, offset, length, version)
