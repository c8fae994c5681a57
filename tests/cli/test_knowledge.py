"""`rules`, `formats`, `schema`, `--version`, the help: what the program says about itself is what it does."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import modelaudit
from modelaudit import catalogue
from modelaudit.cli.knowledge import output_schema
from modelaudit.settings import OPTIONS
from tests.cli.program import ENVIRONMENT, PROGRAM, run

ROOT = Path(modelaudit.__file__).parents[1]


def test_the_schema_is_that_of_the_types() -> None:
    """`docs/output.schema.json` is what `modelaudit schema` prints; write it anew when a record changes."""
    assert (ROOT / "docs" / "output.schema.json").read_bytes() == output_schema()


def test_the_schema_knows_every_record(tmp_path: Path) -> None:
    """Four kinds of record, told apart by `type`."""
    done = run("schema", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    schema = json.loads(done.stdout)
    assert set(schema["discriminator"]["mapping"]) == {"run", "file", "heartbeat", "summary"}
    assert schema["$defs"]["FileReport"]["properties"]["status"]["enum"] == ["failed", "partial", "scanned", "skipped"]


def test_all_rules(tmp_path: Path) -> None:
    """A line a rule for people, an object a rule for scripts."""
    known = catalogue.load().rules
    done = run("rules", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[1] for line in done.stdout.splitlines()] == list(known)
    documents = json.loads(run("rules", "--format", "json", cwd=tmp_path).stdout)
    assert [document["id"] for document in documents] == list(known)
    assert {"id", "severity", "title", "message", "why", "advice", "cwe", "cve"} == set(documents[0])


def test_one_rule(tmp_path: Path) -> None:
    """In full; as JSON in the same shape as all of them."""
    assert (
        run("rules", "shared-bomb", cwd=tmp_path).stdout
        == """\
shared-bomb: Decompression bomb
  Severity: warning
  Message:  Unpacks to more than {allowed} times its size: {name}
  Why:      A few kilobytes that unpack to gigabytes exhaust the memory or the disk of whoever loads the file.
  Advice:   Do not load the file. Ordinary models compress by less than twenty to one.
  See:      CWE-409
"""
    )
    documents = json.loads(run("rules", "shared-bomb", "--format", "json", cwd=tmp_path).stdout)
    assert [document["id"] for document in documents] == ["shared-bomb"]


def test_the_rules_of_a_format(tmp_path: Path) -> None:
    """A format's id stands for all its rules."""
    done = run("rules", "zip", cwd=tmp_path)
    names = [line.split()[1] for line in done.stdout.splitlines()]
    assert names == [name for name in catalogue.load().rules if name.startswith("zip-")]
    assert names


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shared-bom", "modelaudit: there is no rule 'shared-bom'; did you mean shared-bomb"),
        ("?", "modelaudit: there is no rule '?'; see: modelaudit rules"),
    ],
)
def test_a_rule_that_is_none(tmp_path: Path, name: str, said: str) -> None:
    """A near miss is helped."""
    done = run("rules", name, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)


def test_formats(tmp_path: Path) -> None:
    """Scanned ones and recognised ones, as the catalogue has them."""
    known = catalogue.load().formats
    done = run("formats", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    said = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()}
    assert said == {name: "scanned" if entry.scanned else "recognised" for name, entry in known.items()}
    documents = json.loads(run("formats", "--format", "json", cwd=tmp_path).stdout)
    assert {document["id"]: document["scanned"] for document in documents} == {n: e.scanned for n, e in known.items()}


def test_a_listing_into_head(tmp_path: Path) -> None:
    """A reader that has seen enough is no error."""
    command = f'{" ".join(PROGRAM)} rules --format json | head -n 1; exit "${{PIPESTATUS[0]}}"'
    done = subprocess.run(
        ["/bin/bash", "-c", command], env=ENVIRONMENT, cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", [["--version"], ["--version", "scan"]])
def test_the_version(tmp_path: Path, arguments: list[str]) -> None:
    """By the fast way and by the ordinary one."""
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"modelaudit {modelaudit.__version__}\n", "")


def test_the_help_names_every_option(tmp_path: Path) -> None:
    """Whatever may be set can be found; each option has a sentence; and all of it fits a narrow terminal."""
    done = run("scan", "--help", cwd=tmp_path, COLUMNS="80")
    assert done.returncode == 0
    flags = set(re.findall(r"--[a-z-]+[a-z]", done.stdout))
    expected = {"--" + name.replace("_", "-") for name in OPTIONS} | {"--config", "--targets", "--help"}
    assert expected <= flags
    assert flags - expected == set()
    assert "[tool.modelaudit]" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines()) <= 80


def test_the_help_of_the_program(tmp_path: Path) -> None:
    """Every command with its sentence; without a command the help is shown as well."""
    done = run("--help", cwd=tmp_path)
    for command in ("scan", "rules", "formats", "schema", "doctor", "--install-completion"):
        assert command in done.stdout
    assert run(cwd=tmp_path).stdout.strip() == done.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--version"], {"typer", "anyio", "asyncio", "msgspec", "rich", "structlog"}),
        (
            ["scan", "tiny.pkl"],
            {"aiobotocore", "botocore", "numpy", "typer", "pydantic", "rich", "structlog", "h5py", "onnx"},
        ),
    ],
)
def test_start_up_is_light(tmp_path: Path, arguments: list[str], absent: set[str]) -> None:
    """The version needs next to nothing; a tiny pickle no cloud SDK, no numpy, and nothing that draws or logs."""
    (tmp_path / "tiny.pkl").write_bytes(b"\x80\x04N.")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "modelaudit", *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "modelaudit" in loaded
    assert loaded & absent == set()
