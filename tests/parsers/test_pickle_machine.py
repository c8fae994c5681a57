"""The loop over the commonest opcodes does what the functions do that follow each opcode on its own."""

import pickle
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.parsers.pickle import machine
from modelaudit.parsers.pickle.payloads import Allowance, Payloads
from modelaudit.parsers.pickle.repeats import Repeats
from modelaudit.parsers.pickle.search import Search
from modelaudit.parsers.pickle.state import Shared, State
from modelaudit.parsers.pickle.values import Nested
from tests.parsers.test_pickle_repeats import ORDINARY, mutated, told, words

_VALUES: list[object] = [
    *(make() for make in ORDINARY.values()),
    {word: 37 * number for number, word in enumerate(words(400))},
    [{word: number for number, word in enumerate(words(count))} for count in (1, 2, 30)],
    [1.5, -3, 2] * 50,
    {"a": [(1, 2.5, "x", None, True, 1 << 70)] * 30, "ü": "long text " * 20},
    {1: {2: {3: [b"abc", bytearray(b"z"), frozenset((1, 2)), {4}]}}},
]
_SAMPLES = tuple(pickle.dumps(value, protocol=protocol) for value in _VALUES for protocol in range(6))


def _role(module: str, name: str) -> str | None:
    return {"_codecs.encode": "decode"}.get(f"{module}.{name}")


def _memo(state: State, index: int) -> object:
    try:
        return told(state.memo.get(index))
    except IndexError:
        return "not set"


def _outcome(data: bytes) -> tuple[object, ...]:
    """All that the machine knows at the end; without what it saw in texts, which it may see in one that breaks off."""
    payloads = Payloads(BytesBlob(data), 4, Allowance(), Search(len(data)))
    state = State(BytesBlob(data), 0, _role, payloads.look, Shared())
    events = sorted(repr(told(event)) for event in machine.run(state) if not isinstance(event, Nested))
    memo = [_memo(state, index) for index in range(len(state.memo.cells))]
    return state.outcome.end, state.outcome.stopped, events, [told(value) for value in state.stack], memo


def _slowly(data: bytes) -> tuple[object, ...]:
    """By the functions alone, one opcode at a time."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(machine, "_follow", lambda state: None)
        monkeypatch.setattr(Repeats, "passed", lambda repeats, state, data, i: i)
        return _outcome(data)


@pytest.mark.parametrize("number", range(len(_SAMPLES)))
def test_ordinary_values(number: int) -> None:
    """Of every protocol."""
    outcome = _outcome(_SAMPLES[number])
    assert outcome == _slowly(_SAMPLES[number])
    assert outcome[:2] == (len(_SAMPLES[number]), True)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(_SAMPLES) - 1), st.integers(0, 1 << 40))
def test_broken_values(number: int, seed: int) -> None:
    """Marks, lengths, indexes and opcodes that are wrong; what the loader refuses is refused by both."""
    data = mutated(_SAMPLES[number], seed)
    assert _outcome(data) == _slowly(data)


_BELOW_A_MARK = [b"K\1K\2(\x86.", b"](K\1a.", b"}K\1(K\2s.", b"K\1(\x85.", b"K\1K\2(K\3\x87.", b"]((K\1e."]


@pytest.mark.parametrize("data", _BELOW_A_MARK, ids=repr)
def test_nothing_is_taken_from_below_a_mark(data: bytes) -> None:
    """CPython's unpickler stops there (`Pdata_stack_underflow`)."""
    data += bytes(20)  # the loop leaves the last bytes to the functions
    outcome = _outcome(data)
    assert outcome == _slowly(data)
    assert "underflow below a mark" in str(outcome[2])
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(data)  # numbers and lists, written here


@pytest.mark.parametrize("data", [b"\x8c\x0aabc", b"\x80\x04(U\x20abc", b"X\x09\0\0\0abc", b"K\1\x8c\x40" + b"a" * 30])
def test_a_text_that_breaks_off_is_no_value(data: bytes) -> None:
    """It ends the stream where it begins."""
    outcome = _outcome(data)
    assert outcome == _slowly(data)
    assert "the data ends inside an argument" in str(outcome[2])


def test_the_samples_are_many_and_random_ones_differ() -> None:
    """So that the tests above have something to compare."""
    rng = random.Random(7)
    changed = [mutated(sample, rng.randrange(1 << 40)) for sample in _SAMPLES]
    assert len(_SAMPLES) >= 70
    assert sum(one != other for one, other in zip(changed, _SAMPLES, strict=True)) > 60
    assert sum(_outcome(one)[2] != [] for one in changed) > 30
