"""What the nodes run: standard operators and the model's own functions are silent, the others are told of."""

from collections.abc import Iterator

from modelaudit.catalogue.operators import onnx as known_operators
from modelaudit.model import Evidence, Hit
from modelaudit.parsers.onnx import Model, Operator, Used

_TOLD = 64  # operators of one kind that are told of by themselves; the others are counted


def operators(model: Model) -> Iterator[Hit]:
    """Judge every operator once, however many nodes run it."""
    known = known_operators()
    own = {function.name for function in model.functions}
    unknown: dict[str, list[tuple[Operator, Used]]] = {}
    published: dict[str, list[tuple[Operator, Used]]] = {}
    for operator, used in model.operators.items():
        domain, name = operator
        effect = known.effects.get(name)
        if effect is not None and operator not in known.standard:
            evidence = _evidence(operator, used, used.count)
            yield Hit("onnx-operator", used.place, {**evidence, "effect": effect[0]}, effect[1])
        elif operator in known.standard or operator in own:
            continue
        elif (domain and known.publishes(domain)) or (not domain and name in known.plugins):
            published.setdefault(domain, []).append((operator, used))
        else:
            unknown.setdefault(domain, []).append((operator, used))
    for rule, groups in (("onnx-custom-operator", unknown), ("onnx-published-operator", published)):
        for group in list(groups.values())[:_TOLD]:
            operator, used = group[0]
            yield Hit(rule, used.place, _evidence(operator, used, len(group)))


def _evidence(operator: Operator, used: Used, count: int) -> Evidence:
    domain, name = operator
    return {
        "name": name,
        "domain": domain,
        "of": f" of the domain {domain}" if domain else "",
        "count": count,
        "where": f", first in the function {used.function}" if used.function else "",
    }
