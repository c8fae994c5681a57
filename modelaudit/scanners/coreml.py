"""Core ML: which of its models are code of the application or lie elsewhere. Weights are not read."""

from collections.abc import Iterator
from contextlib import suppress

from modelaudit import licensing
from modelaudit.blob import Blob, read
from modelaudit.errors import ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Hit, License, Note
from modelaudit.parsers.coreml import CUSTOM, LINKED, PIPELINES, Field, fields, is_model

_NAME_BYTES = 1024
_CLASS_NAME = 10  # of CustomModel
_DESCRIPTION = 2  # of Model
_METADATA = 100  # of ModelDescription
_LICENSE = 4  # of Metadata
_MODELS = 1  # of Pipeline
_PIPELINE = 1  # of PipelineClassifier and PipelineRegressor, which wrap one
_PLAIN_PIPELINE = 202
_OUTSIDE = late(r"(?:^|/)\.\.(?:/|$)|^/|^[A-Za-z][A-Za-z0-9+.-]*:")


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether a version, a description and a kind of model follow one another."""
    return is_model(blob)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset | License | Note]:
    """Hits on what a model names; the models of a pipeline are looked at in turn."""
    yield Asset("", "coreml", blob.size)
    waiting = [(0, blob.size, 0)]
    try:
        while waiting:
            start, end, depth = waiting.pop()
            for found in fields(blob, start, end):
                if found.wire == 2 and found.number == _DESCRIPTION and not depth:
                    yield from _licenses(blob, found, limits)
                elif found.wire == 2 and found.number in (CUSTOM, LINKED):
                    yield from _named(blob, found)
                elif found.wire == 2 and found.number in PIPELINES and depth < limits.depth:
                    waiting += [(one.start, one.start + one.length, depth + 1) for one in _models(blob, found)]
    except ParseError as error:
        yield Hit("coreml-malformed", error.offset, {"what": error.message})
        yield Note("broken", f"Core ML: {error.message}", error.offset)
        if error.offset < blob.size:
            yield Child("rest", error.offset, blob.size - error.offset)


def _models(blob: Blob, pipeline: Field) -> list[Field]:
    """The models of a pipeline, or of the one that a classifier or regressor wraps."""
    inside = [pipeline]
    if pipeline.number != _PLAIN_PIPELINE:
        inside = [one for one in _messages(blob, pipeline) if one.number == _PIPELINE]
    return [one for outer in inside for one in _messages(blob, outer) if one.number == _MODELS]


def _messages(blob: Blob, outer: Field) -> list[Field]:
    return [one for one in fields(blob, outer.start, outer.start + outer.length) if one.wire == 2]


def _licenses(blob: Blob, description: Field, limits: Limits) -> Iterator[License]:
    """What the model's metadata states, as far as it can be read."""
    told: list[tuple[str, str]] = []
    with suppress(ParseError):
        for metadata in _messages(blob, description):
            for one in _messages(blob, metadata) if metadata.number == _METADATA else ():
                if one.number == _LICENSE:
                    data = read(blob, one.start, min(one.length, limits.license_bytes))
                    told.append(("license", data.decode("utf-8", "replace")))
    yield from licensing.in_metadata(told)


def _named(blob: Blob, found: Field) -> Iterator[Hit]:
    """The class of a custom model, or the path of a linked one."""
    for one in _messages(blob, found):
        if found.number == CUSTOM and one.number == _CLASS_NAME:
            yield Hit("coreml-custom-model", one.start, {"name": _text(blob, one)})
        elif found.number == LINKED:  # the file's name and the path to search, each a message with a default
            for value in _messages(blob, one):
                name = _text(blob, value)
                if _OUTSIDE.search(name):
                    yield Hit("coreml-linked-model", value.start, {"name": name})


def _text(blob: Blob, value: Field) -> str:
    return read(blob, value.start, min(value.length, _NAME_BYTES)).decode("utf-8", "backslashreplace")
