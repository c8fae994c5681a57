"""`--heartbeat`: a run that waits for one slow object still says that it is alive, in the format's own way."""

import asyncio
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from modelaudit.model import Heartbeat
from tests.cli.program import run, start
from tests.servers.serving import ranged, serving

HELD_SECONDS = 3.0
OFTEN = ("--heartbeat", "0.3")


@pytest.fixture
def slow() -> Iterator[str]:
    """The address of a model that takes its time, beside one that does not."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/slow.pkl":
            await asyncio.sleep(HELD_SECONDS)
        return ranged(request, pickle.dumps([1, 2, 3]))

    app = web.Application()
    app.router.add_get("/{name}", answer)
    with serving(app) as port:
        yield f"http://127.0.0.1:{port}"


def test_ndjson_has_records_of_its_own(tmp_path: Path, slow: str) -> None:
    """They stand between the first line and the last, and their numbers are those of the records before them."""
    done = run("scan", f"{slow}/a.pkl", f"{slow}/slow.pkl", *OFTEN, "--format", "ndjson", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    kinds = [json.loads(line)["type"] for line in lines]
    assert (kinds[0], kinds[-1]) == ("run", "summary")
    beats = [
        msgspec.json.decode(line, type=Heartbeat)
        for line, kind in zip(lines, kinds, strict=True)
        if kind == "heartbeat"
    ]
    assert len(beats) >= 3
    assert {beat.run_id for beat in beats} == {json.loads(lines[0])["run_id"]}
    last = beats[-1]
    assert (last.listed, last.all_listed, last.objects, last.findings_total) == (2, True, 1, 0)
    assert last.bytes_read == len(pickle.dumps([1, 2, 3]))
    assert [beat.duration_seconds for beat in beats] == sorted({beat.duration_seconds for beat in beats})
    assert last.time >= json.loads(lines[0])["started"]


@pytest.mark.parametrize("format", ["json", "text", "sarif"])
def test_other_formats_are_left_whole(tmp_path: Path, slow: str, format: str) -> None:
    """A document has no place for it: the signs of life are lines on standard error."""
    done = run("scan", f"{slow}/slow.pkl", *OFTEN, "--format", format, cwd=tmp_path)
    assert done.returncode == 0
    assert "heartbeat" not in done.stdout
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert len(events) >= 3
    assert {event["event"] for event in events} == {"scanning"}
    assert events[-1]["listed"] == 1


def test_nobody_asked(tmp_path: Path, slow: str) -> None:
    """Without the option there is neither record nor line."""
    done = run("scan", f"{slow}/slow.pkl", "--format", "ndjson", cwd=tmp_path)
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["run", "file", "summary"]
    assert done.stderr == ""


def test_a_reader_that_goes_away_is_noticed(tmp_path: Path) -> None:
    """A heartbeat that nobody takes ends the run, though nothing else would have been written for long."""

    async def never(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError(request)

    app = web.Application()
    app.router.add_get("/{name}", never)
    with serving(app) as port:
        process = start("scan", f"http://127.0.0.1:{port}/a.pkl", *OFTEN, "--format", "ndjson", cwd=tmp_path)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 2
        assert process.stderr.read() == b""
        process.stderr.close()


@pytest.mark.parametrize("seconds", ["0", "-1", "often", "inf", "nan"])
def test_a_time_that_is_none(tmp_path: Path, seconds: str) -> None:
    """A sentence that says what can be written there."""
    done = run("scan", ".", f"--heartbeat={seconds}", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "--heartbeat" in done.stderr
    assert "a number of seconds above 0" in done.stderr
