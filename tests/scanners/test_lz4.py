"""lz4 streams."""

import lz4.frame

from tests.scanners.streams import ATTACK, ORDINARY, check, look


def test_what_is_inside_is_scanned() -> None:
    """An attack inside is found, an ordinary pickle inside is silent."""
    check("lz4", lz4.frame.compress(ATTACK), lz4.frame.compress(ORDINARY))


def test_what_follows_is_scanned_too() -> None:
    """An attack behind the stream is found; the stream itself stays what it is."""
    found = look(lz4.frame.compress(ORDINARY) + ATTACK)
    assert {finding.location.rpartition(" (")[0] for finding in found.findings} == {"place:trailing bytes"}
    assert found.formats == ("lz4",)
