"""Regular expressions that are compiled at their first use: as others, and none of them with a mistake in it."""

import gc
import importlib
import pkgutil
import re
import subprocess
import sys

import pytest

import modelaudit
from modelaudit.late import _Late, late


def test_it_is_as_any_other_expression() -> None:
    """Methods, attributes and groups; text and bytes."""
    text = late(r"(?P<word>[a-z]+)(\d*)", re.IGNORECASE)
    found = text.match("Ab12")
    assert found is not None and found["word"] == "Ab"
    assert text.groups == 2 and text.groupindex["word"] == 1
    assert text.sub("-", "a1 b2") == "- -"
    assert late(rb"\d+").findall(b"1 22 333") == [b"1", b"22", b"333"]
    with pytest.raises(AttributeError):
        _ = text.serch  # type: ignore[attr-defined]


def test_a_mistake_shows_at_first_use() -> None:
    """Not when the module is loaded; the test below is there for that."""
    broken = late("(")
    with pytest.raises(re.error):
        broken.match("x")


def test_no_expression_has_a_mistake_in_it() -> None:
    """Every module is loaded and every expression that it made is compiled."""
    for module in pkgutil.walk_packages(modelaudit.__path__, "modelaudit."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    known = [each for each in gc.get_objects() if isinstance(each, _Late)]
    assert len(known) > 200
    for each in known:
        if each._source[0] != "(":  # of the test above
            assert re.compile(*each._source).pattern == each._source[0]


def test_loading_the_scanners_compiles_few() -> None:
    """What is the use of it: a module that goes back to `re.compile` for a large expression is seen here."""
    program = (
        "import re._compiler as compiler\n"
        "compile, ours = compiler.compile, []\n"
        "def counted(pattern, flags=0):\n"
        "    ours.append(pattern)\n"
        "    return compile(pattern, flags)\n"
        "compiler.compile = counted\n"
        "from modelaudit import catalogue\n"
        "from modelaudit.engine import Engine\n"
        "Engine(catalogue.load(), imports=False).warm()\n"
        "print(len(ours))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 100
