"""Ordinary files are silent: nothing at or above warning is found in them, and their status is the right one."""

from pathlib import Path

import pytest

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.limits import Limits
from modelaudit.model import Severity
from tests.samples import demo, ordinary, ordinary_random
from tests.samples.__main__ import main
from tests.samples.sample import Sample

SAMPLES = list(ordinary())


def loud(data: bytes, name: str) -> list[str]:
    """What was found at or above warning, told in a line each."""
    findings = inspect(BytesBlob(data, Place(name)), Limits(), uri=name).findings
    return [f"{f.severity}: {f.rule}: {f.message}" for f in findings if f.severity.rank >= Severity.WARNING.rank]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.id)
def test_ordinary_sample_is_silent(sample: Sample) -> None:
    """No critical, no warning; and where the sample says what status it must have, it has that."""
    assert loud(sample.data, sample.filename) == []
    if sample.status:
        result = inspect(BytesBlob(sample.data, Place(sample.filename)), Limits(), uri=sample.filename)
        status, _, reason = sample.status.partition(":")
        assert result.status == status, result.message
        assert not reason or result.reason == reason


@pytest.mark.parametrize("kind", ordinary_random.KINDS)
def test_random_files_are_silent(kind: str) -> None:
    """Among thousands of files of a kind, none looks like an attack by accident, and sound ones are read to the end."""
    alarms = []
    for data in ordinary_random.files(kind):
        result = inspect(BytesBlob(data), Limits(), uri="file")
        rules = [f.rule for f in result.findings if f.severity.rank >= Severity.WARNING.rank]
        if rules or (kind in ordinary_random.WHOLE and result.status == "partial"):
            alarms.append((rules, result.message, data[:60]))
    assert alarms == []


def test_ids_are_unique() -> None:
    assert len({sample.id for sample in SAMPLES}) == len(SAMPLES)


@pytest.mark.parametrize("name", demo.BENIGN)
def test_benign_file_of_the_demo_is_silent(name: str) -> None:
    """The folder that the README's first command makes raises no false alarm."""
    assert loud(demo.BENIGN[name](), name) == []


@pytest.mark.parametrize("name", demo.ATTACKS)
def test_attack_of_the_demo_is_critical(name: str) -> None:
    """Each attack in that folder is found."""
    assert any(line.startswith("critical") for line in loud(demo.ATTACKS[name](), name))


def test_demo_writes_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command writes every file and says so in one line."""
    assert main(["demo", str(tmp_path / "models")]) == 0
    assert {path.name for path in (tmp_path / "models").glob("*.*")} == set(demo.BENIGN)
    assert {path.name for path in (tmp_path / "models" / "attacks").iterdir()} == set(demo.ATTACKS)
    assert capsys.readouterr().out.count("\n") == 1


def test_demo_says_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong arguments give the usage on stderr and exit code 2."""
    assert main([]) == 2
    assert "usage:" in capsys.readouterr().err
