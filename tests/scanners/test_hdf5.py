"""HDF5: what leads out of the file, Keras configurations and pickles in it; ordinary data silent."""

import base64
import io
import json
import pickle

import h5py
import numpy as np
import pytest

from modelaudit import catalogue
from modelaudit.blob import Blob, BytesBlob, Place
from modelaudit.engine import default_engine, inspect
from modelaudit.limits import Limits
from modelaudit.model import Child, Hit, Note, Severity
from modelaudit.scanners.hdf5 import fits, loops, scan
from tests.remote import Remote
from tests.samples import hdf5files
from tests.samples.kerasconfigs import HARMLESS, SHELL, dense, function, lambda_old, layer, model, old_style

LIMITS = Limits()


def items(data: bytes, name: str = "") -> list[object]:
    return list(scan(BytesBlob(data, Place(name)), LIMITS))


def hits(data: bytes) -> list[Hit]:
    return [item for item in items(data) if isinstance(item, Hit)]


def children(data: bytes) -> list[Child]:
    return [item for item in items(data) if isinstance(item, Child)]


def unknown_link() -> bytes:
    """A link of the user-defined kind 66: an external one, its number changed."""
    data = bytearray(hdf5files.external_link(version="latest"))
    at = data.index(b"\x08\x40") if b"\x08\x40" in data else data.index(b"\x18\x40")
    data[at + 1] = 66
    return bytes(data)


FIRING: dict[str, tuple[list[bytes], bytes]] = {
    "hdf5-external-link": (
        [hdf5files.external_link(version=version) for version in ("earliest", "latest")],
        hdf5files.soft({"kernel": "/etc/hostname"}),
    ),
    "hdf5-external-storage": (
        [hdf5files.external_storage("/etc/hostname"), hdf5files.external_storage("a.bin", "../b.bin")],
        hdf5files.keras(),
    ),
    "hdf5-virtual-dataset": (
        [hdf5files.virtual("/data/x.h5"), hdf5files.virtual(".", "a.h5", "../b.h5", version="latest")],
        hdf5files.virtual(".", "."),
    ),
    "hdf5-link-loop": (
        [
            hdf5files.soft({"a": "/a"}),
            hdf5files.soft({"a": "/b", "b": "/c", "c": "/a"}),
            hdf5files.soft({"g/up": "/g/up/up"}),
            hdf5files.soft({"a": "b", "b": "./a/x"}),
        ],
        hdf5files.soft({"a": "/g", "b": "/a/d", "c": "d", "x/y/z": "../../g", "nowhere": "/not/there"}),
    ),
    "hdf5-unknown-link": ([unknown_link()], hdf5files.everything("latest")),
}


@pytest.mark.parametrize("rule", FIRING)
def test_each_rule_fires_on_its_samples_and_not_on_the_near_miss(rule: str) -> None:
    """Every sample brings the rule; the near miss brings nothing at all."""
    samples, near = FIRING[rule]
    for sample in samples:
        assert rule in {hit.rule for hit in hits(sample)}
    assert hits(near) == []


def test_all_rules_have_a_sample() -> None:
    """No rule of the catalogue is without one."""
    assert {rule for rule in catalogue.load().rules if rule.startswith("hdf5-")} == set(FIRING)


@pytest.mark.parametrize(
    "data",
    [
        hdf5files.keras(),
        hdf5files.keras(old_style(lambda_old(HARMLESS)), {"loss": "mse", "metrics": ["accuracy"]}),
        hdf5files.keras(libver="latest"),
        hdf5files.everything(),
        hdf5files.everything("latest"),
        hdf5files.everything(userblock_size=512),
        hdf5files.pickled(),
        hdf5files.virtual("."),
    ],
)
def test_ordinary_files_are_silent(data: bytes) -> None:
    """Models, weights and data bring at most an info."""
    found = inspect(BytesBlob(data))
    assert found.status == "scanned"
    assert "hdf5" in found.formats
    assert {finding.severity for finding in found.findings} <= {Severity.INFO}


