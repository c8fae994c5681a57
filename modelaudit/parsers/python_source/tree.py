"""The tree of a Python file, by the parser of Python itself. Nothing is compiled to code, nothing is run.

Source: docs.python.org/3/reference/lexical_analysis.html (encoding declarations), PEP 263.
"""

import ast
import warnings
from typing import Final

from modelaudit.errors import ParseError
from modelaudit.late import late

_COOKIE: Final = late(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
# The encodings that files really declare. Others (utf-7, unicode_escape) make code of what reads as a comment.
_PLAIN: Final = frozenset(
    ("utf-8", "utf8", "utf-8-sig", "u8", "ascii", "us-ascii", "latin-1", "latin1", "iso-8859-1", "iso-8859-15",
     "cp1252", "windows-1252", "gbk", "gb2312", "big5", "euc-jp", "shift-jis", "cp1251", "koi8-r")
)  # fmt: skip

_PREFIXES: Final = ("utf-8-", "latin-1-", "iso-8859-1-", "iso-latin-1-")


class TooDeep(ParseError):
    """The source nests deeper than Python's own parser follows here."""


def encoding(data: bytes) -> str:
    """The encoding that the first two lines declare, where it is an odd one; otherwise the empty string."""
    for line in data[:2000].split(b"\n")[:2]:
        match = _COOKIE.match(line)
        if match is not None:
            name = match[1].decode("ascii", "replace").lower().replace("_", "-")
            # As Python reads it: what follows `utf-8-` and `latin-1-` says nothing (tokenize.py, _get_normal_name).
            plain = name.startswith(_PREFIXES) or name.removesuffix("-unix").removesuffix("-dos") in _PLAIN
            return "" if plain else name
    return ""


def parse(data: bytes) -> ast.Module:
    """The tree of the source `data`.

    Raises `ParseError` where it is no Python of this version, and `TooDeep` where it nests too deep to be parsed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes are the author's matter
            return ast.parse(data)
    except SyntaxError as error:
        if error.msg and "too many" in error.msg:
            raise TooDeep(f"not parsed: {error.msg}") from None
        raise ParseError(f"not Python: {error.msg} in line {error.lineno}", offset(data, error.lineno or 1)) from None
    except (RecursionError, MemoryError):
        raise TooDeep("the source nests deeper than Python's parser goes") from None
    except (ValueError, LookupError) as error:  # NUL characters, undecodable bytes
        raise ParseError(f"not Python: {error}") from None


def offset(data: bytes, line: int) -> int:
    """Where line `line` (from 1) begins, in bytes."""
    at = 0
    for _ in range(line - 1):
        end = data.find(b"\n", at)
        if end < 0:
            break
        at = end + 1
    return at
