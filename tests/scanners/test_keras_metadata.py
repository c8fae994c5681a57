"""keras_metadata.pb: configurations are handed on whole, and what stops the reading is said."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.engine import default_engine
from modelaudit.model import Inspection, Severity
from modelaudit.parsers import keras_metadata
from tests.samples.protowriter import text
from tests.samples.sample import HARM
from tests.samples.tensorflowfiles import DENSE, LAMBDA, PLAIN, graph, lambda_layer, layer
from tests.scanners.streams import look

FIRING: dict[str, tuple[str, bytes]] = {
    "cut short": ("truncated", (layer(DENSE) * 2)[:-30]),
    "breaks off": ("malformed", layer(DENSE) + b"\x0f"),
}


def rules(found: Inspection) -> set[str]:
    return {finding.rule for finding in found.findings}


@pytest.mark.parametrize("name", FIRING)
def test_a_flaw_is_found(name: str) -> None:
    """The rule fires, and the file is not called whole."""
    rule, data = FIRING[name]
    assert f"keras-metadata-{rule}" in rules(look(data))


def test_every_rule_is_fired() -> None:
    """No rule without a sample."""
    known = {rule for rule in default_engine().catalogue.rules if rule.startswith("keras-metadata-")}
    assert known == {f"keras-metadata-{rule}" for rule, _ in FIRING.values()}


def test_ordinary_layers_are_silent() -> None:
    """Layers of Keras's own say nothing."""
    found = look(layer(DENSE) + layer({"class_name": "Sequential", "config": {"layers": [DENSE]}}, "root"))
    assert (found.status, found.findings, found.formats) == ("scanned", (), ("keras_metadata",))


def test_the_code_of_a_lambda_is_looked_at() -> None:
    """What it calls decides; the place names the layer."""
    found = look(layer(DENSE) + layer(LAMBDA, "root.layer-7"))
    worst = [finding for finding in found.findings if finding.severity is Severity.CRITICAL]
    assert worst
    assert all("root.layer-7" in finding.location for finding in worst)


def test_a_harmless_lambda_is_no_alarm() -> None:
    """Arithmetic is what Lambdas are for."""
    found = look(layer(lambda_layer("x * 2 + 1")))
    assert {finding.severity for finding in found.findings} <= {Severity.INFO}


def test_what_is_in_unknown_fields_is_looked_at() -> None:
    """A pickle that no reader of this file would see is found all the same."""
    assert any(
        finding.severity is Severity.CRITICAL for finding in look(layer(DENSE) + text(9, HARM.pickle())).findings
    )


@pytest.mark.parametrize("data", [b"", graph(*PLAIN), HARM.pickle()], ids=["nothing", "graph", "pickle"])
def test_other_messages_are_not_taken(data: bytes) -> None:
    """Graphs begin alike."""
    assert not keras_metadata.is_metadata(BytesBlob(data))


def test_truncation_at_every_offset() -> None:
    """Cut anywhere, the scan ends with a record."""
    data = layer(DENSE) + layer(LAMBDA)
    for length in range(0, len(data), 3):
        assert look(data[:length]).status in ("scanned", "partial", "skipped")


@given(st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_mutations_end(place: int, patch: bytes) -> None:
    """No bytes anywhere break the scan."""
    data = layer(DENSE) + layer(DENSE)
    look(data[:place] + patch + data[place + len(patch) :])
