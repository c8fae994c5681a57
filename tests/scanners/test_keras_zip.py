"""Keras archives: one configuration and no more, no code beside it; what is inside is scanned for what it is."""

import warnings

import pytest

from modelaudit import catalogue
from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.limits import Limits
from modelaudit.model import Hit, Inspection, Severity
from modelaudit.scanners.keras_zip import fits, scan
from tests.samples import hdf5files
from tests.samples.kerasconfigs import HARMLESS, SHELL, dense, dumped, function, lambda_new, layer, model
from tests.samples.kerasfiles import METADATA, archive, keras

LIMITS = Limits()
EVIL = dumped(model(layer("system", "os")))


def rules(data: bytes) -> set[str]:
    return {item.rule for item in scan(BytesBlob(data), LIMITS) if isinstance(item, Hit)}


def found(data: bytes) -> Inspection:
    return inspect(BytesBlob(data, Place("model.keras")))


def twice(name: str) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of names that come twice
        return keras(more=[(name, EVIL)])


FIRING: dict[str, tuple[list[bytes], bytes]] = {
    "keras-zip-two-configs": (
        [twice(name) for name in ("config.json", "./config.json", "CONFIG.JSON", "a/../config.json", "config.json ")],
        keras(more=[("assets/config.json", b"{}")]),
    ),
    "keras-zip-python-source": ([keras(more=[("assets/run.py", b"import os")])], keras(more=[("assets/py", b"")])),
    "keras-zip-native-code": (
        [keras(more=[("assets/libx.so.1", b"\x7fELF")]), keras(more=[("x.dll", b"MZ")])],
        keras(more=[("assets/also", b"")]),
    ),
    "keras-zip-extra-member": (
        [keras(more=[("payload.bin", b"x" * 10)])],
        keras(more=[("assets/", b""), ("assets/lookup/vocabulary.txt", b"a\nb\n"), ("model_00001.weights.h5", b"")]),
    ),
}


@pytest.mark.parametrize("rule", FIRING)
def test_each_rule_fires_on_its_samples_and_not_on_the_near_miss(rule: str) -> None:
    """Every sample brings the rule; the near miss brings nothing at all."""
    samples, near = FIRING[rule]
    for sample in samples:
        assert rule in rules(sample)
    assert rules(near) == set()


def test_all_rules_have_a_sample() -> None:
    """No rule of the catalogue is without one."""
    assert {rule for rule in catalogue.load().rules if rule.startswith("keras-zip-")} == set(FIRING)


@pytest.mark.parametrize("data", [keras(), keras(model(lambda_new(HARMLESS))), keras(model(layer("My", None)))])
def test_ordinary_models_are_silent(data: bytes) -> None:
    """They are Keras archives and zips, and bring at most an info."""
    report = found(data)
    assert {"keras_zip", "zip"} <= set(report.formats)
    assert {"keras_config", "hdf5"} <= set(report.scanners)
    assert report.status == "scanned"
    assert {finding.severity for finding in report.findings} <= {Severity.INFO}


@pytest.mark.parametrize(
    "data",
    [
        keras(model(lambda_new(SHELL))),
        keras(model(dense(activation=function("enable_unsafe_deserialization", "keras.config")))),
        keras(EVIL),
        keras(b" " * 1000 + EVIL),
        keras(b'{"pad": "' + b"x" * 400_000 + b'", ' + EVIL[1:]),
        keras(EVIL.decode().encode("utf-16")),
        keras(EVIL.replace(b"class_name", b"\\u0063lass_name")),
        keras(more=[("assets/x.pkl", b"\x80\x04cposix\nsystem\n\x8c\x04echo\x85R.")]),
        keras(weights=hdf5files.keras(model(layer("system", "os")))),
        twice("config.json"),
    ],
)
def test_attacks_are_critical(data: bytes) -> None:
    """However the configuration is written, and wherever the payload is put."""
    assert Severity.CRITICAL in {finding.severity for finding in found(data).findings}


def test_weights_that_lie_elsewhere() -> None:
    """The weights of an archive are a model's: a link out of them is a warning."""
    report = found(keras(weights=hdf5files.external_link("other.h5")))
    assert ("hdf5-external-link", Severity.WARNING) in {(one.rule, one.severity) for one in report.findings}


@pytest.mark.parametrize(
    "members",
    [
        [("data.pkl", b"")],
        [("config.json", b"{}"), ("x.txt", b"")],
        [("metadata.json", b"{}"), ("model.weights.h5", b"")],
    ],
)
def test_other_archives_are_none(members: list[tuple[str, bytes]]) -> None:
    """A configuration, and metadata or weights: less is another zip."""
    data = archive(members)
    assert not fits(BytesBlob(data), LIMITS) or rules(data) == set()


def test_a_model_deep_in_an_archive_is_another_archive() -> None:
    """Members of those names in folders do not make a Keras archive."""
    data = archive([("a/config.json", b"{}"), ("a/metadata.json", METADATA), ("a/x.py", b"")])
    assert list(scan(BytesBlob(data), LIMITS)) == []


def test_truncation() -> None:
    """Cut anywhere, it is another file, or a broken one."""
    data = keras()
    for end in range(0, len(data), 97):
        blob = BytesBlob(data[:end])
        if fits(blob, LIMITS):
            list(scan(blob, LIMITS))
