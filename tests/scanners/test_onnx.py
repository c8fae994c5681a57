"""ONNX: each rule with a model that fires it and one next to it that does not."""

import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.blob import Blob, BytesBlob, Place, RootBlob
from modelaudit.catalogue.operators import onnx as known_operators
from modelaudit.engine import default_engine
from modelaudit.errors import Missing
from modelaudit.limits import Limits
from modelaudit.model import Inspection, Severity
from modelaudit.parsers import onnx
from tests.remote import Remote
from tests.samples import onnxfiles as make
from tests.samples.onnxfiles import (
    NODES,
    ORDINARY,
    PYTHON,
    ROWS,
    attribute,
    doubling,
    function,
    graph,
    model,
    node,
    running,
    stored,
    tensor,
    with_weights,
)
from tests.samples.protowriter import number, pair, text, varint
from tests.samples.sample import HARM
from tests.scanners.streams import look


def rules(found: Inspection) -> set[str]:
    return {finding.rule.removeprefix("onnx-") for finding in found.findings}


def beside(data: bytes, names: Mapping[str, int | None], **folders: Mapping[str, int | None]) -> Inspection:
    """The model, scanned among these names."""
    place = Place("model.onnx", {"": names, **folders})
    return default_engine().inspect(BytesBlob(data, place), Limits(), uri="place")


def context(cache: str | bytes) -> bytes:
    """A node with code that was compiled for an accelerator, or with the name of the file that has it."""
    return node("EPContext", attribute("ep_cache_context", 4, cache), domain="com.microsoft")


BESIDE = with_weights(stored("model.data", ("offset", "4"), ("length", "8")))
FIRING: dict[str, tuple[str, Inspection]] = {
    "python": ("operator", look(running(PYTHON))),
    "cloud": ("operator", look(running(node("OpenAIEmbeddings", domain="com.microsoft.extensions")))),
    "custom": ("custom-operator", look(running(node("Anything", domain="com.example")))),
    "plugin": ("published-operator", look(running(node("Yolo_TRT")))),
    "new operator of a runtime": ("published-operator", look(running(node("Anything", domain="com.microsoft")))),
    "outside": ("external-path", look(with_weights(stored("../x")))),
    "memory": ("memory-address", look(with_weights(stored("*/_ORT_MEM_ADDR_/*")))),
    "key": ("external-key", look(with_weights(stored("x", ("open", "y"))))),
    "not there": ("external-missing", beside(BESIDE, {"model.onnx": 1, "other.data": 100})),
    "not in the folder": ("external-missing", beside(with_weights(stored("a/b")), {}, a={"c": 1})),
    "a link": ("external-link", beside(BESIDE, {"model.data": 12, "model.data//": None, "model.onnx": 1})),
    "beyond the end": ("external-bounds", beside(BESIDE, {"model.data": 11})),
    "negative": ("external-bounds", look(with_weights(stored("x", ("offset", "-1"))))),
    "fewer bytes": ("size-mismatch", look(with_weights(tensor(3, raw=bytes(8))))),
    "more bytes": ("size-mismatch", look(with_weights(tensor(1, raw=bytes(8))))),
    "more bytes elsewhere": ("size-mismatch", look(with_weights(stored("x", ("length", "9"))))),
    "fewer packed floats": ("size-mismatch", look(with_weights(number(1, 3) + number(2, 1) + text(4, bytes(8))))),
    "wraps": ("shape", look(with_weights(tensor(1 << 33, 1 << 33)))),
    "negative dimension": ("shape", look(with_weights(tensor(-2)))),
    "cut short": ("truncated", look(model()[:-30])),
    "shadow": ("shadowed-operator", look(model(function("Relu", node("Abs"), domain="")))),
    "recursion": ("recursion", look(model(function("f", node("f", domain="local"))))),
    "recursion by another": (
        "recursion", look(model(function("f", node("g", domain="local")), function("g", node("f", domain="local")))),
    ),
    "doubling": ("expansion", look(doubling(40))),
    "code": ("metadata-code", look(model(pair(14, "names", HARM.source)))),
    "code in a function": ("metadata-code", look(model(text(25, text(1, "f") + pair(14, "k", HARM.source))))),
    "code in an attribute": (
        "attribute-code", look(running(node("Anything", attribute("run", 4, HARM.source), domain="x.y"))),
    ),
    "a library": (
        "attribute-library", look(running(node("CustomOpLib", attribute("library", 4, "/tmp/x.so.1"), domain="x.y"))),
    ),
    "compiled code elsewhere": ("attribute-path", look(running(context("../../x.bin")))),
    "a field that ends nowhere": ("malformed", look(model() + varint(7 << 3 | 6))),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRING)
