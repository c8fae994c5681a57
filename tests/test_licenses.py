"""Licences from end to end: in the cage, in every output, and what `--strict-license` does."""

import json
from pathlib import Path

import pytest

from modelaudit.limits import KIB
from modelaudit.model import License
from modelaudit.sinks.ndjson import file_line
from tests.cli.program import run
from tests.samples.gguffiles import STR, model
from tests.samples.licensefiles import MIT, card, metadata
from tests.sinks.records import report


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "LICENSE").write_bytes(MIT)
    (folder / "README.md").write_bytes(card("license: llama3.1"))
    (folder / "model.gguf").write_bytes(model(("general.license", STR, "AGPL-3.0")))
    (folder / "METADATA").write_bytes(metadata("License-Expression: MIT OR Apache-2.0"))
    (folder / "notes.txt").write_bytes(b"Nothing.")
    return tmp_path


EXPRESSIONS = {
    "models/LICENSE": "MIT",
    "models/METADATA": "MIT OR Apache-2.0",
    "models/README.md": "LicenseRef-scancode-llama-3.1-license-2024",
    "models/model.gguf": "AGPL-3.0-only",
}


def test_in_ndjson(models: Path) -> None:
    """Records hold what caged workers understood, which have loaded everything that they need."""
    done = run("scan", "models", "--format", "ndjson", cwd=models)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    files = {record["uri"]: record for record in records if record["type"] == "file"}
    assert {uri: each["expression"] for uri, file in files.items() for each in file.get("licenses", ())} == EXPRESSIONS
    assert "licenses" not in files["models/notes.txt"]
    assert files["models/model.gguf"]["licenses"][0]["restrictions"] == ["network"]
    assert done.returncode == 0


def test_in_json_and_text(models: Path) -> None:
    """Each file of the document has its own; the text counts them on one line."""
    document = json.loads(run("scan", "models", "--format", "json", cwd=models).stdout)
    told = {file["path"]: [each["expression"] for each in file.get("licenses", ())] for file in document["files"]}
    assert told == {uri: [expression] for uri, expression in EXPRESSIONS.items()} | {"models/notes.txt": []}
    text = run("scan", "models", "--format", "text", cwd=models).stdout
    (line,) = [line for line in text.splitlines() if line.startswith("Licences stated: ")]
    assert sorted(line.removeprefix("Licences stated: ").split(", ")) == sorted(
        f"{expression} 1" for expression in EXPRESSIONS.values()
    )
    (models / "models" / "LICENSE").unlink()
    assert "Licences" not in run("scan", "models/notes.txt", "--format", "text", cwd=models).stdout


def test_strict(models: Path) -> None:
    """Restrictions are warnings then, and warnings fail; a level of the user's own comes first."""
    strict = run("scan", "models", "--strict-license", "--format", "json", cwd=models)
    issues = json.loads(strict.stdout)["issues"]
    assert {issue["severity"] for issue in issues} == {"warning"}
    assert {issue["rule"] for issue in issues} == {
        "license-commercial-terms",
        "license-use-limits",
        "license-network",
    }
    assert strict.returncode == 1
    assert run("scan", "models/LICENSE", "models/METADATA", "--strict-license", cwd=models).returncode == 0
    arguments = ["scan", "models/model.gguf", "--strict-license", "--severity", "license-network=info"]
    assert run(*arguments, cwd=models).returncode == 0


def test_with_state(models: Path) -> None:
    """What did not change keeps its licences, and so does a copy under another name."""
    arguments = ["scan", "models", "--state", "state.db", "--format", "ndjson"]
    run(*arguments, cwd=models)
    (models / "models" / "COPYING").write_bytes(MIT)
    records = [json.loads(line) for line in run(*arguments, cwd=models).stdout.splitlines()]
    files = {record["uri"]: record for record in records if record["type"] == "file"}
    assert files["models/model.gguf"]["change"] == "unchanged"
    expected = {**EXPRESSIONS, "models/COPYING": "MIT"}
    assert {uri: each["expression"] for uri, file in files.items() for each in file.get("licenses", ())} == expected
    assert all(each["path"] == uri for uri, file in files.items() for each in file.get("licenses", ()))


def test_lines_stay_bounded() -> None:
    """However many licences an object states: what is left out of its line is counted."""
    many = tuple(License(f"image.tar:{number:04}/{'x' * 900}", "MIT", "MIT", "package") for number in range(500))
    line = file_line(report("image.tar", licenses=many, licenses_cut=7), 64 * KIB)
    read = json.loads(line)
    assert len(line) <= 64 * KIB
    assert len(read["licenses"]) + read["licenses_cut"] == 507
    assert read["licenses"]
