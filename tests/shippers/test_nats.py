"""NATS JetStream fed from a pipe: every record is acknowledged, stored and consumed once."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import nats
import pytest

from tests.cli.program import start
from tests.shippers.awkward import folder, uris


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or "nats-server"
    command = [found, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(tmp_path / "store")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield f"nats://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


async def shipped(url: str, pipe: IO[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Publish the lines of `pipe` as they come, each acknowledged. Gives what went in and what the stream holds."""
    lines: list[bytes] = []
    client = await nats.connect(url, connect_timeout=1, max_reconnect_attempts=40, reconnect_time_wait=0.1)
    try:
        stream = client.jetstream()
        await stream.add_stream(name="AUDIT", subjects=["audit"])
        while line := await asyncio.to_thread(pipe.readline):
            lines.append(line.rstrip(b"\n"))
            await stream.publish("audit", lines[-1], timeout=10)
        subscription = await stream.pull_subscribe("audit", "reader")
        found: list[bytes] = []
        while len(found) < len(lines):
            for message in await subscription.fetch(50, timeout=10):
                await message.ack()
                found.append(message.data)
        state = await stream.stream_info("AUDIT")
        assert state.state.messages == len(lines)
        return lines, found
    finally:
        await client.close()


def test_a_pipe_into_jetstream(tmp_path: Path, server: str) -> None:
    """`modelaudit scan … --format ndjson | publisher`: the bytes that come out are those that went in."""
    folder(tmp_path, 80)
    process = start("scan", "models", "--format", "ndjson", cwd=tmp_path)
    assert process.stdout is not None
    try:
        lines, found = asyncio.run(asyncio.wait_for(shipped(server, process.stdout), 60))
    finally:
        process.kill()
        _, errors = process.communicate(timeout=20)
    assert errors == b""
    assert found == lines
    ended = json.loads(lines[-1])
    assert (ended["type"], ended["exit_code"]) == ("summary", 1)
    assert len(uris([json.loads(line) for line in found])) == 81
