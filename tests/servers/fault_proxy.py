"""An HTTP/1.1 proxy for one server that counts, delays and misbehaves as it is told.

It passes requests on byte for byte (signatures cover the Host), one upstream connection for each client
connection. In a test: `with FaultProxy(port) as proxy: proxy.faults.append(slow_down("GET .*/a.bin"))`.
By itself, with a fixed latency for benchmarks: `python -m tests.servers.fault_proxy --upstream 127.0.0.1:8333
--latency-ms 40` prints its URL, and its counts as JSON when it is terminated (or at `GET /-/counts`).
"""

import argparse
import asyncio
import random
import re
import signal
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import unquote

from tests.servers.faults import Counts, Fault

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_RANGE = re.compile(rb"\r\nrange: *([^\r]*)", re.IGNORECASE)
_SIGNED = re.compile(rb"\r\n(?:authorization|x-amz-[a-z0-9-]*): *[^\r]*", re.IGNORECASE)


class _Framing:
    """Where one message's body ends: `feed` gives how many of the bytes belong to it."""

    def __init__(self, head: bytes, bodiless: bool) -> None:
        length = _LENGTH.search(head)
        self._chunked = not bodiless and _CHUNKED.search(head) is not None
        self._left: float = 0 if bodiless else int(length[1]) if length else float("inf")
        self._tail = b""
        self.done = self._left == 0 and not self._chunked

    def feed(self, data: bytes) -> int:
        if self._chunked:  # good enough for a test server: the last chunk ends the body
            self._tail = (self._tail + data)[-7:]
            self.done = self._tail.endswith(b"\r\n0\r\n\r\n") or self._tail == b"0\r\n\r\n"
            return len(data)
        count = int(min(self._left, len(data)))
        self._left -= count
        self.done = self._left == 0
        return count


