"""TorchScript source: operators that reach files, Python or raw memory, and statements that PyTorch never writes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit import catalogue
from modelaudit.blob import BytesBlob
from modelaudit.limits import Limits
from modelaudit.model import Child, Hit, Severity
from modelaudit.parsers.torchscript import defined, is_source, uses
from modelaudit.scanners.torchscript import scan

LIMITS = Limits()


def method(*lines: str, name: str = "forward") -> str:
    """A module as PyTorch prints it, with `lines` as the body of one method."""
    body = "\n".join(f"    {line}" for line in lines)
    head = "class Net(Module):\n  __parameters__ = []\n  training : bool\n"
    return f"{head}  def {name}(self: __torch__.Net,\n    x: Tensor) -> Tensor:\n{body}\n    return x\n"


def hits(source: str) -> list[Hit]:
    return [item for item in scan(BytesBlob(source.encode()), LIMITS) if isinstance(item, Hit)]


def rules(source: str) -> set[str]:
    return {hit.rule for hit in hits(source)}


# As PyTorch 2.13 prints scripted and traced modules.
ORDINARY = [
    method('l = self.l', 'y = torch.unsqueeze((l).forward(x, ), 1)', 'if bool(torch.gt(torch.sum(y), 0)):', '  pass'),
    method('ops.prim.RaiseException("AssertionError: torch.save(x) is no operator here")', "print(torch.size(x))"),
    method("_2, _3 = ops.quantized.linear_unpack(self._packed_params)", "z = torch.wait(fork(f))"),
    method("a = ops.prim.data(x)", "b = ops.torchvision.nms(x, x, 0.5)", "c = ops.aten.Float(x)"),
    method("_0 = __torch__.torch.nn.functional.relu", "_1 = __torch__.storage.save(x, )", "d = annotate(int, 1)"),
    method("saved = self.saved", "e = (self.saver).forward(x, )", "open_ = torch.open_like", "e = self.eval_mode"),
    method('_0 = getattr(self, "0")', 'x = (getattr(getattr(self.a, "0").b, "1")).forward(x, )', 'getattr(m, "c-1")'),
    "op_version_set = 1\nimport __torch__.torch.nn.modules\n" + method("pass"),
    "",
    "\n\n",
]  # fmt: skip

# Each rule: sources that fire it, and one like them that fires nothing.
FIRING: dict[str, tuple[list[str], str]] = {
    "torchscript-file-operator": (
        [
            method('torch.save(x, "/tmp/x")'),
            method('ops.aten.save(x, "/tmp/x")'),
            method('y = torch.from_file("/etc/passwd", False, 4, dtype=0)'),
            method("y = ops.aten.from_file(p, True, 4)", name="__setstate__"),
            method('y = ops.image.read_file("/etc/passwd")'),
            method('(torch).save(x, "/tmp/x")'),
            method('ops  .  aten\\', '.save(x, "/tmp/x")'),
            method('y = (ops.aten # comment', ').save(x, "/tmp/x")'),
            method('"""a"b"""; torch.save(x, "/tmp/x")'),
            method("'''a'b'''", 'torch.save(x, "/tmp/x")'),
        ],
        method('y = "torch.save(x)"  # torch.save(x)', "torch.save_all(x)", "ops.aten.saved(x)", "self.torch.saver(x)"),
    ),
    "torchscript-file-method": (
        [method('(x).save("/tmp/x")'), method('("/etc/passwd").from_file(None, 4)')],
        method("(x).saved(1)", "y = __torch__.util.save(x)"),
    ),
    "torchscript-python-operator": (
        [method("y = ^function(1)(x)"), method("ops.prim.PythonOp(x)")],
        method("y = torch.__xor__(x, x)", "ops.prim.type(x)"),
    ),
    "torchscript-python-call": (
        [method('os.system("echo")'), method('eval("1")'), method('__import__("os")'), method("subprocess.run(x)")],
        method("(x).eval()", "pos.system(x)", "self.os.system(x)", "evaluate(x)", "os = self.os"),
    ),
    "torchscript-remote-call": (
        [method('rpc_async("w", f)'), method("ops.prim.rpc_sync(x)")],
        method("rpc = self.rpc", "self.rpc_async(x)"),
    ),
    "torchscript-raw-memory": ([method("p = ops.mkldnn.data_ptr(x)")], method("p = ops.mkldnn._nbytes(x)")),
    "torchscript-foreign": (
        [
            "import os\n" + method("pass"),
            method("from torch import save"),
            method("t = torch", "t.add(x)"),
            method("o = ops.aten"),
            method('f = getattr(torch, "save")'),
            method('f = getattr((x), "save")'),
            method('f = getattr(x, "0" "save")'),
            method('f = getattr(x, "\\163ave")'),
            method('f = getattr(getattr(torch, "0"), "save")'),
            method('f = getattr(x)', 'y = (x, "0")'),
            method('f = getattr(x' + " " * 600 + ', "0")'),
        ],
        method("t = torch.add(x, 1)", "o = ops.aten.add(x)", "torch_ = self.torch", "imported = self.getattr_")
        + method('c = getattr((self.b).c, "0")'),
    ),
    "torchscript-custom-operator": (
        [method("y = ops.mylib.run(x)")],
        method("y = ops.fbgemm.run(x)", "z = self.ops.mylib"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", FIRING)
def test_each_rule_fires_on_its_samples_and_not_on_the_near_miss(rule: str) -> None:
    """Every sample brings the rule; the near miss brings nothing at all."""
    samples, near = FIRING[rule]
    for sample in samples:
        assert rule in rules(sample), sample
    assert rules(near) == set()


def test_all_rules_have_a_sample() -> None:
    """No rule of the catalogue is without one."""
    assert {rule for rule in catalogue.load().rules if rule.startswith("torchscript-")} == set(FIRING)


@pytest.mark.parametrize("source", ORDINARY)
def test_what_pytorch_writes_is_silent(source: str) -> None:
    """Ordinary scripted and traced modules bring no hit."""
    assert hits(source) == []


def test_the_evidence_says_where_and_when() -> None:
    """A call in `__setstate__` happens when the file is loaded, any other when the model runs."""
    (hit,) = hits(method('torch.save(x, "f")', name="__setstate__"))
    assert hit.evidence["within"] == "__setstate__"
    assert hit.evidence["when"] == "when the file is loaded"
    assert method('torch.save(x, "f")', name="__setstate__")[hit.offset :].startswith("save")
    (hit,) = hits(method('torch.save(x, "f")'))
    assert hit.evidence["when"] == "when the model runs"


def test_a_method_of_the_model_s_own_is_an_info() -> None:
    """Where the file defines `save` itself, its use is most likely that."""
    (hit,) = hits(method("(self.h).save(x, )") + "  def save(self):\n    pass\n")
    assert hit.severity is Severity.INFO
    assert hits(method('(x).save("p")'))[0].severity is None


def test_a_call_that_comes_often_is_told_once() -> None:
    """One hit for each operator and method."""
    assert len(hits(method(*['torch.save(x, "f")'] * 50))) == 1


@pytest.mark.parametrize("data", [b"\x80\4.", b"cposix\nsystem\n.", b"PK\3\4", b"(lp0\n.", b"class\0A", b"\x7fELF"])
def test_what_is_no_source_is_identified_afresh(data: bytes) -> None:
    """Bytes that cannot be TorchScript are a child, whatever their member is called."""
    assert list(scan(BytesBlob(data), LIMITS)) == [Child("content", 0, len(data))]


def test_definitions() -> None:
    """Functions, methods, classes and attributes are known by name."""
    assert defined(b"class A(Module):\n  save : bool\n  def f(self):\n    pass\n") == {"A", "save", "f"}
    assert is_source(b"def f():\n")
    assert not is_source(b"echo hello")


@pytest.mark.parametrize(
    "part",
    [
        b'x\\"',
        b'"',
        b"torch\\ ",
        b"torch)",
        b"ops.",
        b".",
        b"#",
        b"=torch",
        b"(",
        b"ops#\n",
        b"'''",
        b"=(((",
        b"\n   ",
        b"^",
    ],
)
def test_no_repetition_makes_it_slow(part: bytes) -> None:
    """A pattern that goes back over what it has read would not end on 200 KB of this within the suite's life."""
    assert sum(1 for _ in uses(b"def f():\n" + part * (200_000 // len(part)))) >= 0


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(("torch", ".", "save", "(", ")", '"', "'", "#", "\n", "\\", " ", "ops", "aten", "def f")),
        max_size=30,
    )
)
def test_random_tokens(tokens: list[str]) -> None:
    """No order of tokens makes the scanner raise; offsets lie in the source."""
    source = "def f():\n" + "".join(tokens)
    for hit in hits(source):
        assert hit.offset is not None
        assert 0 <= hit.offset < len(source)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    """Nor do any bytes."""
    list(scan(BytesBlob(data), LIMITS))
    list(scan(BytesBlob(b"class A:\n" + data), LIMITS))
