"""Manifests of images: references that leave the folder, layers that are not there, sizes, kinds."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.model import Inspection

HEX = "ab" * 32
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{HEX}", "size": 100}
MANIFEST = {"schemaVersion": 2, "config": {**LAYER, "digest": f"sha256:{'cd' * 32}", "size": 5}, "layers": [LAYER]}
HERE = {HEX: 100, "cd" * 32: 5, "ef" * 32: 300}


def look(
    document: object, name: str = "ef" * 32, folders: dict[str, dict[str, int | None]] | None = None
) -> Inspection:
    data = json.dumps(document).encode()
    return inspect(BytesBlob(data, Place(name, folders if folders is not None else {"": None})), uri=name)


def rules(found: Inspection) -> set[str]:
    return {finding.rule for finding in found.findings if finding.rule.startswith("oci-manifest")}


LIST = {"layers": ["layers/a.tar.gz", "b.tar"]}
BESIDE = {"": {"x.manifest": 9, "b.tar": 7, "layers/": None}, "layers": {"a.tar.gz": 3}}
FIRING = {
    "path": ("oci-manifest-reference", {"layers": ["../../etc/passwd"]}, BESIDE),
    "absolute path": ("oci-manifest-reference", {"layers": ["/etc/passwd"]}, BESIDE),
    "digest": ("oci-manifest-reference", {**MANIFEST, "layers": [{**LAYER, "digest": "../../../tmp/x"}]}, {"": HERE}),
    "docker save": ("oci-manifest-reference", [{"Config": "c.json", "Layers": ["../l.tar"]}], BESIDE),
    "missing path": ("oci-manifest-missing", {"layers": ["c.tar"]}, BESIDE),
    "missing folder": ("oci-manifest-missing", {"layers": ["other/c.tar"]}, BESIDE),
    "missing blob": ("oci-manifest-missing", MANIFEST, {"": {"cd" * 32: 5}}),
    "size": ("oci-manifest-size", MANIFEST, {"": {**HERE, HEX: 99}}),
    "foreign": (
        "oci-manifest-foreign-layer",
        {**MANIFEST, "layers": [{**LAYER, "urls": ["https://a.example/x"]}]},
        {"": HERE},
    ),
    "two kinds": ("oci-manifest-two-kinds", {**MANIFEST, "manifests": [LAYER]}, {"": HERE}),
}
SILENT = {
    "manifest": (MANIFEST, {"": HERE}),
    "list": (LIST, BESIDE),
    "unknown folder": (MANIFEST, {"": None}),
    "windows": ({**MANIFEST, "layers": [{**LAYER, "urls": ["https://mcr.microsoft.com/v2/x"]}]}, {"": HERE}),
    "ollama": (
        {**MANIFEST, "layers": [{**LAYER, "digest": f"sha256:{HEX}"}]},
        {"": {f"sha256-{HEX}": 100, "cd" * 32: 5}},
    ),
    "keras": ({"layers": [{"name": "dense", "config": {"units": 3}}], "class_name": "Sequential"}, {"": {}}),
}


@pytest.mark.parametrize("name", FIRING)
def test_a_danger_is_found(name: str) -> None:
    """The rule fires."""
    rule, document, folders = FIRING[name]
    file = "x.manifest" if folders is BESIDE else "ef" * 32
    assert rule in rules(look(document, file, folders))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SILENT)
def test_an_ordinary_document_is_silent(name: str) -> None:
    """Not one finding about images."""
    document, folders = SILENT[name]
    file = "x.manifest" if folders is BESIDE else "ef" * 32
    assert rules(look(document, file, folders)) == set()  # type: ignore[arg-type]


def test_the_index_of_a_layout_is_held_against_its_blobs() -> None:
    """In `blobs/sha256` beside `index.json`."""
    index = {"schemaVersion": 2, "manifests": [{**LAYER, "size": 101}]}
    folders = {"": {"index.json": 3, "oci-layout": 30, "blobs/": None}, "blobs/sha256": {HEX: 100}}
    assert rules(look(index, "index.json", folders)) == {"oci-manifest-size"}  # type: ignore[arg-type]


@given(
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)), st.text()
)
def test_any_values_in_the_known_places_are_an_answer(value: object, text: str) -> None:
    """Of whatever type they are."""
    for key in ("schemaVersion", "layers", "manifests", "config"):
        look({**MANIFEST, key: value, "digest": text})
        look([{"Config": value, "Layers": [text]}])
