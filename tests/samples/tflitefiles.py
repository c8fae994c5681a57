"""TensorFlow Lite models, honest and not (B068), built from bytes by a writer of FlatBuffers of our own."""

import io
import struct
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.samples.sample import HARM, UNPROVEN, Sample

CUSTOM, ADD, WHILE = 32, 0, 119


@dataclass(frozen=True)
class Numbers:
    """A vector of numbers of a struct code; `count` is what it claims to have."""

    code: str
    items: Sequence[int]
    count: int | None = None


@dataclass(frozen=True)
class Number:
    """A field that is a number."""

    code: str
    value: int


@dataclass(frozen=True)
class Reference:
    """A field that refers to `distance` bytes on, whatever is there."""

    distance: int


Field = Number | Numbers | Reference | bytes | Sequence["Fields"] | Mapping[int, "Field"]
Fields = Mapping[int, Field]


def flatbuffer(root: Fields, identifier: bytes = b"TFL3") -> bytes:
    """The bytes: each table before what it refers to, breadth first."""
    out = bytearray(4) + identifier
    waiting: list[tuple[int, Field]] = [(0, root)]
    while waiting:
        place, value = waiting.pop(0)
        out += bytes(-len(out) % 16)
        start = len(out)
        if isinstance(value, Mapping):
            start = _table(out, value, waiting)
        elif isinstance(value, Numbers):
            count = len(value.items) if value.count is None else value.count
            out += struct.pack(f"<I{len(value.items)}{value.code}", count, *value.items)
        elif isinstance(value, bytes):
            out += struct.pack("<I", len(value)) + value + b"\0"
        elif isinstance(value, Sequence):
            out += struct.pack("<I", len(value)) + bytes(4 * len(value))
            waiting += [(start + 4 + 4 * index, item) for index, item in enumerate(value)]
        struct.pack_into("<I", out, place, start - place)
    return bytes(out)


def _table(out: bytearray, fields: Fields, waiting: list[tuple[int, Field]]) -> int:
    slots = max(fields, default=-1) + 1
    vtable = len(out)
    out += bytes(4 + 2 * slots)
    out += bytes(-len(out) % 8)
    start = len(out)
    out += struct.pack("<i", start - vtable) + bytes(4)
    for number, value in sorted(fields.items()):
        struct.pack_into("<H", out, vtable + 4 + 2 * number, len(out) - start)
        place = len(out)
        out += bytes(8)
        if isinstance(value, Number):
            struct.pack_into("<" + value.code, out, place, value.value)
        elif isinstance(value, Reference):
            struct.pack_into("<I", out, place, value.distance)
        else:
            waiting.append((place, value))
    struct.pack_into("<HH", out, vtable, 4 + 2 * slots, len(out) - start)
    return start


def buffer(data: bytes | Field = b"") -> Fields:
    """A buffer with these bytes."""
    return {0: data} if data else {}


def tensor(name: str, shape: Sequence[int], index: int = 0, kind: int = 0) -> dict[int, Field]:
    """A tensor of floats in the buffer `index`."""
    return {
        0: Numbers("i", shape),
        1: Number("b", kind),
        2: Number("I", index),
        3: name.encode(),
        4: {2: Numbers("f", [1]), 3: Numbers("q", [0])},
    }


def node(code: int, inputs: Sequence[int], outputs: Sequence[int], **more: Field) -> dict[int, Field]:
    """An operator that is run; `options` are a custom one's, `calls` those of control flow."""
    fields: dict[int, Field] = {0: Number("I", code), 1: Numbers("i", inputs), 2: Numbers("i", outputs)}
    if "options" in more:
        fields[5] = more["options"]
    if "calls" in more:
        fields |= {3: Number("B", 93), 4: more["calls"]}
    return fields


def graph(tensors: Sequence[Fields], nodes: Sequence[Fields], inputs: Sequence[int] = (0,)) -> Fields:
    """A subgraph."""
    return {0: list(tensors), 1: Numbers("i", inputs), 2: Numbers("i", [0]), 3: list(nodes), 4: b"main"}