@pytest.mark.parametrize(
    ("tree", "training"),
    [
        (old_style(lambda_old(SHELL)), None),
        (model(layer("TimeDistributed", layer=lambda_old(SHELL))), None),
        (model(dense(kernel_initializer=function("exec"))), None),
        (None, {"loss": function("system", "os"), "optimizer_config": None}),
    ],
)
@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_attacks_in_the_configuration(tree: object, training: object, version: str) -> None:
    """The configuration is looked at wherever the library has put it, the training's too."""
    data = hdf5files.keras(tree, training, libver=version)  # type: ignore[arg-type]
    found = inspect(BytesBlob(data))
    assert Severity.CRITICAL in {finding.severity for finding in found.findings}


def test_a_configuration_of_any_size_and_type() -> None:
    """Text of fixed and of variable length, longer than a header can hold."""
    text = '{"class_name": "Sequential", "config": {"layers": []}, "x": "' + "y" * 100_000 + '"}'
    for value, version in ((text, None), (text.encode(), None), (np.bytes_(text.encode()), "latest")):
        (child,) = children(hdf5files.attributes({"model_config": value}, version))
        assert (child.data, child.format, child.name) == (text.encode(), "keras_config", "model_config")


def test_a_pickle_in_an_attribute_is_scanned() -> None:
    """PyTables unpickles them when the file is opened."""
    hostile = b"cposix\nsystem\n(S'echo modelaudit-sample'\ntR."
    for value in (np.bytes_(hostile), np.void(pickle.dumps(print))):
        found = inspect(BytesBlob(hdf5files.attributes({"FILTERS": value})))
        assert "pickle-import" in {finding.rule for finding in found.findings} or b"print" in bytes(value)
        assert "pickle" in found.scanners


def test_a_payload_written_as_text_in_an_attribute_is_scanned() -> None:
    """Base64 of a pickle is a pickle to whoever decodes it; base64 of anything else is a text."""
    hostile = base64.b64encode(b"cposix\nsystem\n(S'echo modelaudit-sample'\ntR.").decode()
    (child,) = children(hdf5files.attributes({"state": hostile}))
    assert child.name == "state"
    ordinary = base64.b64encode(b"some words that are not a stream of opcodes").decode()
    assert children(hdf5files.attributes({"state": ordinary, "note": "a" * 64, "digest": "0f" * 32})) == []


def test_a_configuration_of_keras_is_known_under_any_name() -> None:
    """Programs keep them in attributes of their own, and in texts."""
    text = json.dumps({"class_name": "Sequential", "config": {"layers": []}})
    found = children(hdf5files.attributes({"layer": text, "other": '{"classes": ["a", "b"]}'}))
    assert [(child.name, child.format) for child in found] == [("layer", "keras_config")]
    data = hdf5files.built(lambda file: file.create_dataset("d", data=np.bytes_(text)))
    assert [(child.name, child.format) for child in children(data)] == [("d", "keras_config")]


def test_bytes_that_begin_as_a_payload_are_a_child() -> None:
    """A dataset of bytes or of an opaque type can hold anything; numbers are left alone."""
    payload = b"\x80\x04\x95" + bytes(60)
    for value in (np.frombuffer(payload, "u1"), np.void(payload)):
        data = hdf5files.built(lambda file, value=value: file.create_dataset("g/d", data=value))
        (child,) = children(data)
        assert child.name == "g/d"
        assert data[child.offset : child.offset + child.length] == payload
    numbers = np.frombuffer(payload[:60], "f4")
    assert children(hdf5files.built(lambda file: file.create_dataset("g/d", data=numbers))) == []


def test_user_block_and_trailing_bytes_are_children() -> None:
    """What stands before and behind the file is looked at for what it is."""
    data = hdf5files.keras(userblock_size=512)
    behind = b"\x80\x04\x95" + bytes(40)
    found = children(data + behind)
    assert [(child.name, child.offset, child.length) for child in found if child.format is None] == [
        ("user block", 0, 512),
        ("trailing bytes", len(data), len(behind)),
    ]
    assert [child.name for child in children(hdf5files.keras() + bytes(6))] == ["model_config"]


