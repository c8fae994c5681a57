"""The bill of materials: valid to the official schema, read back by the library, nothing held in memory."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from msgspec.structs import replace

from modelaudit import catalogue
from modelaudit.model import FileReport, License
from modelaudit.sinks.sbom import NOT_MODELS, SbomSink
from tests.cli.program import models, run
from tests.servers.serving import ranged, serving
from tests.sinks.records import EVIL, MIXED, RUN, file_output, finding, report, summary

LICENSED = report(
    "hf://acme/<b>\u202emodel\x00.safetensors",
    formats=("safetensors",),
    sha256="ab" * 32,
    licenses=(License("README.md", "MIT OR Apache-2.0"), License("LICENSE", "LicenseRef-llama3")),
)
NAMED = report("models/own.bin", licenses=(License("README.md", None, "our own terms"),))
ACCEPTED = report("models/old.pkl", suppressed=(replace(finding(), suppressed="a drill"),))
BROKEN = report("models/\udcff.pkl", findings=(replace(finding(), message="\udcff", why="\ud800"),))


def valid(text: str) -> dict[str, Any]:
    """The document, if it keeps to the schema and the library understands it."""
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    document: dict[str, Any] = json.loads(text)
    bom = Bom.from_json(document)  # type: ignore[attr-defined]  made by the library's serialiser
    assert len(bom.components) == len(document["components"])
    return document


def written(path: Path, *reports: FileReport) -> dict[str, Any]:
    sink = SbomSink(file_output(path))
    sink.start(RUN)
    for each in reports:
        sink.write(each)
    sink.finish(summary(reports))
    sink.close()
    return valid(path.read_text("utf-8"))


def test_every_kind_of_record(tmp_path: Path) -> None:
    """Components with hashes and licences, findings that point at them, hostile words included."""
    document = written(tmp_path / "o", *MIXED, LICENSED, NAMED, ACCEPTED, BROKEN)
    parts = {each["name"]: each for each in document["components"]}
    assert len(parts) == 9
    assert parts["models/evil.pkl"]["type"] == "machine-learning-model"
    assert parts["models/half.zip"]["type"] == "file"
    licensed = parts[LICENSED.uri]
    assert licensed["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert licensed["licenses"] == [{"expression": "LicenseRef-llama3 AND (MIT OR Apache-2.0)"}]
    assert parts["models/own.bin"]["licenses"] == [{"license": {"name": "our own terms"}}]
    weak = [
        each for each in document["vulnerabilities"] if each["affects"][0]["ref"] == parts["models/evil.pkl"]["bom-ref"]
    ]
    assert [(each["id"], each["ratings"][0]["severity"]) for each in weak] == [
        ("pickle-import", "medium"),
        ("pickle-import", "critical"),
    ]
    assert all(each["cwes"] and each["recommendation"] for each in weak)
    accepted = document["vulnerabilities"][2]
    assert accepted["analysis"] == {"state": "not_affected", "detail": "a drill"}
    assert "analysis" not in weak[0]


def test_a_run_without_objects(tmp_path: Path) -> None:
    """A valid document too; what was not there at all, and what has gone, is no component."""
    missing = replace(MIXED[4], size=None, version=None)
    document = written(tmp_path / "o", missing, report(change="gone"))
    assert (document["components"], document["vulnerabilities"]) == ([], [])


def test_components_leave_as_they_come(tmp_path: Path) -> None:
    """Nothing waits for the end but the findings, which wait in a file."""
    sink = SbomSink(file_output(tmp_path / "o"))
    sink.start(RUN)
    for number in range(50):
        sink.write(replace(EVIL, uri=f"models/{number}.pkl"))
        assert f"models/{number}.pkl" in (tmp_path / "o").read_text()
    sink.close()


def test_plain_formats_are_known() -> None:
    """Each name that makes an object no model is a format."""
    assert catalogue.load().formats.keys() >= NOT_MODELS


def test_beside_the_ordinary_output(tmp_path: Path) -> None:
    """`--sbom` changes nothing in the records but the SHA-256 of what was read whole; it is not scanned itself."""
    folder = models(tmp_path, 3)
    for _ in range(2):
        done = run("scan", "models", "--format", "ndjson", "--sbom", "models/sbom.json", cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        records = [json.loads(line) for line in done.stdout.splitlines()][1:-1]
        assert {each["uri"]: each["sha256"] for each in records} == {
            f"models/{number}.pkl": hashlib.sha256((folder / f"{number}.pkl").read_bytes()).hexdigest()
            for number in range(3)
        }
        document = valid((folder / "sbom.json").read_text())
        assert {each["hashes"][0]["content"] for each in document["components"]} == {each["sha256"] for each in records}


@pytest.mark.parametrize("asked", [True, False])
def test_hashes_of_what_is_read_in_part(tmp_path: Path, asked: bool) -> None:
    """Of an object far larger than what a scan reads of it: only with `--hash`, and then all of it, piece by piece."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [20 << 20], "data_offsets": [0, 20 << 20]}}).encode()
    data = len(header).to_bytes(8, "little") + header + os.urandom(1 << 20) * 20

    async def answer(request: web.Request) -> web.Response:
        return ranged(request, data, {"ETag": '"v1"'})

    app = web.Application()
    app.router.add_get("/m.safetensors", answer)
    (tmp_path / "m.safetensors").write_bytes(data)
    with serving(app) as port:
        words = ["scan", f"http://127.0.0.1:{port}/m.safetensors", "m.safetensors", "--format", "ndjson"]
        done = run(*words, *(["--hash"] if asked else []), cwd=tmp_path)
    records = [json.loads(line) for line in done.stdout.splitlines()][1:-1]
    digest = hashlib.sha256(data).hexdigest() if asked else None
    assert [(each["status"], each["sha256"]) for each in records] == [("scanned", digest)] * 2
    assert all((each["bytes_read"] >= len(data)) is asked for each in records)


