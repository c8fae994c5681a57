"""Core ML: each rule with a file that fires it and one next to it that does not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.engine import default_engine, inspect
from modelaudit.limits import Limits
from modelaudit.model import Severity
from tests.remote import Remote
from tests.samples.sample import HARM
from tests.scanners.streams import look


def number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(tag: int, data: bytes | int) -> bytes:
    if isinstance(data, int):
        return number(tag << 3) + number(data)
    return number(tag << 3 | 2) + number(len(data)) + data


def model(*kinds: bytes, version: int = 4) -> bytes:
    about = field(1, field(1, b"image")) + field(10, field(1, b"label")) + field(100, field(1, b"A model"))
    return field(1, version) + field(2, about) + b"".join(kinds)


WEIGHTS = field(500, field(1, field(1, b"conv") + field(140, bytes(64))))
CUSTOM = field(555, field(10, b"MyClass") + field(40, b"does things"))
HONEST_LINK = field(556, field(1, field(10, b"part.mlmodel")))

FIRING: dict[str, tuple[str, bytes]] = {
    "a class": ("custom-model", model(CUSTOM)),
    "a class in a pipeline": ("custom-model", model(field(202, field(1, model(WEIGHTS)) + field(1, model(CUSTOM))))),
    "a class in a classifier": ("custom-model", model(field(200, field(1, field(1, model(CUSTOM)))))),
    "elsewhere": ("linked-model", model(field(556, field(1, field(10, b"../../other.mlmodel"))))),
    "on another machine": ("linked-model", model(field(556, field(2, field(10, b"https://example.org/x"))))),
    "cut short": ("malformed", model(WEIGHTS)[:-10]),
    "appended": ("malformed", model(WEIGHTS) + b"\0\0\0\0more"),
}
ORDINARY = {
    "a network": model(WEIGHTS),
    "a program": model(field(502, bytes(100)), version=7),
    "a pipeline": model(field(202, field(1, model(WEIGHTS)) + field(2, b"a"))),
    "updatable": model(field(10, 1), WEIGHTS),
    "a part of itself": model(HONEST_LINK),
}


@pytest.mark.parametrize("name", FIRING)
def test_a_flaw_is_found(name: str) -> None:
    """The rule fires, whatever else does."""
    rule, data = FIRING[name]
    assert rule in {finding.rule.removeprefix("coreml-") for finding in look(data).findings}


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_file_is_silent(name: str) -> None:
    """Not one finding, of any severity."""
    found = look(ORDINARY[name])
    assert (found.status, found.findings) == ("scanned", ())
    assert "coreml" in found.formats


def test_every_rule_is_fired() -> None:
    """No rule without a sample."""
    known = {rule.removeprefix("coreml-") for rule in default_engine().catalogue.rules if rule.startswith("coreml-")}
    assert known == {rule for rule, _ in FIRING.values()}


def test_what_is_appended_is_looked_at() -> None:
    """A pickle behind the model."""
    found = look(model(WEIGHTS) + b"\0" + HARM.pickle())
    assert found.status == "partial"


@pytest.mark.parametrize(
    "data",
    [
        field(1, 7) + field(2, b"pytorch") + field(3, b"2.0") + field(7, bytes(50)),  # ONNX
        field(1, 1) + field(2, bytes(50)),  # a SavedModel
        field(1, 1) + field(2, field(1, b"uid") + field(2, b"x")) * 3,  # CNTK
    ],
)
def test_other_messages_are_not_taken_for_models(data: bytes) -> None:
    """Formats that begin with the same two fields."""
    assert "coreml" not in look(data).formats


def test_weights_are_not_read() -> None:
    """Of thirty megabytes only the ends of the fields."""
    data = model(field(500, bytes(30 << 20)))
    here = Remote(data, Limits())
    here.run(lambda blob: default_engine().inspect(blob, Limits()))
    assert here.bytes_fetched < len(data) / 100


@given(cut=st.integers(0, len(ORDINARY["a pipeline"])))
def test_a_file_cut_anywhere_is_an_answer(cut: int) -> None:
    """Truncation is found or said."""
    assert inspect(BytesBlob(ORDINARY["a pipeline"][:cut])).status in ("scanned", "partial", "skipped")


@settings(max_examples=300)
@given(place=st.integers(0, len(FIRING["a class in a pipeline"][1]) - 1), value=st.integers(1, 255))
def test_damage_anywhere_is_an_answer(place: int, value: int) -> None:
    """A flipped byte raises nothing but what the contract allows."""
    data = bytearray(FIRING["a class in a pipeline"][1])
    data[place] ^= value
    inspect(BytesBlob(bytes(data)))


def test_a_custom_model_is_a_warning() -> None:
    """The class must already be in the program: nothing runs that the file brings."""
    [finding] = look(model(CUSTOM)).findings
    assert finding.severity is Severity.WARNING
