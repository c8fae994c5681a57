"""rsyslog tails the NDJSON of a scan through rotation, restarts and a kill: nothing is lost or harmed."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.program import run
from tests.servers.debian import program
from tests.shippers.awkward import folder, records

ROOT = Path(__file__).parents[2]


def configuration(watched: Path, sent: Path, work: Path) -> str:
    """What docs/output.md shows, with the paths of this test in it."""
    text = (ROOT / "docs" / "output.md").read_text()
    shown = text.split("```rsyslog\n")[1].split("```")[0]
    for theirs, ours in (
        ("/var/log/modelaudit", watched),
        ("/var/spool/rsyslog", work),
        ("/var/log/sent.ndjson", sent),
    ):
        assert theirs in shown
        shown = shown.replace(theirs, str(ours))
    return shown


@contextmanager
def rsyslog(work: Path, text: str) -> Iterator[subprocess.Popen[bytes]]:
    (work / "rsyslog.conf").write_text(text)
    command = [program("rsyslogd", "rsyslog"), "-n", "-f", str(work / "rsyslog.conf"), "-i", str(work / "pid")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        (work / "pid").unlink(missing_ok=True)


def until(true: Callable[[], bool], what: str) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    pytest.fail(what)


def test_rotation_and_restart(tmp_path: Path) -> None:
    """Three nights: live, while rsyslog is down, after the file was moved away; each record arrives once."""
    watched, work, sent = tmp_path / "log", tmp_path / "work", tmp_path / "sent.ndjson"
    watched.mkdir()
    work.mkdir()
    folder(tmp_path, 60)
    text = configuration(watched, sent, work)
    written: list[str] = []

    def night(name: str) -> None:
        done = run("scan", "models", "--format", "ndjson", "--output", str(watched / name), cwd=tmp_path)
        assert done.returncode == 1
        written.extend(json.dumps(line, sort_keys=True) for line in records(watched / name))

    def arrived() -> list[str]:
        lines = sent.read_bytes().splitlines() if sent.exists() else []
        return [json.dumps(json.loads(line), sort_keys=True) for line in lines]

    with rsyslog(work, text) as process:
        night("audit.ndjson")
        until(lambda: len(arrived()) >= len(written), "the first night did not arrive")
        process.terminate()
        process.wait(20)
    os.rename(watched / "audit.ndjson", watched / "audit-1.ndjson.old")
    night("audit.ndjson")
    with rsyslog(work, text) as process:
        until(lambda: len(arrived()) >= len(written), "what was written meanwhile did not arrive")
        os.rename(watched / "audit.ndjson", watched / "audit-2.ndjson.old")
        night("audit.ndjson")
        until(lambda: len(arrived()) >= len(written), "what came after the rotation did not arrive")
        time.sleep(0.5)  # for what should not come
        process.terminate()
        process.wait(20)
    assert sorted(arrived()) == sorted(written)
    assert len(written) == 3 * (60 + 1 + 2)


def test_a_kill(tmp_path: Path) -> None:
    """After SIGKILL no record is missing or broken. Some come twice, byte by byte the same: readers can drop them."""
    watched, work, sent = tmp_path / "log", tmp_path / "work", tmp_path / "sent.ndjson"
    watched.mkdir()
    work.mkdir()
    folder(tmp_path, 60)
    text = configuration(watched, sent, work)
    done = run("scan", "models", "--format", "ndjson", "--output", "audit.ndjson", cwd=tmp_path)
    assert done.returncode == 1
    lines = (tmp_path / "audit.ndjson").read_bytes().splitlines(keepends=True)
    half = len(lines) // 2

    def arrived() -> list[str]:
        found = sent.read_bytes().splitlines() if sent.exists() else []
        return [json.dumps(json.loads(line), sort_keys=True) for line in found]

    with rsyslog(work, text) as process, (watched / "audit.ndjson").open("wb", buffering=0) as file:
        file.write(b"".join(lines[:half]))
        until(lambda: len(arrived()) >= half, "the first half did not arrive")
        process.kill()
        process.wait(20)
        file.write(b"".join(lines[half:]))
    wanted = {json.dumps(json.loads(line), sort_keys=True) for line in lines}
    with rsyslog(work, text):
        until(lambda: wanted <= set(arrived()), "a record is missing after the kill")
        assert set(arrived()) == wanted
