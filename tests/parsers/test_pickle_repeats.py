"""Stretches of opcodes that come again are done all at once: the same comes out as when each opcode is followed."""

import base64
import datetime
import decimal
import pickle
import random
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.parsers.pickle import Walk
from modelaudit.parsers.pickle.machine import run
from modelaudit.parsers.pickle.payloads import SUSPECT, Allowance, Payloads, beginnings
from modelaudit.parsers.pickle.repeats import Repeats, Stretch
from modelaudit.parsers.pickle.search import Search
from modelaudit.parsers.pickle.state import Shared, State
from modelaudit.parsers.pickle.values import Global, Named, Nested

_COUNT = 300
_RNG = np.random.default_rng(1)


def words(count: int, seed: int = 2) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choice("abcdeé") for _ in range(rng.randint(1, 9))) + str(n) for n in range(count)]


def _arrays(count: int = _COUNT) -> dict[str, Any]:
    return {word: _RNG.random(12, dtype=np.float32) for word in words(count)}


ORDINARY: dict[str, Callable[[], Any]] = {
    "arrays by name": _arrays,
    "a list of arrays": lambda: [_RNG.integers(0, 9, (3, 4)) for _ in range(_COUNT)],
    "numbers of numpy": lambda: [np.float64(number) for number in _RNG.random(_COUNT)],
    "dates": lambda: {word: datetime.date(2000 + n % 99, 1 + n % 12, 1) for n, word in enumerate(words(_COUNT))},
    "decimals": lambda: [decimal.Decimal(n) for n in range(1000, 1000 + _COUNT)],
    "two shapes in turn": lambda: [(np.float32(n), datetime.timedelta(n)) for n in range(_COUNT)],
    "long and short names": lambda: {"n" * (n % 40) + str(n): np.int64(n) for n in range(_COUNT)},
    "arrays of many lengths": lambda: [_RNG.random(n % 3) for n in range(_COUNT)],
}


