"""What a TensorFlow Lite model says (tensorflow/lite/schema/schema.fbs, version 3 and its later fields).

The model is a FlatBuffer; the weights lie in it as vectors of bytes, one a buffer, all over the file. They are not
read: tables are, in a few questions for all tables of a level. What cannot be read ends the reading, and what was
read before is given.
"""

from collections.abc import Iterable, Sequence

import msgspec

from modelaudit.blob import Blob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.parsers.flatbuffer import Flatbuffer, Table

MAGIC = b"TFL3"
CUSTOM = 32  # BuiltinOperator.CUSTOM
_IF, _WHILE, _CALL_ONCE = 118, 119, 129
_BUILTIN_OLD_MOST = 127  # where the first field for operators ends: later ones are in another
_NAME_BYTES = 1024
_AHEAD_BYTES = 128  # of what a table refers to: vectors of a shape, names
_HEAD_BYTES = 16  # of each buffer: what it begins with

# Bits of one element by TensorType; strings, resources and variants (5, 13, 14) have no fixed size.
TYPE_BITS = {
    0: 32, 1: 16, 2: 32, 3: 8, 4: 64, 6: 8, 7: 16, 8: 64, 9: 8, 10: 64, 11: 128, 12: 64, 15: 32, 16: 16, 17: 4, 18: 16,
    19: 2,
}  # fmt: skip


class Operator(msgspec.Struct, frozen=True, gc=False):
    """One step: `code` indexes the operator codes, `inputs` and `outputs` the subgraph's tensors (-1: none).

    `options` are start and length (bytes) of a custom operator's own options; `calls` the subgraphs that it runs.
    """

    code: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: tuple[int, int]
    calls: tuple[int, ...]
    place: int


class Tensor(msgspec.Struct, frozen=True, gc=False):
    """One tensor; `buffer` indexes the buffers. `sparse` ones hold fewer elements than their shape has."""

    name: bytes
    shape: tuple[int, ...]
    type: int
    buffer: int
    sparse: bool
    place: int


