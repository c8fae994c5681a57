"""ONNX models, honest and not (B069, B070), built from bytes."""

import base64
from collections.abc import Iterator

from tests.samples.protowriter import group, number, pair, text, varint
from tests.samples.sample import HARM, UNPROVEN, Sample

FLOAT = 1
TEMPLATE = "{{ cycler.__init__.__globals__.os.popen('echo modelaudit-sample').read() }}"


def node(name: str, *parts: bytes, domain: str = "", first: str = "x", last: str = "y") -> bytes:
    """A node; `parts` are its attributes and whatever else it has."""
    where = text(7, domain) if domain else b""
    return text(1, first) + text(2, last) + text(4, name) + b"".join(parts) + where


def attribute(name: str, field: int, payload: str | bytes, kind: int = 3) -> bytes:
    """A node's attribute: 4 a text, 5 a tensor, 6 a graph, 22 a sparse tensor."""
    return text(5, text(1, name) + text(field, payload) + number(20, kind))


def tensor(
    *dims: int, raw: bytes | None = None, name: str = "w", kind: int = FLOAT, external: tuple[tuple[str, str], ...] = ()
) -> bytes:
    """A tensor with its bytes, or with the place of them."""
    written = b"".join(number(1, size) for size in dims) + number(2, kind) + text(8, name)
    if external:
        return written + b"".join(pair(13, key, value) for key, value in external) + number(14, 1)
    return written + (b"" if raw is None else text(9, raw))


def stored(location: str, *rest: tuple[str, str]) -> bytes:
    """A tensor of two floats that lies in another file."""
    return tensor(2, external=(("location", location), *rest))


def graph(*parts: bytes, nodes: tuple[bytes, ...] = ()) -> bytes:
    """A graph: nodes first, as all writers do, then its name and `parts`."""
    return b"".join(text(1, one) for one in nodes) + text(2, "g") + b"".join(parts)


def weights(*tensors: bytes) -> bytes:
    """The initializers of a graph."""
    return b"".join(text(5, one) for one in tensors)


PORTS = text(11, text(1, "x")) + text(12, text(1, "y"))
NODES = (node("MatMul"), node("Relu"), node("Gelu", domain="com.microsoft"), node("Scaler", domain="ai.onnx.ml"))
HEADER = number(1, 8) + text(2, "pytorch") + text(3, "2.1.0")
OPSET = text(8, text(1, "") + number(2, 17))


def model(*parts: bytes, inside: bytes | None = None) -> bytes:
    """A model around the graph `inside`; `parts` follow it."""
    plain = graph(weights(tensor(2, raw=bytes(8))), PORTS, nodes=NODES)
    return HEADER + text(7, plain if inside is None else inside) + OPSET + b"".join(parts)


def running(*nodes: bytes) -> bytes:
    """A model of these nodes."""
    return model(inside=graph(nodes=nodes))


def with_weights(*tensors: bytes) -> bytes:
    """A model with these initializers."""
    return model(inside=graph(weights(*tensors), PORTS, nodes=NODES))


def function(name: str, *nodes: bytes, domain: str = "local") -> bytes:
    """A function of the model."""
    return text(25, text(1, name) + b"".join(text(7, one) for one in nodes) + text(10, domain))


def nested(depth: int, inner: bytes) -> bytes:
    """A node in a graph in a node, and so on."""
    for _ in range(depth):
        inner = node("If", attribute("then_branch", 6, graph(nodes=(inner,)), 5))
    return inner


def doubling(count: int) -> bytes:
    """Functions of which each calls the one before twice."""
    first = function("f0", node("Relu"))
    rest = (function(f"f{n}", *(node(f"f{n - 1}", domain="local") for _ in range(2))) for n in range(1, count))
    return model(first, *rest, inside=graph(nodes=(node(f"f{count - 1}", domain="local"),)))


PYTHON = node("PyOp", attribute("module", 4, "os"), attribute("class_name", 4, "system"))
ESCAPING = stored("../../../../etc/passwd")
BESIDE = stored("model.data", ("offset", "0"), ("length", "8"))
BYTES = tensor(len(HARM.pickle()), raw=HARM.pickle(), kind=2)
PICKLE = base64.b64encode(HARM.pickle()).decode()

