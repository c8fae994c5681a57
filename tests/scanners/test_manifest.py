"""Configuration: each rule with a file that fires it and one next to it that does not."""

import json

import pytest

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.model import Inspection, Severity


def look(text: str | bytes, name: str = "config", folders: dict[str, dict[str, int | None]] | None = None) -> Inspection:
    data = text if isinstance(text, bytes) else text.encode()
    return inspect(BytesBlob(data, Place(name, folders)), uri=name)


def found(text: str | bytes, name: str = "config") -> set[tuple[str, str]]:
    return {(str(f.severity), f.rule.removeprefix("manifest-")) for f in look(text, name).findings}


def loud(text: str | bytes, name: str = "config") -> set[tuple[str, str]]:
    return {pair for pair in found(text, name) if pair[0] in ("critical", "warning")}


FIRING: dict[str, tuple[tuple[str, str], str]] = {
    "apply": (("critical", "unsafe-tag"), '!!python/object/apply:os.system ["echo modelaudit-sample"]'),
    "alone among data": (("critical", "unsafe-tag"), "a: 1\nb:\n  - !!python/name:os.system\n"),
    "hydra": (("critical", "target"), "model:\n  _target_: os.system\n  command: echo modelaudit-sample\n"),
}


@pytest.mark.parametrize("name", FIRING)
def test_what_is_wrong_is_found(name: str) -> None:
    """Each file fires its rule with its severity, under a name that tells nothing."""
    expected, text = FIRING[name]
    assert expected in found(text)


def test_value_of_a_credential_is_never_shown() -> None:
    """What is reported says where a credential stands and what it is, and never the credential."""
    token = "ghp_" + "Ab3dE6gH1jK4mN7pQ2sT5vW8yZ0xC9bVf3Lk"
    report = look(json.dumps({"hub": {"token_for": token}}))
    assert [finding.severity for finding in report.findings] == [Severity.WARNING]
    assert token[6:] not in repr(report)
