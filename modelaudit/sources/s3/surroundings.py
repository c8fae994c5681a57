"""The names in one folder of a bucket, for scans that ask what lies beside an object."""

from collections.abc import Mapping
from typing import Any

from modelaudit.limits import Limits
from modelaudit.sources.interface import shown
from modelaudit.sources.s3.connection import Connection


async def names_in(connection: Connection, limits: Limits, bucket: str, prefix: str) -> Mapping[str, int | None] | None:
    """What lies right below `prefix`, which is empty or ends in `/`; see `Source.names`. Raises `SourceError`."""
    names: dict[str, int | None] = {}
    token: str | None = None
    what = f"listing {shown(bucket)}/{shown(prefix)}"
    for _ in range(limits.names // limits.page_objects + 1):

        async def attempt(token: str | None = token) -> Mapping[str, Any]:
            return await connection.page(bucket, prefix, limits.page_objects, token, what, delimiter="/")

        page = await connection.host.ask(attempt, limits.listing_deadline_seconds, what)
        for entry in page.get("Contents", ()):
            key = entry.get("Key", "")
            if key.startswith(prefix) and key != prefix:
                names[shown(key[len(prefix) :])] = entry.get("Size")
        for entry in page.get("CommonPrefixes", ()):
            key = entry.get("Prefix", "")
            if key.startswith(prefix) and key != prefix:
                names[shown(key[len(prefix) :])] = None
        if len(names) > limits.names:
            return None
        token = page.get("NextContinuationToken")
        if not page.get("IsTruncated") or token is None:
            return names
    return None
