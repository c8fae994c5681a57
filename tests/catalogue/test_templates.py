"""The source text that SciPy's distributions carry: theirs passes, anything more does not."""

import pytest

from modelaudit.catalogue.callables.templates import is_argument_parser

TEMPLATE = """
def _parse_args(self, {shapes} loc=0, scale=1):
    return ({shapes}), loc, scale

def _parse_args_rvs(self, {shapes} loc=0, scale=1, size=None):
    return self._argcheck_rvs({shapes} loc, scale, size=size)

def _parse_args_stats(self, {shapes} loc=0, scale=1, moments='mv'):
    return ({shapes}), loc, scale, moments
"""


@pytest.mark.parametrize("shapes", ["", "a, ", "a, b, ", "df, nc, "])
def test_what_scipy_writes_is_its_own(shapes: str) -> None:
    """Distributions with no, one or more shapes, continuous and discrete, carry nothing but argument parsers."""
    assert is_argument_parser(TEMPLATE.format(shapes=shapes))
    assert is_argument_parser(TEMPLATE.format(shapes=shapes).replace(", scale=1", "").replace("scale", "1"))


ATTACKS = [
    "import os\n",
    "print('x')\n",
    "def _parse_args(self, a=print(1)):\n    return a\n",
    "def _parse_args(self, a=print):\n    return a\n",
    "def other(self):\n    return 1\n",
    "def _parse_args(self, loc=0):\n    return exec(loc)\n",
    "def _parse_args(self, loc=0):\n    return self.__class__\n",
    "@print\ndef _parse_args(self, loc=0):\n    return loc\n",
    "def _parse_args(self, loc=0): return (), loc; print(1)\n",
    "def _parse_args(self, loc=0):\n    return (), loc\nprint(1)\n",
    "def _parse_args(self, loc=0):\n    return (lambda: 1)()\n",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_anything_else_is_not(text: str) -> None:
    """Statements, decorators, calls in defaults or bodies, and other functions do not pass, alone or appended."""
    assert not is_argument_parser(text)
    assert not is_argument_parser(TEMPLATE.format(shapes="") + text)
