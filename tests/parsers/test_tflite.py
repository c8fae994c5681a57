"""The TensorFlow Lite parser: what a model says."""

from modelaudit.blob import BytesBlob
from modelaudit.parsers.tflite import CUSTOM, parse
from tests.samples.tflitefiles import buffer, code, graph, loop, model, node, tensor


def test_what_a_model_says_is_read() -> None:
    """Operators, graphs, tensors, buffers and metadata, with where they lie."""
    data = model(
        [code(CUSTOM, b"Mine"), code(130)],
        [graph([tensor("a", [2, 3], 1, 9)], [node(0, [0], [0], options=b"abc"), node(1, [0], [-1])])],
        [buffer(), buffer(b"\1\2\3\4\5\6")],
        [(b"note", 1)],
    )
    found = parse(BytesBlob(data))
    assert found.stop is None
    assert found.version == 3
    assert [(one.builtin, one.custom) for one in found.codes] == [(CUSTOM, b"Mine"), (130, b"")]
    [only] = found.subgraphs
    assert [(one.name, one.shape, one.type, one.buffer) for one in only.tensors] == [(b"a", (2, 3), 9, 1)]
    first, second = only.operators
    assert data[first.options[0] : sum(first.options)] == b"abc"
    assert (second.code, second.inputs, second.outputs) == (1, (0,), (-1,))
    empty, weights = found.buffers
    assert (empty.length, weights.length) == (0, 6)
    assert data[weights.start : weights.start + 6] == b"\1\2\3\4\5\6"
    assert found.metadata == [(b"note", 1)]


def test_control_flow_is_read() -> None:
    """The graphs that a node runs."""
    found = parse(BytesBlob(loop(1, 0)))
    assert [node.calls for one in found.subgraphs for node in one.operators] == [(1,), (0,)]
