"""A sweep over a real S3 server that is killed at random moments, and goes on each time."""

import json
import os
import pickle
import random
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cli.program import run, start
from tests.servers.seaweed import ACCESS, SECRET, Seaweed

OBJECTS = 2000
KILLS = 10
PREFIX = "s3://models/killed/"
EVIL = b"cos\nsystem\n(S'echo'\ntR."
_PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def bucket(s3_server: Seaweed) -> Seaweed:
    def put(number: int) -> None:
        data = EVIL if number % 100 == 7 else pickle.dumps([number] * (number % 50))
        s3_server.put(f"killed/{number:05}.pkl", data)

    with ThreadPoolExecutor(8) as putters:
        list(putters.map(put, range(OBJECTS)))
    return s3_server


def environment(server: Seaweed) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def lines(path: Path) -> list[dict[str, Any]]:
    """Each line of the file; fails for one that is broken."""
    text = path.read_bytes()
    assert text.endswith(b"\n")
    return [json.loads(line) for line in text.splitlines()]


def killed(process: subprocess.Popen[bytes], output: Path, at_bytes: int, then_seconds: float) -> None:
    """Kill `process` a moment after `output` has grown to `at_bytes`."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not output.exists() or output.stat().st_size < at_bytes:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(then_seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_ten_kills(bucket: Seaweed, tmp_path: Path) -> None:
    """Each object has exactly one record, no line is broken, and the sums add up."""
    moments = random.Random(4)
    output = tmp_path / "out.ndjson"
    command = ("scan", PREFIX, "--state", "state.db", "--output", "out.ndjson")
    sizes = []
    for _ in range(KILLS):
        before = output.stat().st_size if output.exists() else 0
        process = start(*command, cwd=tmp_path, **environment(bucket))
        more = moments.choice([1, 2_000, 10_000, 30_000])
        killed(process, output, before + more if before else more, moments.random() * 0.03)
        sizes.append(output.stat().st_size)
    done = run(*command, cwd=tmp_path, **environment(bucket))
    assert (done.returncode, done.stderr) == (1, "")
    records = lines(output)
    per_object = Counter(record["uri"] for record in records if record["type"] == "file")
    assert len(per_object) == OBJECTS
    assert set(per_object.values()) == {1}
    runs = [record for record in records if record["type"] == "run"]
    assert len({record["run_id"] for record in runs}) == 1
    assert [record["resumed"] for record in runs] == [False, *[True] * (len(runs) - 1)]
    assert [record["type"] for record in records].count("summary") == 1
    summary = records[-1]
    assert (summary["objects"], summary["findings_total"]) == (OBJECTS, 2 * OBJECTS // 100)
    assert summary["by_change"]["new"] == OBJECTS
    assert sizes[-1] < output.stat().st_size  # the last kill came before the end


def test_the_next_night(bucket: Seaweed, tmp_path: Path) -> None:
    """Killed, then asked for in one piece, then again: what had been scanned is not read again, and stays new once."""
    command = ("scan", PREFIX, "--state", "state.db", "--include", "*7.pkl")
    with_environment = environment(bucket)
    first = tmp_path / "first.ndjson"
    process = start(*command, "--output", "first.ndjson", cwd=tmp_path, **with_environment)
    killed(process, first, 20_000, 0)
    written = sum(line.startswith(b'{"type":"file"') for line in first.read_bytes().splitlines()[:-1])
    done = run(*command, "--output", "second.ndjson", cwd=tmp_path, **with_environment)
    assert done.returncode == 1
    second = lines(tmp_path / "second.ndjson")
    files = [record for record in second if record["type"] == "file"]
    assert len({record["uri"] for record in files}) == len(files) == OBJECTS // 10
    assert {record["change"] for record in files} == {"new"}
    assert 0 < sum(record["bytes_read"] == 0 for record in files) <= written + 1
    third = run(*command, "--format", "json", cwd=tmp_path, **with_environment)
    assert third.returncode == 1
    document = json.loads(third.stdout)
    assert document["bytes_scanned"] == 0
    assert document["totals"]["by_change"]["unchanged"] == OBJECTS // 10
    assert document["totals"]["findings_by_change"] == {"new": 0, "unchanged": 40, "fixed": 0}
    assert document["fixed"] == []
