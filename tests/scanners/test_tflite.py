"""TensorFlow Lite: each rule with a file that fires it and one next to it that does not."""

import pytest

from modelaudit.engine import default_engine
from modelaudit.limits import Limits
from modelaudit.model import Severity
from tests.remote import Remote
from tests.samples import tflitefiles as make
from tests.samples.sample import HARM
from tests.samples.tflitefiles import (
    ORDINARY,
    ROWS,
    TENSORS,
    WEIGHTS,
    Numbers,
    Reference,
    buffer,
    code,
    custom,
    definition,
    graph,
    holding,
    loop,
    model,
    node,
    of_tensor,
    tensor,
)
from tests.scanners.streams import look


def rules(data: bytes) -> set[str]:
    return {finding.rule.removeprefix("tflite-") for finding in look(data).findings}


FIRING: dict[str, tuple[str, bytes]] = {
    "reads files": ("flex-operator", custom(b"FlexReadFile")),
    "restores": ("flex-operator", custom(b"FlexRestoreV2")),
    "reads files under another name": ("flex-operator", custom(b"FlexAddV2", definition("ReadFile"))),
    "unknown operator": ("custom-operator", custom(b"Anything")),
    "weights outside": ("out-of-bounds", holding(Numbers("B", [1], 1 << 24))),
    "weights far outside": ("out-of-bounds", holding(Reference(1 << 30))),
    "cut short": ("malformed", model()[:200]),
    "no tables": ("malformed", b"\x10\0\0\0TFL3" + bytes(40)),
    "root outside": ("malformed", b"\xff\xff\xff\x7fTFL3" + bytes(40)),
    "buffer that does not exist": ("index", of_tensor(index=9)),
    "operator that does not exist": ("index", model(graphs=[graph(TENSORS, [node(5, [0], [2])])])),
    "tensor that does not exist": ("index", model(graphs=[graph(TENSORS, [node(0, [3], [2])])])),
    "tensor -2": ("index", model(graphs=[graph(TENSORS, [node(0, [-2], [2])])])),
    "input that does not exist": ("index", model(graphs=[graph(TENSORS, [node(0, [0], [2])], inputs=[7])])),
    "graph that does not exist": ("index", loop(3)),
    "metadata that does not exist": ("index", model(metadata=[(b"x", 9)])),
    "runs itself": ("recursion", loop(0)),
    "runs itself by another": ("recursion", loop(1, 0)),
    "2^90 elements": ("shape", of_tensor(shape=[1 << 30] * 3, index=0)),
    "dimension of -7": ("shape", of_tensor(shape=[-7], index=0)),
    "fewer weights": ("size-mismatch", of_tensor(shape=[5])),
    "shell script": ("script", holding(b"#!/bin/sh\necho\n")),
    "appended": ("trailing", model() + b"more"),
}


@pytest.mark.parametrize("name", FIRING)
def test_a_flaw_is_found(name: str) -> None:
    """The rule fires, whatever else does."""
    rule, data = FIRING[name]
    assert rule in rules(data)


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_file_is_silent(name: str) -> None:
    """Not one finding, of any severity."""
    found = look(ORDINARY[name])
    assert (found.status, found.findings) == ("scanned", ())
    assert found.formats == ("tflite",)


def test_every_rule_is_fired() -> None:
    """No rule without a sample."""
    known = {rule.removeprefix("tflite-") for rule in default_engine().catalogue.rules if rule.startswith("tflite-")}
    assert known == {rule for rule, _ in FIRING.values()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_an_attack_is_found(row: tuple[str, str, str, bytes, str]) -> None:
    """Each with at least the severity that it deserves."""
    _, _, expect, data, why = row
    worst = max((finding.severity.rank for finding in look(data).findings), default=-1)
    assert worst >= Severity(expect).rank, why


def test_what_the_delegate_really_runs_is_told() -> None:
    """The node's definition decides, and the report says under which name it stood."""
    [finding] = look(custom(b"FlexErf", definition("ReadFile"))).findings
    assert "ReadFile under the name FlexErf" in finding.message
    assert finding.severity is Severity.CRITICAL


def test_associated_files_have_their_place() -> None:
    """The archive behind the model is gone into."""
    found = look(make.with_files(model(), labels_txt=HARM.pickle()))
    assert any(f.location.startswith("place:associated files:labels.txt") for f in found.findings)


def test_large_weights_are_not_read() -> None:
    """Sixty megabytes of weights behind a slow network: few questions, and the tables' bytes only."""
    count = 60
    tensors = [tensor(f"layer/{number}/weights", [1 << 18], number + 1) for number in range(count)]
    buffers = [buffer(), *(buffer(bytes(1 << 20)) for _ in range(count))]
    nodes = [node(0, [number], [number]) for number in range(count)]
    data = model([code()], [graph(tensors, nodes)], buffers)
    here = Remote(data, Limits())
    here.run(lambda blob: default_engine().inspect(blob, Limits()))
    assert here.rounds <= 8
    assert here.bytes_fetched < len(data) / 50


def test_the_same_weights_may_serve_twice() -> None:
    """Tensors share a buffer."""
    tensors = [TENSORS[0], tensor("w", [4], 1), tensor("v", [2, 2], 1)]
    assert look(model(graphs=[graph(tensors, make.NODES)], buffers=[buffer(), buffer(WEIGHTS)])).findings == ()


def test_too_many_tables_are_said() -> None:
    """A model that asks for more visits than are allowed is not called clean."""
    data = model(graphs=[{0: Numbers("I", [0] * 500_001)}])
    found = look(data)
    assert (found.status, found.reason) == ("partial", "flatbuffer_visits")
