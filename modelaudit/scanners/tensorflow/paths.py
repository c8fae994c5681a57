"""Which texts of the graph reach an operator as its path, and where such a path leads."""

import re

import msgspec

from modelaudit.catalogue.operators import tensorflow as known_operators
from modelaudit.late import late
from modelaudit.parsers.tensorflow import Graph, Node

_NODES_MOST = 10_000  # followed back from one operator

_OUTSIDE = late(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\~]|^[A-Za-z]:[/\\]|^[A-Za-z][A-Za-z0-9+.-]*://|\x00")
# Places where a model has no business at all: the system's, those with keys, and servers.
_SENSITIVE = late(
    r"^/(?:etc|proc|sys|dev|boot|root|bin|sbin|lib\d*|usr|var/(?:spool|run|lib|log))(?:/|$)|(?:^|[/\\])\.\.(?:[/\\]|$)"
    r"|[/\\]\.(?!/)[\w-]+|^~|^\.(?:ssh|aws|bash)|\b(?:passwd|shadow|authorized_keys|id_rsa|crontab|sudoers)\b"
    r"|^[A-Za-z]:[/\\](?:Windows|Users)|^(?:https?|ftp|file|ram|tcp|grpc|rpc)://|^\\\\|\x00",
    re.IGNORECASE,
)


class Reach(msgspec.Struct):
    """What reaches an input: texts of the graph, assets, what the caller gives, what is computed."""

    texts: list[str] = []
    assets: bool = False
    given: bool = False
    computed: bool = False


def leads_out(path: str) -> bool:
    """Whether a path is absolute, an address, or climbs out of its folder."""
    return _OUTSIDE.search(path) is not None


def is_sensitive(path: str) -> bool:
    """Whether a path leads to what no model has to do with."""
    return _SENSITIVE.search(path) is not None


def reaching(graph: Graph, node: Node, inputs: tuple[int, ...]) -> Reach:
    """Follow the inputs of `node` at the places `inputs` back to where their texts come from."""
    found, seen = Reach(), set[str]()
    data = [name for name in node.inputs if not name.startswith("^")]
    waiting = [data[place] for place in inputs if place < len(data)]
    passing = known_operators().passing
    assets = {asset.tensor for asset in graph.assets}
    while waiting and len(seen) < _NODES_MOST:
        name = waiting.pop().partition(":")[0]
        if name in seen:
            continue
        seen.add(name)
        source = graph.nodes.get((node.function, name))
        if not node.function and name in assets:
            found.assets = True
        elif source is None:
            place = (node.function, name)
            found.given = found.given or place in graph.arguments
            found.computed = found.computed or (place not in graph.arguments and place not in graph.numbers)
        elif source.operator == "Placeholder":
            found.given = True
        elif source.operator == "Const" or source.operator in passing:
            found.texts += source.texts
            waiting += [one for one in source.inputs if not one.startswith("^")]
        else:
            found.computed = True
    return found
