"""TensorFlow: operators that reach outside, paths that lead out of the model, code in Keras's configuration.

Numbers are not read: of a frozen graph the nodes are, and the head of each constant. Which texts reach an operator
as its path is followed in `paths`.
"""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.catalogue.operators import tensorflow as known_operators
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Hit, Note
from modelaudit.parsers import tensorflow
from modelaudit.parsers.tensorflow import Graph
from modelaudit.scanners.tensorflow.operators import operators
from modelaudit.scanners.tensorflow.paths import leads_out

_CONFIGURATION = late(r"\s*\{")


def warm() -> None:
    """Load the lists of operators before the cage closes: afterwards no file can be opened."""
    known_operators()


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the head of the blob is that of a SavedModel, a MetaGraph or a GraphDef.

    One that neither begins nor ends as such a message stands inside something else: TensorFlow does not load that.
    """
    kind = tensorflow.kind_of(blob)
    return kind is not None and (tensorflow.begins_as(blob, kind) or tensorflow.is_whole(blob))


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset | Note]:
    """Walk the graph, the function library and nested attributes. Numbers are not read."""
    kind = tensorflow.kind_of(blob) or tensorflow.GRAPH
    known = known_operators()
    graph = tensorflow.parse(blob, kind, known.effects.keys() | known.passing)
    yield Asset("", kind, blob.size, tuple(graph.tensors[: limits.tensors_named]), graph.constants)
    yield from operators(graph)
    yield from _assets(graph)
    yield from _stopped(blob, graph)
    for name, text, _ in graph.metadata:
        if _CONFIGURATION.match(text):
            yield Child(name or "layer", data=text.encode("utf-8", "surrogatepass"), format="keras_config")
    for name, start, end in graph.held:
        yield Child(name, start, end - start)
    for number, start, end in graph.unknown:
        yield Child(f"unknown field {number}", start, end - start)


def _assets(graph: Graph) -> Iterator[Hit]:
    outside = [asset for asset in graph.assets if leads_out(asset.filename)]
    if outside:
        yield Hit("tensorflow-asset-path", outside[0].place, {"path": outside[0].filename, "count": len(outside)})


def _stopped(blob: Blob, graph: Graph) -> Iterator[Hit | Child | Note]:
    """A graph that cannot be read to its end: say why, and have the rest looked at as something else."""
    if graph.cut is not None:
        yield Hit("tensorflow-truncated", graph.cut, {"place": graph.cut, "size": blob.size})
    if graph.stop is None:
        return
    place = getattr(graph.stop, "offset", None)
    if graph.cut is None:
        yield Hit("tensorflow-malformed", place, {"what": str(graph.stop)})
    yield Note("truncated" if graph.cut is not None else "broken", f"TensorFlow graph: {graph.stop}", place)
    if place is not None and place < blob.size:
        yield Child("rest", place, blob.size - place)
