"""TensorFlow's graphs: SavedModel, MetaGraph and GraphDef (github.com/tensorflow/tensorflow, core/framework/*.proto).

The three are messages one inside another, and are told apart by what the first fields look like. Every node is
walked: those of the graph, of the function library, and the functions and tensors in their attributes. Of tensors
the texts are kept, which may be paths; numbers are passed over. Fields that stand twice are merged by readers, so
each is walked.
"""

from collections.abc import Container, Iterator

import msgspec

from modelaudit.blob import Blob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.parsers import telltale
from modelaudit.parsers.protobuf import BYTES, DEPTH, Field, Reader
from modelaudit.parsers.tensorflow.kinds import GRAPH, META_GRAPH, SAVED_MODEL, begins_as, is_graph, is_whole, kind_of

__all__ = [
    "GRAPH",
    "META_GRAPH",
    "SAVED_MODEL",
    "Asset",
    "Graph",
    "Node",
    "Used",
    "begins_as",
    "is_whole",
    "kind_of",
    "parse",
]

_HEAD_BYTES = 4096
_NAME_BYTES = 4096
_TEXTS_MOST = 64  # of one constant: a vocabulary has thousands, a path is among the first
_KEPT_MOST = 1_000_000  # nodes that are kept to follow texts
_HELD_MOST = 64
_HELD_BYTES = 16
_METADATA_MOST = 5000  # objects whose configuration is kept
_METADATA_BYTES = 4 << 20


class Node(msgspec.Struct, gc=False):
    """A node that was asked for, or a constant of text. `inputs` are names; `attributes` those that are text."""

    name: str
    operator: str
    place: int
    function: str
    inputs: tuple[str, ...]
    texts: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]]


class Used(msgspec.Struct):
    """How often an operator is used, and where for the first time: the place, and the function's name."""

    place: int
    function: str
    count: int = 0


class Asset(msgspec.Struct, frozen=True):
    """A file of the model's `assets` folder: its name, and the constant that is replaced by its path."""

    filename: str
    tensor: str
    place: int


class Graph(msgspec.Struct):
    """Everything that was found. `nodes` are by the function that they stand in and their name.

    `arguments` are what functions are given, and `numbers` the constants that hold no text, by function and name.
    `held` are texts that begin like something to be looked at by itself: what holds them, start and end. `metadata`
    are the configurations of Keras's layers: path, text and place.
    """

    kind: str = GRAPH
    version: str = ""
    operators: dict[str, Used] = {}
    nodes: dict[tuple[str, str], Node] = {}
    functions: set[str] = set()
    arguments: set[tuple[str, str]] = set()
    numbers: set[tuple[str, str]] = set()
    assets: list[Asset] = []
    tensors: list[str] = []
    constants: int = 0
    held: list[tuple[str, int, int]] = []
    metadata: list[tuple[str, str, int]] = []
    unknown: list[tuple[int, int, int]] = []
    cut: int | None = None
    stop: ParseError | LimitExceeded | None = None


def parse(blob: Blob, kind: str, wanted: Container[str]) -> Graph:
    """Walk the graph; nodes of the operators `wanted` are kept. Raises `Missing` only: `stop` says what broke it."""
    walk = _Walk(blob, kind, wanted)
    try:
        walk.top()
    except (ParseError, LimitExceeded) as stop:
        walk.found.stop = stop
    walk.found.cut = walk.reader.cut
    return walk.found


