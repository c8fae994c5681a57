"""LZMA streams of the old kind."""

import lzma

from tests.scanners.streams import ATTACK, ORDINARY, check, look


def test_what_is_inside_is_scanned() -> None:
    """An attack inside is found, an ordinary pickle inside is silent."""
    check("lzma", lzma.compress(ATTACK, lzma.FORMAT_ALONE), lzma.compress(ORDINARY, lzma.FORMAT_ALONE))


def test_a_weak_magic_is_not_believed() -> None:
    """Bytes that only begin like a stream are not one."""
    assert look(b"]\0\0" + b"just text, nothing packed" * 20).formats == ()
