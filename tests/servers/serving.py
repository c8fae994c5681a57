"""An HTTP server made of handlers, in a thread of its own: what fakes of services are built on."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


@contextmanager
def serving(app: web.Application, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve `app` on a free port of `host`, and give the port."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    ports: list[int] = []
    stop = asyncio.Event()

    async def run() -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, host, 0, ssl_context=tls)
        await site.start()
        ports.append(runner.addresses[0][1])
        started.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), name="serving")
    thread.start()
    try:
        assert started.wait(10), "the server did not start"
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def ranged(request: web.Request, data: bytes, headers: dict[str, str] | None = None) -> web.Response:
    """`data`, or the range of it that is asked for, as servers answer it (RFC 9110, section 14)."""
    more = {"Accept-Ranges": "bytes", **(headers or {})}
    try:
        asked = request.http_range
    except ValueError:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    if asked.start is None and asked.stop is None:
        return web.Response(body=data, headers=more)
    first, end, _ = asked.indices(len(data))
    if first >= len(data):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
    more["Content-Range"] = f"bytes {first}-{end - 1}/{len(data)}"
    return web.Response(status=206, body=data[first:end], headers=more)
