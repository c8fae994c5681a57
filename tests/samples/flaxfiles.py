"""States in MessagePack as Flax writes them, and what hides in them (B078, B032, B085)."""

import base64
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tests.samples.sample import HARM, UNPROVEN, Sample

DATA_ONLY = f"{UNPROVEN}the format holds data only; what uses it does the harm."


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension value: its type and its bytes."""

    code: int
    data: bytes


def _sized(first: int, length: int) -> bytes:
    """The header of a kind whose three widths begin at `first`."""
    if length < 1 << 8:
        return bytes([first, length])
    return struct.pack(">BH", first + 1, length) if length < 1 << 16 else struct.pack(">BI", first + 2, length)


def _counted(fixed: int, wide: int, count: int) -> bytes:
    if count < 16:
        return bytes([fixed | count])
    return struct.pack(">BH", wide, count) if count < 1 << 16 else struct.pack(">BI", wide + 1, count)


def _integer(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack("b" if value < 0 else "B", value)
    forms = ((0xCC, ">BB"), (0xCD, ">BH"), (0xCE, ">BI"), (0xCF, ">BQ")) if value >= 0 else (
        (0xD0, ">Bb"), (0xD1, ">Bh"), (0xD2, ">Bi"), (0xD3, ">Bq"),
    )  # fmt: skip
    bits = value.bit_length() + (value < 0)
    first, form = forms[0 if bits <= 8 else 1 if bits <= 16 else 2 if bits <= 32 else 3]
    return struct.pack(form, first, value)


def pack(value: object) -> bytes:
    """`value` in MessagePack."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return struct.pack(">Bd", 0xCB, value)
    if isinstance(value, str):
        data = value.encode()
        return (bytes([0xA0 | len(data)]) if len(data) < 32 else _sized(0xD9, len(data))) + data
    if isinstance(value, bytes):
        return _sized(0xC4, len(value)) + value
    if isinstance(value, Extension):
        return _sized(0xC7, len(value.data)) + struct.pack("b", value.code) + value.data
    if isinstance(value, list):
        return _counted(0x90, 0xDC, len(value)) + b"".join(map(pack, value))
    assert isinstance(value, dict)
    return _counted(0x80, 0xDE, len(value)) + b"".join(pack(key) + pack(entry) for key, entry in value.items())


def array(shape: tuple[int, ...], dtype: str, data: bytes, code: int = 1) -> Extension:
    """An array as Flax writes it."""
    return Extension(code, pack([list(shape), dtype, data]))


WEIGHTS = array((2, 2), "float32", bytes(16))


def state(**more: object) -> bytes:
    """An ordinary state, and more."""
    return pack({"params": {"Dense_0": {"kernel": WEIGHTS, "bias": array((2,), "float32", bytes(8))}}, **more})


PICKLE = HARM.pickle()

# id, bypass, bytes, least severity, why
STATES: tuple[tuple[str, str, bytes, str, str], ...] = (
    ("pickle-in-binary", "B078", state(extra=PICKLE), "critical", "A hostile pickle as a binary."),
    ("pickle-in-extension", "B078", state(extra=Extension(42, PICKLE)), "critical", "A pickle in an extension."),
    ("pickle-in-flax-extension", "B078", state(extra=Extension(1, PICKLE)), "critical", "A pickle posing as an array."),
    (
        "pickle-in-array",
        "B078",
        state(extra=array((len(PICKLE),), "uint8", PICKLE)),
        "critical",
        "A hostile pickle as an array of bytes.",
    ),
    (
        "pickle-in-object-array",
        "B078",
        state(extra=array((1,), "object", PICKLE)),
        "critical",
        "An array of objects.",
    ),
    ("pickle-base64", "B032", state(extra=base64.b64encode(PICKLE).decode()), "critical", "A pickle as base64."),
    ("pickle-hex", "B032", state(extra=PICKLE.hex()), "critical", "A pickle as hex."),
    ("pickle-appended", "B039", state() + PICKLE, "critical", "A hostile pickle behind the state."),
    ("source", "B078", state(extra=f"import os; {HARM.source}"), "critical", "Python source in a value."),
    ("source-as-key", "B078", state(**{HARM.source: 1}), "critical", "Python source as a key."),
    ("reduce-key", "B078", state(__reduce__=["os.system", "echo modelaudit-sample"]), "critical", "A key for pickle."),
    ("restore-fn", "B078", state(restore_fn="os.system"), "critical", "A function that restoring should call."),
    ("host-callback", "B078", state(jaxpr="jax.experimental.host_callback.id_tap(f, x)"), "critical", "A callback."),
    ("shape-wraps", "B085", state(extra=array((1 << 33, 1 << 33), "float32", b"")), "critical", "A shape that wraps."),
    ("map-of-2-32", "B085", pack({"params": 0})[:-1] + b"\xdf\xff\xff\xff\xff", "warning", "A map of 2^32."),
    ("array-of-2-32", "B085", pack({"params": 0})[:-1] + b"\xdd\xff\xff\xff\xff", "warning", "An array of 2^32."),
    ("binary-of-2-32", "B085", pack({"params": 0})[:-1] + b"\xc6\xff\xff\xff\xff", "warning", "A binary of 2^32."),
)  # fmt: skip


def hostile() -> Iterator[Sample]:
    """All of this family."""
    for name, bypass, data, expect, why in STATES:
        yield Sample(
            f"{bypass}-flax-{name}",
            bypass,
            "flax_model.msgpack",
            lambda _, data=data: data,
            why + DATA_ONLY,
            expect,
            "",
        )
    yield Sample(
        "B085-flax-deep",
        "B085",
        "flax_model.msgpack",
        lambda _: b"\x81\xa6params" * 5000 + b"\xc0",
        f"Five thousand maps in each other.{DATA_ONLY}",
        "warning",
        "",
        frozenset({"partial"}),
    )
