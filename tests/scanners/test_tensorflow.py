"""TensorFlow: each rule with a graph that fires it and one next to it that does not."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, Place, RootBlob
from modelaudit.engine import default_engine
from modelaudit.errors import Missing
from modelaudit.limits import Limits
from modelaudit.model import Inspection, Severity
from modelaudit.parsers import tensorflow
from tests.remote import Remote
from tests.samples import tensorflowfiles as make
from tests.samples.protowriter import number, text
from tests.samples.sample import HARM
from tests.samples.tensorflowfiles import (
    ORDINARY,
    PLAIN,
    PYTHON,
    ROWS,
    asset,
    const,
    function,
    graph,
    meta,
    node,
    saved,
    weights,
    with_nodes,
)

GRAPHS = [row for row in ROWS if row[3] != "keras_metadata.pb"]


def look(data: bytes, name: str = "") -> Inspection:
    return default_engine().inspect(BytesBlob(data, Place(name)), Limits(), uri="place")


def rules(found: Inspection) -> set[str]:
    return {finding.rule.removeprefix("tensorflow-") for finding in found.findings}


FIRING: dict[str, tuple[str, bytes]] = {
    "python": ("python", with_nodes(PYTHON)),
    "reads": ("operator", make.reading("/etc/passwd")),
    "restores from elsewhere": ("path", with_nodes(const("p", "/data/x"), node("r", "RestoreV2", "p"))),
    "custom": ("custom-operator", with_nodes(node("c", "RunAnything"))),
    "of a known library": ("published-operator", with_nodes(node("c", "CaseFoldUTF8"))),
    "asset": ("asset-path", saved(meta(graph(*PLAIN), asset("../x")))),
    "cut short": ("truncated", with_nodes()[:-40]),
    "breaks off": ("malformed", with_nodes() + b"\x0f"),
}


@pytest.mark.parametrize("name", FIRING)
def test_a_flaw_is_found(name: str) -> None:
    """The rule fires, whatever else does."""
    rule, data = FIRING[name]
    assert rule in rules(look(data))


def test_every_rule_is_fired() -> None:
    """No rule without a sample."""
    known = {
        rule.removeprefix("tensorflow-") for rule in default_engine().catalogue.rules if rule.startswith("tensorflow-")
    }
    assert known == {rule for rule, _ in FIRING.values()}


def test_a_graph_inside_a_pickle_is_no_broken_graph() -> None:
    """Where the head of a pickle reads as fields that no graph has, and its end as none, it is no graph."""
    length = 0x227838  # as four bytes: two fields
    inner = graph(*PLAIN, PYTHON)
    packed = pickle.dumps(inner + text(5, bytes(length - len(inner) - 5)), protocol=3)
    found = look(packed, "ner.model")
    assert (rules(found), found.status, found.formats) == (set(), "scanned", ("pickle",))
    unknown = text(48, b"x")  # passed over by readers
    assert "python" in rules(look(unknown + inner, "ner.model"))
    assert "python" in rules(look(inner + b"\x0f", "ner.model"))
    assert look(unknown + inner + b"\x0f", "ner.model").formats == ()


@pytest.mark.parametrize("text", [b"0 1 0 1 1 0\n" * 40, b"1 0\n0 1\n", b"\n\n 8 8\n"])
def test_a_table_of_numbers_is_no_graph(text: bytes) -> None:
    """Digits and blanks are valid tags, and line breaks those of nodes; a graph has more than text in it."""
    assert look(text, "random-bool-data.pb").formats == ()


@pytest.mark.parametrize("name", [name for name in ORDINARY if name != "keras metadata"])
def test_an_ordinary_graph_is_silent(name: str) -> None:
    """Not one finding, of any severity; saving, restoring, asserting and decoding are what models do."""
    filename, data = ORDINARY[name]
    found = look(data, filename)
    assert (found.status, found.findings, found.formats) == ("scanned", (), ("tensorflow",))


@pytest.mark.parametrize("row", GRAPHS, ids=lambda row: row[0])
def test_an_attack_is_found(row: tuple[str, str, str, str, bytes, str]) -> None:
    """Each with at least the severity that it deserves."""
    _, _, expect, filename, data, why = row
    worst = max((finding.severity.rank for finding in look(data, filename).findings), default=-1)
    assert worst >= Severity(expect).rank, why


@pytest.mark.parametrize(
    ("data", "kind"),
    [(with_nodes(), "tf_savedmodel"), (meta(graph(*PLAIN)), "tf_metagraph"), (graph(*PLAIN), "tf_graphdef")],
    ids=["saved model", "meta graph", "graph"],
)
def test_the_three_are_told_apart(data: bytes, kind: str) -> None:
    """The inventory says which of them it is."""
    assert look(data).assets[0].type == kind


def test_a_path_that_the_caller_gives_is_a_warning() -> None:
    """A model that reads the file that whoever calls it names does what it is told, and is told of."""
    reads = function("f", node("r", "ReadFile", "path"), arguments=["path"])
    [finding] = look(saved(meta(graph(*PLAIN, functions=[reads])))).findings
    assert finding.severity is Severity.WARNING
    assert "whoever calls it" in finding.message


def test_the_path_is_shown() -> None:
    """Who reads the finding knows which file it is about."""
    [finding] = look(make.reading("/etc/passwd")).findings
    assert finding.severity is Severity.CRITICAL
    assert "/etc/passwd" in finding.message


def test_a_harmless_path_of_another_machine_is_no_critical() -> None:
    """A vocabulary's path on the machine where the model was trained is worth a warning at most."""
    table = (const("p", "/home/author/vocab.txt"), node("t", "InitializeTableFromTextFileV2", "table", "p"))
    assert {finding.severity for finding in look(with_nodes(*table)).findings} == {Severity.WARNING}


