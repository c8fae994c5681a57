"""JSON that can be printed, split into lines and parsed again, whatever the names in it are."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.sinks.encoding import encode


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", b'"plain"'),
        ("Modell-Größe-模型", '"Modell-Größe-模型"'.encode()),
        ("\x1b[2J\n\r\t", b'"\\u001b[2J\\n\\r\\t"'),
        ("\x7f\x9b2J\x85", b'"\\u007f\\u009b2J\\u0085"'),
        ("a\u2028b\u2029c", b'"a\\u2028b\\u2029c"'),
        ("\u202egnp.\u2066x\u200f\u061c", b'"\\u202egnp.\\u2066x\\u200f\\u061c"'),
        ("lone \udcff", b'"lone \\\\udcff"'),
    ],
)
def test_active_characters_are_escaped(text: str, line: bytes) -> None:
    """Nothing in a line steers a terminal, turns text around, or looks like another line's end."""
    assert encode(text) == line


@given(st.dictionaries(st.text(), st.lists(st.text() | st.integers(-(2**63), 2**64 - 1) | st.none())))
def test_it_is_the_same_json(value: dict[str, list[object]]) -> None:
    """Escaping changes the bytes and not the value; there is one line, whoever splits it."""
    line = encode(value)
    assert json.loads(line) == value
    assert len(line.decode().splitlines()) == 1


@given(st.text(st.characters()))
def test_any_text_can_be_encoded(text: str) -> None:
    """Half of a surrogate pair, as a server's header may bring it, does not end a run."""
    json.loads(encode({"text": text, "more": [text]}))
