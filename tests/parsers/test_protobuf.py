"""The wire format: every way in which a field may be written, and every way in which it may not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, RootBlob
from modelaudit.errors import Missing, ParseError
from modelaudit.parsers.protobuf import (
    BYTES,
    DEPTH,
    FIXED32,
    FIXED64,
    GROUP,
    VARINT,
    Field,
    Reader,
    packed,
    resemblance,
)
from tests.samples.protowriter import group, number, text, varint


def fields(data: bytes) -> list[Field]:
    return list(Reader(BytesBlob(data)).fields(0, len(data)))


def test_each_wire_type() -> None:
    """Numbers give their value, payloads their place."""
    data = number(1, 300) + b"\x11" + bytes([1] * 8) + text(3, "abc") + group(4, number(1, 1)) + b"\x2d" + bytes(4)
    found = fields(data)
    assert [(field.number, field.wire) for field in found] == [
        (1, VARINT), (2, FIXED64), (3, BYTES), (4, GROUP), (5, FIXED32),
    ]  # fmt: skip
    assert found[0].value == 300
    assert found[1].value == 0x0101010101010101
    assert data[found[2].start : found[2].end] == b"abc"


def test_large_messages_are_read_like_small_ones() -> None:
    """The fields are the same, whether they are parsed at once or one by one."""
    body = b"".join(number(n % 20 + 1, n) + text(n % 7 + 1, b"x" * n) + group(3, text(1, "y")) for n in range(200))
    large = fields(body)
    assert len(large) == 600
    assert [field.number for field in large[::3]] == [n % 20 + 1 for n in range(200)]
    assert all(body[field.start : field.end] == b"x" * n for n, field in enumerate(large[1::3]))


def test_negative_numbers() -> None:
    """An int64 below zero takes ten bytes."""
    assert fields(number(1, -5))[0].signed == -5


def test_needless_bytes_are_accepted() -> None:
    """As every reader does: the tag, the length and the number may be longer than they must."""
    data = varint(1 << 3 | 2, 4) + varint(2, 9) + b"ab" + varint(2 << 3, 3) + varint(7, 10)
    assert [(field.number, field.end - field.start, field.value) for field in fields(data)] == [(1, 2, 0), (2, 0, 7)]


@pytest.mark.parametrize("data", [
    b"\x00\x01", b"\x07", b"\x0e\x01", b"\x0c", varint(1 << 33) + b"\x01", b"\x08" + b"\xff" * 11,
    group(3, b"", end=4), b"\x1b", b"".join([b"\x0b"] * (DEPTH + 2)), b"\x08",
], ids=["number 0", "type 7", "type 6", "end of nothing", "large number", "eleven bytes", "wrong end", "open",
        "deep", "nothing behind"])  # fmt: skip
def test_what_is_no_field_is_refused(data: bytes) -> None:
    """With the place."""
    with pytest.raises(ParseError):
        fields(data)


def test_what_stands_before_a_break_is_given() -> None:
    """A message that breaks off has been read up to there."""
    found = []
    with pytest.raises(ParseError):
        for field in Reader(BytesBlob(number(1, 1) + b"\x07")).fields(0, 3):
            found.append(field.number)
    assert found == [1]


def test_a_length_beyond_the_file_is_cut_and_said() -> None:
    """What is left is given, and the place is remembered."""
    data = number(1, 1) + text(2, "abc", claimed=100)
    reader = Reader(BytesBlob(data))
    assert [field.end for field in reader.fields(0, len(data))] == [2, len(data)]
    assert reader.cut == 4


def test_a_length_beyond_its_message_is_refused() -> None:
    """Where the file goes on, the length lies."""
    inner = text(2, "abc", claimed=100)
    data = text(1, inner) + bytes(200)
    with pytest.raises(ParseError):
        list(Reader(BytesBlob(data)).fields(2, 2 + len(inner)))


def test_payloads_are_not_touched() -> None:
    """The bytes behind a head are never asked for: not those of the field, nor any in between."""
    data = text(1, bytes(1 << 20)) + number(2, 5)
    blob = RootBlob(data, len(data), [(0, 100), (len(data) - 2, 2)])
    assert [field.number for field in Reader(blob).fields(0, len(data))] == [1, 2]


def test_places_far_ahead_are_asked_for_in_one_go() -> None:
    """One missing head is reason to ask for those that probably follow."""
    data = b"".join(text(1, bytes(200_000)) for _ in range(20))
    with pytest.raises(Missing) as missing:
        list(Reader(RootBlob(data, len(data), [(0, 49152)])).fields(0, len(data)))
    assert len(missing.value.ranges) >= 8


def test_packed_numbers() -> None:
    """As many as were asked for; a number that breaks off is none."""
    assert packed(varint(1) + varint(300) + varint(7), 2) == [1, 300]
    assert packed(varint(5) + b"\xff", 9) == [5]


def test_resemblance_counts_known_fields() -> None:
    """Known fields count at every depth, those of another kind count against it, unknown ones not at all."""
    shape = {1: VARINT, 2: "name", 3: {1: "text"}}
    known = number(1, 1) + text(2, "Conv") + text(3, text(1, "a b"))
    assert resemblance(known, len(known), shape) == 4
    assert resemblance(known + text(9, "x"), len(known) + 3, shape) == 4
    assert resemblance(text(2, "no name"), 9, shape) == 0
    assert resemblance(text(1, "") + number(2, 1), 4, shape) == 0
    assert resemblance(b"\x07" + known, len(known) + 1, shape) == 0


@given(st.binary(max_size=300))
def test_any_bytes_end(data: bytes) -> None:
    """Fields, or a reason why there are none; never more than there are bytes."""
    try:
        found = fields(data)
    except ParseError as error:
        assert 0 <= error.offset <= len(data)
    else:
        assert all(0 <= field.start <= field.end <= len(data) for field in found)
        assert len(found) <= len(data)
