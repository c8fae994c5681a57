"""What in a text is code: the expression of a template around what it reaches for."""

import pytest

from modelaudit.parsers import telltale

TEMPLATE = "a template that reaches Python's internals"


@pytest.mark.parametrize(
    "text",
    [
        "{{ x.a__init__ }}",
        "{% set y = x.__init__ %}",
        "{{ a }} {{" + " " * 380 + "x.__init__ }}",
        "__init__ {{ x.__init__ }}",
        "{{ {{ x.__init__",
    ],
)
def test_a_template_that_reaches_inside_is_told(text: str) -> None:
    """Inside an expression that is open, near or far, and not only at the first such name."""
    found = telltale.code(text)
    assert found is not None
    assert found[0] == TEMPLATE
    assert "__init__" in found[1]


@pytest.mark.parametrize(
    "text", ["from os import system", "import os as o", "import subprocess", "getattr(os, 'x')", "os.system('id')"]
)
def test_python_that_reaches_for_the_system_is_told(text: str) -> None:
    """Names out of a module, the module under another name, attributes by text, calls."""
    found = telltale.code(text)
    assert found is not None
    assert found[0] == "Python code"


@pytest.mark.parametrize("text", ["import os", "see import os docs", "import os\nos.path.join(a, b)", "import os.path"])
def test_an_ordinary_import_in_a_snippet_is_none(text: str) -> None:
    """Instructions of use begin like this."""
    assert telltale.code(text) is None


@pytest.mark.parametrize(
    "text", ["{{ a }} __init__", "__init__ {{ a }}", "{ x.__init__", "{{" + " " * 420 + "__init__", "{{" * 3000]
)
def test_a_name_outside_of_an_expression_is_none(text: str) -> None:
    """Words beside a template, in plain braces, or far behind an opening are no code."""
    assert telltale.code(text) is None
