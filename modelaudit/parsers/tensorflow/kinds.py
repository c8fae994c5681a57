"""Telling a SavedModel, a MetaGraph and a GraphDef apart, and from all other messages."""

import re

from modelaudit.blob import Blob, BytesBlob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.late import late
from modelaudit.parsers.protobuf import BYTES, VARINT, Reader, Shape, head_of, is_hidden, is_text, resemblance

SAVED_MODEL, META_GRAPH, GRAPH = "tf_savedmodel", "tf_metagraph", "tf_graphdef"

_HEAD_BYTES = 4096
_NAME_BYTES = 4096
_FIELDS_TRIED = 256  # of a message, to find a graph behind what stands before it
_OPERATOR = late(r"[A-Za-z_][\w.>/-]*", re.ASCII)

_ARGUMENT: Shape = {1: "name"}
_DEFINITION: Shape = {1: "name", 2: _ARGUMENT, 3: _ARGUMENT, 4: _ARGUMENT}
_NODE: Shape = {1: "text", 2: "name", 3: "text", 4: "text", 5: {1: "name", 2: {1: {}, 6: VARINT, 7: {}, 8: {}}}}
_LIBRARY: Shape = {1: {1: _DEFINITION, 3: _NODE, 4: {1: "text", 2: "text"}}}
_GRAPH: Shape = {
    1: _NODE,
    2: _LIBRARY,
    3: VARINT,
    4: {1: VARINT, 2: VARINT},
    5: {},
}
_INFORMATION: Shape = {2: {1: _DEFINITION}, 7: VARINT}
_META_GRAPH: Shape = {1: _INFORMATION, 2: _GRAPH, 3: {}, 4: {1: "text"}, 5: {1: "text"}, 6: {}, 7: {}}
# With the least score that tells each from other messages.
_SHAPES: dict[str, tuple[Shape, int]] = {
    SAVED_MODEL: ({1: VARINT, 2: _META_GRAPH}, 5),
    META_GRAPH: (_META_GRAPH, 4),
    GRAPH: (_GRAPH, 3),
}
_ENDINGS = {
    "saved_model.pb": (SAVED_MODEL,),
    ".meta": (META_GRAPH, GRAPH),
    ".pb": (GRAPH, SAVED_MODEL, META_GRAPH),
    ".graphdef": (GRAPH,),
}


def kind_of(blob: Blob) -> str | None:
    """Which of the three `blob` likely is; None if it is none. Raises `Missing`.

    The head decides. More is looked at where it does not and the name is one of theirs, or one field fills the head.
    """
    head = head_of(blob, _HEAD_BYTES)
    if not head or is_text(head):
        return None
    scores = {kind: resemblance(head, blob.size, shape, 8) - least for kind, (shape, least) in _SHAPES.items()}
    kind = max(scores, key=lambda kind: scores[kind])
    if scores[kind] >= 0 and (kind != GRAPH or _has_node(BytesBlob(head), GRAPH)):
        return kind
    named = next((those for end, those in _ENDINGS.items() if blob.place.name.lower().endswith(end)), ())
    if not named and is_hidden(head, blob.size):
        named = tuple(_SHAPES)
    return next((one for one in named if _has_node(blob, one)), None)


def begins_as(blob: Blob, kind: str) -> bool:
    """Whether the first field is one that a message of this kind has. Others are passed over by readers, as in a
    pickle around a graph, whose first bytes read as a field."""
    try:
        first = next(iter(Reader(blob).fields(0, blob.size)), None)
    except (ParseError, LimitExceeded):
        return False
    return first is not None and first.number in _SHAPES[kind][0]


def is_whole(blob: Blob) -> bool:
    """Whether fields follow one another to the last byte."""
    reader = Reader(blob)
    try:
        for _ in reader.fields(0, blob.size):
            pass
    except (ParseError, LimitExceeded):
        return False
    return reader.cut is None


def _has_node(blob: Blob, kind: str) -> bool:
    """Whether a node or a function is where it would be in a message of this kind."""
    reader, ways = Reader(blob), {SAVED_MODEL: (2, 2), META_GRAPH: (2,), GRAPH: ()}[kind]
    try:
        return _operator_below(reader, 0, blob.size, ways)
    except (ParseError, LimitExceeded):
        return False


def _operator_below(reader: Reader, start: int, end: int, ways: tuple[int, ...]) -> bool:
    for count, field in enumerate(reader.fields(start, end)):
        if count == _FIELDS_TRIED:
            break
        if field.wire != BYTES:
            continue
        if ways:
            if field.number == ways[0] and _operator_below(reader, field.start, field.end, ways[1:]):
                return True
        elif field.number == 1:
            parts = reader.fields(field.start, field.end)
            names = [reader.text(part, _NAME_BYTES) for part in parts if part.number == 2 and part.wire == BYTES]
            return bool(names) and _OPERATOR.fullmatch(names[0]) is not None
        elif field.number == 2:
            return (
                resemblance(reader.payload(field.start, field.end, _HEAD_BYTES), field.end - field.start, _LIBRARY) > 2
            )
    return False


def is_graph(head: bytes, size: int) -> bool:
    """Whether a text of `size` bytes that begins with `head` is likely a graph, as data sets have them."""
    return head[:1] in (b"\x0a", b"\x12") and resemblance(head, size, _GRAPH) >= _SHAPES[GRAPH][1]
