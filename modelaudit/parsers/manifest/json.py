"""JSON as its readers take it, the lenient ones too: every pair kept, comments and trailing commas passed over."""

import json
import re

from modelaudit.errors import ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.parsers.manifest.tree import Document, Pairs

_DIGITS = 40  # longer integers stay text: turning them into numbers is quadratic, and no setting has them
_PIECE = late(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|//[^\n]*+|/\*(?:[^*]++|\*(?!/))*+(?:\*/|\Z)|#[^\n]*+', re.DOTALL)
_COMMA = late(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|,(?=[ \t\r\n]*+[}\]])', re.DOTALL)
_OPENERS = late(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{}\]]', re.DOTALL)


def parse(text: str, limits: Limits) -> Document:
    """Read the whole text. Raises `ParseError` when it is no JSON even for lenient readers."""
    document = Document("json")
    try:
        document.roots.append(_load(text))
    except RecursionError:
        document.too_deep = _depth(text)
        document.broken = f"nested {document.too_deep} deep"
        return document
    except ValueError as error:
        try:
            document.roots.append(_load(_strict(text)))
        except (ValueError, RecursionError):
            raise ParseError(f"not JSON: {error}", getattr(error, "pos", 0)) from None
    if text.count("[") + text.count("{") > limits.text_depth:
        depth = _depth(text)
        document.too_deep = depth if depth > limits.text_depth else 0
    return document


def _load(text: str) -> object:
    return json.loads(text, object_pairs_hook=Pairs, parse_int=_integer, strict=False)


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) <= _DIGITS else digits


def _strict(text: str) -> str:
    """The text without what only lenient readers take: comments, and commas before a closing bracket."""
    bare = _PIECE.sub(lambda found: found[0] if found[0][0] == '"' else " ", text)
    return _COMMA.sub(lambda found: "" if found[0] == "," else found[0], bare)


def _depth(text: str) -> int:
    """How deep brackets are nested, without building anything."""
    deepest = depth = 0
    for found in _OPENERS.finditer(text):
        mark = found[0]
        if mark in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in "]}":
            depth -= 1
    return deepest
