"""A proxy behind which hosts have the names of the real world: `https://huggingface.co` is a server on loopback.

It speaks CONNECT, ends TLS itself with certificates of its own authority, and forwards plain requests.
"""

import asyncio
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import trustme

_HEAD_BYTES = 64 << 10


class Internet:
    """`hosts` are the names that there are, and the ports on loopback where they are. `asked` collects the names."""

    def __init__(self, hosts: Mapping[str, int], authority: Path) -> None:
        self.asked: list[str] = []
        self.port = 0
        self._hosts = hosts
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(authority)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, version = head.split(b"\r\n")[0].decode().split(" ")
            parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
            host = parts.hostname or ""
            self.asked.append(host)
            if host not in self._hosts:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            behind, before = await asyncio.open_connection("127.0.0.1", self._hosts[host])
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await writer.drain()
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                self._authority.issue_cert(host).configure_cert(context)
                await writer.start_tls(context)
            else:
                path = parts._replace(scheme="", netloc="").geturl() or "/"
                own = f"Host: 127.0.0.1:{self._hosts[host]}".encode()  # MLflow answers to no other name
                rest = re.sub(rb"(?mi)^host: .*?(?=\r$)", own, head.split(b"\r\n", 1)[1])
                before.write(f"{method} {path} {version}\r\nConnection: close\r\n".encode() + rest)
            with suppress(OSError):
                await asyncio.gather(_pipe(reader, before), _pipe(behind, writer))
        with suppress(OSError):
            writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(1 << 16):
        writer.write(piece)
        await writer.drain()
    writer.close()


@contextmanager
def internet(hosts: Mapping[str, int], authority: Path) -> Iterator[Internet]:
    """Run the proxy for the length of the block; `authority` becomes the PEM file of whom to trust."""
    running = Internet(hosts, authority)
    loop, started, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def run() -> None:
        server = await asyncio.start_server(running.serve, "127.0.0.1", 0, limit=_HEAD_BYTES)
        running.port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), name="internet")
    thread.start()
    try:
        assert started.wait(10)
        yield running
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
