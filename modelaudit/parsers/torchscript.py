"""TorchScript source: the operators it names and what does not belong in source that PyTorch has written.

PyTorch prints its graphs as a small part of Python and compiles that when the file is loaded. Nothing here runs
or compiles it: one pass over the text with strings and comments stepped over.
Source: torch/csrc/jit/serialization/python_print.cpp, import_source.cpp.
"""

import re
from collections.abc import Iterator
from typing import Literal

import msgspec

from modelaudit.late import late

Kind = Literal["operator", "member", "python", "import", "getattr", "alias"]

# Between the parts of a dotted name: blanks, continued lines, comments, and the end of needless parentheses.
_W = rb"(?:[\s\\)]|\#[^\n]*)*"
_SKIP = rb"""
      "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' | \#[^\n]* | \\. |
"""
_TOKENS = rb"""
      (?P<skip> %(skip)s \b__torch__(?:\.\w+)+ )
    | \b(?:class|def)[ \t]+(?P<define>\w+)
    | (?<![\w.])ops%(w)s\.%(w)s(?P<space>\w+)%(w)s\.%(w)s(?P<op>\w+)
    | (?<![\w.])torch%(w)s\.%(w)s(?P<torch>\w+)\b(?!\s*\.)
    | (?<![\w.])(?P<rpc>rpc_(?:a?sync|remote))\s*\(
    | \.%(w)s(?P<member>[A-Za-z_]\w*)
    | (?<![\w.])(?P<reach>getattr)\s*\(
    | =[ \t(]*(?P<alias>torch|ops(?:\s*\.\s*\w+)?)[ \t)]*(?=[\n;]|\Z)
    | (?:(?<=\n)|(?<=;)|\A)[ \t]*(?:import|from)[ \t]+(?P<module>[\w.]+)
    | (?<![\w.])(?P<python>
        (?:eval|exec|compile|__import__|open)(?=\s*\()
      | (?:os|posix|nt|sys|subprocess|socket|shutil|ctypes|pickle|marshal|importlib|builtins|pty|runpy)
        \s*\.\s*\w+(?=\s*\()
      )
    | (?P<foreign>\^\w+)(?=\s*\()
"""
_TOKEN = late(_TOKENS % {b"w": _W, b"skip": _SKIP}, re.VERBOSE | re.DOTALL)
# PyTorch writes no string in triple quotes. Where there are some, it is not worth telling strings from code.
_TOKEN_OR_STRING = late(_TOKENS % {b"w": _W, b"skip": b""}, re.VERBOSE | re.DOTALL)
_TRIPLE = late(rb"\"\"\"|'''")
_DEFINED = late(rb"\b(?:class|def)[ \t]+(\w+)|^[ \t]+(\w+)[ \t]*:", re.MULTILINE)
# PyTorch writes `getattr(self.features, "0")` for a child whose name is no identifier; those of operators and methods
# are identifiers.
_CHILD = late(rb",\s*\"(?![A-Za-z_]\w*\")[^\"\\\n]*\"\s*\)")
_DEPTH = late(rb"[(),]|\"(?:\\.|[^\"\\\n])*\"")
_OWNER_BYTES = 512  # of the value whose child is taken, as PyTorch prints it
_START = late(rb"\s*(?:class\s|def\s|op_version_set\s*=|import\s|from\s|\#|@|\w+\s*=[^=])")


class Use(msgspec.Struct, frozen=True):
    """Something that the source names, at byte `offset`, inside the function or method `within`.

    An `operator` has its namespace in `name` (`aten.save`); a `member` is an attribute or method of a value of
    unknown type.
    """

    kind: Kind
    name: str
    within: str
    offset: int


def is_source(head: bytes) -> bool:
    """Whether text that begins with `head` can be TorchScript at all."""
    return b"\0" not in head and (not head.strip() or _START.match(head) is not None)


def defined(source: bytes | memoryview) -> frozenset[str]:
    """The names of the functions, methods, classes and attributes that `source` defines."""
    return frozenset((found[1] or found[2]).decode("utf-8", "replace") for found in _DEFINED.finditer(source))


def uses(source: bytes | memoryview) -> Iterator[Use]:
    """What `source` names, in its order."""
    within = ""
    token = _TOKEN if _TRIPLE.search(source) is None else _TOKEN_OR_STRING
    for match in token.finditer(source):
        what = match.lastgroup
        if what is None or what == "skip":
            continue
        if what == "define":
            within = match["define"].decode("utf-8", "replace")
            continue
        if what == "reach" and _takes_child(source, match.end()):
            continue
        use = _use(match, what)
        if use is not None:
            kind, name = use
            yield Use(kind, name.decode("utf-8", "replace"), within, match.start(what))


def _takes_child(source: bytes | memoryview, start: int) -> bool:
    """Whether the arguments of a `getattr` that begin at `start` are those with which PyTorch takes a child."""
    depth = 0
    for token in _DEPTH.finditer(source, start, start + _OWNER_BYTES):
        if token[0] == b"(":
            depth += 1
        elif token[0] == b")":
            depth -= 1
            if depth < 0:
                return False
        elif token[0] == b"," and not depth:
            return _CHILD.match(source, token.start()) is not None
    return False


def _use(match: re.Match[bytes], what: str) -> tuple[Kind, bytes] | None:
    found = b"".join(match[what].split())
    if what == "op":
        return "operator", match["space"] + b"." + found
    if what == "torch":
        return "operator", b"aten." + found
    if what == "rpc":
        return "operator", b"prim." + found
    if what == "foreign":
        return "operator", b"prim.PythonOp"
    if what == "module":
        return None if found.split(b".")[0] == b"__torch__" else ("import", found)
    kinds: dict[str, Kind] = {"member": "member", "reach": "getattr", "alias": "alias", "python": "python"}
    return kinds[what], found