def _plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on each opcode is followed by itself."""

    def passed(repeats: Repeats, state: State, data: bytes, i: int) -> int:
        repeats.wait = 1 << 60
        return i

    monkeypatch.setattr(Repeats, "passed", passed)


def told(value: object, depth: int = 0) -> object:
    """A value or event as data that can be compared: a global is its name and counts."""
    if depth > 100:
        return "deep"
    if isinstance(value, Global):
        return (value.path, value.named, value.called, value.offset)
    if isinstance(value, tuple | list):
        return [told(part, depth + 1) for part in value]
    if isinstance(value, msgspec.Struct):
        fields = (getattr(value, name) for name in value.__struct_fields__ if name != "slot")
        return [type(value).__name__, *(told(part, depth + 1) for part in fields)]
    return value


def _role(module: str, name: str) -> str | None:
    return {"_codecs.encode": "decode", "base64.b64decode": "decode"}.get(f"{module}.{name}")


def _items(data: bytes) -> list[object]:
    return [told(item) for item in Walk(BytesBlob(data), _role, 4).items()]


def _end(data: bytes) -> tuple[list[object], list[object], list[object]]:
    """Events, stack and memo of one pickle, without its STOP."""
    blob = BytesBlob(data)
    payloads = Payloads(blob, 4, Allowance(), Search(len(data)))
    state = State(blob, 0, _role, payloads.look, Shared())
    events: list[object] = [told(event) for event in run(state)]
    events += [told(found) for found in payloads.drain()]
    memo = [told(state.memo.get(index)) for index in range(len(state.memo.cells))]
    return events, [told(value) for value in state.stack], memo


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes were gone over at a time."""
    lengths: list[int] = []
    take = Stretch.take

    def counted(stretch: Stretch, state: State, data: bytes, i: int, limit: int) -> int:
        place = take(stretch, state, data, i, limit)
        lengths.append(place - i)
        return place

    monkeypatch.setattr(Stretch, "take", counted)
    return lengths


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", ORDINARY)
def test_the_same_comes_out(name: str, protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events, and what is on the stack and in the memo, are those of the machine that follows each opcode."""
    data = pickle.dumps(ORDINARY[name](), protocol=protocol)
    at_once, items = _end(data), _items(data)
    _plainly(monkeypatch)
    assert _end(data) == at_once
    assert _items(data) == items


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("name", ["arrays by name", "a list of arrays", "dates", "decimals"])
def test_most_of_an_ordinary_table_is_done_at_once(name: str, protocol: int, taken: list[int]) -> None:
    """What this is for: nearly all bytes of such a pickle are gone over in a few steps."""
    data = pickle.dumps(ORDINARY[name](), protocol=protocol)
    _items(data)
    assert sum(taken) > 0.8 * len(data), (sum(taken), len(data))
    assert sum(length > 0 for length in taken) < 20


class _Attack:
    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (dangerous, ("echo modelaudit-sample",))


def dangerous(command: str) -> None:
    """Stands for a dangerous function; nobody calls it."""


def _with(place: int, value: object, protocol: int) -> bytes:
    table: dict[str, Any] = _arrays()
    table[list(table)[place]] = value
    return pickle.dumps(table, protocol=protocol)


@pytest.mark.parametrize("place", [2, 3, 150, 298, 299])
@pytest.mark.parametrize("protocol", [3, 4])
def test_a_call_among_the_many_is_told_of(place: int, protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One value that calls something else stands out, wherever it is."""
    data = _with(place, _Attack(), protocol)
    items = [item for item in list(Walk(BytesBlob(data), _role, 4).items()) if isinstance(item, Named)]
    assert any(item.what.name == "dangerous" and item.what.called == 1 for item in items)
    compared = _items(data)
    _plainly(monkeypatch)
    assert _items(data) == compared


_CALL = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."
PAYLOADS = {
    "a pickle": _CALL,
    "a pickle further on": b"\0\xff\1\2\3" + b"cposix\nsystem\n(S'id'\ntR.",
    "base64": base64.b64encode(_CALL).ljust(96, b"\n"),
    "hex": _CALL.hex().encode().ljust(96, b"\n"),
    "a program": b"\x7fELF\2\1\1",
    "an array file": b"\x93NUMPY\1\0",
    "an archive": b"PK\3\4\x14\0",
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_in_one_of_the_literals_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes of each array are looked into as those of a single one are."""
    raw = np.frombuffer(PAYLOADS[name].ljust(96, b"\0"), dtype=np.uint8)
    table: dict[str, Any] = {word: _RNG.integers(0, 255, 96, dtype=np.uint8) for word in words(_COUNT)}
    table[list(table)[200]] = raw
    data = pickle.dumps(table, protocol=4)
    found = [item for item in Walk(BytesBlob(data), _role, 4).items() if isinstance(item, Nested)]
    begin = data.index(PAYLOADS[name])
    assert any(begin <= item.offset < begin + 96 for item in found)
    items = _items(data)
    _plainly(monkeypatch)
    assert _items(data) == items


def test_a_literal_that_ends_in_the_next_ones_beginning_hides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A false beginning in one literal that goes on into the next: both are looked into."""
    head = b"\x80\4" + b"cm\nf\n" + b"\x94" + b")\x94" + b"0"
    stretch = b"C\x30%bh\0h\1R"
    fill = [b"\xff" * 48] * 40
    fill[20] = b"\xff" * 46 + b"cx"
    fill[21] = b"foo\nbar\ncposix\nsystem\n(S'id'\ntR.".ljust(48, b"\xff")
    data = head + b"".join(stretch % literal for literal in fill) + b"."
    items = _items(data)
    assert any(isinstance(item, list) and item[0] == "Nested" for item in items)
    _plainly(monkeypatch)
    assert _items(data) == items


def _late(index: int) -> bytes:
    return b"j" + struct.pack("<I", index)


def test_what_they_left_in_the_memo_is_what_was_put_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key of the many that is taken from the memo again as the name of a module names that module."""
    keys = [*(f"key{n}" for n in range(50)), "posix", "system", *(f"end{n}" for n in range(50))]
    head = b"\x80\4cdatetime\ndate\n\x94}\x94("
    body = b"".join(
        b"\x8c" + bytes((len(key),)) + key.encode() + b"\x94h\0C\4\x07\xd0\1\1\x94\x85\x94R\x94" for key in keys
    )
    module, name = (2 + 4 * keys.index(word) for word in ("posix", "system"))
    data = head + body + b"u0" + _late(module) + _late(name) + b"\x93."
    named = {item.what.path for item in Walk(BytesBlob(data), _role, 4).items() if isinstance(item, Named)}
    assert "posix.system" in named
    at_once = _end(data)
    _plainly(monkeypatch)
    assert _end(data) == at_once


def test_an_entry_of_the_memo_that_is_set_again_is_seen() -> None:
    """Stretches call what their place in the memo holds: when that changes, so does what they call."""
    stretch = b"h\0K\1\x85R0"
    head = b"\x80\2cdatetime\ndate\nq\0"
    data = head + stretch * 40 + b"cposix\nsystem\nq\0" + stretch * 40 + b"."
    items = list(Walk(BytesBlob(data), _role, 4).items())
    called = {item.what.path: item.what.called for item in items if isinstance(item, Named)}
    assert called == {"datetime.date": 40, "posix.system": 40}


def test_places_of_the_memo_out_of_order_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protocol 3 names the places: where one is not the next, that is what the memo has."""
    parts = [b"cdatetime\ndate\nq\0"]
    place = 1
    for number in range(80):
        index = place if number != 60 else 5
        parts.append(b"h\0C\4abcdr" + struct.pack("<I", index) + b"\x85R")
        place += index == place
    data = b"\x80\3" + b"".join(parts) + b"."
    at_once = _end(data)
    _plainly(monkeypatch)
    assert _end(data) == at_once


def mutated(data: bytes, seed: int) -> bytes:
    rng = random.Random(seed)
    mutable = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(mutable))
        match rng.randrange(4):
            case 0:
                mutable[place] = rng.randrange(256)
            case 1:
                mutable[place:place] = bytes((rng.choice(b"0(tR\x85\x94hq\x93b)K\x01\x00"),))
            case 2:
                del mutable[place : place + rng.randint(1, 3)]
            case _:
                mutable[place : place + 1] = mutable[place // 2 : place // 2 + rng.randint(1, 90)]
    return bytes(mutable)


def _samples() -> Iterator[bytes]:
    for make in ORDINARY.values():
        for protocol in (3, 4):
            yield pickle.dumps(make(), protocol=protocol)


_SAMPLES = tuple(_samples())


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(_SAMPLES) - 1), st.integers(0, 1 << 32))
def test_broken_tables_come_out_the_same(number: int, seed: int) -> None:
    """Whatever is wrong in the midst of the many, both ways of following see the same."""
    data = mutated(_SAMPLES[number], seed)
    at_once = _items(data)
    with pytest.MonkeyPatch.context() as monkeypatch:
        _plainly(monkeypatch)
        assert _items(data) == at_once


@settings(max_examples=2000, deadline=None)
@given(
    st.sampled_from([b"", *PAYLOADS.values(), b"\x80\4", b"(", b"(lp0\n", b"}", b"I1\n", b"V\n", b"G\0\0\0\0\0\0\0\0"]),
    st.binary(max_size=60),
    st.sampled_from([b"", b"cos\nsystem\n", b"R.", b"\x80\x03}", *PAYLOADS.values()]),
    st.binary(max_size=20),
)
def test_nothing_is_passed_over_that_a_look_finds(head: bytes, some: bytes, more: bytes, end: bytes) -> None:
    """What begins neither as a suspect nor holds a beginning holds nothing."""
    data = (head + some + more + end).ljust(16, b"\xff")
    payloads = Payloads(BytesBlob(data), 4, Allowance(), Search(len(data)))
    payloads.look(ord("B"), 0, len(data))
    if list(payloads.drain()):
        assert re.match(SUSPECT, data, re.S) or list(beginnings(data, 0, len(data)))