class _Walk:
    """Goes through the messages; `depth` counts how many of them are around the one in hand."""

    def __init__(self, blob: Blob, kind: str, wanted: Container[str]) -> None:
        self.reader = Reader(blob)
        self.found = Graph(kind)
        self._wanted = wanted
        self._function = ""

    def _inside(self, field: Field, depth: int) -> Iterator[Field]:
        if depth > DEPTH:
            raise ParseError("messages nested deeper than any reader goes", field.start)
        return self.reader.fields(field.start, field.end)

    def top(self) -> None:
        whole = Field(0, BYTES, 0, 0, self.reader.size)
        if self.found.kind == GRAPH:
            self._graph(whole, 0)
        elif self.found.kind == META_GRAPH:
            self._meta_graph(whole, 0)
        else:
            for field in self._inside(whole, 0):
                if field.number == 2 and field.wire == BYTES:
                    self._meta_graph(field, 1)
                elif field.number > 2:
                    self._unknown(field)

    def _unknown(self, field: Field) -> None:
        if field.end > field.start and len(self.found.unknown) < _HELD_MOST:
            self.found.unknown.append((field.number, field.start, field.end))

    def _meta_graph(self, field: Field, depth: int) -> None:
        for part in self._inside(field, depth):
            if part.wire != BYTES:
                continue
            if part.number == 1:
                for detail in self._inside(part, depth + 1):
                    if detail.number == 5 and detail.wire == BYTES:
                        self.found.version = self.reader.text(detail, _NAME_BYTES)
            elif part.number == 2:
                self._graph(part, depth + 1)
            elif part.number == 6:
                self._asset(part, depth + 1)
            elif part.number == 7:
                self._objects(part, depth + 1)
            elif part.number > 7:
                self._unknown(part)

    def _asset(self, field: Field, depth: int) -> None:
        filename = tensor = ""
        for part in self._inside(field, depth):
            if part.number == 2 and part.wire == BYTES:
                filename = self.reader.text(part, _NAME_BYTES)
            elif part.number == 1 and part.wire == BYTES:
                for detail in self._inside(part, depth + 1):
                    if detail.number == 1 and detail.wire == BYTES:
                        tensor = self.reader.text(detail, _NAME_BYTES).partition(":")[0]
        if len(self.found.assets) < _METADATA_MOST:
            self.found.assets.append(Asset(filename, tensor, field.start))

    def _objects(self, field: Field, depth: int) -> None:
        """The objects that a SavedModel restores: until TensorFlow 2.4 they hold the layers' configuration."""
        for part in self._inside(field, depth):
            if part.number != 1 or part.wire != BYTES:
                continue
            for detail in self._inside(part, depth + 1):
                if detail.number == 4 and detail.wire == BYTES:
                    self.configured(detail, depth + 2, (1, 3))

    def configured(self, field: Field, depth: int, numbers: tuple[int, int]) -> None:
        """An object with a name and a configuration, in the fields of these numbers."""
        name = text = ""
        place = field.start
        for part in self._inside(field, depth):
            if part.wire == BYTES and part.number == numbers[0]:
                name = self.reader.text(part, _NAME_BYTES)
            elif part.wire == BYTES and part.number == numbers[1]:
                text, place = self.reader.text(part, _METADATA_BYTES), part.start
        if text and len(self.found.metadata) < _METADATA_MOST:
            self.found.metadata.append((name, text, place))

    # --- nodes --------------------------------------------------------------------------------------------

    def _graph(self, field: Field, depth: int) -> None:
        for part in self._inside(field, depth):
            if part.wire != BYTES:
                continue
            if part.number == 1:
                self._node(part, depth + 1)
            elif part.number == 2:
                for function in self._inside(part, depth + 1):
                    if function.number == 1 and function.wire == BYTES:
                        self._one_function(function, depth + 2)
            elif part.number > 5:
                self._unknown(part)

    def _one_function(self, field: Field, depth: int) -> None:
        outer = self._function
        for part in self._inside(field, depth):
            if part.wire != BYTES:
                continue
            if part.number == 1:
                self._signature(part, depth + 1)
            elif part.number == 3:
                self._node(part, depth + 1)
            elif part.number == 5:
                self._attribute(part, depth + 1, _Attributes("", False))
        self._function = outer

    def _signature(self, field: Field, depth: int) -> None:
        """A function's name, and those of its arguments."""
        parts = [part for part in self._inside(field, depth) if part.wire == BYTES]
        for part in parts:
            if part.number == 1:
                self._function = self.reader.text(part, _NAME_BYTES)
                self.found.functions.add(self._function)
        for part in parts:
            if part.number == 2:
                for detail in self._inside(part, depth + 1):
                    if detail.number == 1 and detail.wire == BYTES:
                        self.found.arguments.add((self._function, self.reader.text(detail, _NAME_BYTES)))

    def _node(self, field: Field, depth: int) -> None:
        parts = list(self._inside(field, depth))
        name = operator = ""
        inputs: list[str] = []
        for part in parts:
            if part.wire == BYTES and part.number in (1, 2, 3):
                text = self.reader.text(part, _NAME_BYTES)
                if part.number == 1:
                    name = text
                elif part.number == 2:
                    operator = text
                elif len(inputs) < _TEXTS_MOST:
                    inputs.append(text)
        used = self.found.operators.setdefault(operator, Used(field.start, self._function))
        used.count += 1
        wanted = operator in self._wanted
        kept = _Attributes(name, wanted)
        for part in parts:
            if part.number == 5 and part.wire == BYTES:
                self._attribute(part, depth + 1, kept)
        if operator == "Const":
            self.found.constants += 1
            if len(self.found.tensors) < 1000:
                self.found.tensors.append(name)
            if not kept.texts:
                self.found.numbers.add((self._function, name))
        if wanted or kept.texts:
            if len(self.found.nodes) >= _KEPT_MOST:
                raise LimitExceeded("tensorflow_nodes", _KEPT_MOST + 1, _KEPT_MOST)
            self.found.nodes[self._function, name] = Node(
                name, operator, field.start, self._function, tuple(inputs), tuple(kept.texts), kept.values
            )

    def _attribute(self, field: Field, depth: int, kept: "_Attributes") -> None:
        """An entry of a map: its key, and a value of any kind."""
        for part in self._inside(field, depth):
            if part.number == 1 and part.wire == BYTES:
                kept.key = self.reader.text(part, _NAME_BYTES)
            elif part.number == 2 and part.wire == BYTES and part.end - part.start > 2:  # else a type or a number
                self._value(part, depth + 1, kept)

    def _value(self, field: Field, depth: int, kept: "_Attributes") -> None:
        for part in self._inside(field, depth):
            if part.wire != BYTES:
                continue
            if part.number == 2:
                self._text(part, kept)
            elif part.number == 8:
                self._tensor(part, depth + 1, kept)
            elif part.number == 10:
                self._called(part, depth + 1, kept)
            elif part.number == 1:
                for item in self._inside(part, depth + 1):
                    if item.wire != BYTES:
                        continue
                    if item.number == 2:
                        self._text(item, kept)
                    elif item.number == 8:
                        self._tensor(item, depth + 2, kept)
                    elif item.number == 9:
                        self._called(item, depth + 2, kept)

    def _called(self, field: Field, depth: int, kept: "_Attributes") -> None:
        """A function's name, with attributes of its own."""
        for part in self._inside(field, depth):
            if part.number == 2 and part.wire == BYTES:
                self._attribute(part, depth + 1, _Attributes(kept.name, kept.wanted, kept.values, kept.texts))

    def _text(self, field: Field, kept: "_Attributes") -> None:
        if kept.wanted and len(kept.values) < _TEXTS_MOST:
            kept.values[kept.key] = (*kept.values.get(kept.key, ())[:_TEXTS_MOST], self.reader.text(field, _NAME_BYTES))
        self._look(field, kept)

    def _look(self, field: Field, kept: "_Attributes") -> None:
        """Remember bytes that begin like a pickle, an archive, a program, a graph."""
        if field.end - field.start >= _HELD_BYTES and len(self.found.held) < _HELD_MOST:
            head = self.reader.payload(field.start, field.end, _HELD_BYTES)
            if head[0] in (0x0A, 0x12):
                head = self.reader.payload(field.start, field.end, _HEAD_BYTES)
            if telltale.is_payload(head) or is_graph(head, field.end - field.start):
                self.found.held.append((f"{kept.name}.{kept.key}", field.start, field.end))

    def _tensor(self, field: Field, depth: int, kept: "_Attributes") -> None:
        for part in self._inside(field, depth):
            if part.wire != BYTES:
                continue
            if part.number == 8:
                if len(kept.texts) < _TEXTS_MOST:
                    kept.texts.append(self.reader.text(part, _NAME_BYTES))
                self._look(part, kept)
            elif part.number == 4:
                self._look(part, kept)
            elif part.number == 15:
                for detail in self._inside(part, depth + 1):
                    if detail.wire == BYTES and detail.number == 3:
                        self._tensor(detail, depth + 2, kept)
                    elif detail.wire == BYTES and detail.number == 2:
                        self._look(detail, kept)


class _Attributes(msgspec.Struct):
    """What is kept of one node's attributes while they are walked."""

    name: str
    wanted: bool
    values: dict[str, tuple[str, ...]] = {}
    texts: list[str] = []
    key: str = ""
