"""keras_metadata.pb (tensorflow/python/keras/protobuf/saved_metadata.proto): nodes, each with a JSON configuration."""

import msgspec

from modelaudit.blob import Blob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.parsers.protobuf import BYTES, VARINT, Reader, Shape, head_of, resemblance

_HEAD_BYTES = 4096
_TEXT_BYTES = 4 << 20
_NAME_BYTES = 4096
_OBJECTS_MOST = 50_000  # the largest real models have some thousands
_UNKNOWN_MOST = 64
_NODE: Shape = {2: VARINT, 3: "text", 4: "name", 5: "text", 6: {}}
_SHAPE: Shape = {1: _NODE}


class Metadata(msgspec.Struct):
    """What was found: path and configuration of each object. `stop` is why the reading ended before the end."""

    objects: list[tuple[str, bytes]] = []
    unknown: list[tuple[int, int]] = []
    cut: int | None = None
    stop: ParseError | LimitExceeded | None = None


def is_metadata(blob: Blob) -> bool:
    """Whether the head of `blob` is a node whose identifier is one of Keras's. Raises `Missing`."""
    head = head_of(blob, _HEAD_BYTES)
    if head[:1] != b"\x0a" and not blob.place.name.endswith("keras_metadata.pb"):
        return False
    if resemblance(head, blob.size, _SHAPE) < 3:
        return False
    return b"_tf_keras_" in head or b'"class_name"' in head or blob.place.name.endswith("keras_metadata.pb")


def parse(blob: Blob) -> Metadata:
    """The configurations. Raises `Missing` only."""
    reader, found = Reader(blob), Metadata()
    try:
        _nodes(reader, found)
    except (ParseError, LimitExceeded) as stop:
        found.stop = stop
    found.cut = reader.cut
    return found


def _nodes(reader: Reader, found: Metadata) -> None:
    for field in reader.fields(0, reader.size):
        if field.wire != BYTES:
            continue
        if field.number != 1:
            if len(found.unknown) < _UNKNOWN_MOST and field.end > field.start:
                found.unknown.append((field.start, field.end))
            continue
        path, texts = "", []
        for part in reader.fields(field.start, field.end):
            if part.wire == BYTES and part.number == 3:
                path = reader.text(part, _NAME_BYTES)
            elif part.wire == BYTES and part.number == 5:
                texts.append(reader.payload(part.start, part.end, _TEXT_BYTES))
        for text in texts:
            if len(found.objects) >= _OBJECTS_MOST:
                raise LimitExceeded("keras_objects", _OBJECTS_MOST + 1, _OBJECTS_MOST)
            if text.lstrip()[:1] == b"{":
                found.objects.append((path or "object", text))