class Subgraph(msgspec.Struct, frozen=True):
    """One graph."""

    tensors: Sequence[Tensor]
    operators: Sequence[Operator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    place: int


class Code(msgspec.Struct, frozen=True):
    """One operator that is used: its number, and the name of a custom one."""

    builtin: int
    custom: bytes
    place: int


class Buffer(msgspec.Struct, frozen=True, gc=False):
    """Where a buffer's bytes lie, how many they are, and the first of them. `outside` when that is not in the file."""

    start: int
    length: int
    head: bytes
    outside: bool
    place: int


class Model(msgspec.Struct):
    """What was read. `end` is the last byte that any of it covers; `exact` when everything was looked at."""

    version: int = 0
    codes: list[Code] = msgspec.field(default_factory=list)
    subgraphs: list[Subgraph] = msgspec.field(default_factory=list)
    buffers: list[Buffer] = msgspec.field(default_factory=list)
    metadata: list[tuple[bytes, int]] = msgspec.field(default_factory=list)
    end: int = 0
    exact: bool = True
    stop: ParseError | LimitExceeded | None = None


def parse(blob: Blob) -> Model:
    """Read the model, as far as it makes sense. Raises `Missing`."""
    model, buffer = Model(), Flatbuffer(blob)
    try:
        _Reader(buffer, model).read()
    except (ParseError, LimitExceeded) as error:
        model.stop = error
    model.end = min(buffer.end, blob.size)
    return model


class _Reader:
    """Goes down the levels of the schema, fetching each as a whole."""

    def __init__(self, buffer: Flatbuffer, model: Model) -> None:
        self._buffer = buffer
        self._model = model

    def read(self) -> None:
        buffer, model = self._buffer, self._model
        root = buffer.root()
        model.version = root.number(0, "I")
        lists = [root.target(number) for number in (1, 2, 4, 6, 7)]
        buffer.fetch((place, _AHEAD_BYTES) for place in lists if place)
        vectors = [root.vector(number, 4) for number in (1, 2, 4, 6, 7)]
        buffer.fetch((start, 4 * count) for start, count in vectors)
        places = [buffer.references(vector) for vector in vectors]
        tables = buffer.tables([place for group in places for place in group])
        codes, graphs, buffers, metadata, signatures = _split(tables, [len(group) for group in places])
        self._fetch_targets((table, numbers) for group, numbers in (
            (codes, (1,)), (graphs, (0, 1, 2, 3, 4)), (buffers, (0,)), (metadata, (0,)),
        ) for table in group)  # fmt: skip
        model.codes += [self._code(table) for table in codes]
        model.metadata += [(table.string(0, _NAME_BYTES), table.number(1, "I")) for table in metadata]
        model.exact = model.exact and not signatures
        root.string(3, _NAME_BYTES)
        self._buffers(buffers)
        self._graphs(graphs)

    def _fetch_targets(self, wanted: Iterable[tuple[Table, Sequence[int]]]) -> None:
        targets = [table.target(number) for table, numbers in wanted for number in numbers]
        self._buffer.fetch((target, _AHEAD_BYTES) for target in targets if target)

    def _code(self, table: Table) -> Code:
        old = table.number(0, "b")
        builtin = max(old, table.number(3, "i"))
        return Code(builtin, table.string(1, _NAME_BYTES), table.place)

    def _buffers(self, tables: Sequence[Table]) -> None:
        for table in tables:
            target, outside = table.target(0), False
            start, length = table.number(1, "Q"), table.number(2, "Q")  # behind the FlatBuffer: of models over 2 GB
            if target is not None and not (start > 1 and length):
                if target + 4 > self._buffer.size:
                    start, length = target, 0
                    outside = True
                else:
                    start, length = target + 4, self._buffer.number(target, "I")
            elif start <= 1:
                start, length = 0, 0
            outside = outside or start + length > self._buffer.size
            if not outside and length:
                self._buffer.check(start, length)
            head = self._buffer.bytes_at(start, min(length, _HEAD_BYTES)) if length and not outside else b""
            self._model.buffers.append(Buffer(start, length, head, outside, table.place))

    # --- graphs -------------------------------------------------------------------------------------------

    def _graphs(self, tables: Sequence[Table]) -> None:
        buffer = self._buffer
        lists = [(table.vector(0, 4), table.vector(3, 4)) for table in tables]
        buffer.fetch((start, 4 * count) for pair in lists for start, count in pair)
        places = [buffer.references(vector) for pair in lists for vector in pair]
        members = _split(buffer.tables([place for group in places for place in group]), [len(g) for g in places])
        wanted = [((0, 3, 4, 7), members[0::2]), ((1, 2, 4, 5, 8), members[1::2])]
        self._fetch_targets((table, numbers) for numbers, groups in wanted for group in groups for table in group)
        self._fetch_quantization([table for group in members[0::2] for table in group])
        for table, tensors, operators in zip(tables, members[0::2], members[1::2], strict=True):
            graph = Subgraph(
                [self._tensor(one) for one in tensors],
                [self._operator(one) for one in operators],
                buffer.numbers(table.vector(1, 4), "i"),
                buffer.numbers(table.vector(2, 4), "i"),
                table.place,
            )
            table.string(4, _NAME_BYTES)
            self._model.subgraphs.append(graph)

    def _fetch_quantization(self, tensors: Sequence[Table]) -> None:
        """What the quantization of all tensors refers to: its ends are needed to know the file's."""
        places = [place for place in (table.target(4) for table in tensors) if place]
        self._fetch_targets((table, (0, 1, 2, 3)) for table in self._buffer.tables(places))

    def _tensor(self, table: Table) -> Tensor:
        quantization = table.table(4)
        if quantization is not None:
            for number, width in ((0, 4), (1, 4), (2, 4), (3, 8)):
                quantization.vector(number, width)
        table.vector(7, 4)
        sparse = table.target(6) is not None
        self._model.exact = self._model.exact and not sparse and table.target(9) is None
        return Tensor(
            table.string(3, _NAME_BYTES),
            self._buffer.numbers(table.vector(0, 4), "i"),
            table.number(1, "b"),
            table.number(2, "I"),
            sparse,
            table.place,
        )

    def _operator(self, table: Table) -> Operator:
        code = table.number(0, "I")
        builtin = self._model.codes[code].builtin if code < len(self._model.codes) else -1
        calls: tuple[int, ...] = ()
        options = table.table(4)
        if options is not None and builtin in (_IF, _WHILE, _CALL_ONCE):
            calls = tuple(options.number(number, "i") for number in range(1 if builtin == _CALL_ONCE else 2))
        custom = table.vector(5, 1)
        large = table.number(9, "Q"), table.number(10, "Q")
        if large[0] > 1 and large[1]:
            self._buffer.check(*large)
            custom = large
        table.vector(7, 1)
        table.vector(8, 4)
        inputs, outputs = self._buffer.numbers(table.vector(1, 4), "i"), self._buffer.numbers(table.vector(2, 4), "i")
        return Operator(code, inputs, outputs, custom, calls, table.place)


def _split(tables: Sequence[Table], lengths: Sequence[int]) -> list[list[Table]]:
    """`tables` cut into groups of `lengths`."""
    groups, start = [], 0
    for length in lengths:
        groups.append(list(tables[start : start + length]))
        start += length
    return groups
