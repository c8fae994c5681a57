"""TOML by the standard library's reader, within bounds."""

from modelaudit.errors import ParseError
from modelaudit.limits import Limits
from modelaudit.parsers.manifest.tree import Document, Pairs

_MOST_CHARS = 2 * 1024 * 1024  # the reader is written in Python; lock files of large projects have one million
_KEY_PARTS = 64  # dotted keys cost the square of their parts


def parse(text: str, limits: Limits) -> Document:
    """Read the text. Raises `ParseError` when it is no TOML, or more than is read."""
    if len(text) > _MOST_CHARS:
        raise ParseError(f"more than {_MOST_CHARS} characters of TOML", _MOST_CHARS)
    if any(
        line.count(".") > _KEY_PARTS and line.partition("=")[0].count(".") > _KEY_PARTS for line in text.split("\n")
    ):
        raise ParseError(f"a key of more than {_KEY_PARTS} parts")
    import tomllib  # among the `needs` of the formats: loaded by then, and not in runs without them

    document = Document("toml")
    try:
        document.roots.append(_tree(tomllib.loads(text), limits.text_depth))
    except RecursionError:
        document.too_deep = limits.text_depth
        document.broken = "nested too deep"
    except ValueError as error:
        raise ParseError(f"not TOML: {error}") from None
    return document


def _tree(value: object, depth: int) -> object:
    if depth <= 0:
        raise RecursionError
    if isinstance(value, dict):
        return Pairs([(key, _tree(item, depth - 1)) for key, item in value.items()])
    if isinstance(value, list):
        return [_tree(item, depth - 1) for item in value]
    return value if isinstance(value, str | int | float | bool) else str(value)