# id, class, least severity, bytes, why
ROWS: tuple[tuple[str, str, str, bytes, str], ...] = (
    ("traversal", "B069", "critical", with_weights(ESCAPING), "An initializer outside the folder."),
    ("absolute", "B069", "critical", with_weights(stored("/etc/passwd")), "An absolute path."),
    ("windows", "B069", "critical", with_weights(stored("..\\..\\secret")), "Backslashes."),
    ("drive", "B069", "critical", with_weights(stored("C:secret")), "A drive."),
    ("inner-dots", "B069", "critical", with_weights(stored("a/../../b")), "Dots behind a folder."),
    ("url", "B069", "critical", with_weights(stored("file:///etc/passwd")), "An address."),
    ("constant", "B069", "critical", running(node("Constant", attribute("value", 5, ESCAPING, 4))), "A constant."),
    (
        "constant-in-subgraph",
        "B069",
        "critical",
        running(nested(3, node("Constant", attribute("value", 5, ESCAPING, 4)))),
        "A constant three graphs deep.",
    ),
    (
        "function",
        "B069",
        "critical",
        model(function("f", node("Constant", attribute("value", 5, ESCAPING, 4)))),
        "A constant of a function.",
    ),
    ("sparse", "B069", "critical", model(inside=graph(text(15, text(1, ESCAPING)), nodes=NODES)), "Sparse values."),
    (
        "sparse-indices",
        "B069",
        "critical",
        running(node("Constant", attribute("sparse_value", 22, text(2, ESCAPING), 11))),
        "Indices of a sparse constant.",
    ),
    ("training", "B069", "critical", model(text(20, text(2, graph(weights(ESCAPING))))), "A training graph."),
    (
        "second-graph",
        "B069",
        "critical",
        model(text(7, graph(weights(ESCAPING)))),
        "A second graph, which readers merge with the first.",
    ),
    (
        "location-twice",
        "B069",
        "critical",
        with_weights(stored("model.data", ("location", "../x"))),
        "A location written twice, of which the last counts.",
    ),
    (
        "without-flag",
        "B069",
        "critical",
        with_weights(number(1, 2) + number(2, 1) + pair(13, "location", "/etc/passwd")),
        "Without the flag that says that the data is elsewhere.",
    ),
    (
        "memory",
        "B069",
        "critical",
        with_weights(stored("*/_ORT_MEM_ADDR_/*", ("offset", "94000000000000"), ("length", "8"))),
        "The runtime's own memory.",
    ),
    ("key", "B069", "warning", with_weights(stored("model.data", ("__class__", "x"))), "A key that is an attribute."),
    (
        "offset",
        "B069",
        "critical",
        with_weights(stored("model.data", ("offset", "-4096"), ("length", "8"))),
        "A negative offset.",
    ),
    (
        "string-tensor",
        "B032",
        "critical",
        with_weights(number(1, 1) + number(2, 8) + text(8, "w") + text(6, HARM.pickle())),
        "A pickle among the texts of a tensor.",
    ),
    (
        "compiled-context",
        "B069",
        "critical",
        running(node("EPContext", attribute("ep_cache_context", 4, "../../../tmp/x.bin"), domain="com.microsoft")),
        "Compiled code that lies outside the folder.",
    ),
    (
        "library",
        "B070",
        "warning",
        running(node("CustomOpLib", attribute("library", 4, "/tmp/x.so"), domain="ai.onnx.contrib")),
        "An operator that names a native library.",
    ),
    ("python", "B070", "critical", running(PYTHON), "The Python operator."),
    (
        "python-domain",
        "B070",
        "critical",
        running(node("PythonOp", domain="com.microsoft")),
        "Python of the training runtime.",
    ),
    ("python-in-function", "B070", "critical", model(function("f", PYTHON)), "Hidden in a function."),
    ("python-in-subgraph", "B070", "critical", running(nested(5, PYTHON)), "Hidden in a branch of a branch."),
    (
        "python-last-name",
        "B070",
        "critical",
        running(node("Relu", text(4, "PyOp"))),
        "An operator's name written twice, of which the last counts.",
    ),
    (
        "python-before-the-rest",
        "B070",
        "critical",
        text(7, graph(nodes=(PYTHON,))) + OPSET + HEADER,
        "The graph first, the header last.",
    ),
    (
        "python-needless-bytes",
        "B070",
        "critical",
        HEADER + varint(7 << 3 | 2, 4) + varint(len(graph(nodes=(PYTHON,))), 6) + graph(nodes=(PYTHON,)) + OPSET,
        "Numbers in more bytes than they need.",
    ),
    (
        "python-behind-a-group",
        "B070",
        "critical",
        HEADER + group(9, group(9, text(1, "x"))) + text(7, graph(nodes=(PYTHON,))) + OPSET,
        "Behind a group, which readers pass over.",
    ),
    (
        "python-behind-unknown-fields",
        "B070",
        "critical",
        number(999, 1) + text(1000, bytes(300)) + HEADER + text(7, graph(nodes=(PYTHON,))),
        "Behind fields that the format does not have.",
    ),
    (
        "custom",
        "B070",
        "warning",
        running(node("Anything", domain="com.example.ops")),
        "An operator that nobody knows.",
    ),
    ("custom-standard-domain", "B070", "warning", running(node("Anything")), "The same in the standard domain."),
    ("shadow", "B070", "warning", model(function("Relu", node("Sigmoid"), domain="")), "A function named Relu."),
    (
        "shadow-long-domain",
        "B070",
        "warning",
        model(function("Relu", node("Sigmoid"), domain="ai.onnx")),
        "The same, with the domain's other name.",
    ),
    ("recursion", "B085", "critical", model(function("f", node("f", domain="local"))), "A function that calls itself."),
    ("doubling", "B085", "critical", doubling(60), "Sixty functions that double: 2^59 nodes."),
    ("metadata-code", "B070", "critical", model(pair(14, "names", HARM.source)), "A value that is evaluated."),
    ("metadata-template", "B075", "critical", model(pair(14, "chat_template", TEMPLATE)), "A hostile template."),
    ("metadata-pickle", "B070", "critical", model(pair(14, "state", PICKLE)), "A pickle in base64."),
    ("tensor-pickle", "B070", "critical", with_weights(BYTES), "A pickle for weights."),
    ("unknown-pickle", "B070", "critical", model(text(99, HARM.pickle())), "A pickle in an unknown field."),
)  # fmt: skip

