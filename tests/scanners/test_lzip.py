"""lzip streams."""

import lzma
import struct
import zlib

from tests.scanners.streams import ATTACK, ORDINARY, check, look


def lzip(data: bytes) -> bytes:
    """One member (https://www.nongnu.org/lzip/manual/lzip_manual.html, file format)."""
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16}]
    body = lzma.compress(data, format=lzma.FORMAT_ALONE, filters=filters)[13:]
    return b"LZIP\x01\x10" + body + struct.pack("<IQQ", zlib.crc32(data), len(data), len(body) + 26)


def test_what_is_inside_is_scanned() -> None:
    """An attack inside is found, an ordinary pickle inside is silent."""
    check("lzip", lzip(ATTACK), lzip(ORDINARY))


def test_what_follows_is_scanned_too() -> None:
    """Another member goes on with the stream; anything else is looked at on its own."""
    assert look(lzip(ATTACK[:9]) + lzip(ATTACK[9:])).findings
    found = look(lzip(ORDINARY) + ATTACK)
    assert {finding.location.rpartition(" (")[0] for finding in found.findings} == {"place:trailing bytes"}


def test_a_word_is_no_stream() -> None:
    """The magic must be followed by the version that there is."""
    assert look(b"LZIP is a program that packs files").formats == ()


def test_a_header_that_breaks_off_is_no_crash() -> None:
    """Also right behind the version, before the byte that tells the dictionary's size."""
    whole = lzip(ORDINARY)
    for length in range(5, 40):
        found = look(whole[:length])
        assert (found.status, found.formats) == ("partial", ("lzip",)), length