def test_a_flaw_is_found(name: str) -> None:
    """The rule fires, whatever else does."""
    rule, found = FIRING[name]
    assert rule in rules(found)


def test_every_rule_is_fired() -> None:
    """No rule without a sample."""
    known = {rule.removeprefix("onnx-") for rule in default_engine().catalogue.rules if rule.startswith("onnx-")}
    assert known == {rule for rule, _ in FIRING.values()}


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_model_is_silent(name: str) -> None:
    """Not one finding, of any severity."""
    found = look(ORDINARY[name])
    assert (found.status, found.findings) == ("scanned", ())
    assert found.formats == ("onnx",)


NEAR: dict[str, Inspection] = {
    "all there": beside(BESIDE, {"model.data": 12}),
    "a cache of links": beside(BESIDE, {"model.data": 12, "model.data//": None, "model.onnx": 1, "model.onnx//": None}),
    "in a folder": beside(with_weights(stored("./a/b")), {"a/": None}, a={"b": 8}),
    "nothing known of the folder": look(BESIDE),
    "dots in a name": look(with_weights(stored("model..data"))),
    "runtime's own keys": look(with_weights(stored("x", ("prepacked_0", "k|0|8")))),
    "functions that add up": look(doubling(10)),
    "compiled code beside the model": look(running(context("model_qnn.bin"))),
    "compiled code in the model": look(running(context(b"/\x00\x01../" + bytes(range(200))))),
    "texts of a vocabulary": look(with_weights(number(1, 2) + number(2, 8) + text(6, "a longer word than most"))),
    "words of code": look(model(pair(14, "labels", "import export system eval exec class"))),
    "a function with a domain of its own": look(model(function("Relu", node("Abs"), domain="own"))),
}


@pytest.mark.parametrize("name", NEAR)
def test_a_near_miss_is_silent(name: str) -> None:
    """What looks like a flaw and is none."""
    found = NEAR[name]
    assert (found.status, found.findings) == ("scanned", ())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_an_attack_is_found(row: tuple[str, str, str, bytes, str]) -> None:
    """Each with at least the severity that it deserves."""
    _, _, expect, data, why = row
    worst = max((finding.severity.rank for finding in look(data).findings), default=-1)
    assert worst >= Severity(expect).rank, why


def test_names_beside_are_asked_for() -> None:
    """A folder that is not known yet is asked for; nothing is said about what cannot be known."""
    place = Place("model.onnx", {})
    with pytest.raises(Missing) as missing:
        default_engine().inspect(BytesBlob(BESIDE, place), Limits())
    assert missing.value.folders == ("",)


def test_a_trace_of_the_exporter_is_no_alarm() -> None:
    """Exporters note down the lines of source that a node comes from."""
    found = look(model(pair(14, "pkg.torch.onnx.stack_trace", "return self.__class__.forward(x)")))
    assert {finding.severity for finding in found.findings} <= {Severity.INFO}


def test_the_operator_is_named_with_its_place() -> None:
    """Who reads the finding knows which operator it is, what it does, and in which function it stands."""
    [finding] = look(model(function("deep", PYTHON))).findings
    assert "PyOp" in finding.message
    assert "in the function deep" in finding.message
    assert finding.severity is Severity.CRITICAL


def test_a_model_deeper_than_readers_go_is_said() -> None:
    """A hundred messages deep every reader refuses the model; it is not called clean."""
    found = look(running(make.nested(60, PYTHON)))
    assert found.status == "partial"
    assert "malformed" in rules(found)