ORDINARY: dict[str, bytes] = {
    "plain": model(),
    "weights beside": with_weights(BESIDE),
    "subgraphs": running(nested(4, node("Relu"))),
    "own functions": model(
        function("f", node("Relu")),
        function("g", node("f", domain="local")),
        inside=graph(nodes=(node("g", domain="local"),)),
    ),
    "labels": model(pair(14, "names", "{0: 'person', 1: 'bicycle'}"), pair(14, "stride", "32")),
    "a group passed over": HEADER + group(9, text(1, "x")) + text(7, graph(nodes=NODES)) + OPSET,
    "strings and halves": with_weights(
        number(1, 2) + number(2, 8) + text(6, "a") + text(6, "b") + text(8, "s"),
        tensor(3, raw=bytes(6), kind=10),
        tensor(3, raw=bytes(2), kind=22),
        number(1, 2) + number(2, 1) + text(4, bytes(8)) + text(8, "packed"),
        tensor(raw=bytes(4)),
        tensor(0, 5, raw=b""),
        tensor(7),
    ),
}  # fmt: skip


def hostile() -> Iterator[Sample]:
    """All of this family."""
    for name, bypass, expect, data, why in ROWS:
        reason = f"{why}{UNPROVEN}the canary would have to be a file or a native library."
        yield Sample(f"{bypass}-onnx-{name}", bypass, "model.onnx", lambda _, data=data: data, reason, expect, "")


def ordinary() -> Iterator[Sample]:
    """Honest models."""
    for name, data in ORDINARY.items():
        key = f"onnx-{name.replace(' ', '-')}"
        yield Sample(key, "", "model.onnx", lambda _, data=data: data, "An ordinary model.", "none", "")