def test_a_polyglot_is_both() -> None:
    """A pickle in the user block is a pickle, and the file behind it HDF5."""
    block = b"\x80\x04cposix\nsystem\n\x8c\x04echo\x85R."
    data = block + hdf5files.keras(userblock_size=512)[len(block) :]
    found = inspect(BytesBlob(data))
    assert {"hdf5", "pickle"} <= set(found.formats)


def test_severity_follows_what_the_file_is() -> None:
    """In data a link to a file beside it is an info; in a model, or to anywhere else, a warning."""
    (hit,) = hits(hdf5files.external_link("other.h5"))
    assert hit.severity is Severity.INFO
    (hit,) = hits(hdf5files.external_link("../other.h5"))
    assert hit.severity is None

    def fill(file: h5py.File) -> None:
        file.attrs["keras_version"] = "2.11.0"
        file["layer"] = h5py.ExternalLink("other.h5", "/x")

    (hit,) = hits(hdf5files.built(fill))
    assert hit.severity is None


def test_the_signature_is_looked_for_behind_user_blocks() -> None:
    """At 0 and every power of two from 512; far behind only where the name promises HDF5."""
    data = hdf5files.keras()
    assert fits(BytesBlob(data), LIMITS)
    assert fits(BytesBlob(bytes(1024) + data), LIMITS)
    assert not fits(BytesBlob(bytes(700) + data), LIMITS)
    far = bytes(1 << 20) + data
    assert not fits(BytesBlob(far), LIMITS)
    assert fits(BytesBlob(far, Place("model.h5")), LIMITS)
    for other in (b"", b"\x89HDF", b"\x89HDF\r\n\x1a", bytes(2000)):
        assert not fits(BytesBlob(other), LIMITS)


def test_what_cannot_be_read_is_said() -> None:
    """A broken object is a note, and the record partial."""
    data = bytearray(hdf5files.keras())
    at = data.index(b"SNOD", data.index(b"model_weights"))
    data[at : at + 4] = b"XXXX"
    assert any(isinstance(item, Note) for item in items(bytes(data)))
    assert inspect(BytesBlob(bytes(data))).status == "partial"


def test_loops_are_found_by_what_links_say() -> None:
    """Relative targets, targets through other links, and chains too long to be meant."""
    assert loops({"/a": "b", "/b": "a"}) == ["/a", "/b"]
    assert loops({"/g/a": "a"}) == ["/g/a"]
    assert loops({"/g/a": "/g", "/b": "/g/a/a/a"}) == []
    assert loops({f"/{n}": f"/{n + 1}" for n in range(100)})[:1] == ["/0"]


def test_a_large_model_costs_its_metadata() -> None:
    """Thirty layers of a megabyte: less than a hundredth of the file is fetched."""

    def fill(file: h5py.File) -> None:
        file.attrs["model_config"] = '{"class_name": "Sequential", "config": {}}'
        for index in range(30):
            file.create_dataset(f"model_weights/dense_{index}/dense_{index}/kernel:0", data=np.zeros((512, 512), "f4"))

    data = hdf5files.built(fill)
    remote = Remote(data, LIMITS)
    statuses: list[str] = []

    def work(blob: Blob) -> None:
        statuses.append(default_engine().inspect(blob, LIMITS).status)

    remote.run(work)
    assert statuses == ["scanned"]
    assert remote.bytes_fetched < len(data) / 100


def test_the_samples_are_what_h5py_reads() -> None:
    """The hostile samples are files that a reader takes, not only what this scanner takes."""
    with h5py.File(io.BytesIO(hdf5files.external_link()), "r") as file:
        assert isinstance(file.get("kernel", getlink=True), h5py.ExternalLink)
    with h5py.File(io.BytesIO(hdf5files.keras(old_style(lambda_old(SHELL)))), "r") as file:
        assert "Lambda" in file.attrs["model_config"]
