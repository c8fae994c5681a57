"""zlib streams."""

import zlib

from tests.scanners.streams import ATTACK, ORDINARY, check, look


def test_what_is_inside_is_scanned() -> None:
    """An attack inside is found, an ordinary pickle inside is silent."""
    check("zlib", zlib.compress(ATTACK), zlib.compress(ORDINARY))


def test_what_follows_is_scanned_too() -> None:
    """An attack behind the stream is found; the stream itself stays what it is."""
    found = look(zlib.compress(ORDINARY) + ATTACK)
    assert {finding.location.rpartition(" (")[0] for finding in found.findings} == {"place:trailing bytes"}
    assert found.formats == ("zlib",)


def test_a_text_pickle_that_begins_like_zlib_is_a_pickle() -> None:
    """`(S` checks as a zlib header; it is a pickle all the same."""
    found = look(b"(S'x'\nicposix\n" + b"." + ATTACK)
    assert "zlib" not in found.formats
