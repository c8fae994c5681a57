"""The model's own functions: those that take a standard name, that never end, that grow beyond measure."""

from collections.abc import Iterator, Mapping

from modelaudit.catalogue.operators import onnx as known_operators
from modelaudit.model import Evidence, Hit
from modelaudit.parsers.onnx import Function, Model, Operator

_NODES_MOST = 100_000_000  # of a function that is written out; the largest real models have some 100,000


def functions(model: Model) -> Iterator[Hit]:
    """Hold the functions against the standard, and follow what they call."""
    if not model.functions:
        return
    standard = known_operators().standard
    shadows = [function for function in model.functions if function.name in standard]
    if shadows:
        yield Hit("onnx-shadowed-operator", shadows[0].place, {**_named(shadows[0]), "count": len(shadows)})
    calls: dict[Operator, Function] = {function.name: function for function in model.functions}
    order, looping = _order(calls)
    for name in looping[:1]:
        yield Hit("onnx-recursion", calls[name].place, _named(calls[name]))
    nodes: dict[Operator, int] = {}
    for name in order:
        nodes[name] = min(sum(n * nodes.get(called, 1) for called, n in calls[name].calls.items()), 1 << 63)
    huge = [name for name in order if nodes[name] > _NODES_MOST]
    if huge:
        yield Hit("onnx-expansion", calls[huge[0]].place, {**_named(calls[huge[0]]), "nodes": str(nodes[huge[0]])})


def _named(function: Function) -> Evidence:
    domain, name = function.name
    return {"name": name, "domain": domain, "of": f" of the domain {domain}" if domain else ""}


def _order(calls: Mapping[Operator, Function]) -> tuple[list[Operator], list[Operator]]:
    """The functions, each behind those that it calls, and those that are on a way back to themselves."""
    waiting = {name: sum(1 for called in function.calls if called in calls) for name, function in calls.items()}
    callers: dict[Operator, list[Operator]] = {}
    for name, function in calls.items():
        for called in function.calls:
            if called in calls:
                callers.setdefault(called, []).append(name)
    free = [name for name, count in waiting.items() if count == 0]
    order: list[Operator] = []
    while free:
        name = free.pop()
        order.append(name)
        for caller in callers.get(name, ()):
            waiting[caller] -= 1
            if waiting[caller] == 0:
                free.append(caller)
    return order, [name for name, count in waiting.items() if count > 0]
