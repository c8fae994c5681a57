"""An ONNX model (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto): its operators and tensors, without weights.

Everything that can hold a node is walked: the graph, the graphs in attributes, functions, training graphs. Messages
that may stand once and stand twice are merged by readers, so each is walked; of repeated numbers and texts the last
counts. A tensor is what its header says and where its bytes lie.
"""

from collections import Counter
from collections.abc import Iterator

import msgspec

from modelaudit.blob import Blob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.parsers.protobuf import (
    BYTES,
    DEPTH,
    VARINT,
    Field,
    Reader,
    Shape,
    head_of,
    is_hidden,
    is_text,
    packed,
    resemblance,
)

Operator = tuple[str, str]  # domain, name; the standard domain is ""

STRING = 8
TYPE_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
    17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
}  # fmt: skip
STANDARD = ("", "ai.onnx.ml")  # domains whose operators take texts as settings only

_TENSORS_MOST = 1_000_000  # kept; the largest real models have some thousands
_DIMENSIONS_MOST = 64
_NAME_BYTES = 4096
_STRING_LEAST = 16  # bytes; shorter ones are words, and no vocabulary is kept twice
_STRINGS_MOST = 4096  # of all tensors
_TEXTS_MOST = 10_000  # of attributes and metadata
_UNKNOWN_MOST = 64
_HEAD_BYTES = 4096
_TOP_FIELDS = 256  # looked at to find a graph behind what stands before it
_SCORE = 3


