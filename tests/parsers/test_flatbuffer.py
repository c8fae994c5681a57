"""FlatBuffers: everything that is read lies in the file, and what is visited is bounded."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.engine import inspect
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.parsers.flatbuffer import Flatbuffer
from modelaudit.parsers.tflite import parse
from tests.samples.tflitefiles import Number, Numbers, Reference, custom, definition, flatbuffer, model, with_files

ORDINARY = with_files(custom(b"FlexErf", definition("Erf")), labels_txt=b"cat")


def test_fields_are_read() -> None:
    """Numbers, strings, vectors, tables, and the defaults of what is absent."""
    data = flatbuffer({0: Number("i", -5), 2: b"text", 3: Numbers("h", [1, 2, 3]), 4: {1: Number("Q", 1 << 40)}})
    buffer = Flatbuffer(BytesBlob(data))
    root = buffer.root()
    assert (root.number(0, "i"), root.number(1, "i", 7), root.number(99, "B", 1)) == (-5, 7, 1)
    assert (root.string(2, 100), root.string(2, 2), root.string(1, 9)) == (b"text", b"te", b"")
    assert buffer.numbers(root.vector(3, 2), "h") == (1, 2, 3)
    inner = root.table(4)
    assert inner is not None
    assert inner.number(1, "Q") == 1 << 40
    assert root.table(1) is None
    assert buffer.end <= len(data)


WRONG = {
    "string past the end": {0: Reference(1 << 20)},
    "vector past the end": {0: Numbers("i", [1], 1 << 28)},
}


@pytest.mark.parametrize("name", WRONG)
def test_nothing_outside_is_read(name: str) -> None:
    """A reference or a length that leaves the file is an error with a place."""
    buffer = Flatbuffer(BytesBlob(flatbuffer(WRONG[name])))  # type: ignore[arg-type]
    root = buffer.root()
    with pytest.raises(ParseError):
        root.vector(0, 4)


def test_a_table_without_a_vtable_is_an_error() -> None:
    """Whatever the distance to it says."""
    for distance in (1 << 30, -(1 << 30), 0, 8):
        with pytest.raises(ParseError):
            Flatbuffer(BytesBlob(struct.pack("<I4si", 8, b"TFL3", distance) + bytes(20))).root()


def test_one_table_half_a_million_times_is_too_much() -> None:
    """The same table may be referred to often, and is counted each time."""
    buffer = Flatbuffer(BytesBlob(flatbuffer({0: Number("i", 1)})))
    place = buffer.root().place
    with pytest.raises(LimitExceeded):
        for _ in range(500_001):
            buffer.table(place)


def test_one_vector_many_times_is_too_much() -> None:
    """Numbers are counted, not vectors."""
    buffer = Flatbuffer(BytesBlob(flatbuffer({0: Numbers("i", [0] * 100_000)})))
    vector = buffer.root().vector(0, 4)
    with pytest.raises(LimitExceeded):
        for _ in range(200):
            buffer.numbers(vector, "i")


def test_every_truncation_is_an_answer() -> None:
    """A model that is cut anywhere stops with a reason, or says where it ends."""
    whole = model()
    for cut in range(len(whole)):
        found = parse(BytesBlob(whole[:cut]))
        assert found.stop is not None or any(buffer.outside for buffer in found.buffers) or found.end <= cut


@given(cut=st.integers(0, len(ORDINARY)))
def test_a_file_cut_anywhere_is_an_answer(cut: int) -> None:
    """From identification to the last child."""
    assert inspect(BytesBlob(ORDINARY[:cut])).status in ("scanned", "partial", "skipped")


@settings(max_examples=500)
@given(place=st.integers(0, len(ORDINARY) - 1), value=st.integers(1, 255))
def test_damage_anywhere_is_an_answer(place: int, value: int) -> None:
    """A flipped byte raises nothing but what the contract allows."""
    data = bytearray(ORDINARY)
    data[place] ^= value
    inspect(BytesBlob(bytes(data)))
