"""Orbax checkpoints: each rule with a file that fires it and one next to it that does not."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, Place, RootBlob
from modelaudit.engine import inspect
from modelaudit.errors import Missing
from modelaudit.model import Inspection
from tests.samples.orbaxfiles import checkpoint, zarr_json, zarray


def look(data: bytes, name: str = "_METADATA") -> Inspection:
    return inspect(BytesBlob(data, Place(name)), uri=name)


def rules(data: bytes, name: str = "_METADATA") -> set[str]:
    found = look(data, name).findings
    return {finding.rule.removeprefix("orbax-") for finding in found if finding.rule.startswith("orbax-")}


def tree(**more: object) -> bytes:
    leaf = {"key_metadata": [{"key": "restore", "key_type": 2}], "value_metadata": {"value_type": "jax.Array"}}
    return json.dumps({"tree_metadata": {"('params', 'handler')": leaf}, "use_ocdbt": True, **more}).encode()


def database(magic: str = "0cdb3a2a", declared: int = 40, size: int = 40) -> bytes:
    return (bytes.fromhex(magic) + declared.to_bytes(8, "little")).ljust(size, b"\0")


SHARDED = {
    "name": "sharding_indexed",
    "configuration": {"chunk_shape": [1], "codecs": [{"name": "bytes"}, {"name": "zstd"}], "index_codecs": ["crc32c"]},
}
GROUP = {
    "zarr_consolidated_format": 1,
    "metadata": {"a/.zarray": json.loads(zarray(dtype="|O", filters=[{"id": "pickle"}]))},
}

OUTSIDE = {"driver": "file", "path": "/etc/x"}
HTTP = {"driver": "http", "base_url": "http://example.org"}

FIRING: dict[str, tuple[str, bytes]] = {
    "restored by the shell": ("restore-function", tree(restore_fn="subprocess.run")),
    "restored by exec, with a colon": ("restore-function", tree(custom={"load_function": "builtins:exec"})),
    "handler that is no handler": ("restore-function", checkpoint(item_handlers={"state": "os.system"})),
    "restored by somebody": ("custom-restore", tree(restore_fn="my_package.restore")),
    "handler of somebody": ("outside-handler", checkpoint(item_handlers={"state": "my_package.Handler"})),
    "pickle as a filter": ("pickle-codec", zarray(dtype="|O", filters=[{"id": "pickle"}])),
    "pickle in version 3": ("pickle-codec", zarr_json({"name": "bytes"}, {"name": "numcodecs.pickle"})),
    "pickle in a shard": ("pickle-codec", zarr_json({**SHARDED, "configuration": {"codecs": [{"name": "pickle"}]}})),
    "pickle in a group": ("pickle-codec", json.dumps(GROUP).encode()),
    "codec of somebody": ("unknown-codec", zarray(compressor={"id": "my_codec"})),
    "objects": ("object-array", zarray(dtype="|O")),
    "objects in a structure": ("object-array", zarray(dtype=[["a", "<f4"], ["b", "|O"]])),
    "negative": ("array-shape", zarray(shape=[-1])),
    "wraps": ("array-shape", zarray(shape=[1 << 40, 1 << 40], chunks=[1, 1])),
    "chunks of nothing": ("array-shape", zarray(chunks=[0])),
    "chunks of other dimensions": ("array-shape", zarray(chunks=[1, 1])),
    "no number": ("array-shape", zarray(shape=["4"])),
    "file elsewhere": ("outside-store", tree(ts_spec={"driver": "zarr", "kvstore": OUTSIDE})),
    "address": ("outside-store", tree(ts_spec={"driver": "zarr", "kvstore": HTTP})),
    "address as text": ("outside-store", tree(ts_spec={"driver": "zarr", "kvstore": "https://example.org/"})),
    "code": ("code", tree(custom_metadata={"x": "__import__('os').system('echo modelaudit-sample')"})),
    "code in a key": ("code", tree(**{"eval('1')": 1})),
    "manifest cut short": ("manifest-size", database(declared=50)),
    "manifest with more": ("manifest-size", database(size=60)),
}  # fmt: skip

SILENT: dict[str, bytes] = {
    "tree": tree(custom_metadata={"experiment": "eval (zero-shot), exec (once)", "handler": "yes", "restore": True}),
    "checkpoint": checkpoint(),
    "zarr": zarray(),
    "zarr of strings": zarray(dtype="|O", filters=[{"id": "vlen-utf8"}]),
    "zarr of a scalar": zarray(shape=[], chunks=[]),
    "zarr in version 3": zarr_json({"name": "bytes", "configuration": {"endian": "little"}}, {"name": "zstd"}),
    "zarr of shards": zarr_json(SHARDED),
    "store in the checkpoint": tree(ts_spec={"driver": "zarr", "kvstore": {"driver": "file", "path": "params/x"}}),
    "manifest": database(),
    "node": database("0cdb20de"),
    "node with values behind it": database("0cdb20de", size=400),
}


@pytest.mark.parametrize("name", FIRING)
def test_a_flaw_is_found(name: str) -> None:
    """The rule fires, whatever else does."""
    rule, data = FIRING[name]
    assert rule in rules(data)


@pytest.mark.parametrize("name", SILENT)
def test_an_ordinary_file_is_silent(name: str) -> None:
    """Nothing is said, and it was scanned."""
    found = look(SILENT[name])
    assert found.findings == ()
    assert (found.status, "orbax" in found.formats) == ("scanned", True)


def test_metadata_of_other_things_are_left_alone() -> None:
    """A name that many files have is not enough."""
    for data in (b'{"restored": 1, "name": "x"}', b'{"name": "x"}', b"[1]", b"name: x"):
        assert "orbax" not in look(data, "config.json").formats
    assert "orbax" in look(b'{"restore_fn": "a.b"}', "").formats
    padded = b'{"x": "%s", "restore_fn": "a.b"}' % (b"x" * 10_000)
    assert "orbax" in look(padded, "metadata.json").formats


def test_what_stands_behind_a_manifest_is_looked_at() -> None:
    """As what it is."""
    found = look(database() + b"cposix\nsystem\n(S'echo modelaudit-sample'\ntR.")
    assert {"pickle", "orbax"} <= set(found.scanners)


def test_half_a_document_is_not_called_whole() -> None:
    """Cut anywhere, it is partial; and bytes that are not here are asked for."""
    for data in (tree(restore_fn="a.b"), database()):
        for length in range(17, len(data)):
            assert look(data[:length]).status == "partial"
            with pytest.raises(Missing):
                inspect(RootBlob(data[:length], len(data), [(0, length)]))


def test_depth_has_an_end() -> None:
    """Brackets without end are no document."""
    assert look(b'{"tree_metadata":' + b"[" * 100_000).status == "partial"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_it_survives_mutation(data: st.DataObject) -> None:
    """Whatever a few changed bytes make of it, there is an answer."""
    document = bytearray(data.draw(st.sampled_from([zarray(), zarr_json(SHARDED), tree(restore_fn="a.b"), database()])))
    for _ in range(data.draw(st.integers(1, 6))):
        document[data.draw(st.integers(0, len(document) - 1))] = data.draw(st.integers(0, 255))
    assert look(bytes(document)).status in ("scanned", "partial", "skipped")
