"""Flax's states: each rule with a file that fires it and one next to it that does not."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, RootBlob
from modelaudit.engine import inspect
from modelaudit.errors import Missing
from modelaudit.limits import Limits
from modelaudit.model import Severity
from tests.samples.flaxfiles import STATES, WEIGHTS, Extension, array, pack, state
from tests.scanners.streams import look


def rules(data: bytes) -> set[str]:
    return {finding.rule.removeprefix("flax-msgpack-") for finding in look(data).findings}


CHUNK_OF_OBJECTS = {"__msgpack_chunked_array__": True, "chunks": {"0": array((1,), "O", b"")}}
ADAM = {"mu": WEIGHTS, "nu": WEIGHTS, "count": array((), "int32", bytes(4))}

FIRING: dict[str, tuple[str, bytes]] = {
    "objects": ("object-array", state(x=array((1,), "object", bytes(8)))),
    "objects of a chunk": ("object-array", state(x=CHUNK_OF_OBJECTS)),
    "unknown dtype": ("unknown-dtype", state(x=array((1,), "posit16", bytes(2)))),
    "too short": ("size-mismatch", state(x=array((4,), "float32", bytes(15)))),
    "too long": ("size-mismatch", state(x=array((4,), "bfloat16", bytes(9)))),
    "bytes behind the array": ("size-mismatch", state(x=Extension(1, WEIGHTS.data + b"more"))),
    "wrapping shape": ("shape", state(x=array((1 << 32, 1 << 32), "int8", b""))),
    "wrapping shape and then zero": ("shape", state(x=array(((1 << 64) - 1, 0), "int8", b""))),
    "cut short": ("malformed", state()[:-3]),
    "no array": ("malformed", state(x=Extension(1, b"\x01\x02"))),
    "negative dimension": ("malformed", state(x=Extension(1, pack([[-1], "float32", b""])))),
    "a hundred dimensions": ("malformed", state(x=Extension(1, pack([[1] * 100, "float32", b""])))),
    "class": ("key", state(x={"__class__": "os._wrap_close"})),
    "builtins": ("key", state(__builtins__={})),
    "code": ("code", state(x="__import__('os').system('echo modelaudit-sample')")),
    "callback": ("code", state(x="xla_python_cpu_callback")),
    "restored by the shell": ("restore-function", state(restore_fn="subprocess.run")),
    "restored by somebody": ("custom-restore", state(restore_fn="my_package.restore")),
    "extension": ("extension", state(x=Extension(99, b"x"))),
    "key twice": ("duplicate-key", b"\x82\xa6params\x01\xa6params\x02"),
    "appended": ("trailing", state() + b"\x01"),
}  # fmt: skip

SILENT: dict[str, bytes] = {
    "as Flax writes it": state(step=3, opt_state={"0": ADAM}),
    "every dtype": state(
        **{name: array((3,), name, np.zeros(3, name).tobytes()) for name in ("bool", "int64", "float16", "complex64")},
        short=array((3,), "float8_e4m3fn", bytes(3)), four=array((3,), "int4", bytes(3)),
        brain=array((3,), "bfloat16", bytes(6)), text=array((2,), "str160", bytes(40)),
    ),
    "scalars": state(lr=array((), "float32", bytes(4), code=3), z=Extension(2, pack([1.0, 2.0])), none=None, empty={}),
    "a timestamp": state(t=Extension(-1, bytes(4))),
    "chunks": state(x={"__msgpack_chunked_array__": True, "shape": {"0": 4}, "chunks": {"0": WEIGHTS}}),
    "empty arrays": state(x=array((0, 1 << 40), "float32", b"")),
    "names and words": state(**{"eval (zero-shot)": 1, "import": 2, "model.layers.0/attn..q": 3, "__version__": "1"}),
    "words": state(note="we exec (once) and eval; system requirements: os x", restore="yes", load_fn=None),
    "restored by the library": state(restore_fn="orbax.checkpoint.PyTreeCheckpointHandler"),
    "bytes of an image": state(x=b"\xff\xd8\xff\xe0" + bytes(50), y=array((4,), "uint8", b"\x80\x80\x80\x80")),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRING)
def test_a_flaw_is_found(name: str) -> None:
    """The rule fires, whatever else does."""
    rule, data = FIRING[name]
    assert rule in rules(data)


@pytest.mark.parametrize("name", SILENT)
def test_an_ordinary_state_is_silent(name: str) -> None:
    """Nothing is said, and it was scanned."""
    found = look(SILENT[name])
    assert found.findings == ()
    assert (found.status, found.formats) == ("scanned", ("flax_msgpack",))


@pytest.mark.parametrize("data", [data for _, _, data, expect, _ in STATES if expect == "critical"])
def test_what_is_carried_is_critical(data: bytes) -> None:
    """Pickles in every wrapping, code, and sizes that wrap."""
    assert Severity.CRITICAL in {finding.severity for finding in look(data).findings}


def test_arrays_are_listed() -> None:
    """By their paths, for the inventory."""
    (asset,) = look(state()).assets
    assert (asset.type, asset.tensors) == ("flax_msgpack", ("params/Dense_0/kernel", "params/Dense_0/bias"))


def test_a_body_is_not_read() -> None:
    """A state of a gigabyte is judged from the bytes between its arrays."""
    head = state()[:-1]
    big = b"\x82" + head[1:] + b"\x00" + pack("w") + b"\xc9" + (1 << 30).to_bytes(4, "big") + b"\x01"
    inner = b"\x93" + pack([(1 << 28) - 5]) + pack("float32") + b"\xc6"
    length = (1 << 30) - len(inner) - 4
    data = big + inner + length.to_bytes(4, "big")
    found = inspect(RootBlob(data + bytes(4096), len(data) + length, [(0, len(data) + 4096)]))
    assert found.bytes_viewed < 1 << 20
    assert found.status == "scanned"


def test_half_a_state_is_not_called_whole() -> None:
    """Cut anywhere, it is partial; and bytes that are not here are asked for."""
    data = state(x={"y": "z" * 20, "a": [1, 2, 3]})
    for length in range(12, len(data)):
        assert inspect(BytesBlob(data[:length])).status == "partial"
        with suppress(Missing):
            assert inspect(RootBlob(data[:length], len(data), [(0, length)])).status == "scanned"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_it_survives_mutation(data: st.DataObject) -> None:
    """Whatever a few changed bytes make of it, there is an answer."""
    document = bytearray(state(x=array((3,), "uint8", b"abc"), y={"z": "text" * 10}))
    for _ in range(data.draw(st.integers(1, 6))):
        document[data.draw(st.integers(0, len(document) - 1))] = data.draw(st.integers(0, 255))
    assert inspect(BytesBlob(bytes(document))).status in ("scanned", "partial", "skipped")


def test_what_is_beyond_the_bound_is_said() -> None:
    """A state of more values than are looked at is told as partly scanned, with what was found before."""
    limits = Limits(state_values=100)
    data = state(x="__import__('os').system('echo modelaudit-sample')", y=[{} for _ in range(200)])
    result = inspect(BytesBlob(data), limits)
    assert (result.status, result.reason) == ("partial", "state_values")
    assert {"flax-msgpack-code"} == {finding.rule for finding in result.findings}
    assert [asset.type for asset in result.assets] == ["flax_msgpack"]
