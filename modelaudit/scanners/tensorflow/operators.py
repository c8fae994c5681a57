"""What the nodes run: the operators of ordinary models are silent, saving and restoring among them."""

from collections.abc import Iterator

from modelaudit.catalogue.operators import Effect
from modelaudit.catalogue.operators import tensorflow as known_operators
from modelaudit.model import Evidence, Hit, Severity
from modelaudit.parsers.tensorflow import Graph, Node, Used
from modelaudit.scanners.tensorflow.paths import Reach, is_sensitive, leads_out, reaching

_TOLD = 20  # paths of one operator that are told of by themselves


def operators(graph: Graph) -> Iterator[Hit]:
    """Judge every operator once, however many nodes run it; and its paths, each once."""
    known = known_operators()
    nodes: dict[str, list[Node]] = {}
    for node in graph.nodes.values():
        if node.operator in known.effects:
            nodes.setdefault(node.operator, []).append(node)
    for operator, used in graph.operators.items():
        effect = known.effects.get(operator)
        if effect is not None:
            yield from _judge(graph, operator, effect, used, nodes.get(operator, []))
    yield from _unknown(graph)


def _unknown(graph: Graph) -> Iterator[Hit]:
    """Operators that TensorFlow does not have. Where it has none of all of them, this is no graph."""
    known = known_operators()
    foreign = [
        (operator, used)
        for operator, used in graph.operators.items()
        if operator not in known.standard and operator not in known.effects and operator not in graph.functions
    ]
    if len(foreign) == len(graph.operators):
        return
    unknown = [one for one in foreign if not known.publishes(one[0])]
    published = [one for one in foreign if known.publishes(one[0])]
    for rule, those in (("tensorflow-custom-operator", unknown), ("tensorflow-published-operator", published)):
        if those:
            operator, used = those[0]
            evidence: Evidence = {"name": operator, "count": len(those), "where": _where(used.function)}
            yield Hit(rule, used.place, {**evidence, "operators": [name for name, _ in those[:50]]})


def _where(function: str) -> str:
    return f", first in the function {function}" if function else ""


def _judge(graph: Graph, operator: str, effect: Effect, used: Used, nodes: list[Node]) -> Iterator[Hit]:
    evidence: Evidence = {
        "name": operator,
        "effect": effect.effect,
        "count": used.count,
        "where": _where(used.function),
        "path": "",
    }
    if effect.role == "always":
        if "Python" in effect.effect:
            yield Hit("tensorflow-python", used.place, {**evidence, **_token(nodes)}, effect.severity)
        else:
            shown = [text for node in nodes[:_TOLD] for text in reaching(graph, node, effect.inputs).texts]
            evidence["path"] = f", {shown[0]}" if shown else ""
            yield Hit("tensorflow-operator", used.place, evidence, effect.severity)
    elif effect.role == "file":
        yield from _file(graph, effect, evidence, nodes)
    else:
        yield from _paths(graph, effect, evidence, nodes)


def _token(nodes: list[Node]) -> Evidence:
    token = next((text for node in nodes for text in node.attributes.get("token", ())), None)
    return {} if token is None else {"token": token}


def _file(graph: Graph, effect: Effect, evidence: Evidence, nodes: list[Node]) -> Iterator[Hit]:
    """An operator that reads what it is told: an asset is what it is for; anything else is judged by who tells it."""
    worst: tuple[int, Severity, Node, Reach] | None = None
    for node in nodes:
        reach = reaching(graph, node, effect.inputs)
        outside = [text for text in reach.texts if leads_out(text)]
        if reach.assets and not (outside or reach.given or reach.computed):
            continue
        mild = (reach.given or reach.texts) and not (outside or reach.computed)
        severity = Severity.WARNING if mild else effect.severity
        if worst is None or severity.rank > worst[0]:
            worst = (severity.rank, severity, node, reach)
    if worst is not None:
        _, severity, node, reach = worst
        shown = next((text for text in reach.texts if leads_out(text)), next(iter(reach.texts), ""))
        given = ", as whoever calls it says" if reach.given else ""
        evidence = {**evidence, "path": f", {shown}" if shown else given}
        yield Hit("tensorflow-operator", node.place, evidence, severity)


def _paths(graph: Graph, effect: Effect, evidence: Evidence, nodes: list[Node]) -> Iterator[Hit]:
    """An operator that is ordinary, unless its path is written in the graph and leads out of the model."""
    told: dict[str, list[Node]] = {}
    for node in nodes:
        if effect.role == "attribute":
            texts = [text for key in effect.attributes for text in node.attributes.get(key, ())]
        else:
            texts = reaching(graph, node, effect.inputs).texts
        for text in texts:
            if leads_out(text) and not _is_part(text, effect):
                told.setdefault(text, []).append(node)
    for text, those in list(told.items())[:_TOLD]:
        severity = Severity.CRITICAL if is_sensitive(text) else effect.severity
        evidence = {**evidence, "path": text, "count": len(those), "where": _where(those[0].function)}
        yield Hit("tensorflow-path", those[0].place, evidence, severity)


def _is_part(text: str, effect: Effect) -> bool:
    """Whether a text is a piece that every saver joins to its path (`/part`), or names no file.

    A definition of messages that is given as bytes or that is linked in is no file.
    """
    return text in ("/", "/part", "/variables", "/variables/variables") or text.startswith(("bytes://", "local://"))
