"""ONNX: operators that reach outside, weights from places where they should not be, functions that never end.

Weights are not read here: of a large model the graph is, and the head of each tensor. What operators do is in
`operators`, where the bytes of tensors are in `tensors`.
"""

import re
from collections.abc import Iterator

from modelaudit import licensing
from modelaudit.blob import Blob
from modelaudit.catalogue.operators import onnx as known_operators
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Evidence, Hit, License, Note, Severity, Weights
from modelaudit.parsers import onnx, telltale
from modelaudit.parsers.onnx import Model
from modelaudit.scanners.onnx.functions import functions
from modelaudit.scanners.onnx.operators import operators
from modelaudit.scanners.onnx.tensors import AWAY, held, tensors, weights

_TEMPLATE = ("{{", "{%")
_TRACES = ("stack_trace", "name_scopes", "class_hierarchy", "fx_node", "original_node")  # what exporters note down
_CHILDREN = 64
_NATIVE = late(r"^[^\n{}]{0,1024}\.(?:so(?:\.\d+)*|dll|dylib|pyd)\Z", re.IGNORECASE)
_PATH_CHARS = 1024
# Attributes that hold the path of a file to open, and the operators that have them.
_READERS = {"ep_cache_context": ("EPContext",)}


def warm() -> None:
    """Load the lists of operators before the cage closes: afterwards no file can be opened."""
    known_operators()


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the head of the blob is that of a model."""
    return onnx.is_model(blob)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset | License | Note | Weights]:
    """Walk the graph, its subgraphs, functions and training graphs. Weights are not read."""
    model = onnx.parse(blob)
    yield Asset("", "onnx", blob.size, tuple(model.names[: limits.tensors_named]), model.initializers)
    yield from operators(model)
    yield from functions(model)
    yield from tensors(blob, model)
    yield from _texts(model)
    yield from licensing.in_metadata((text.key, text.value) for text in model.texts if text.operator is None)
    yield from _stopped(blob, model)
    for number, start, end in model.unknown:
        yield Child(f"unknown field {number}", start, end - start)
    yield from held(blob, model)
    yield from weights(model)


def _stopped(blob: Blob, model: Model) -> Iterator[Hit | Child | Note]:
    """A model that cannot be read to its end: say why, and have the rest looked at as something else."""
    if model.cut is not None:
        yield Hit("onnx-truncated", model.cut, {"place": model.cut, "size": blob.size})
    if model.stop is None:
        return
    place = getattr(model.stop, "offset", None)
    if model.cut is None:
        yield Hit("onnx-malformed", place, {"what": str(model.stop)})
    yield Note("truncated" if model.cut is not None else "broken", f"ONNX model: {model.stop}", place)
    if place is not None and place < blob.size:
        yield Child("rest", place, blob.size - place)


def _texts(model: Model) -> Iterator[Hit | Child]:
    """Metadata and attributes that hold code, a template or bytes in disguise."""
    children = 0
    for text in model.texts:
        found = telltale.code(text.value) or (telltale.code(text.key) if text.operator is None else None)
        if found is not None:
            what, excerpt = found
            evidence: Evidence = {"key": text.key, "what": what, "excerpt": excerpt}
            if text.operator is not None:
                yield Hit("onnx-attribute-code", text.place, {**evidence, "name": text.operator[1]})
            else:
                noted = text.key == "doc_string" or any(word in text.key for word in _TRACES)
                yield Hit("onnx-metadata-code", text.place, evidence, Severity.INFO if noted else None)
        elif text.operator is not None and _NATIVE.search(text.value):
            evidence = {"key": text.key, "name": text.operator[1], "path": text.value}
            yield Hit("onnx-attribute-library", text.place, evidence)
        elif text.operator is not None and text.operator[1] in _READERS.get(text.key, ()) and _leads_away(text.value):
            evidence = {"key": text.key, "name": text.operator[1], "path": text.value}
            yield Hit("onnx-attribute-path", text.place, evidence)
        if children >= _CHILDREN:
            continue
        name = text.key or "text"
        if text.operator is None and any(mark in text.value for mark in _TEMPLATE):
            children += 1
            yield Child(name, data=text.value.encode("utf-8", "surrogatepass"), format="jinja")
        for data in telltale.payloads(text.value):
            children += 1
            yield Child(name, data=data)


def _leads_away(value: str) -> bool:
    """Whether `value` is a path that leads out of the model's folder, and not the compiled code itself."""
    return len(value) <= _PATH_CHARS and value.isprintable() and AWAY.search(value) is not None