def layers(sizes: Sequence[int]) -> bytes:
    """A model with weights of so many bytes each, with names that differ in length."""
    every = (tensor(size // 4, raw=bytes(size), name=f"layer.{n}.weight") for n, size in enumerate(sizes))
    return model(inside=graph(make.weights(*every), make.PORTS, nodes=NODES * 100))


STACKS: dict[str, tuple[Sequence[int], int, float]] = {
    "equal": ([400_000] * 500, 10, 0.02),
    "transformer": ([4096, 600_000, 600_000, 600_000, 4096, 600_000, 2_400_000] * 24, 20, 0.02),
    "biases first": ([3072] * 72 + [590_000, 590_000, 590_000, 590_000, 2_360_000, 2_360_000] * 12, 20, 0.02),
    "no two alike": ([random.Random(1).randrange(100_000, 600_000) for _ in range(200)], 60, 1.0),
}


@pytest.mark.parametrize("name", STACKS)
def test_weights_are_not_fetched(name: str) -> None:
    """Of a large model behind a slow network: its graph, a little of each tensor, in few rounds, always below 64."""
    sizes, rounds, share = STACKS[name]
    data = layers(sizes)
    found: list[Inspection] = []
    here = Remote(data, Limits())
    here.run(lambda blob: found.append(default_engine().inspect(blob, Limits())))
    assert found[-1].assets[0].tensors_total == len(sizes)
    assert here.rounds <= rounds
    assert here.bytes_fetched <= share * len(data)


def test_an_attack_behind_large_weights_is_found() -> None:
    """A node that stands behind all initializers, which no writer does and every reader accepts."""
    every = make.weights(*(tensor(1 << 18, raw=bytes(1 << 20)) for _ in range(20)))
    data = model(inside=graph(every, text(1, PYTHON), nodes=NODES))
    found: list[Inspection] = []
    here = Remote(data, Limits())
    here.run(lambda blob: found.append(default_engine().inspect(blob, Limits())))
    assert "operator" in rules(found[-1])
    assert here.bytes_fetched < len(data) / 10


def test_the_graph_may_stand_behind_what_the_head_does_not_hold() -> None:
    """A field that nobody knows may fill the head, under any name."""
    data = text(1000, bytes(100_000)) + running(PYTHON)
    for name in ("model.onnx", "weights"):
        place = Place(name)
        found = default_engine().inspect(RootBlob(data, len(data), [(0, len(data))], place), Limits())
        assert "operator" in rules(found)


@pytest.mark.parametrize("data", [
    b"", b"\x08", b"\x08\x07", number(1, 3) + number(1, 4) + number(2, 1) + text(9, bytes(48)),
    text(1, text(1, "<unk>") + b"\x15\0\0\0\0" + number(3, 2)) * 4, HARM.pickle(), b"\x08\x01\x12\x04abcd" + bytes(40),
], ids=["nothing", "half", "a number", "tensor", "sentencepiece", "pickle", "short"])  # fmt: skip
def test_other_messages_are_no_models(data: bytes) -> None:
    """Tensors and vocabularies are protocol buffers too."""
    assert not onnx.is_model(BytesBlob(data))


WHOLE = model(pair(14, "names", "{}"), function("f", node("Relu")), inside=graph(
    make.weights(tensor(2, raw=bytes(8)), stored("x")), text(15, text(1, tensor(1, raw=bytes(4)))), make.PORTS,
    nodes=(*NODES, make.nested(2, node("Constant", attribute("value", 5, tensor(1, raw=bytes(4)), 4)))),
))  # fmt: skip


def survive(data: bytes) -> None:
    """Whatever the bytes are, the walk ends with a model or with what is missing."""
    blob: Blob = BytesBlob(data)
    onnx.is_model(blob)
    found = onnx.parse(blob)
    assert found.nodes <= len(data)
    look(data)


def test_truncation_at_every_offset() -> None:
    """Cut anywhere, the scan ends, and a model that was cut within its graph is not called whole."""
    for length in range(len(WHOLE)):
        survive(WHOLE[:length])


def test_bytes_that_are_not_here_are_asked_for() -> None:
    """A walk over the first half of the bytes asks for more; it never takes the half for all."""
    half = len(WHOLE) // 2
    with pytest.raises(Missing):
        onnx.parse(RootBlob(WHOLE, len(WHOLE), [(0, half)]))


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=4))
def test_mutations_end(place: int, patch: bytes) -> None:
    """No bytes anywhere break the scan."""
    survive(WHOLE[:place] + patch + WHOLE[place + len(patch) :])


@given(st.binary(max_size=200))
def test_any_bytes_end(data: bytes) -> None:
    """Nor do bytes that are no model."""
    survive(data)
    survive(make.HEADER + text(7, data))


def test_the_lists_of_operators() -> None:
    """What every model uses is known, in the domain that it is in."""
    known = known_operators()
    assert {
        ("", "Conv"),
        ("", "MatMul"),
        ("", "Upsample"),
        ("ai.onnx.ml", "Scaler"),
        ("com.microsoft", "Attention"),
    } <= (known.standard)
    assert known.publishes("com.microsoft.nchwc")
    assert not known.publishes("com.microsoftware")
