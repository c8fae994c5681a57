"""The least that reading a bucket can cost: the same GETs, with the same concurrency, and nothing done with them.

`python -m benchmarks.bare_client GETS.json CONCURRENCY`, where GETS.json holds `[[key, range], …]` and the
environment names the server and its keys. The bucket is listed as well, at the same time.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

BUCKET = "models"


async def _take(client: object, gets: Iterator[list[str]]) -> int:
    count = 0
    for key, span in gets:
        asked = {"Range": span} if span else {}
        answer = await client.get_object(Bucket=BUCKET, Key=key, **asked)  # type: ignore[attr-defined]
        async with answer["Body"] as body:
            count += len(await body.read())
    return count


async def _list(client: object) -> int:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)  # type: ignore[attr-defined]
    return sum([page["KeyCount"] async for page in pages])


async def _main(gets: list[list[str]], concurrency: int) -> None:
    config = AioConfig(max_pool_connections=concurrency, s3={"addressing_style": "path"})
    async with get_session().create_client("s3", config=config) as client:
        waiting = iter(gets)
        takers = [_take(client, waiting) for _ in range(concurrency)]
        listed, *counts = await asyncio.gather(_list(client), *takers)
    print(json.dumps({"listed": listed, "gets": len(gets), "bytes": sum(counts)}))


if __name__ == "__main__":
    asyncio.run(_main(json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])))
