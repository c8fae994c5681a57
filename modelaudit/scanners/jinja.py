"""Jinja2 templates: ways to code (CVE-2024-34359), names put together, loaded files, loops that never end.

Model libraries render chat templates in a sandbox that forbids most of this, but not all of them do, and a template
that tries is an attack wherever it is rendered. Source: jinja2 3.1 sandbox.py; HackTricks on template injection.
"""

import builtins
import re
import types
from collections.abc import Iterator
from posixpath import splitext
from typing import Final

from modelaudit.blob import Blob
from modelaudit.catalogue.callables import Level
from modelaudit.catalogue.callables.shipped import shipped
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Evidence, Hit, Severity
from modelaudit.parsers.jinja import Use, parse, uses
from modelaudit.parsers.jinja.tree import TooDeep

_HEAD_BYTES: Final = 4096
_NAMES: Final = frozenset((".jinja", ".jinja2", ".j2"))
_PLAIN_NAMES: Final = frozenset(("", ".txt", ".tmpl", ".tpl", ".template"))
_MARK: Final = late(rb"\{\{|\{%|\{#")
_STATEMENT: Final = late(rb"\{%[-+]?\s*(?:if|for|set|macro)\b")

# Functions that are there in every template; what is taken from them is taken to get at Python.
_GLOBALS: Final = frozenset(
    ("cycler", "dict", "joiner", "lipsum", "namespace", "raise_exception", "range", "self", "strftime_now",
     "url_for", "get_flashed_messages", "current_app")
)  # fmt: skip
_PROGRAM: Final = frozenset(("config", "current_app", "g", "get_flashed_messages", "request", "session", "url_for"))
_CODE: Final = frozenset(
    ("__import__", "Popen", "check_call", "check_output", "compile", "eval", "exec", "exec_module", "execfile", "execl",
     "execv", "execve", "execvp", "fork", "from_envvar", "from_object", "from_pyfile", "getoutput", "getstatusoutput",
     "import_module", "load_module", "popen", "posix_spawn", "run_code", "run_path", "runcode", "spawn", "spawnl",
     "spawnv", "system", "urlopen", "urlretrieve")
)  # fmt: skip
_PYTHON: Final = frozenset(("open", "getattr", "setattr", "vars", "globals", "locals", "breakpoint", "input", "type"))
_DUNDER: Final = late(r"__[a-zA-Z]+(?:_[a-zA-Z]+)*__")
# The names in double underscores to which Python gives a meaning, as a path to code may go through them. Others are a
# library's own, such as `__dask_graph__`: what they lead to is what the program itself put into the value.
_KINDS: Final = (object, type, super, property, classmethod, int, float, str, list, dict, set, BaseException, builtins)
_MEANT: Final = frozenset(
    name for kind in (*_KINDS, *vars(types).values()) for name in dir(kind) if _DUNDER.fullmatch(name)
) | frozenset(
    ("__all__", "__cached__", "__config__", "__del__", "__file__", "__future__", "__getattr__", "__getinitargs__",
     "__getnewargs_ex__", "__initializing__", "__main__", "__metaclass__", "__objclass__", "__path__", "__post_init__",
     "__static_attributes__", "__type_params__", "__version__", "__wrapped__")
)  # fmt: skip
# Methods that every object of Python has and no message: each has the namespace of its module.
_METHODS: Final = frozenset(("__init__", "__new__", "__call__", "__init_subclass__", "__enter__", "__exit__"))
_CODE_TEXT: Final = late(
    r"__(?:class|globals|builtins|subclasses|mro|import|bases?|loader|dict)__|\bos\s*\.\s*(?:system|popen)\s*\("
    r"|\bsubprocess\s*\.\s*\w+\s*\(|\b__import__\s*\(|\beval\s*\(|\bexec\s*\("
)
_INSTRUCTION: Final = late(
    r"https?://|www\.|<(?:script|iframe|img)\b|!\[[^\]]{0,80}\]\(|\b(?:ignore|disregard|forget)\b.{0,40}\b(?:previous|earlier|above"
    r"|instructions?)\b|\b(?:never|not)\b.{0,20}\b(?:mention|reveal|disclose|tell)\b|\balways\b.{0,20}\b(?:recommend|include|append"
    r"|insert|suggest|use)\b|\b(?:curl|wget|pip install)\s",
    re.IGNORECASE | re.DOTALL,
)
_SHOWN_CHARS: Final = 120
_NAMED: Final = 20  # hits of one rule in one template: each further name says nothing more


