"""The same GETs through the library that the source is built on, and nothing done with the answers.

`python -m benchmarks.bare_library s3|gcs REQUESTS.json CONCURRENCY`; the environment names the server. The bucket is
listed as well, at the same time.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

_BUCKET = "models"
Read = Callable[[str, int, int], Awaitable[int]]


def _keys(kind: str, requests: list[list[str]]) -> Iterator[tuple[str, int, int]]:
    """The object and the range of each read among the requests."""
    for line, span in requests:
        if span:
            path = line.partition(" ")[2].partition("?")[0]
            key = path.partition(f"/{_BUCKET}/")[2] if kind == "s3" else unquote(path.partition("/o/")[2])
            first, _, last = span.removeprefix("bytes=").partition("-")
            yield key, int(first), int(last)


async def _all(read: Read, listing: Awaitable[object], gets: Iterator[tuple[str, int, int]], concurrency: int) -> None:
    async def take() -> int:
        return sum([await read(*get) for get in gets])

    _, *counts = await asyncio.gather(listing, *(take() for _ in range(concurrency)))
    print(json.dumps({"bytes": sum(counts)}))


async def _s3(gets: Iterator[tuple[str, int, int]], concurrency: int) -> None:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    config = AioConfig(max_pool_connections=concurrency, s3={"addressing_style": "path"})
    async with get_session().create_client("s3", config=config) as client:

        async def read(key: str, first: int, last: int) -> int:
            answer = await client.get_object(Bucket=_BUCKET, Key=key, Range=f"bytes={first}-{last}")
            async with answer["Body"] as body:
                return len(await body.read())

        await _all(read, client.list_objects_v2(Bucket=_BUCKET), gets, concurrency)


async def _gcs(gets: Iterator[tuple[str, int, int]], concurrency: int) -> None:
    from gcsfs.core import GCSFileSystem

    files = GCSFileSystem(token="anon", asynchronous=True, use_listings_cache=False)

    async def read(key: str, first: int, last: int) -> int:
        return len(await files._cat_file(f"{_BUCKET}/{key}", start=first, end=last + 1))

    await _all(read, files._ls(_BUCKET), gets, concurrency)
    await files._session.close()


if __name__ == "__main__":
    _run = {"s3": _s3, "gcs": _gcs}[sys.argv[1]]
    asyncio.run(_run(_keys(sys.argv[1], json.loads(Path(sys.argv[2]).read_text())), int(sys.argv[3])))
