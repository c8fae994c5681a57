"""The header of a 7z archive: numbers, bounds, damage."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.parsers import sevenzip
from tests.samples.sevenzips import CODINGS, File, archive, number

FILES = [File("a/ü.txt", b"one"), File("empty", mode=0o100600), File("b", b"three", 0o100644), File("d", b"")]


def header_of(data: bytes) -> bytes:
    begin = sevenzip.start(BytesBlob(data))
    return data[begin.offset : begin.offset + begin.size]


@given(st.integers(0, (1 << 62) - 1))
def test_numbers_are_read_as_they_are_written(value: int) -> None:
    """Of any size, and nothing behind them is touched."""
    reader = sevenzip._Reader(number(value) + b"rest")
    assert reader.number() == value
    assert reader.take(4) == b"rest"


def test_files_have_their_places() -> None:
    """Names, sizes, offsets in the block, modes; what is empty lies in no block."""
    found = sevenzip.header(header_of(archive(FILES, CODINGS["lzma"])), 10)
    assert [(file.name, file.block, file.offset, file.size, file.mode) for file in found.files] == [
        ("a/ü.txt", 0, 0, 3, 0),
        ("empty", -1, 0, 0, 0o100600),
        ("b", 0, 3, 5, 0o100644),
        ("d", -1, 0, 0, 0),
    ]


def test_more_files_than_allowed() -> None:
    """The bound is named."""
    with pytest.raises(LimitExceeded) as refused:
        sevenzip.header(header_of(archive(FILES)), 3)
    assert refused.value.limit == "members"


@pytest.mark.parametrize("value", [b"\xff" * 9, b"\xfe" + b"\xff" * 7, b"\xe0\xff\xff\xff"])
def test_counts_beyond_the_header_are_refused_at_once(value: bytes) -> None:
    """A header of a few bytes that promises millions of things costs nothing."""
    for before in (b"\x01\x05", b"\x01\x04\x06\x00", b"\x01\x04\x07\x0b"):
        with pytest.raises((ParseError, LimitExceeded)):
            sevenzip.header(before + value + b"\x09" + bytes(20), 1 << 20)


def test_every_cut_is_an_error() -> None:
    """At every length, and nothing else comes out."""
    whole = header_of(archive(FILES, CODINGS["x86 lzma2"]))
    for cut in range(len(whole)):
        with pytest.raises(ParseError):
            sevenzip.header(whole[:cut], 10)


@settings(max_examples=500)
@given(st.data())
def test_any_bytes_are_an_answer(data: st.DataObject) -> None:
    """Mutations of a real header."""
    whole = bytearray(header_of(archive(FILES, CODINGS["lzma2"])))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ParseError, LimitExceeded):
        sevenzip.header(bytes(whole), 1000)
