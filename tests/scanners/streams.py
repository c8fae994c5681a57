"""What every scanner of compressed streams must do, shared by their tests."""

import pickle

from modelaudit.blob import BytesBlob
from modelaudit.engine import inspect
from modelaudit.model import Inspection

ATTACK = b"cposix\nsystem\n(S'echo modelaudit-sample'\ntR."  # never loaded
ORDINARY = pickle.dumps({"weights": [1.0, 2.0], "name": "model"})


def look(data: bytes) -> Inspection:
    return inspect(BytesBlob(data), uri="place")


def check(format_id: str, attack: bytes, ordinary: bytes) -> None:
    """The attack inside is found at its place; an ordinary content is silent; half a stream is not called whole."""
    found = look(attack)
    assert found.formats == (format_id,)
    assert "critical" in {finding.severity for finding in found.findings}
    assert all(finding.location.startswith("place:") for finding in found.findings)
    silent = look(ordinary)
    assert (silent.status, silent.findings, silent.formats) == ("scanned", (), (format_id,))
    assert look(ordinary[: len(ordinary) * 2 // 3]).status in ("partial", "skipped")
