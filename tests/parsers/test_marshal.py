"""Marshalled code: every layout read, bytes of any kind survived, names found through imports and variables."""

import marshal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits
from modelaudit.parsers import bytecode
from modelaudit.parsers.marshal import Code, header, is_code, nested, read, texts
from tests.samples import compiled

LIMITS = Limits()
SOURCE = """
import os as o
from subprocess import Popen as P, run
import a.b.c
def f(x, y=1.5, *z):
    import sys
    held = o.system
    def g():
        return held(b"bytes") + x
    P(["x"]); held("text"); keras.utils.os.system(y)
    return g, 10**40, 2j, {1, 2}, ..., frozenset([1]), -1, 1 << 40, (1, ("deep", b"b")), sys.path
"""


def paths(code: Code, magic: int = 0) -> set[str]:
    return {use.path for use in bytecode.uses(code, magic)}


@pytest.mark.parametrize("version", range(5))
def test_every_version_of_the_format_gives_the_same(version: int) -> None:
    """References, interned texts and short forms are only other ways to write the values."""
    made = compile(SOURCE, "<x>", "exec")
    (found,) = read(marshal.dumps(made, version), LIMITS)
    assert found.layout == "3.11"
    assert found.names == made.co_names
    assert [each.name for each in nested(found)] == ["<module>", "f", "g"]
    assert {"text", b"bytes", "deep", b"b"} <= {text for each in nested(found) for text in texts(each)}


def test_names_are_followed_through_imports_variables_and_closures() -> None:
    """What a variable holds is what it was given, in inner functions too."""
    (found,) = read(marshal.dumps(compile(SOURCE, "<x>", "exec")), LIMITS)
    assert {"os.system", "subprocess.Popen", "subprocess.run", "keras.utils.os.system", "sys.path"} <= paths(found)
    assert not any(path == "o.system" or path.startswith("held") for path in paths(found))
    inner = [use for use in bytecode.uses(found) if use.within == "g" and use.path == "os.system"]
    assert [use.argument for use in inner] == [b"bytes"]


@pytest.mark.parametrize("version", compiled.VERSIONS)
def test_code_of_every_python_is_read(version: str) -> None:
    """Each layout and each numbering of opcodes gives the path that is called, and no other."""
    found = read(compiled.calls(version, "os", "system", "echo"), LIMITS)
    assert compiled.VERSIONS[version][0] in {code.layout for code in found}
    assert {path for code in found for path in paths(code)} == {"os.system"}


def test_the_libraries_own_compiled_files_are_read() -> None:
    """What this Python has compiled has one layout, one version of the opcodes, and all of its names."""
    seen = 0
    for path in sorted(Path(pytest.__file__).parent.parent.glob("_pytest/__pycache__/*.pyc"))[:25]:
        data = path.read_bytes()
        head = header(data[:20])
        assert head is not None
        (code,) = read(data[head.length :], LIMITS, head.magic)
        seen += len(paths(code, head.magic))
    assert seen > 100


def test_a_header_is_told_from_other_bytes() -> None:
    """The magic's line end, its number and the code's marker must all be there."""
    good = b"\xa7\x0d\r\n" + bytes(12) + b"\xe3"
    assert header(good) is not None
    assert header(b"\x03\xf3\r\n" + bytes(4) + b"c" + bytes(9)) is not None
    for bad in (
        good[:-1] + b"x",
        b"\xa7\x0d\n\n" + good[4:],
        b"\x01\x00\r\n" + good[4:],
        good[:8],
        b"",
        good[:4] + b"\xff" * 4 + good[8:],
    ):
        assert header(bad) is None


def test_the_beginning_of_code_is_told_from_other_bytes() -> None:
    """A marker and numbers that are small."""
    data = marshal.dumps(compile("1", "", "eval"))
    assert is_code(data)
    assert is_code(compiled.calls("2.7", "os", "system", "x"))
    assert not is_code(data[:20])
    assert not is_code(b"cposix\nsystem\n(S'echo'\ntR.")


def test_truncation_at_every_offset() -> None:
    """Cut bytes are a ParseError and nothing else."""
    data = marshal.dumps(compile(SOURCE, "<x>", "exec"))
    for end in range(len(data)):
        with pytest.raises(ParseError):
            read(data[:end], LIMITS)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutations(data: st.DataObject) -> None:
    """Whatever is changed, only ParseError and LimitExceeded come out, of the opcodes too."""
    made = bytearray(marshal.dumps(compile(SOURCE, "<x>", "exec")))
    for _ in range(data.draw(st.integers(1, 6))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    try:
        for code in read(bytes(made), LIMITS):
            list(bytecode.uses(code))
            list(texts(code))
    except (ParseError, LimitExceeded):
        pass


def test_values_nested_too_deep() -> None:
    """The bound says no before Python's own stack does."""
    with pytest.raises(LimitExceeded):
        read(b"c" + bytes(20) + b"(\1\0\0\0" * 100_000, LIMITS)


def test_a_value_that_contains_itself_ends() -> None:
    """A tuple that refers to its own place among the references is no endless walk."""
    inner = b"\xa9\x02r\0\0\0\0)\1r\0\0\0\0"
    data = compiled.code("3.10", [("return", 0)], (), ())
    found = read(data.replace(b"(\0\0\0\0", inner, 1), LIMITS)
    assert [each.name for code in found for each in nested(code)] == ["f"]
    assert list(texts(found[0])) == []


def test_attributes_without_end_cost_no_more_than_their_length() -> None:
    """A path is cut, or each attribute would copy all those before it."""
    steps = [("global", 0), *[("attribute", 0)] * 50_000]
    (found,) = read(compiled.code("3.10", steps, ("os",)), LIMITS)
    assert max(len(path) for path in paths(found)) < 200
