"""joblib files of before 0.10."""

import zlib

import pytest

from tests.scanners.streams import ATTACK, ORDINARY, look


def zfile(data: bytes, extra: bytes = b"") -> bytes:
    return b"ZF" + hex(len(data)).encode().ljust(19) + extra + zlib.compress(data)


@pytest.mark.parametrize("extra", [b"", b" "], ids=["19 characters", "20 characters"])
def test_the_pickle_inside_is_scanned(extra: bytes) -> None:
    """An attack is found, an ordinary pickle is silent."""
    assert "critical" in {finding.severity for finding in look(zfile(ATTACK, extra)).findings}
    found = look(zfile(ORDINARY, extra))
    assert (found.status, found.formats, found.findings) == ("scanned", ("joblib_zfile",), ())


@pytest.mark.parametrize("length", [b"2C", b"  0X2c", b"+2_c", b"0002c"])
def test_the_length_may_be_spelled_as_python_reads_it(length: bytes) -> None:
    """joblib hands it to `int`; it is never believed."""
    data = b"ZF" + length.ljust(19) + zlib.compress(ATTACK)
    assert "critical" in {finding.severity for finding in look(data).findings}


def test_two_letters_are_no_file() -> None:
    """Text that begins with them is not taken for one."""
    assert look(b"ZF Friedrichshafen makes gearboxes").formats == ()
