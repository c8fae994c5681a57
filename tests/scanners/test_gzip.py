"""gzip streams."""

import gzip

import pytest

from tests.scanners.streams import ATTACK, ORDINARY, check, look


def test_what_is_inside_is_scanned() -> None:
    """An attack inside is found, an ordinary pickle inside is silent."""
    check("gzip", gzip.compress(ATTACK), gzip.compress(ORDINARY))


def test_what_follows_is_scanned_too() -> None:
    """An attack behind the stream is found; the stream itself stays what it is."""
    found = look(gzip.compress(ORDINARY) + ATTACK)
    assert {finding.location.rpartition(" (")[0] for finding in found.findings} == {"place:trailing bytes"}
    assert found.formats == ("gzip",)


def test_the_name_in_the_header_is_the_members_name() -> None:
    """Findings say which file was packed."""
    named = b"\x1f\x8b\x08\x08" + bytes(6) + b"inner.pkl\0" + gzip.compress(ATTACK)[10:]
    assert {finding.location.rpartition(" (")[0] for finding in look(named).findings} == {"place:inner.pkl"}


def test_a_gzip_in_a_gzip_is_opened() -> None:
    """Layers of compression hide nothing."""
    assert look(gzip.compress(gzip.compress(gzip.compress(ATTACK)))).findings


def test_a_name_that_is_a_path_is_cut_to_its_end() -> None:
    """Neither folders nor characters that steer a terminal come from the header."""
    named = b"\x1f\x8b\x08\x08" + bytes(6) + b"../../x\x1b[2J.pkl\0" + gzip.compress(ATTACK)[10:]
    assert {finding.location.rpartition(" (")[0] for finding in look(named).findings} == {"place:x[2J.pkl"}


@pytest.mark.parametrize("flag", [4, 8, 16])
def test_a_long_header_hides_nothing(flag: int) -> None:
    """The fields of a header may be long; readers skip them."""
    field = b"\xff\xff" + bytes(65535) if flag == 4 else b"n" * 1_000_000 + b"\0"
    assert look(b"\x1f\x8b\x08" + bytes([flag]) + bytes(6) + field + gzip.compress(ATTACK)[10:]).findings
