"""`modelaudit doctor`: each part is really tried, and what is broken comes with the command that mends it."""

import json
import sys
from pathlib import Path

import pytest

from modelaudit import catalogue
from modelaudit.cli import examination
from modelaudit.cli.doctor import doctor
from modelaudit.cli.printing import Form
from modelaudit.sources import MODULES
from modelaudit.workers.wire import Ability
from tests.cli.program import run

WALLS = ["namespaces", "unprivileged", "dies_with_parent", "no_new_privileges", "rlimits", "landlock", "seccomp"]


def test_everything_is_examined(tmp_path: Path) -> None:
    """Each scanned format, each source, each wall of the cage, and the versions that a bug report needs."""
    done = run("doctor", "--format", "json", cwd=tmp_path)
    health = json.loads(done.stdout)
    assert done.stderr == ""
    names = {
        kind: [check["name"] for check in health["checks"] if check["kind"] == kind]
        for kind in ("scanner", "source", "cage")
    }
    assert names["scanner"] == [entry.id for entry in catalogue.load().formats.values() if entry.scanned]
    assert names["source"] == [*MODULES]
    assert names["cage"] == ["workers", *WALLS]
    assert {"modelaudit", "python", "system", "aiobotocore"} <= set(health["versions"])
    assert done.returncode == 0


def test_the_text(tmp_path: Path) -> None:
    """A line a part, grouped; the same parts as in JSON."""
    done = run("doctor", cwd=tmp_path)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("modelaudit ")
    assert [line for line in lines if line and not line.startswith(" ")][1:] == [
        "Scanners",
        "Sources",
        "The workers' cage",
    ]
    assert sum(line.startswith("  ready") or line.startswith("  NOT READY") for line in lines) >= len(WALLS) + 4


def examined(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **options: object) -> tuple[int, str]:
    printed: list[str] = []
    monkeypatch.setattr("modelaudit.cli.doctor.put", printed.append)
    code = doctor(**options)  # type: ignore[arg-type]  its own options
    return code, "".join(printed)


def test_a_broken_scanner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is not ready, with the reason and the command that mends it; the exit code says so too."""
    monkeypatch.setitem(sys.modules, "modelaudit.scanners.npy", None)
    monkeypatch.setattr(examination.cage, "abilities", lambda: [Ability("landlock", True, "fine")])
    code, text = examined(monkeypatch, capsys, show_failed=True)
    assert code == 2
    assert text.splitlines()[1:] == [
        "",
        "Scanners",
        "  NOT READY  npy                 ModuleNotFoundError: import of modelaudit.scanners.npy halted; "
        "None in sys.modules",
        f"                                 mend it with: {sys.executable} -m pip install --force-reinstall modelaudit",
    ]


def test_a_wall_that_the_kernel_lacks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is shown, and it is no error: scans work with the other walls."""
    monkeypatch.setattr(examination.cage, "abilities", lambda: [Ability("landlock", False, "Function not implemented")])
    code, text = examined(monkeypatch, capsys, show_failed=True, format=Form.JSON)
    assert code == 0
    assert [(check["name"], check["detail"]) for check in json.loads(text)["checks"]] == [
        ("landlock", "Function not implemented")
    ]


def test_nothing_has_failed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """--show-failed with nothing to show says so."""
    monkeypatch.setattr(examination.cage, "abilities", lambda: [Ability("landlock", True, "fine")])
    code, text = examined(monkeypatch, capsys, show_failed=True)
    assert (code, text.splitlines()[1:]) == (0, ["", "Everything is ready."])
