"""Trees of templates and what their expressions can be."""

import pytest

from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits
from modelaudit.parsers import folding
from modelaudit.parsers.folding import UNKNOWN
from modelaudit.parsers.jinja import parse, uses
from modelaudit.parsers.jinja.tree import TooDeep, postorder


def names(template: str) -> list[str]:
    """The attributes that the template takes."""
    return [use.name for use in uses(parse(template.encode()), Limits()) if use.kind == "attribute"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'a' ~ 'b'", "ab"),
        ("'a' ~ 1", "a1"),
        ("'ab' * 2", "abab"),
        ("'%s-%d' % ('a', 1)", "a-1"),
        ("'ba'|reverse", "ab"),
        ("['a', 'b']|join('+')", "a+b"),
        ("{'a': 'b'}['a']", "b"),
        ("dict(ab=x)|first", "ab"),
        ("'abc'[1:]", "bc"),
        ("'A'|lower ~ ('b'|upper)", "aB"),
        ("'x' if y else 'z'", "x"),
        ("'{}{}'.format('a', 'b')", "ab"),
        ("'{x}'.format(x='a')", "a"),
        ("'a,b'.split(',')|last", "b"),
        ("'a'.replace('a', 'b')", "b"),
    ],
)
def test_expressions_are_computed(expression: str, expected: str) -> None:
    """As Jinja would compute them."""
    assert expected in names("{{ value[" + expression + "] }}")


def test_what_is_not_constant_is_unknown() -> None:
    """No attribute is invented for it."""
    assert names("{{ value[x ~ 'a'] }}{{ value[x|lower] }}{{ value['a' * x] }}{{ value['%s' % x] }}") == []


def test_postorder_gives_children_first() -> None:
    """Every node once, its children before it."""
    order = [type(node).__name__ for node in postorder(parse(b"{{ a.b }}").root)]
    assert order == ["Name", "Getattr", "Output", "Template"]


def test_offsets_are_those_of_the_lines() -> None:
    """All three line ends count, and a number that is too large gives the last line."""
    tree = parse(b"a\r\nb\rc\nd")
    assert [tree.offset(line) for line in (1, 2, 3, 4, 9)] == [0, 3, 5, 7, 7]


def test_deep_templates_are_told_from_broken_ones() -> None:
    """Both are parse errors; the deep one says so by its type."""
    with pytest.raises(TooDeep):
        parse(b"{{ " + b"(" * 10_000 + b" }}")
    with pytest.raises(ParseError) as caught:
        parse(b"a\n{% if %}")
    assert not isinstance(caught.value, TooDeep)
    assert caught.value.offset == 2


def test_too_many_constants_are_said() -> None:
    """A sum of thousands of pieces is not computed to its end, and that does not go unsaid."""
    with pytest.raises(LimitExceeded):
        list(uses(parse(b"{{ " + b" + ".join([b"'aaaa'"] * 20_000) + b" }}"), Limits()))


@pytest.mark.parametrize(
    "value",
    [
        folding.times("a", 10**9),
        folding.times([1], 10**9),
        folding.percent("%99999d", 1),
        folding.percent("%*d", (9, 1)),
        folding.braces("{:99999}", [1], {}),
        folding.braces("{0.__class__}", [1], {}),
        folding.braces("{", [], {}),
        folding.add("a", 1),
        folding.add("a" * folding.CHARS, "b"),
        folding.power(9, 10**9),
        folding.power(2, -1),
        folding.join(",", ["a", UNKNOWN]),
        folding.join("a" * 1000, ["b"] * 1000),
        folding.method("a" * 10_000, "replace", ["a", "b" * 10_000], {}),
        folding.method("a", "center", [10**9], {}),
        folding.method("a", "encode", ["idna"], {}),
        folding.item("a", 5),
        folding.item({"a": 1}, "b"),
    ],
)
def test_what_would_grow_or_fail_is_unknown(value: object) -> None:
    """No constant makes another that is much larger than itself, and none makes Python raise."""
    assert value is UNKNOWN
