"""LZMA streams of the old kind."""

import lzma
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.blob import RootBlob
from modelaudit.limits import Limits
from modelaudit.scanners.lzma import fits
from tests.samples.sample import HARM
from tests.scanners.streams import ATTACK, ORDINARY, check, look


def test_what_is_inside_is_scanned() -> None:
    """An attack inside is found, an ordinary pickle inside is silent."""
    check("lzma", lzma.compress(ATTACK, lzma.FORMAT_ALONE), lzma.compress(ORDINARY, lzma.FORMAT_ALONE))


def test_a_weak_magic_is_not_believed() -> None:
    """Bytes that only begin like a stream are not one."""
    assert look(b"]\0\0" + b"just text, nothing packed" * 20).formats == ()


@pytest.mark.parametrize("size", [1 << 12, 1 << 16, 3 << 20, 1 << 28])
@pytest.mark.parametrize("properties", [(3, 0, 2), (0, 0, 0), (4, 0, 2), (0, 4, 4)])
def test_any_header_that_readers_take_is_taken(size: int, properties: tuple[int, int, int]) -> None:
    """The dictionary and the properties are the writer's choice: 5d 00 00 is only the usual one."""
    lc, lp, pb = properties
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": lc, "lp": lp, "pb": pb}]
    packed = bytearray(lzma.compress(ATTACK, format=lzma.FORMAT_ALONE, filters=filters))
    packed[1:5] = size.to_bytes(4, "little")
    assert look(bytes(packed)).formats == ("lzma",)
    assert look(bytes(packed)).findings


def test_a_huge_dictionary_hides_nothing() -> None:
    """Four gibibytes are claimed and not needed."""
    packed = bytearray(lzma.compress(ATTACK, format=lzma.FORMAT_ALONE))
    packed[1:5] = b"\xff\xff\xff\xff"
    assert look(bytes(packed)).findings


@given(numbers=st.lists(st.sampled_from([0, 0, 1, 2, 3, 7, 40, 250]), min_size=20, max_size=60))
def test_small_numbers_are_no_stream(numbers: list[int]) -> None:
    """Raw arrays of small integers have a header that checks, and unpack to small numbers."""
    assert look(struct.pack(f"<{len(numbers)}q", *numbers)).formats == ()
    assert look(struct.pack(f"<{len(numbers)}i", *numbers)).formats == ()


def test_zeros_are_not_read_to_their_end() -> None:
    """A file of zeros is a stream of nothing after the other: that is not followed for gigabytes."""
    blob = RootBlob(bytes(8 << 20), 8 << 20, [(0, 8 << 20)])
    assert not fits(blob, Limits())
    assert blob.bytes_viewed < 1 << 20


def test_streams_of_nothing_hide_none() -> None:
    """Readers go on behind an empty stream, and so is it done here."""
    assert look(lzma.compress(b"", lzma.FORMAT_ALONE) * 1000 + lzma.compress(ATTACK, lzma.FORMAT_ALONE)).findings


@pytest.mark.parametrize("width", ["b", "h", "i", "q"])
def test_counted_numbers_are_no_stream(width: str) -> None:
    """Indices, as every checkpoint has them, are no stream that breaks, whatever their width and number."""
    for count in (4, 8, 16, 32, 64, 128):
        for step in (1, 2, 3):
            numbers = struct.pack(f"<{count}{width}", *(number * step % 120 for number in range(count)))
            assert look(numbers).formats == (), (count, step)


@pytest.mark.parametrize("kept", [40, 60])
def test_a_pickle_that_is_cut_short_is_still_one(kept: int) -> None:
    """It has acted before its reader misses the end."""
    assert look(lzma.compress(HARM.pickle(), format=lzma.FORMAT_ALONE)[:kept]).formats == ("lzma",)