def code(builtin: int = ADD, custom: bytes = b"") -> Fields:
    """An operator code."""
    fields: dict[int, Field] = {0: Number("b", min(builtin, 127)), 3: Number("i", builtin)}
    return fields | {1: custom} if custom else fields


WEIGHTS = struct.pack("<4f", 1, 2, 3, 4)
TENSORS = (tensor("in", [1, 4]), tensor("w", [4], 1), tensor("out", [1, 4]))
NODES = (node(0, [0, 1, -1], [2]),)


def model(
    codes: Sequence[Fields] = (code(),),
    graphs: Sequence[Fields] | None = None,
    buffers: Sequence[Fields] = (buffer(), buffer(WEIGHTS)),
    metadata: Sequence[tuple[bytes, int]] = (),
) -> bytes:
    """An honest model with changes."""
    root: dict[int, Field] = {
        0: Number("I", 3),
        1: list(codes),
        2: list(graphs or [graph(TENSORS, NODES)]),
        3: b"a model",
        4: list(buffers),
    }
    if metadata:
        root[6] = [{0: name, 1: Number("I", index)} for name, index in metadata]
    return flatbuffer(root)


def custom(name: bytes, options: bytes = b"") -> bytes:
    """A model with one custom operator."""
    more = {"options": options} if options else {}
    return model([code(CUSTOM, name)], [graph(TENSORS, [node(0, [0, 1], [2], **more)])])


def of_tensor(**changes: object) -> bytes:
    """A model in which the weights' tensor is another."""
    fields: dict[str, object] = {"name": "w", "shape": [4], "index": 1, "kind": 0, **changes}
    return model(graphs=[graph([TENSORS[0], tensor(**fields), TENSORS[2]], NODES)])  # type: ignore[arg-type]


def holding(data: bytes | Field) -> bytes:
    """A model with one more buffer, which holds `data`."""
    return model(buffers=[buffer(), buffer(WEIGHTS), buffer(data)])


def loop(*called: int) -> bytes:
    """A model whose graphs run one another: graph n runs graph called[n]."""
    graphs = [graph(TENSORS, [node(0, [0], [2], calls={0: Number("i", call)})]) for call in called]
    return model([code(129)], graphs)


def with_files(data: bytes, **files: bytes) -> bytes:
    """`data` with an archive of associated files appended, as metadata tools do it."""
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", "/").replace("_", ".")), content)
    return out.getvalue()


def definition(operator: str) -> bytes:
    """Options of a Flex operator: a node's name, and the node's definition."""
    node = b"\x0a\x04node\x12" + bytes([len(operator)]) + operator.encode() + b'"\x00'
    return operator.encode() + b"\0" + bytes([len(node)]) + node + b"\0\x02\x01\x02\x14\x14\x04\x28\x01"


ORDINARY: dict[str, bytes] = {
    "a model": model(),
    "with metadata": model(
        buffers=[buffer(), buffer(WEIGHTS), buffer(b"1.5.0" + bytes(11))], metadata=[(b"min_runtime_version", 2)]
    ),
    "with associated files": with_files(model(), labels_txt=b"cat\ndog\n"),
    "detection": custom(b"TFLite_Detection_PostProcess", b"max_detections\0\x0a"),
    "an ordinary Flex operator": custom(b"FlexErf", definition("Erf")),
    "the delegate's own": custom(b"FlexDelegate"),
    "text": custom(b"TFText>WhitespaceTokenizeWithOffsets"),
    "a chip's": custom(b"edgetpu-custom-op", bytes(64)),
    "a shape that is not known": of_tensor(shape=[-1, 4], index=0),
    "a scalar": of_tensor(shape=[], index=0),
    "no elements": of_tensor(shape=[0, 1 << 30], index=0),
    "half bytes": of_tensor(shape=[31], kind=17),
    "strings": of_tensor(shape=[1 << 20], kind=5),
    "graphs that run others": model(
        [code(129), code()],
        [
            graph(TENSORS, [node(0, [0], [2], calls={0: Number("i", 1)})]),
            graph(TENSORS, [node(0, [0], [2], calls={0: Number("i", 2)})]),
            graph(TENSORS, [node(1, [0, 1], [2])]),
        ],
    ),
    "padded with zeros": model() + bytes(12),
}

