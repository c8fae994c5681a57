"""Trees of Python source, the names in them resolved, and when calls are made."""

import pytest

from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits
from modelaudit.parsers.python_source import Act, Program, TooDeep, encoding, parse
from modelaudit.parsers.python_source.meanings import Constant


def acts(source: str) -> list[Act]:
    return list(Program(source.encode(), Limits()).acts())


def called(source: str) -> list[str]:
    return [act.path.name for act in acts(source) if not act.given]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a.b\na.b.c()", "a.b.c"),
        ("import a.b as x\nx.c()", "a.b.c"),
        ("from a.b import c as d\nd()", "a.b.c"),
        ("from .a import b\nb()", ".a.b"),
        ("from a import *\nb()", "a.b"),
        ("import a\nx = a.b\ny = x\ny.c()", "a.b.c"),
        ("import a\nclass K:\n    x = a.b\n    def f(self): self.x()", "a.b"),
        ("import a\nclass K:\n    def g(self): self.x = a.b\n    def f(self): self.x()", "a.b"),
        ("import a\na.b().c()", "a.b().c"),
        ("import a\nwith a.b() as x:\n    x.c()", "a.b().c"),
        ("import a\nfor x in a.b():\n    x.c()", "a.b()[].c"),
        ("len(x)", "builtins.len"),
        ("from importlib import import_module as i\ni('a.b').c()", "a.b.c"),
        ("__import__('a.b').c()", "a.c"),
        ("__import__('a.b', fromlist=['c']).c()", "a.b.c"),
        ("import a\ndef f(): return a.b\nf()()", "a.b"),
        ("import a\nglobal x\nx = a.b\ndef f():\n    global x\n    x()", "a.b"),
    ],
)
def test_names_are_resolved(source: str, expected: str) -> None:
    """Through imports, assignments, attributes, results."""
    assert expected in called(source)


def test_names_of_one_function_are_not_those_of_another() -> None:
    """A variable of one function says nothing about the same name elsewhere."""
    assert "a.b" not in called("import a\ndef f():\n    x = a.b\ndef g(x):\n    x()\n")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a\na.b()", "import"),
        ("import a\nclass K:\n    x = a.b()", "import"),
        ("import a\ndef f(x=a.b()): pass", "import"),
        ("import a\ndef f(): a.b()\nf()", "import"),
        ("import a\ndef f(): a.b()", "call"),
        ("import a\nif __name__ == '__main__':\n    a.b()", "script"),
        ("import a\ndef f(): a.b()\nif __name__ == '__main__':\n    f()", "script"),
        ("import a\nclass K:\n    def __init__(self): a.b()", "loading"),
        ("import a\nclass K(nn.Module):\n    def forward(self): self.g()\n    def g(self): a.b()", "model"),
        ("import a\ndef model_fn(path): a.b()", "model"),
        ("import a\nx = lambda: a.b()", "call"),
        ("import a\n(lambda: a.b())()", "import"),
    ],
)
def test_when_calls_are_made(source: str, expected: str) -> None:
    """By who calls the function that they stand in."""
    assert [act.when for act in acts(source) if act.path.name == "a.b"] == [expected]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'a' + 'b'", "ab"),
        ("'a' * 3", "aaa"),
        ("f\"{'a'}b\"", "ab"),
        ("'%s' % 'a'", "a"),
        ("'ba'[::-1]", "ab"),
        ("base64.b64decode('YWI=')", b"ab"),
        ("bytes.fromhex('6162').decode()", "ab"),
        ("''.join(chr(c) for c in [97, 98])", "ab"),
        ("''.join(map(chr, [97, 98]))", "ab"),
        ("''.join(reversed('ba'))", "ab"),
        ("bytes([97, 98])", b"ab"),
        ("codecs.decode('no', 'rot13')", "ab"),
        ("zlib.decompress(b'x\\x9cKL\\x02\\x00\\x01&\\x00\\xc4')", b"ab"),
        ("(lambda: 'ab')()", "ab"),
        ("{'k': 'ab'}['k']", "ab"),
    ],
)
def test_constants_are_computed(expression: str, expected: object) -> None:
    """As Python would compute them."""
    program = Program(f"import base64, codecs, zlib\nprint({expression})".encode(), Limits())
    (act,) = (act for act in program.acts() if act.path.name == "builtins.print")
    assert expected in [constant.value for constant in program.constants(act)]


@pytest.mark.parametrize(
    "expression",
    [
        "'a' * 10**9",
        "zlib.decompress(b'no')",
        "chr(-1)",
        "base64.b64decode('!')",
        "1 % 0",
        "[1][5]",
        "int('x')",
        "-'a'",
    ],
)
def test_what_fails_is_unknown(expression: str) -> None:
    """Nothing that constants do makes the parser raise or fill the memory."""
    program = Program(f"import base64, zlib\nprint({expression})".encode(), Limits())
    for act in program.acts():
        assert all(isinstance(constant, Constant) for constant in program.constants(act))
        assert all(len(str(constant.value)) < 100 for constant in program.constants(act))


def test_sums_of_many_terms() -> None:
    """A text put together from hundreds of pieces is known, in one expression or line by line."""
    source = "x = ''\n" + "x += 'ab'\n" * 300 + "print(x, " + " + ".join(["'c'"] * 900) + ")"
    program = Program(source.encode(), Limits())
    (act,) = (act for act in program.acts() if act.path.name == "builtins.print")
    assert {"ab" * 300, "c" * 900} <= {c.value for c in program.constants(act) if isinstance(c.value, str)}


def test_too_much_to_look_at_is_said() -> None:
    """Calls with huge arguments are looked at up to a bound, and that does not go unsaid."""
    source = "d = {" + ",".join(f"'{n}': a{n}" for n in range(400)) + "}\n" + "f(d)\n" * 2_000
    program = Program(b"import f\n" + source.encode().replace(b"f(d)", b"f.g(d)"), Limits())
    with pytest.raises(LimitExceeded):
        for act in program.acts():
            list(program.sources(act))


def test_deep_sources_are_told_from_broken_ones() -> None:
    """Both are parse errors; the deep one says so by its type."""
    with pytest.raises(TooDeep):
        parse(b"(" * 10_000 + b")" * 10_000)
    with pytest.raises(ParseError) as caught:
        parse(b"a = 1\nif\n")
    assert not isinstance(caught.value, TooDeep)
    assert caught.value.offset == 6


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"# coding: utf-7", "utf-7"),
        (b"#!python\n# vim: set fileencoding=unicode_escape :", "unicode-escape"),
        (b"# coding: Latin-1", ""),
        (b"# -*- coding: utf-8-unix -*-", ""),
        (b"# -*- coding:utf-8- -*-", ""),
        (b"# coding: Latin_1-dos", ""),
        (b"# coding: utf-8unicode", "utf-8unicode"),
        (b"x = 1\ny = 2\n# coding: utf-7", ""),
        (b"x = 'coding: utf-7'", ""),
    ],
)
def test_encodings(data: bytes, expected: str) -> None:
    """Declared in a comment of the first two lines, and odd."""
    assert encoding(data) == expected