def test_large_constants_are_not_read() -> None:
    """A frozen graph of sixty megabytes: its nodes, in few rounds."""
    layers = [part for n in range(60) for part in (weights(f"layer_{n}/w", 1 << 18), node(f"layer_{n}/y", "MatMul"))]
    data = graph(*PLAIN, *layers, PYTHON)
    found: list[Inspection] = []
    here = Remote(data, Limits())
    here.run(lambda blob: found.append(default_engine().inspect(blob, Limits())))
    assert "python" in rules(found[-1])
    assert here.rounds <= 10
    assert here.bytes_fetched < len(data) / 50


@pytest.mark.parametrize("data", [
    b"", b"\x0a", number(1, 3) + number(2, 1) + text(9, bytes(48)), HARM.pickle(),
    text(1, text(1, "<unk>") + b"\x15\0\0\0\0" + number(3, 2)) * 4, make.layer(make.DENSE) * 3,
    number(1, 4) + text(2, text(1, text(1, "image") + text(3, b"")) + text(10, text(1, "out"))) + text(500, bytes(9)),
], ids=["nothing", "half", "tensor", "pickle", "sentencepiece", "keras metadata", "coreml"])  # fmt: skip
def test_other_messages_are_no_graphs(data: bytes) -> None:
    """Vocabularies, tensors and configurations are protocol buffers too."""
    assert tensorflow.kind_of(BytesBlob(data)) is None


WHOLE = saved(
    meta(graph(*PLAIN, *make.SAVER, functions=[function("f", *make.DECODING)]), asset("vocab.txt"), make.OBJECTS)
)


def test_truncation_at_every_offset() -> None:
    """Cut anywhere, the scan ends with a record."""
    for length in range(0, len(WHOLE), 3):
        assert look(WHOLE[:length]).status in ("scanned", "partial", "skipped")


def test_bytes_that_are_not_here_are_asked_for() -> None:
    """A walk over the first half of the bytes asks for more; it never takes the half for all."""
    with pytest.raises(Missing):
        tensorflow.parse(RootBlob(WHOLE, len(WHOLE), [(0, len(WHOLE) // 2)]), tensorflow.SAVED_MODEL, ())


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=4))
def test_mutations_end(place: int, patch: bytes) -> None:
    """No bytes anywhere break the scan."""
    look(WHOLE[:place] + patch + WHOLE[place + len(patch) :])


@given(st.binary(max_size=200))
def test_any_bytes_end(data: bytes) -> None:
    """Nor do bytes that are no graph, under any name."""
    for name in ("", "saved_model.pb", "model.meta", "keras_metadata.pb"):
        look(data, name)
    look(saved(meta(data)))
