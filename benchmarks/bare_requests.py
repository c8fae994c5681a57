"""The least that a source can cost: the same requests, with the same concurrency, and nothing done with the answers.

`python -m benchmarks.bare_requests URL REQUESTS.json CONCURRENCY`, where REQUESTS.json holds
`[["GET /path?query", range], …]` as the proxy has written them down.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
from yarl import URL


async def _take(session: aiohttp.ClientSession, base: str, requests: Iterator[list[str]]) -> int:
    count = 0
    for line, span in requests:
        method, _, path = line.partition(" ")
        url = URL(base + quote(path, safe="/?&=%:@~,;!*'()+$[]"), encoded=True)
        async with session.request(method, url, headers={"Range": span} if span else {}) as answer:
            count += len(await answer.read())
    return count


async def _main(base: str, requests: list[list[str]], concurrency: int) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        waiting = iter(requests)
        counts = await asyncio.gather(*(_take(session, base, waiting) for _ in range(concurrency)))
    print(json.dumps({"requests": len(requests), "bytes": sum(counts)}))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), int(sys.argv[3])))
