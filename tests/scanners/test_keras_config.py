"""Keras configurations: callables outside Keras, its own tools, lambdas, paths; ordinary models silent."""

import base64
import json
import marshal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit import catalogue
from modelaudit.blob import BytesBlob
from modelaudit.engine import inspect
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits
from modelaudit.model import Child, Hit, Severity
from modelaudit.scanners.keras_config import fits, scan
from tests.samples.kerasconfigs import (
    HARMLESS,
    SHELL,
    Tree,
    dense,
    dumped,
    function,
    lambda_new,
    lambda_old,
    layer,
    model,
    old_style,
)

LIMITS = Limits()


def items(tree: Tree | bytes) -> list[object]:
    return list(scan(BytesBlob(tree if isinstance(tree, bytes) else dumped(tree)), LIMITS))


def hits(tree: Tree | bytes) -> list[Hit]:
    return [item for item in items(tree) if isinstance(item, Hit)]


def rules(tree: Tree | bytes) -> set[str]:
    return {hit.rule for hit in hits(tree)}


def twice(tree: Tree) -> bytes:
    """The tree with the first module written a second time."""
    return dumped(tree).replace(b'"module": "keras"', b'"module": "keras", "module": "os"', 1)


KERAS_TENSOR = {"class_name": "__keras_tensor__", "config": {"shape": [None, 3], "keras_history": ["x", 0, 0]}}
FIRING: dict[str, tuple[list[Tree | bytes], Tree | bytes]] = {
    "keras-config-callable": (
        [
            model(layer("system", "os")),
            model(layer("Popen", "subprocess", args=["echo"])),
            model(dense(kernel_initializer=function("exec"))),
            model(dense(kernel_initializer=layer("exec", "builtins"))),
            model(dense(kernel_initializer="builtins.exec")),
            model(dense(activation=function("system", "posix"))),
            model(layer("TimeDistributed", layer=layer("Bidirectional", layer=layer("run", "subprocess")))),
            model(layer("Dense", registered="os.system")),
            model(layer("Dense", registered="pkg>os.system")),
            model(layer("Dense", registered="subprocess>Popen")),
            model(layer("os.system", None)),
            model(layer("eval", None)),
            model(compile_config={"optimizer": "adam", "loss": function("getoutput", "subprocess"), "metrics": None}),
            model(compile_config={"metrics": [[function("load", "marshal")]]}),
            {"optimizer_config": {"class_name": "Adam", "config": {"learning_rate": layer("run_path", "runpy")}}},
            model(layer("Lambda", function="system", function_type="function", module="os")),
            model({"class_name": "__typespec__", "spec_name": "Popen", "module": "subprocess", "config": []}),
            twice(model()),
        ],
        model(
            dense(kernel_initializer=function("my_initializer"), activation=function("relu", "keras.activations")),
            layer("My", None, registered="mypkg>My"),
            layer("Dense", registered="code>InteractiveInterpreter"),
            layer("Net", "__main__", registered="Net"),
            compile_config={"loss": function("my_loss"), "metrics": ["accuracy", function("f1")], "optimizer": "adam"},
            inputs=[KERAS_TENSOR],
        ),
    ),
    "keras-config-gadget": (
        [
            model(dense(activation=function("get_file", "keras.utils"))),
            model(layer("get_file", "keras.utils", origin="http://127.0.0.1/x", fname="x", extract=True)),
            model(dense(activation=function("get_file", "keras.src.utils.file_utils"))),
            model(dense(activation=function("load_model", "keras.models"))),
            model(dense(activation=function("extract_archive", "keras.src.utils.file_utils"))),
            model(dense(activation=function("load_data", "keras.datasets.mnist"))),
        ],
        model(dense(activation=function("gelu", "keras.src.activations.activations")), layer("Exp", "keras.src.ops")),
    ),
    "keras-config-unsafe-switch": (
        [
            model(dense(activation=function("enable_unsafe_deserialization", "keras.config"))),
            model(layer("enable_unsafe_deserialization", "keras.src.saving.serialization_lib")),
        ],
        model(layer("Dense", name="enable_unsafe_deserialization")),
    ),
    "keras-config-lambda": (
        [
            model(lambda_new(HARMLESS)),
            old_style(lambda_old(HARMLESS)),
            model(layer("VectorizedMap", function={"class_name": "__lambda__", "config": {"value": "4wEA"}})),
        ],
        model(layer("Dense", name="Lambda")),
    ),
    "keras-config-code-text": (
        [
            model(layer("Lambda", function="__import__('os').system('echo')")),
            model(layer("Dense", name="x", note="import os; os.system('echo modelaudit')")),
        ],
        model(layer("Lambda", function="my_function", function_type="function"), layer("Dense", name="evaluate (x)")),
    ),
    "keras-config-torch-module": (
        [model(layer("TorchModuleWrapper", module=base64.b64encode(b"PK\3\4" + bytes(60)).decode()))],
        model(layer("Dense", name="TorchModuleWrapper")),
    ),
    "keras-config-saved-model": (
        [model(layer("TFSMLayer", filepath="/srv/other", call_endpoint="serve"))],
        model(layer("Dense", filepath="x")),
    ),
    "keras-config-vocabulary": (
        [
            model(layer("StringLookup", vocabulary="/etc/passwd")),
            model(layer("IntegerLookup", vocabulary="http://169.254.169.254/latest")),
            model(layer("TextVectorization", vocabulary="../../secret.txt")),
        ],
        model(layer("StringLookup", vocabulary=["a", "b"]), layer("StringLookup", vocabulary=None)),
    ),
    "keras-config-duplicate-key": ([twice(model())], dumped(model()).replace(b'"seed"', b'"a": 1, "a": 2, "seed"')),
    "keras-config-custom-class": (
        [model(layer("Attention", "my_package.layers")), model(dense(activation=function("f", "my_package.losses")))],
        model(layer("Attention"), layer("BertBackbone", "keras_hub.src.models.bert.bert_backbone")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", FIRING)
def test_each_rule_fires_on_its_samples_and_not_on_the_near_miss(rule: str) -> None:
    """Every sample brings the rule; the near miss does not, and nothing worse than an info."""
    samples, near = FIRING[rule]
    for sample in samples:
        assert rule in rules(sample), sample
    known = catalogue.load().rules
    assert rule not in rules(near)
    assert {hit.severity or known[hit.rule].severity for hit in hits(near)} <= {Severity.INFO}


def test_all_rules_have_a_sample() -> None:
    """No rule of the catalogue is without one."""
    assert {rule for rule in catalogue.load().rules if rule.startswith("keras-config-")} == set(FIRING)


def test_words_are_no_configuration() -> None:
    """A text in which `class_name` and `config` occur is not one of Keras; a key makes it one."""
    text = b'{"a": "no {sub_class_name} in the config: `hasattr({self.__class__.__name__}, {name})`"}'
    assert "keras_config" not in inspect(BytesBlob(text)).formats
    assert "keras_config" in inspect(BytesBlob(b'{"class_name" : "Dense", "config": {}}')).formats


@pytest.mark.parametrize("make", [lambda_new, lambda_old])
def test_the_code_of_a_lambda_decides(make: object) -> None:
    """The layer is an info; what its code calls is critical where it reaches beyond tensors."""
    for source, worst in ((HARMLESS, Severity.INFO), (SHELL, Severity.CRITICAL)):
        tree = model(make(source))  # type: ignore[operator]
        found = inspect(BytesBlob(dumped(tree)))
        assert found.status == "scanned"
        assert {finding.severity for finding in found.findings} | {Severity.INFO} == {worst, Severity.INFO}


@pytest.mark.parametrize(
    "place",
    [
        lambda held: model(layer("TimeDistributed", layer=layer("Wrapper", inner=[{"deep": held}]))),
        lambda held: model(compile_config={"loss": held, "optimizer": "adam"}),
        lambda held: model(compile_config={"optimizer": layer("Adam", "keras.optimizers", learning_rate=held)}),
        lambda held: model(layer("JaxLayer", call_fn=held)),
        lambda held: model(layer("VectorizedMap", function=held)),
    ],
)
def test_code_is_found_wherever_it_stands(place: object) -> None:
    """Nested layers, losses, schedules and operators carry lambdas as well as a Lambda does."""
    held = lambda_new(SHELL)["config"]["function"]  # type: ignore[index]
    found = inspect(BytesBlob(dumped(place(held))))  # type: ignore[operator]
    assert "python-bytecode-call" in {finding.rule for finding in found.findings}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_are_read(encoding: str) -> None:
    """Python's json takes them, so they must not hide anything."""
    data = json.dumps(model(layer("system", "os"))).encode(encoding)
    assert rules(data) == {"keras-config-callable"}
    assert fits(BytesBlob(data), LIMITS)


def test_escapes_hide_nothing() -> None:
    """A class name written with escapes is the same name, and the file is known all the same."""
    data = (
        dumped(model(lambda_new(SHELL))).replace(b"Lambda", b"\\u004cambda").replace(b"class_name", b"\\u0063lass_name")
    )
    assert fits(BytesBlob(data), LIMITS)
    assert any(isinstance(item, Child) and item.format == "python_bytecode" for item in items(data))


def test_junk_in_base64_hides_no_code() -> None:
    """Python's decoder passes over what is not of the alphabet, and so does this one."""
    tree = lambda_new(SHELL)
    held = tree["config"]["function"]["config"]  # type: ignore[index]
    held["code"] = "!!" + held["code"].replace("A", "A*", 5)
    (child,) = [item for item in items(model(tree)) if isinstance(item, Child)]
    assert child.format == "python_bytecode"
    marshal_head = marshal.dumps(compile(SHELL, "<x>", "eval").co_consts[0])[:20]
    assert (child.data or b"")[:20] == marshal_head


def test_the_raw_text_of_old_keras_is_code_too() -> None:
    """Before base64, the marshalled bytes stood in the text themselves, with escapes."""
    raw = marshal.dumps(compile(SHELL, "<x>", "eval").co_consts[0]).decode("raw_unicode_escape")
    tree = old_style({"class_name": "Lambda", "config": {"function": [raw, None, None], "function_type": "lambda"}})
    assert [item.format for item in items(tree) if isinstance(item, Child)] == ["python_bytecode"]


def test_a_pickle_in_a_text_is_a_child() -> None:
    """Base64 of a pickle or an archive goes out to be looked at as what it is."""
    data = b"\x80\x04\x95" + bytes(40)
    tree = model(layer("Dense", extra=base64.b64encode(data).decode()))
    assert [(item.data, item.format) for item in items(tree) if isinstance(item, Child)] == [(data, None)]


@pytest.mark.parametrize(
    "data",
    [b"[1]", b'{"a": 1}', b'{"class_name": 1}', b"", b"{", b'{"architectures": ["X"], "config": {}}', b"\x80\x04."],
)
def test_other_json_is_left_alone(data: bytes) -> None:
    """Without a class and its configuration it is none of Keras's."""
    assert not fits(BytesBlob(data), LIMITS)


def test_a_relative_vocabulary_is_an_info() -> None:
    """A file beside the model is how older models were shipped."""
    (hit,) = hits(model(layer("StringLookup", vocabulary="vocab.txt")))
    assert (hit.rule, hit.severity) == ("keras-config-vocabulary", Severity.INFO)


def test_a_tree_nested_without_end() -> None:
    """The reader's own stack is not the bound; the record says that something was left out."""
    found = inspect(BytesBlob(b'{"class_name": "A", "config": ' * 100_000))
    assert found.status == "partial"


def test_too_much_text() -> None:
    """A configuration beyond all measure is not read whole."""
    with pytest.raises(LimitExceeded):
        list(scan(BytesBlob(b"{" + b" " * 40_000_000), LIMITS))


def test_truncation_at_every_offset() -> None:
    """Cut text is a ParseError and nothing else."""
    data = dumped(model(lambda_new(SHELL)))
    for end in range(len(data)):
        with pytest.raises(ParseError):
            list(scan(BytesBlob(data[:end]), LIMITS))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["class_name", "config", "module", "registered_name", "function", "vocabulary", "x"]), inner
    ),
    max_leaves=20,
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_trees_of_any_shape(tree: object) -> None:
    """Whatever stands where a name should, nothing but findings comes out."""
    list(scan(BytesBlob(json.dumps({"a": tree}).encode()), LIMITS))
