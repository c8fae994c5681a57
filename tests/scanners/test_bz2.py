"""bz2 streams."""

import bz2

from tests.scanners.streams import ATTACK, ORDINARY, check, look


def test_what_is_inside_is_scanned() -> None:
    """An attack inside is found, an ordinary pickle inside is silent."""
    check("bz2", bz2.compress(ATTACK), bz2.compress(ORDINARY))


def test_what_follows_is_scanned_too() -> None:
    """An attack behind the stream is found; the stream itself stays what it is."""
    found = look(bz2.compress(ORDINARY) + ATTACK)
    assert {finding.location.rpartition(" (")[0] for finding in found.findings} == {"place:trailing bytes"}
    assert found.formats == ("bz2",)


def test_a_word_is_no_stream() -> None:
    """Three letters and a digit are no magic without the block behind them."""
    assert look(b"BZh9 is how the files of bzip2 begin").formats == ()
    assert look(bz2.compress(b"")).formats == ("bz2",)