def test_hashing_keeps_to_the_budget(tmp_path: Path) -> None:
    """Where there are not enough bytes left, the scan still counts; there is no digest."""
    data = b"\x80\x04" + b"B" + (30 << 20).to_bytes(4, "little") + bytes(30 << 20) + b"."

    async def answer(request: web.Request) -> web.Response:
        return ranged(request, data, {"ETag": '"v1"'})

    app = web.Application()
    app.router.add_get("/m.pkl", answer)
    with serving(app) as port:
        words = ["scan", f"http://127.0.0.1:{port}/m.pkl", "--format", "ndjson", "--hash"]
        done = run(*words, "--max-total-size", "20MiB", cwd=tmp_path)
    record = json.loads(done.stdout.splitlines()[1])
    assert (record["status"], record["sha256"]) == ("scanned", None)
    assert record["bytes_read"] <= 20 << 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sbom", "models/0.pkl"], "--sbom models/0.pkl: that is a file to be read; name another one"),
        (["--sbom", "out", "-o", "out"], "--sbom out: that is the file of --output; name another one"),
        (["--sbom", "out", "--state", "out"], "--sbom out: that is the file of --state; name another one"),
        (["--sbom", "no/where"], "--sbom no/where: No such file or directory; name a file in a folder"),
    ],
)
def test_files_that_it_must_not_be(tmp_path: Path, words: list[str], said: str) -> None:
    """Said before anything is read or written over."""
    folder = models(tmp_path, 1)
    before = (folder / "0.pkl").read_bytes()
    done = run("scan", "models", "models/0.pkl", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert (folder / "0.pkl").read_bytes() == before


def test_a_full_disk(tmp_path: Path) -> None:
    """The run ends with one sentence, and not as a success."""
    models(tmp_path, 1)
    done = run("scan", "models", "--sbom", "/dev/full", "--format", "json", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "modelaudit: cannot write to /dev/full: No space left on device; "
        "free some room there, or write elsewhere with --output"
    ]