CRITICAL, WARNING = "critical", "warning"
# name, class, least severity, bytes, why
ROWS: tuple[tuple[str, str, str, bytes, str], ...] = (
    ("flex-read", "B068", CRITICAL, custom(b"FlexReadFile", definition("ReadFile")), "TensorFlow's ReadFile."),
    ("flex-write", "B068", CRITICAL, custom(b"FlexWriteFile"), "TensorFlow's WriteFile."),
    ("flex-python", "B068", CRITICAL, custom(b"FlexPyFunc"), "A Python function."),
    ("flex-eager-python", "B068", CRITICAL, custom(b"FlexEagerPyFunc"), "Another one."),
    ("flex-renamed", "B068", CRITICAL, custom(b"FlexErf", definition("ReadFile")), "ReadFile under the name of Erf."),
    ("custom", "B068", WARNING, custom(b"RunAnything"), "An operator that nobody publishes."),
    (
        "second-code",
        "B068",
        CRITICAL,
        model([code(), code(CUSTOM, b"FlexMatchingFiles")]),
        "The second of two operators.",
    ),
    (
        "zip-traversal",
        "B068",
        CRITICAL,
        with_files(model(), ______etc__x=b"x").replace(b"//etc/x", b"../et/x"),
        "An associated file that leaves its folder.",
    ),
    (
        "zip-pickle",
        "B068",
        CRITICAL,
        with_files(model(), labels_txt=HARM.pickle()),
        "An associated file that is a pickle.",
    ),
    ("buffer-pickle", "B032", CRITICAL, holding(HARM.pickle()), "A pickle among the weights."),
    (
        "metadata-pickle",
        "B068",
        CRITICAL,
        model(buffers=[buffer(), buffer(WEIGHTS), buffer(HARM.pickle())], metadata=[(b"TFLITE_METADATA", 2)]),
        "A pickle as metadata.",
    ),
    (
        "buffer-elf",
        "B068",
        WARNING,
        holding(b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHI", 3, 62, 1) + bytes(40)),
        "A program among the weights.",
    ),
    ("buffer-script", "B068", WARNING, holding(b"#!/bin/sh\necho modelaudit-sample\n"), "A script among the weights."),
    ("buffer-outside", "B068", CRITICAL, holding(Numbers("B", [1, 2], 1 << 30)), "Weights past the end of the file."),
    ("buffer-far", "B068", CRITICAL, holding(Reference(1 << 31)), "Weights 2 GB behind the file."),
    ("buffer-index", "B068", CRITICAL, of_tensor(index=77), "Weights in a buffer that does not exist."),
    ("shape-wraps", "B068", CRITICAL, of_tensor(shape=[1 << 30] * 3, index=0), "A shape of 2^90 elements."),
    ("shape-negative", "B068", CRITICAL, of_tensor(shape=[-7], index=0), "A negative dimension."),
    ("loop", "B068", CRITICAL, loop(0), "A graph that runs itself."),
    ("appended", "B039", CRITICAL, model() + HARM.pickle(), "A pickle behind the model."),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    why = f"{UNPROVEN}the interpreter is a native program, which the tests do not have."
    for name, bypass, expect, data, text in ROWS:
        yield Sample(
            f"{bypass}-tflite-{name}", bypass, "model.tflite", lambda _, data=data: data, f"{text}{why}", expect, ""
        )


def ordinary() -> Iterator[Sample]:
    """Files that must be silent."""
    for name, data in ORDINARY.items():
        yield Sample(
            f"tflite-{name.replace(' ', '-')}", "", "model.tflite", lambda _, data=data: data, name, "none", ""
        )
