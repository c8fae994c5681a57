"""skops: each rule with a schema that fires it and one next to it that does not."""

import io
import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.engine import default_engine, inspect
from modelaudit.model import Inspection, Severity
from tests.samples.sample import HARM
from tests.scanners.streams import look

Node = dict[str, object]


def node(path: str, loader: str = "ObjectNode", content: object = None, **more: object) -> Node:
    module, _, name = path.rpartition(".")
    return {"__class__": name, "__module__": module, "__loader__": loader, "content": content, **more}


def schema(*nodes: Node) -> bytes:
    return json.dumps({**node("builtins.list", "ListNode", list(nodes)), "protocol": 1}, indent=2).encode()


def file(text: bytes, method: int = zipfile.ZIP_STORED, **members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr("schema.json", text)
    return out.getvalue()


def rules(found: Inspection) -> dict[str, Severity]:
    return {f.rule.removeprefix("skops-"): f.severity for f in found.findings if f.rule.startswith("skops")}


MODEL = node("sklearn.linear_model._logistic.LogisticRegression", content=node("builtins.dict", "DictNode", {}))
ORDINARY = schema(
    MODEL,
    node("numpy.sqrt", "FunctionNode"),
    node("numpy.ndarray", "NdArrayNode", type="numpy", file="1.npy"),
    node("builtins.str", "JsonNode", '"os.system"'),
    node("builtins.int", "TypeNode"),
    node("operator.methodcaller", "OperatorFuncNode"),
    node("operator.attrgetter", "OperatorFuncNode", attrs=["coef_", "named_steps.scaler"]),
    node("numpy.ndarray", "KindOfALaterVersion"),
    node(MODEL["__module__"] + "." + MODEL["__class__"], "MethodNode", {"func": "predict", "obj": MODEL}),
)

FIRING: dict[str, tuple[str, bytes]] = {
    "os.system as a function": ("dangerous", schema(node("os.system", "FunctionNode"))),
    "eval as a type": ("dangerous", schema(node("builtins.eval", "TypeNode"))),
    "nested": ("dangerous", schema(node("builtins.list", "ListNode", [node("subprocess.Popen", "ObjectNode")]))),
    "no operator": ("operator", schema(node("builtins.eval", "OperatorFuncNode"))),
    "eval in a node of another kind": ("dangerous", schema(node("builtins.eval", "ReduceNode"))),
    "what an operator takes": (
        "attribute", schema(node("operator.attrgetter", "OperatorFuncNode", attrs=["__globals__"])),
    ),
    "what an operator takes, as a node": (
        "attribute",
        schema(node("operator.methodcaller", "OperatorFuncNode", node("builtins.str", "JsonNode", '"a.__globals__"'))),
    ),
    "another function of operator": ("operator", schema(node("operator.call", "OperatorFuncNode"))),
    "method of another": (
        "method", schema(node("sklearn.pipeline.Pipeline", "MethodNode", {"func": "predict", "obj": MODEL})),
    ),
    "dunder of a method": (
        "method",
        schema(node("sklearn.svm.SVC", "MethodNode", {"func": "__init__.__globals__", "obj": node("sklearn.svm.SVC")})),
    ),
    "method of nothing": ("method", schema(node("sklearn.svm.SVC", "MethodNode", None))),
    "somebody's own class": ("unknown", schema(node("mine.Model"))),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRING)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flaw_is_found(name: str, method: int) -> None:
    """The rule fires, in a file that is packed or not."""
    rule, text = FIRING[name]
    assert rule in rules(look(file(text, method)))
    assert rule in rules(look(text))


def test_an_ordinary_file_is_silent() -> None:
    """Not one finding, and the schema was looked at."""
    found = look(file(ORDINARY))
    assert (found.status, found.findings) == ("scanned", ())
    assert "skops" in found.scanners


def test_every_rule_is_fired() -> None:
    """No rule without a sample."""
    known = {rule.removeprefix("skops-") for rule in default_engine().catalogue.rules if rule.startswith("skops-")}
    assert known == {rule for rule, _ in FIRING.values()}


def test_keys_in_another_order_hide_nothing() -> None:
    """The member's name is enough where the loader is named late."""
    text = json.dumps({"a": "x" * 5000, **node("os.system", "FunctionNode")}).encode()
    assert rules(look(file(text)))["dangerous"] is Severity.CRITICAL


def test_a_pickle_beside_the_schema_is_found() -> None:
    """Old programs fall back to joblib (CVE-2025-54886)."""
    found = look(file(ORDINARY, model_pkl=HARM.pickle()))
    assert Severity.CRITICAL in {finding.severity for finding in found.findings}


def test_other_configuration_is_no_schema() -> None:
    """JSON without loaders is none."""
    assert "skops" not in look(file(b'{"type": "object", "properties": {}}')).scanners


@given(cut=st.integers(0, len(ORDINARY) - 1))
def test_a_schema_cut_anywhere_is_an_answer(cut: int) -> None:
    """Truncation is never called whole."""
    found = inspect(BytesBlob(ORDINARY[:cut]))
    assert found.status in ("partial", "skipped", "scanned")
    assert "skops" not in found.scanners or found.status == "partial"