class Tensor(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the header says; `place` is where it begins. `raw` is where its bytes lie, None where there are none.

    `float_bytes` and `double_bytes` count packed data, `typed` says that there is some. `external` are the keys and
    values that say where the bytes lie in another file; `elsewhere` whether readers are told to look there.
    `strings` are where the first of its texts lie that are long enough to hold something.
    """

    name: str
    place: int
    data_type: int
    dims: tuple[int, ...]
    raw: tuple[int, int] | None
    float_bytes: int
    double_bytes: int
    typed: bool
    external: tuple[tuple[str, str], ...]
    elsewhere: bool
    segmented: bool
    initializer: bool
    strings: tuple[tuple[int, int], ...]


class Used(msgspec.Struct):
    """How often an operator is used, and where for the first time: the place, and the function's name."""

    place: int
    function: str
    count: int = 0


class Text(msgspec.Struct, frozen=True):
    """A text: a value of the metadata (`operator` is None) or of an operator's attribute."""

    key: str
    value: str
    place: int
    operator: Operator | None = None


class Function(msgspec.Struct, frozen=True):
    """A function of the model: what it is called, where it is, and how often it calls what."""

    name: Operator
    place: int
    calls: Counter[Operator]


class Model(msgspec.Struct):
    """Everything that was found. `stop` is why the walk ended before the end, None when it did not.

    `unknown` are fields of the model that its format does not have: number, start and end of the payload.
    """

    producer: str = ""
    tensors: list[Tensor] = []
    operators: dict[Operator, Used] = {}
    functions: list[Function] = []
    texts: list[Text] = []
    unknown: list[tuple[int, int, int]] = []
    names: list[str] = []
    initializers: int = 0
    nodes: int = 0
    cut: int | None = None
    stop: ParseError | LimitExceeded | None = None


def is_model(blob: Blob) -> bool:
    """Whether `blob` is likely a model. Raises `Missing`.

    Looks at the head; further only where the name is a model's, or where one field fills the head.
    """
    head = head_of(blob, _HEAD_BYTES)
    if not head or is_text(head):
        return False
    named = blob.place.name.lower().endswith(".onnx") or is_hidden(head, blob.size)
    try:
        return (named or resemblance(head, blob.size, _MODEL) >= _SCORE) and _has_graph(blob, head, named)
    except (ParseError, LimitExceeded):
        return False


def _has_graph(blob: Blob, head: bytes, named: bool) -> bool:
    """Whether there is a graph or a function, or the head is too short to tell."""
    reader, described = Reader(blob), False
    for count, field in enumerate(reader.fields(0, blob.size)):
        if field.wire == BYTES and field.number in (7, 20, 25):
            start, end = field.start, min(field.end, field.start + _HEAD_BYTES)
            shape = _MODEL[field.number]
            assert not isinstance(shape, int | str)  # noqa: S101  these three are messages
            inner = resemblance(reader.payload(start, end), field.end - start, shape)
            return inner > 0 or field.end == start
        described = described or (field.wire == BYTES and field.number in _TEXT_FIELDS)
        if field.end >= len(head) and not named:
            return described and len(head) < blob.size
        if count == _TOP_FIELDS:
            return False
    return False


def parse(blob: Blob) -> Model:
    """Walk the model. Raises `Missing` only; what breaks it is its `stop`."""
    walk = _Walk(blob)
    try:
        walk.model()
    except (ParseError, LimitExceeded) as stop:
        walk.found.stop = stop
    walk.found.cut = walk.reader.cut
    return walk.found


class _Walk:
    """Goes through the messages; `depth` counts how many of them are around the one in hand."""

    def __init__(self, blob: Blob) -> None:
        self.reader = Reader(blob)
        self.found = Model()
        self._calls: Counter[Operator] = Counter()
        self._function = ""
        self._strings = 0

    def _inside(self, field: Field, depth: int) -> Iterator[Field]:
        if depth > DEPTH:
            raise ParseError("messages nested deeper than any reader goes", field.start)
        return self.reader.fields(field.start, field.end)

    def model(self) -> None:
        for field in self.reader.fields(0, self.reader.size):
            number = field.number
            if number not in _MODEL:
                self._unknown(field)
            elif field.wire != BYTES:
                continue
            elif number == 7:
                self._graph(field, 1)
            elif number == 20:
                self._training(field)
            elif number == 25:
                self._one_function(field)
            elif number == 14:
                self._metadata(field)
            elif number in (2, 3, 4, 6):
                text = self.reader.text(field, _NAME_BYTES)
                self.found.producer = text if number == 2 else self.found.producer
                self._text(Text(_TEXT_FIELDS[number], text, field.start))

    def _unknown(self, field: Field) -> None:
        if field.end > field.start and len(self.found.unknown) < _UNKNOWN_MOST:
            self.found.unknown.append((field.number, field.start, field.end))

    def _text(self, text: Text) -> None:
        if text.value and len(self.found.texts) < _TEXTS_MOST:
            self.found.texts.append(text)

    def _metadata(self, field: Field) -> None:
        key, value = self._entry(field, 1 << 22)
        self._text(Text(key, value, field.start))

    def _entry(self, field: Field, most: int = _NAME_BYTES) -> tuple[str, str]:
        key = value = ""
        for part in self._inside(field, 3):
            if part.number == 1 and part.wire == BYTES:
                key = self.reader.text(part, _NAME_BYTES)
            elif part.number == 2 and part.wire == BYTES:
                value = self.reader.text(part, most)
        return key, value

    def _training(self, field: Field) -> None:
        for part in self._inside(field, 2):
            if part.number in (1, 2) and part.wire == BYTES:
                self._graph(part, 2)

    def _one_function(self, field: Field) -> None:
        name = domain = ""
        outer, self._calls = self._calls, Counter()
        parts = list(self._inside(field, 2))
        for part in parts:  # the name stands first and the domain last, and both are told of what is between
            if part.number == 1 and part.wire == BYTES:
                name = self.reader.text(part, _NAME_BYTES)
            elif part.number == 10 and part.wire == BYTES:
                domain = self.reader.text(part, _NAME_BYTES)
        self._function = name
        for part in parts:
            if part.wire != BYTES:
                continue
            if part.number == 7:
                self._node(part, 3)
            elif part.number == 11:
                self._attribute(part, 3, [])
            elif part.number == 14:
                self._metadata(part)
        self.found.functions.append(Function(_operator(domain, name), field.start, self._calls))
        self._function, self._calls = "", outer

    def _graph(self, field: Field, depth: int) -> None:
        for part in self._inside(field, depth):
            if part.wire != BYTES:
                continue
            if part.number == 1:
                self._node(part, depth + 1)
            elif part.number == 5:
                self._tensor(part, depth + 1, initializer=True)
            elif part.number == 15:
                self._sparse(part, depth + 1)
            elif part.number == 16:
                self._metadata(part)
            elif part.number not in _GRAPH:
                self._unknown(part)

    def _node(self, field: Field, depth: int) -> None:
        name = domain = ""
        texts: list[tuple[str, str, int]] = []
        for part in self._inside(field, depth):
            if part.wire != BYTES:
                continue
            if part.number == 5:
                self._attribute(part, depth + 1, texts)
            elif part.number == 4:
                name = self.reader.text(part, _NAME_BYTES)
            elif part.number == 7:
                domain = self.reader.text(part, _NAME_BYTES)
        operator = _operator(domain, name)
        self.found.nodes += 1
        self._calls[operator] += 1
        used = self.found.operators.setdefault(operator, Used(field.start, self._function))
        used.count += 1
        if operator[0] not in STANDARD:
            for key, value, place in texts:
                self._text(Text(key, value, place, operator))

    def _attribute(self, field: Field, depth: int, texts: list[tuple[str, str, int]]) -> None:
        name = ""
        for part in self._inside(field, depth):
            number = part.number
            if part.wire != BYTES or number in (7, 8):
                continue
            if number == 1:
                name = self.reader.text(part, _NAME_BYTES)
            elif number in (4, 9) and len(texts) < 256:
                texts.append((name, self.reader.text(part), part.start))
            elif number in (5, 10):
                self._tensor(part, depth + 1)
            elif number in (6, 11):
                self._graph(part, depth + 1)
            elif number in (22, 23):
                self._sparse(part, depth + 1)

    def _sparse(self, field: Field, depth: int) -> None:
        for part in self._inside(field, depth):
            if part.number in (1, 2) and part.wire == BYTES:
                self._tensor(part, depth + 1, initializer=True)

    def _tensor(self, field: Field, depth: int, *, initializer: bool = False) -> None:
        header = _Header()
        for part in self._inside(field, depth):
            self._tensor_field(header, part)
        if len(self.found.tensors) >= _TENSORS_MOST:
            raise LimitExceeded("onnx_tensors", _TENSORS_MOST + 1, _TENSORS_MOST)
        tensor = Tensor(
            name=header.name,
            place=field.start,
            data_type=header.data_type,
            dims=tuple(header.dims),
            raw=header.raw,
            float_bytes=header.float_bytes,
            double_bytes=header.double_bytes,
            typed=header.typed,
            external=tuple(header.external),
            elsewhere=header.elsewhere,
            segmented=header.segmented,
            initializer=initializer,
            strings=tuple(header.strings),
        )
        self.found.tensors.append(tensor)
        if initializer:
            self.found.initializers += 1
            if len(self.found.names) < 1000:
                self.found.names.append(header.name)

    def _tensor_field(self, header: "_Header", part: Field) -> None:
        number, length = part.number, part.end - part.start
        if number == 1 and len(header.dims) < _DIMENSIONS_MOST:
            values = [part.value] if part.wire == VARINT else packed(self.reader.payload(part.start, part.end), 64)
            header.dims += [value - (1 << 64) if value >> 63 else value for value in values]
        elif number == 2:
            header.data_type = part.value
        elif number == 14:
            header.elsewhere = part.value == 1
        elif number == 4:
            header.float_bytes += length
            header.typed = True
        elif number == 10:
            header.double_bytes += length
            header.typed = True
        elif number in (5, 6, 7, 11):
            header.typed = True
            if number == 6 and length >= _STRING_LEAST and self._strings < _STRINGS_MOST:
                self._strings += 1
                header.strings.append((part.start, part.end))
        elif part.wire == BYTES:
            if number == 3:
                header.segmented = True
            elif number == 8:
                header.name = self.reader.text(part, _NAME_BYTES)
            elif number == 9:
                header.raw = (part.start, part.end)
            elif number == 13 and len(header.external) < 64:
                header.external.append(self._entry(part))


class _Header(msgspec.Struct):
    name: str = ""
    data_type: int = 0
    dims: list[int] = []
    raw: tuple[int, int] | None = None
    float_bytes: int = 0
    double_bytes: int = 0
    typed: bool = False
    external: list[tuple[str, str]] = []
    elsewhere: bool = False
    segmented: bool = False
    strings: list[tuple[int, int]] = []


def _operator(domain: str, name: str) -> Operator:
    return ("" if domain == "ai.onnx" else domain, name)


# --- what the messages look like --------------------------------------------------------------------------

_ENTRY: Shape = {1: "text", 2: "text"}
_TENSOR: Shape = {1: VARINT, 2: VARINT, 6: "bytes", 8: "text", 9: "bytes", 12: "text", 13: _ENTRY, 14: VARINT}
_ATTRIBUTE: Shape = {1: "name", 3: VARINT, 5: _TENSOR, 20: VARINT}
_NODE: Shape = {1: "text", 2: "text", 3: "text", 4: "name", 5: _ATTRIBUTE, 6: "text", 7: "text"}
_VALUE: Shape = {1: "text", 2: {1: {1: VARINT}}}
_GRAPH: Shape = {
    1: _NODE, 2: "text", 5: _TENSOR, 10: "text", 11: _VALUE, 12: _VALUE, 13: _VALUE, 14: {}, 15: {}, 16: _ENTRY,
}  # fmt: skip
_FUNCTION: Shape = {1: "name", 2: VARINT, 4: "text", 5: "text", 6: "text", 7: _NODE, 8: "text", 10: "text"}
_MODEL: Shape = {
    1: VARINT, 2: "text", 3: "text", 4: "text", 5: VARINT, 6: "text", 7: _GRAPH, 8: {1: "text", 2: VARINT},
    14: _ENTRY, 20: {1: _GRAPH, 2: _GRAPH}, 25: _FUNCTION, 26: {},
}  # fmt: skip
_TEXT_FIELDS = {2: "producer_name", 3: "producer_version", 4: "domain", 6: "doc_string"}