def warm() -> None:
    """Load the verdicts before the cage closes: afterwards no file can be opened."""
    shipped()


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the name says that it is a template and the text agrees, or the text is plainly a chat template."""
    ending = splitext(blob.place.name)[1].lower()
    if ending not in _NAMES and ending not in _PLAIN_NAMES:
        return False
    head = bytes(blob.view(0, _HEAD_BYTES))
    if b"\0" in head:
        return False
    if ending in _NAMES:
        return _MARK.search(head) is not None
    return _STATEMENT.search(head) is not None and b"messages" in head


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit]:
    """Hits on what the template reaches for. Raises `ParseError` where it is no template."""
    if blob.size > limits.template_bytes:
        raise LimitExceeded("template_bytes", blob.size, limits.template_bytes)
    data = bytes(blob.view(0, blob.size))
    try:
        tree = parse(data)
    except ParseError as error:
        if isinstance(error, TooDeep):
            yield Hit("jinja-nesting", 0)
        yield from _unparsed(data)
        raise
    met: dict[str, set[str]] = {}
    for use in uses(tree, limits):
        hit = _hit(use)
        if hit is None:
            continue
        names = met.setdefault(hit.rule, set())
        if use.name not in names and len(names) < _NAMED:
            names.add(use.name)
            yield hit


def _unparsed(data: bytes) -> Iterator[Hit]:
    """What can be said of a text that jinja2 does not parse: other renderers may be less strict."""
    text = data.decode("utf-8", "replace")
    match = re.search(r"\{[{%][^}]{0,500}__(?:class|globals|builtins|subclasses|mro|import|bases?)__", text)
    if match is not None:
        yield Hit("jinja-escape", len(text[: match.start()].encode()), {"name": match[0][-_SHOWN_CHARS:]})


def _hit(use: Use) -> Hit | None:
    match use.kind:
        case "attribute":
            return _attribute(use)
        case "call":
            return _call(use)
        case "computed":
            return Hit("jinja-computed", use.offset, {"name": use.name})
        case "name":
            return Hit("jinja-environment", use.offset, {"name": use.name}) if use.name in _PROGRAM else None
        case "file":
            return _file(use)
        case "text" | "assembled":
            return _text(use)
        case "trigger":
            return _trigger(use)
    return Hit("jinja-exhaustion", use.offset, {"what": _exhaustion(use), "count": use.count, "name": use.name})


def _attribute(use: Use) -> Hit | None:
    evidence: Evidence = {"name": use.name, "of": use.of or "a value"}
    if _DUNDER.fullmatch(use.name) or (use.name.startswith("_") and "__" in use.name[1:]):
        judged = shipped().attribute(use.name)
        if _DUNDER.fullmatch(use.name) and use.name not in _MEANT and use.of not in _GLOBALS and not use.hidden:
            return Hit("jinja-object", use.offset, evidence, Severity.INFO)
        if use.name == "__class__" and not use.hidden and use.of not in _GLOBALS:
            return Hit("jinja-object", use.offset, evidence)
        if judged.level is Level.DANGEROUS or use.hidden or use.name.startswith("_T"):
            return Hit("jinja-escape", use.offset, evidence)
        started = use.of in _GLOBALS or use.name in _METHODS
        return Hit("jinja-object", use.offset, evidence) if started else None
    if shipped().attribute(use.name).category == "attribute":
        return Hit("jinja-escape", use.offset, evidence)
    if use.of in _GLOBALS - {"self"} or (use.of == "self" and use.name.startswith("_")):
        return Hit("jinja-object", use.offset, evidence)
    return None


def _call(use: Use) -> Hit | None:
    if use.name in _CODE and (use.of or use.name != "compile"):
        return Hit("jinja-code-call", use.offset, {"name": use.name})
    if use.name in _PYTHON and not use.of:
        return Hit("jinja-python-call", use.offset, {"name": use.name})
    return None


def _file(use: Use) -> Hit:
    outside = not use.name or use.name.startswith(("/", "\\", "~")) or ".." in use.name or ":" in use.name
    name = use.name or "a file whose name it computes"
    return Hit("jinja-file", use.offset, {"name": name}, None if outside else Severity.INFO)


def _text(use: Use) -> Hit | None:
    if use.kind == "assembled" and _DUNDER.fullmatch(use.name):
        judged = shipped().attribute(use.name)
        return Hit("jinja-assembled", use.offset, {"name": use.name}) if judged.level is Level.DANGEROUS else None
    match = _CODE_TEXT.search(use.name)
    if match is None:
        return None
    start = max(0, match.start() - _SHOWN_CHARS // 2)
    return Hit("jinja-code-text", use.offset, {"name": use.name[start : start + _SHOWN_CHARS]})


def _trigger(use: Use) -> Hit | None:
    match = _INSTRUCTION.search(use.of)
    if match is None:
        return None
    start = max(0, match.start() - _SHOWN_CHARS // 2)
    text = " ".join(use.of[start : start + _SHOWN_CHARS].split())
    return Hit("jinja-hidden-instruction", use.offset, {"trigger": use.name, "text": text})


def _exhaustion(use: Use) -> str:
    if use.kind == "loop":
        return f"goes round {use.count} times"
    if use.kind == "growth":
        return f"doubles {use.name} each time it sets it"
    return f"makes a text or number of {use.count or 'any'} size with {use.name}"
