"""Bytes in which every second one begins a pickle, or seems to: how often they are gone over."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from modelaudit.blob import BytesBlob
from modelaudit.engine import inspect
from modelaudit.limits import Limits
from modelaudit.model import Hit, Note
from modelaudit.parsers.pickle.search import LOOKED_BYTES, Search
from modelaudit.scanners import pickle as scanner

_EVIL = b"\x80\x02cposix\nsystem\nX\x04\0\0\0echo\x85R."
_FALSE = {
    "lists": b"(l" * 1700,
    "headers": b"\x80\x02]" * 64 + b"]" * 3100,
    "memo": b"]p1\n" * 800,
}


def count(looks: Callable[[Search], None], size: int) -> tuple[int, Search]:
    """How many opcodes `looks` goes over in a stream of `size` bytes."""
    search = Search(size)
    before = search._left
    looks(search)
    return before - search._left, search


@pytest.mark.parametrize("name", _FALSE)
def test_what_was_gone_over_is_not_gone_over_again(name: str) -> None:
    """However many places look like a beginning, the work grows with the bytes and not with their square."""
    data = _FALSE[name]
    starts = [at for at in range(len(data)) if data[at] in b"(]\x80"]

    def looks(search: Search) -> None:
        for at in starts:
            search.look(data, at, 0, last=True)

    gone, search = count(looks, len(data))
    assert len(starts) > 60
    assert gone <= 2 * len(data)
    assert not search.spent


def test_looks_that_lead_far_have_an_end() -> None:
    """Where nothing can be left out, the looks end at a bound that grows with the stream, and that is said."""
    data = b"]" * (40 * LOOKED_BYTES)  # each look reaches further than the one before

    def looks(search: Search) -> None:
        for at in range(0, len(data), 2):
            search.look(data, at, 0, last=False)

    gone, search = count(looks, len(data))
    assert gone <= len(data) + 3 * LOOKED_BYTES
    assert search.spent


@pytest.mark.parametrize("name", _FALSE)
@pytest.mark.parametrize("place", ["literal", "behind"])
def test_a_pickle_among_false_ones_is_found(name: str, place: str) -> None:
    """What many false beginnings hide is found all the same."""
    hidden = _FALSE[name] + b"\xff" + _EVIL
    data = pickle.dumps([hidden], 4) if place == "literal" else pickle.dumps(1, 2) + b"\xff" + hidden
    found = {finding.rule for finding in inspect(BytesBlob(data)).findings}
    assert "pickle-call" in found


def test_what_is_not_searched_is_said() -> None:
    """A stream with more false beginnings than are looked at is only partly scanned, and says so once."""
    literals = [b"%d" % number + b"ca\nb\n" * 64 + b"]" * 3000 for number in range(60)]
    items = list(scanner.scan(BytesBlob(pickle.dumps(literals, 4)), Limits()))
    assert [item.reason for item in items if isinstance(item, Note)] == ["payloads"]


def test_many_pickles_that_each_name_something_new_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of thousands of pickles does not judge again at the end of each what the earlier ones named."""
    judged = 0
    real = scanner._Report._verdict

    def counting(self: Any, what: Any) -> Any:
        nonlocal judged
        judged += 1
        return real(self, what)

    monkeypatch.setattr(scanner._Report, "_verdict", counting)
    pickles = [b"\x80\x02cmodule%d\nname\n." % number for number in range(1000)]
    items = list(scanner.scan(BytesBlob(b"".join(pickles) + _EVIL), Limits()))
    rules = [item.rule for item in items if isinstance(item, Hit)]
    assert rules.count("pickle-unknown-import") == 1000
    assert rules.count("pickle-call") == 1
    assert judged <= 4 * len(pickles)