class _Upstream(asyncio.Protocol):
    """The connection to the server; hands all it hears to the client's connection."""

    def __init__(self, client: "_Client") -> None:
        self._client = client
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._client.answered(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._client.upstream_lost()


class _Client(asyncio.Protocol):
    """One client connection: requests one after another."""

    def __init__(self, proxy: "FaultProxy") -> None:
        self._proxy = proxy
        self._transport: asyncio.Transport
        self._upstream: _Upstream | None = None
        self._pending = b""  # what came from the client and is not passed on yet
        self._method: str | None = None  # of the request in hand
        self._request: _Framing | None = None  # of the request's body, while it is being passed on
        self._head = b""
        self._response: _Framing | None = None
        self._fault: Fault | None = None
        self._body_bytes = 0
        self._tasks: set[asyncio.Task[None]] = set()

    # --- from the client --------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._proxy.counts.connections += 1
        self._proxy.clients.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._proxy.clients.discard(self)
        self._end_request()
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.abort()
        self._upstream = None

    def pause_writing(self) -> None:
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._pending += data
        if self._method is None:
            self._begin()
        elif self._request is not None:
            self._pass_body()

    def _begin(self) -> None:
        end = self._pending.find(b"\r\n\r\n")
        if end < 0:
            return
        head, self._pending = self._pending[: end + 4], self._pending[end + 4 :]
        self._method, target = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")[:2]
        if target == "/-/counts":
            self._method = None  # not counted itself
            self._answer(200, {"Content-Type": "application/json"}, self._proxy.counts.as_json())
            return
        self._proxy.counts.begin(self._method)
        line = f"{self._method} {unquote(target)}"
        if self._proxy.keep_lines:
            asked = _RANGE.search(head)
            self._proxy.counts.lines.append((line, asked[1].decode() if asked else ""))
        self._body_bytes = 0
        self._fault = next((fault for fault in self._proxy.faults if fault.takes(line, self._proxy.dice)), None)
        self._treat(head, self._fault)

    def _treat(self, head: bytes, fault: Fault | None) -> None:
        delay = self._proxy.latency_seconds
        if fault is not None:
            if fault.act == "answer":
                self._answer(fault.status, fault.headers, fault.body, delay)
                return
            if fault.act == "refuse":
                self._reset()
                return
            if fault.act == "strip":
                for name in fault.names:
                    head = re.sub(rb"\r\n" + name.encode() + rb": *[^\r]*", b"", head, flags=re.IGNORECASE)
                head = _SIGNED.sub(b"", head)
            if fault.act == "delay":
                delay += fault.seconds
        if delay or (fault is not None and fault.act == "call"):
            self._spawn(self._pass_later(head, delay, fault))
        else:
            self._pass(head)

    async def _pass_later(self, head: bytes, delay: float, fault: Fault | None) -> None:
        if fault is not None and fault.call is not None:
            await asyncio.to_thread(fault.call)
        await asyncio.sleep(delay)
        self._pass(head)

    def _spawn(self, work: "asyncio.Coroutine[object, object, None]") -> None:  # type: ignore[name-defined]
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _pass(self, head: bytes) -> None:
        if self._transport.is_closing():
            return
        if self._upstream is None or self._upstream.transport is None:
            self._spawn(self._connect(head))
            return
        self._upstream.transport.write(head)
        bodiless = _LENGTH.search(head) is None and _CHUNKED.search(head) is None
        self._request = None if bodiless else _Framing(head, bodiless)
        if self._request is not None:
            self._pass_body()

    async def _connect(self, head: bytes) -> None:
        upstream = _Upstream(self)
        try:
            await asyncio.get_running_loop().create_connection(lambda: upstream, *self._proxy.upstream)
        except OSError:
            self._answer(502, {}, b"")
            return
        self._upstream = upstream
        self._pass(head)

    def _pass_body(self) -> None:
        assert self._request is not None
        if self._upstream is None or self._upstream.transport is None:
            return
        count = self._request.feed(self._pending)
        self._upstream.transport.write(self._pending[:count])
        self._pending = self._pending[count:]
        if self._request.done:
            self._request = None

    # --- from the server --------------------------------------------------------------------------------

    def answered(self, data: bytes) -> None:
        if self._method is None or self._transport.is_closing():
            return
        if self._response is None:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            head, data = self._head[: end + 4], self._head[end + 4 :]
            self._head = b""
            status = int(head[9:12])
            if status == 100:
                self._transport.write(head)
                if data:
                    self.answered(data)
                return
            self._response = _Framing(head, self._method == "HEAD" or status in (204, 304))
            if self._spoil(head, data):
                return
            data_here = data[: self._response.feed(data)] if data else b""
            self._count(len(data_here))
            self._transport.write(head + data_here)
        else:
            if self._spoil(b"", data):
                return
            count = self._response.feed(data)
            self._count(count)
            self._transport.write(data[:count])
        if self._response.done:
            self._next()

    def _spoil(self, head: bytes, data: bytes) -> bool:
        """Cut, reset or stall the answer where its fault says so. True when it has ended so."""
        fault = self._fault
        if fault is None or fault.act not in ("cut", "reset", "stall"):
            return False
        room = fault.after_bytes - self._body_bytes
        if len(data) < room:
            return False
        self._count(room)
        self._transport.write(head + data[:room])
        if fault.act == "cut":
            self._transport.close()
        elif fault.act == "reset":
            self._spawn(self._reset_soon())
        if self._upstream is not None and self._upstream.transport is not None:
            self._upstream.transport.abort()
        self._upstream = None
        return True

    async def _reset_soon(self) -> None:
        await asyncio.sleep(0.02)  # a reset overtakes bytes that were sent and not read yet
        self._reset()

    def _count(self, count: int) -> None:
        self._body_bytes += count
        if self._method is not None:
            self._proxy.counts.body_bytes[self._method] += count

    def upstream_lost(self) -> None:
        self._upstream = None
        if self._method is not None and not (self._fault is not None and self._fault.act == "stall"):
            self._transport.close()

    # --- endings ----------------------------------------------------------------------------------------

    def _answer(self, status: int, headers: dict[str, str], body: bytes, delay: float = 0.0) -> None:
        lines = [f"HTTP/1.1 {status} Answer", *(f"{name}: {value}" for name, value in headers.items())]
        if not any(name.lower() in ("content-length", "transfer-encoding") for name in headers):
            lines.append(f"Content-Length: {len(body)}")
        answer = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        asyncio.get_running_loop().call_later(delay, self._answer_now, answer, len(body))

    def _answer_now(self, answer: bytes, count: int) -> None:
        self._count(count)
        self._transport.write(answer)
        self._next()

    def _reset(self) -> None:
        connection: socket.socket | None = self._transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _end_request(self) -> None:
        if self._method is not None and self._proxy.counts.in_flight[self._method]:
            self._proxy.counts.in_flight[self._method] -= 1
        self._method = self._response = self._request = self._fault = None

    def _next(self) -> None:
        self._end_request()
        if self._pending:
            self._begin()

    def close(self) -> None:
        self._transport.abort()


class FaultProxy:
    """The proxy in a thread of its own. `url` says where; `faults` may be changed at any time."""

    def __init__(self, upstream: tuple[str, int], latency_seconds: float = 0.0, keep_lines: bool = True) -> None:
        self.upstream = upstream
        self.latency_seconds = latency_seconds
        self.keep_lines = keep_lines
        self.faults: list[Fault] = []
        self.counts = Counts()
        self.dice = random.Random(1)
        self.clients: set[_Client] = set()
        self.url = ""

    async def serve(self, started: Callable[[], object], stop: asyncio.Event, port: int = 0) -> None:
        """Listen until `stop`."""
        server = await asyncio.get_running_loop().create_server(lambda: _Client(self), "127.0.0.1", port, backlog=512)
        self.url = "http://{}:{}".format(*server.sockets[0].getsockname())
        started()
        await stop.wait()
        server.close()
        for client in list(self.clients):
            client.close()
        await asyncio.sleep(0)

    def __enter__(self) -> Self:
        ready = threading.Event()

        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._stop = asyncio.Event()
            await self.serve(ready.set, self._stop)

        self._thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
        self._thread.start()
        assert ready.wait(10), "the proxy did not start"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


async def _alone(options: argparse.Namespace) -> None:
    host, _, port = options.upstream.rpartition(":")
    proxy = FaultProxy((host, int(port)), options.latency_ms / 1000, keep_lines=False)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await proxy.serve(lambda: print(proxy.url, flush=True), stop, options.port)
    print(proxy.counts.as_json().decode(), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upstream", required=True, help="host:port of the server")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    asyncio.run(_alone(parser.parse_args()))
