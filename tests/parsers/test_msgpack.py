"""MessagePack: what is told of a document, that bodies are not read, and that no size is believed."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, RootBlob
from modelaudit.errors import LimitExceeded, Missing, ParseError
from modelaudit.limits import Limits
from modelaudit.parsers import msgpack
from modelaudit.parsers.msgpack_head import is_state
from tests.samples.flaxfiles import Extension, array, pack

LIMITS = Limits()
Value = None | bool | int | float | str | bytes | list["Value"] | dict[str, "Value"]
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=40), inner, max_size=20),
    max_leaves=30,
)


def read(data: bytes) -> list[msgpack.Event]:
    return list(msgpack.events(BytesBlob(data), LIMITS))


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_every_value_is_read_to_its_end(value: Value) -> None:
    """Whatever is written, the reader ends where it ends, and what it opens it closes."""
    data = pack(value)
    found = read(data + b"\xc1")
    assert found[-1] == msgpack.End(len(data))
    opened = sum(isinstance(event, msgpack.Opened) for event in found)
    assert opened == sum(isinstance(event, msgpack.Closed) for event in found)


def test_keys_lead_to_bodies() -> None:
    """Paths are those of the keys; bodies are where they are said to be."""
    data = pack({"a": {"b": "text", "c": b"bytes"}, "d": [{"e": Extension(7, b"x" * 300)}], "f": 70_000})
    bodies = {e.path: e for e in read(data) if isinstance(e, msgpack.Body)}
    taken = {path: data[body.start : body.start + body.length] for path, body in bodies.items()}
    assert taken == {("a", "b"): b"text", ("a", "c"): b"bytes", ("d", "e"): b"x" * 300}
    assert bodies["d", "e"].code == 7
    assert [e.value for e in read(data) if isinstance(e, msgpack.Number)] == [70_000]


@pytest.mark.parametrize(
    "data",
    [
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff\x00",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\xdb\x00\x00\x00\x02a",
        b"\x81\xc1\x00",
        b"\x81\x90\x00",
        b"\x91\xc1",
        b"",
    ],
)
def test_a_size_that_does_not_fit_is_refused(data: bytes) -> None:
    """Before anything is allocated for it."""
    with pytest.raises(ParseError):
        read(data)


def test_depth_has_an_end() -> None:
    """Nesting is counted, and nothing is recursive."""
    with pytest.raises(LimitExceeded, match="text_depth"):
        read(b"\x91" * 100_000 + b"\xc0")
    assert read(b"\x91" * 200 + b"\xc0")[-1] == msgpack.End(201)


def test_values_have_an_end() -> None:
    """A file of nothing but tiny maps is given up after so many of them, and not after minutes."""
    count = 2 * Limits().state_values
    data = b"\x81\xa3all\xdd" + struct.pack(">I", count) + b"\x80" * count
    events = msgpack.events(BytesBlob(data), Limits())
    met = 0
    with pytest.raises(LimitExceeded) as caught:
        for _ in events:
            met += 1
    assert caught.value.limit == "state_values"
    assert met <= 2 * Limits().state_values


def test_numbers_are_stepped_over() -> None:
    """A million of them, of every width, are one array."""
    numbers = [0, -1, 200, 70_000, -70_000, 1 << 40, 1.5, None, True] * 10_000
    data = pack({"x": numbers, "y": "end"})
    found = read(data)
    assert found[-1] == msgpack.End(len(data))
    assert len(found) == 8


def layers(count: int) -> bytes:
    leaf = {name: array((64, 64), "float32", bytes(64 * 64 * 4)) for name in ("bias", "kernel", "scale")}
    return pack({"params": {f"layer_{n}": leaf for n in range(count)}})


def test_layers_that_are_alike_are_asked_for_at_once() -> None:
    """Rounds do not grow with the number of layers, and bodies stay where they are."""
    rounds: dict[int, int] = {}
    for count in (4, 40):
        data = layers(count)
        extents: list[tuple[int, int]] = []
        while True:
            blob = RootBlob(data, len(data), merged(extents))
            try:
                assert list(msgpack.events(blob, LIMITS))[-1] == msgpack.End(len(data))
                break
            except Missing as missing:
                extents += [(max(0, at), length) for at, length in missing.ranges]
                rounds[count] = rounds.get(count, 0) + 1
        if count == 40:
            assert sum(length for _, length in merged(extents)) < len(data) / 10
    assert rounds[40] == rounds[4] < 10


def merged(extents: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """`extents`, sorted and without overlaps."""
    spans: list[tuple[int, int]] = []
    for at, length in sorted(extents):
        if spans and at <= sum(spans[-1]):
            spans[-1] = (spans[-1][0], max(sum(spans[-1]), at + length) - spans[-1][0])
        else:
            spans.append((at, length))
    return spans


DOCUMENT = pack({"params": {"b": array((2, 3), "float32", bytes(24)), "c": "x" * 40}, "d": [1, 2.5, {"e": b"y" * 300}]})


def test_it_survives_truncation_at_every_byte() -> None:
    """Half a document gives a ParseError, and bytes that are not here are asked for."""
    for length in range(len(DOCUMENT)):
        with pytest.raises(ParseError):
            read(DOCUMENT[:length])
        with suppress(Missing):  # bodies are not asked for
            read_from = RootBlob(DOCUMENT[:length], len(DOCUMENT), [(0, length)] if length else [])
            list(msgpack.events(read_from, LIMITS))


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200) | st.builds(lambda rest: DOCUMENT[:20] + rest, st.binary(max_size=100)))
def test_it_survives_anything(data: bytes) -> None:
    """Noise raises nothing but what the contract allows."""
    with suppress(ParseError, LimitExceeded):
        read(data)
    assert is_state(BytesBlob(data), LIMITS) in (True, False)


@pytest.mark.parametrize(
    "data",
    [
        DOCUMENT,
        DOCUMENT[:30],
        DOCUMENT + b"more",
        pack({"w": array((1,), "float32", bytes(4))}),
        pack(array((1,), "float32", bytes(4))),
        pack({"a": 1}),
        pack({"params": {}})[:-1] + b"\xdf\xff\xff\xff\xff",
        pack({f"name{n}": n for n in range(1000)}),
    ],
)
def test_a_state_is_told_from_its_first_bytes(data: bytes) -> None:
    """Whole or cut short, with bytes behind it, or with sizes that lie."""
    assert is_state(BytesBlob(data), LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x80\x04\x95\x10\x00",
        b"\x82\x01\x02\x03\x04",
        b"\x89PNG\r\n\x1a\n",
        b"\x89HDF\r\n\x1a\n",
        "\u07c0\u07c1".encode(),
        pack([1, 2]),
        pack({3: 4}),
        pack({"\x00\x01": 4}),
        struct.pack("<8f", *[0.1] * 8),
        b"\x85" + bytes(range(200)),
    ],
)
def test_other_bytes_are_no_state(data: bytes) -> None:
    """Almost any byte begins a value; a map with names is rarer."""
    assert not is_state(BytesBlob(data), LIMITS)
