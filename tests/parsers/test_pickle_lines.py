"""Lines of protocol 0 that are done several at a time, or without a closer look: what comes out is the same."""

import math
import pickle
import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.parsers.pickle import machine, probe, reading
from modelaudit.parsers.pickle.opcodes import NAMES
from modelaudit.parsers.pickle.state import ITEMS_EACH, Shared, State
from modelaudit.parsers.pickle.values import Broken

_ENDS = [b"0.", b"cos\nsystem\n.", b"a", b"F1.5\na.", b"F1.5\n", b"I01\na0.", b"s.", b"(d.", b""]


def _outcome(data: bytes) -> tuple[object, ...]:
    """How the machine ends: place, what broke, the stack as it is, and the items of every list."""
    state = State(BytesBlob(data), 0, lambda module, name: None, lambda op, offset, length: None, Shared())
    broken = [(event.offset, event.why) for event in machine.run(state) if isinstance(event, Broken)]
    lists = {place: state.items_of(place) for place in sorted(state.items | state.old_items)}
    items = {place: None if values is None else _plain(values) for place, values in lists.items()}
    return state.outcome.end, state.outcome.stopped, broken, _plain(state.stack), items


def _plain(values: Sequence[object]) -> list[object]:
    """Literals are their places, other values their kinds."""
    return [value if isinstance(value, int) else type(value).__name__ for value in values]


def _one_by_one(data: bytes) -> tuple[object, ...]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(machine, "_APPENDED", re.compile(b"(?!)"))
        return _outcome(data)


@pytest.mark.parametrize("count", [1, 2, 3, 500, 1024, 1025, 1026, ITEMS_EACH - 1, ITEMS_EACH, 3 * ITEMS_EACH])
def test_a_list_of_numbers_has_all_its_items(count: int) -> None:
    """Integers and floats of either sign, in one list and in two of a dict."""
    numbers = [(-1) ** number * number / 7 if number % 3 else number - 5 for number in range(count)]
    for value in (numbers, {"a": numbers, "b": numbers[::-1]}):
        data = pickle.dumps(value, protocol=0)
        assert _outcome(data) == _one_by_one(data)
    [items] = _outcome(pickle.dumps(numbers, protocol=0))[-1].values()  # type: ignore[attr-defined]
    assert items is None if count >= ITEMS_EACH else len(items) == count


def test_what_stands_among_the_numbers_is_seen() -> None:
    """An import in the midst of a list ends the run before it."""
    data = b"(lp0\n" + b"F1.5\na" * 50 + b"cos\nsystem\na" + b"I7\na" * 50 + b"."
    stack = _outcome(data)
    assert stack == _one_by_one(data)
    [items] = stack[-1].values()  # type: ignore[attr-defined]
    assert len(items) == 101
    assert items[50] == "Global"


@settings(max_examples=1500, deadline=None)
@given(
    st.lists(st.sampled_from([b"F1.5\na", b"I-3\na", b"F1e\na", b"F.5\na", b"Lx\na", b"F1\n", b"a", b"F" + b"1" * 40])),
    st.sampled_from(_ENDS),
    st.sampled_from([b"(lp0\n", b"]", b"\x80\4\x95\x20\0\0\0\0\0\0\0]", b"(dp0\n", b""]),
)
def test_any_lines_come_out_the_same(lines: list[bytes], end: bytes, begin: bytes) -> None:
    """Broken lines, lists that are none, and frames that end among the numbers."""
    data = begin + b"F2.5\na" * 3 + b"".join(lines) + end
    assert _outcome(data) == _one_by_one(data)


@settings(max_examples=1000, deadline=None)
@given(st.from_regex(probe._USUAL, fullmatch=True))
def test_usual_lines_would_pass_a_closer_look(line: bytes) -> None:
    """The short way lets nothing in that the long way keeps out."""
    assert probe._line_is_sane(NAMES[line[0]], line[1:-1])
    assert line.count(b"\n") == 1


_WRITTEN = [
    b"K\x07", b"M\x01\x02", b"J\xff\xff\xff\xff", b"G@\x09!\xfbTD-\x18", b"\x8a\x02\xff\x7f", b"\x8b\x02\0\0\0\1\2",
    b"X\x03\0\0\0abc", b"\x8c\x02\xc3\xa9", b"\x8c\x02\xff\xff", b"U\x02\xff\x01", b"T\x01\0\0\0z", b"B\x02\0\0\0\0\1",
    b"C\x01a", b"I12\n", b"I010\n", b"I0x1f\n", b"Ix\n", b"L123L\n", b"F1.5\n", b"F\n", b"V\\u00e9\n", b"S'a\\x41'\n",
    b"S\n", b"N", b"}", b"cos\nsystem\n", b"X\xff\xff\xff\x7fab", b"I" + b"1" * 5000 + b"\n",
    b"V" + b"v" * (1 << 17) + b"\n", b"\xff",
]  # fmt: skip


@pytest.mark.parametrize("opcode", _WRITTEN, ids=repr)
@pytest.mark.parametrize("behind", [0, 200])
def test_a_literal_is_the_same_in_the_window_and_out_of_it(opcode: bytes, behind: int) -> None:
    """Read from the copy that the machine has at hand, or from the blob."""
    blob = BytesBlob(b"NNN" + opcode + b"." * behind)
    window = reading.Window(blob, 0)
    assert repr(reading.literal(blob, 3, window)) == repr(reading.literal(blob, 3))
    window.move(4)
    assert repr(reading.literal(blob, 3, window)) == repr(reading.literal(blob, 3))


def test_what_a_literal_is_worth() -> None:
    """So that both are not wrong in the same way."""
    values = [reading.literal(BytesBlob(opcode), 0) for opcode in _WRITTEN]
    expected: list[object] = [7, 513, -1, math.pi, 32767, 513, "abc", "é", None, "ÿ\x01", "z", b"\0\1"]
    expected += [b"a", 12, 8, 31, None, 123, 1.5, None, "é", "aA", None, None, None, None, None, None, None, None]
    assert values == expected
