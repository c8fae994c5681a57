"""skops: the schema that says which objects are built, each type judged like a global of a pickle."""

import json
import re
from collections.abc import Iterator

from modelaudit.blob import Blob, read
from modelaudit.catalogue.callables import Level
from modelaudit.catalogue.callables.shipped import shipped
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Hit

_NAME = "schema.json"
_HEAD_BYTES = 512
_MOST_BYTES = 64 << 20  # a forest of 2,000 trees has some 50 MB of schema
_LOADER = b'"__loader__"'
_OBJECT = late(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\{[ \t\r\n]*\"")
_OPERATORS = frozenset(("attrgetter", "itemgetter", "methodcaller"))
_METHOD = late(r"[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*_?|_[A-Za-z0-9]\w*", re.ASCII)
_CALLED = frozenset(("FunctionNode", "TypeNode", "ObjectNode", "PartialNode", "OperatorFuncNode", "MethodNode"))


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether this is an object of JSON that says how skops loads it; of another name only where that stands early."""
    head = bytes(blob.view(0, _HEAD_BYTES))
    if not _OBJECT.match(head):
        return False
    if _LOADER in head:
        return True
    return blob.place.name == _NAME and _LOADER in bytes(blob.view(0, limits.text_bytes))


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Asset]:
    """Hits on the types of all nodes, each once. Raises `ParseError`, `LimitExceeded`."""
    yield Asset("", "skops", blob.size)
    if blob.size > _MOST_BYTES:
        raise LimitExceeded("text_bytes", blob.size, _MOST_BYTES)
    try:
        schema = json.loads(read(blob, 0, blob.size))
    except RecursionError:
        raise ParseError("the schema is nested too deep", 0) from None
    except ValueError as error:
        raise ParseError(f"the schema is not JSON: {error}", 0) from None
    told: set[tuple[str, str]] = set()
    unknown: dict[str, str] = {}
    for node in _nodes(schema):
        loader, name = str(node["__loader__"]), _path(node)
        if (loader, name) in told:
            continue
        told.add((loader, name))
        if loader in _CALLED:
            yield from _node(node, loader, name, unknown)
        else:
            yield from _holder(loader, name)
        if loader == "OperatorFuncNode":
            told.discard((loader, name))  # what it takes stands in its content
    if unknown:
        name, loader = next(iter(unknown.items()))
        yield Hit("skops-unknown", None, {"name": name, "loader": loader, "count": len(unknown)})


def _nodes(schema: object) -> Iterator[dict[str, object]]:
    """Every node, wherever it nests."""
    left = [schema]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            if "__loader__" in value:
                yield value
            left += value.values()
        elif isinstance(value, list):
            left += value


def _path(node: dict[str, object]) -> str:
    return f"{node.get('__module__')}.{node.get('__class__')}"


def _node(node: dict[str, object], loader: str, name: str, unknown: dict[str, str]) -> Iterator[Hit]:
    module, _, last = name.rpartition(".")
    if loader == "OperatorFuncNode" and (module != "operator" or last not in _OPERATORS):
        yield Hit("skops-operator", None, {"name": name})
        return
    if loader == "OperatorFuncNode":
        yield from _taken(node, name)
        return
    if loader == "MethodNode":
        yield from _method(node, name)
    verdict = shipped().judge(module, last)
    if verdict.level is Level.DANGEROUS:
        yield Hit("skops-dangerous", None, {"name": name, "loader": loader, "why": verdict.why})
    elif verdict.level is Level.UNKNOWN:
        unknown[name] = loader


def _holder(loader: str, name: str) -> Iterator[Hit]:
    """A node of another kind. Versions differ in which of them import their type, and nothing dangerous holds data."""
    module, _, last = name.rpartition(".")
    verdict = shipped().judge(module, last)
    if verdict.level is Level.DANGEROUS:
        yield Hit("skops-dangerous", None, {"name": name, "loader": loader, "why": verdict.why})


def _taken(node: dict[str, object], name: str) -> Iterator[Hit]:
    """The attributes that an operator takes, where one leads from a value to code."""
    left: list[object] = [node.get("attrs"), node.get("content")]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += value.values()
        elif isinstance(value, list):
            left += value
        elif isinstance(value, str):
            for part in value.strip('"').split("."):
                if shipped().attribute(part).level is Level.DANGEROUS:
                    yield Hit("skops-attribute", None, {"name": name, "attribute": part})
                    return


def _method(node: dict[str, object], name: str) -> Iterator[Hit]:
    content = node.get("content")
    held = content.get("obj") if isinstance(content, dict) else None
    method = str(content.get("func")) if isinstance(content, dict) else ""
    other = _path(held) if isinstance(held, dict) else "?"
    if other != name or not _METHOD.fullmatch(method):
        yield Hit("skops-method", None, {"method": method, "name": name, "held": other})
