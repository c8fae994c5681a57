"""xz streams."""

import lzma

from tests.scanners.streams import ATTACK, ORDINARY, check, look


def test_what_is_inside_is_scanned() -> None:
    """An attack inside is found, an ordinary pickle inside is silent."""
    check("xz", lzma.compress(ATTACK), lzma.compress(ORDINARY))


def test_what_follows_is_scanned_too() -> None:
    """An attack behind the stream is found; the stream itself stays what it is."""
    found = look(lzma.compress(ORDINARY) + ATTACK)
    assert {finding.location.rpartition(" (")[0] for finding in found.findings} == {"place:trailing bytes"}
    assert found.formats == ("xz",)


def test_a_stream_of_another_kind_goes_on_with_the_first() -> None:
    """Readers that guess the kind of each stream join xz and LZMA; an attack cut in two is found."""
    halves = lzma.compress(ATTACK[:20]), lzma.compress(ATTACK[20:], format=lzma.FORMAT_ALONE)
    assert look(b"".join(halves)).findings
    halves = lzma.compress(ATTACK[:20], format=lzma.FORMAT_ALONE), lzma.compress(ATTACK[20:])
    assert look(b"".join(halves)).findings
