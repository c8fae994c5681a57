"""NATS JetStream fed from a pipe: every record is acknowledged, stored and consumed once."""

import asyncio
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


async def shipped(url: str, lines: list[bytes]) -> list[bytes]:
    """Publish `lines` as they come, each acknowledged, and read the stream back."""
    client = await nats.connect(url, connect_timeout=1, max_reconnect_attempts=40, reconnect_time_wait=0.1)
    try:
        stream = client.jetstream()
        await stream.add_stream(name="AUDIT", subjects=["audit"])
        for line in lines:
            await stream.publish("audit", line, timeout=10)
        subscription = await stream.pull_subscribe("audit", "reader")
        found: list[bytes] = []
        while len(found) < len(lines):
            for message in await subscription.fetch(50, timeout=10):
                await message.ack()
                found.append(message.data)
        state = await stream.stream_info("AUDIT")
        assert state.state.messages == len(lines)
        return found
    finally:
        await client.close()


def test_a_pipe_into_jetstream(tmp_path: Path, server: str) -> None:
    """`modelaudit scan … --format ndjson | publisher`: the bytes that come out are those that went in."""
    folder(tmp_path, 80)
    process = start("scan", "models", "--format", "ndjson", cwd=tmp_path)
    out, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (1, b"")
    lines = out.splitlines()
    found = asyncio.run(shipped(server, lines))
    assert found == lines
    assert len(uris([json.loads(line) for line in found])) == 81
