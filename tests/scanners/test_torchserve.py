"""TorchServe archives: the manifest, and the handler as a member (B052)."""

import io
import json
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.model import Inspection
from tests.scanners.streams import ATTACK, ORDINARY

MODEL = {"modelName": "densenet", "serializedFile": "m.pt", "handler": "image_classifier", "modelVersion": "1.0"}
HANDLER = b"class Handler:\n    def handle(self, data, context):\n        return [len(row) for row in data]\n"


def mar(members: dict[str, bytes] | None = None, **model: Any) -> bytes:
    """An archive as torch-model-archiver writes it."""
    manifest = {
        "createdOn": "01/01/2025",
        "runtime": "python",
        "model": {**MODEL, **model},
        "archiverVersion": "0.12.0",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in {"m.pt": ORDINARY, **(members or {})}.items():
            archive.writestr(name, data)
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest, indent=2))
    return buffer.getvalue()


def look(data: bytes) -> Inspection:
    return inspect(BytesBlob(data, Place("densenet.mar")), uri="densenet.mar")


def test_an_archive_with_a_handler_of_the_server_is_silent() -> None:
    """Not one finding."""
    found = look(mar({"index_to_name.json": b'{"0": "cat"}'}))
    assert (found.status, found.findings) == ("scanned", ())
    assert "torchserve" in found.scanners


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("torchserve-handler", {"handler": "handler.py"}),
        ("torchserve-handler", {"handler": "my.module:entry"}),
        ("torchserve-requirements", {"requirementsFile": "requirements.txt"}),
        ("torchserve-reference", {"handler": "../../tmp/evil.py"}),
        ("torchserve-reference", {"serializedFile": "/etc/passwd"}),
        ("torchserve-reference", {"extensions": "a.json,../b.py"}),
    ],
)
def test_what_the_manifest_has_the_server_do(rule: str, fields: dict[str, str]) -> None:
    """The rule fires."""
    assert rule in {finding.rule for finding in look(mar(**fields)).findings}


def test_an_ordinary_handler_of_its_own_is_told_and_not_blamed() -> None:
    """Nothing is said against the source itself; that the archive brings some is."""
    found = look(mar({"handler.py": HANDLER}, handler="handler.py"))
    assert {finding.rule for finding in found.findings} == {"torchserve-handler", "pytorch-python-source"}


@pytest.mark.parametrize("name", ["handler.py", "lib/tools.py"])
def test_a_handler_that_starts_programs_is_found(name: str) -> None:
    """At the member, wherever it lies."""
    source = b"import os\n\nos.system('echo modelaudit-sample')\n\n" + HANDLER
    found = look(mar({name: source}, handler=name))
    bad = [
        finding for finding in found.findings if finding.rule.startswith("python-source") and finding.severity != "info"
    ]
    assert bad
    assert all(finding.location.startswith(f"densenet.mar:{name}") for finding in bad)


def test_a_hostile_model_inside_is_found() -> None:
    """A pickle under the model's name."""
    assert "critical" in {finding.severity for finding in look(mar({"m.pt": ATTACK})).findings}


@given(st.binary(max_size=300), st.integers(0, 200))
def test_a_damaged_manifest_is_an_answer(data: bytes, place: int) -> None:
    """Any bytes in any place of it."""
    manifest = json.dumps({"model": MODEL, "archiverVersion": "1"}).encode()
    damaged = manifest[:place] + data + manifest[place + len(data) :]
    inspect(BytesBlob(damaged, Place("MANIFEST.json")))
