"""safetensors whose header or bytes do not add up, or that carry something (B072, B073)."""

import base64
import json
import struct
from collections.abc import Iterator

from tests.samples.sample import HARM, UNPROVEN, Sample

DATA_ONLY = f"{UNPROVEN}the format holds data only; what uses it does the harm."


def raw(header: bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A file with this header, as it stands."""
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def tensors(*entries: tuple[str, str, list[int], int, int], metadata: dict[str, object] | None = None) -> bytes:
    """The header's JSON for (name, dtype, shape, start, end)."""
    table: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    for name, dtype, shape, start, end in entries:
        table[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    return json.dumps(table).encode()


def one(**changes: object) -> bytes:
    """The header of one tensor of two floats, with changes."""
    return json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}).encode()


def with_metadata(value: object, key: str = "note") -> bytes:
    """An honest file with this metadata."""
    return raw(tensors(("w", "F32", [2], 0, 8), metadata={key: value}), bytes(8))


A, B = ("a", "F32", [2], 0, 8), ("b", "F32", [2], 8, 16)
BROKEN = frozenset({"partial", "failed"})

# id, bytes, least severity, other honest ends, why
HEADERS: tuple[tuple[str, bytes, str, frozenset[str], str], ...] = (
    ("overlap", raw(tensors(A, ("b", "F32", [2], 4, 12)), bytes(12)), "warning", BROKEN, "Two tensors overlap."),
    ("same-bytes", raw(tensors(A, ("b", "F32", [2], 0, 8)), bytes(8)), "warning", BROKEN, "Two share their bytes."),
    ("gap", raw(tensors(A, ("b", "F32", [2], 16, 24)), bytes(24)), "warning", BROKEN, "Bytes between that none owns."),
    ("gap-at-start", raw(tensors(B), bytes(16)), "warning", BROKEN, "Bytes before the first tensor."),
    ("trailing", raw(tensors(A), bytes(4096)), "warning", BROKEN, "Bytes after the last tensor."),
    (
        "end-past-file",
        raw(tensors(("a", "F32", [200], 0, 800)), bytes(8)),
        "warning",
        BROKEN,
        "Data that is not there.",
    ),
    ("offset-2-63", raw(one(data_offsets=[0, 2**63]), bytes(8)), "warning", BROKEN, "An offset of 2^63."),
    ("offset-2-64", raw(one(data_offsets=[0, 2**64 + 8]), bytes(8)), "warning", BROKEN, "An offset beyond 64 bits."),
    ("offset-negative", raw(one(data_offsets=[-8, 8]), bytes(8)), "warning", BROKEN, "A negative offset."),
    ("offset-reversed", raw(one(data_offsets=[8, 0]), bytes(8)), "warning", BROKEN, "An end before the start."),
    ("offset-float", raw(one(data_offsets=[0.0, 8.0]), bytes(8)), "warning", BROKEN, "Offsets with a point."),
    ("offset-string", raw(one(data_offsets=["0", "8"]), bytes(8)), "warning", BROKEN, "Offsets that are strings."),
    ("offset-three", raw(one(data_offsets=[0, 4, 8]), bytes(8)), "warning", BROKEN, "Three offsets."),
    ("shape-mismatch", raw(one(shape=[3]), bytes(8)), "warning", BROKEN, "Shape times size is not the length."),
    ("shape-overflow", raw(one(shape=[2**62, 4, 2]), bytes(8)), "warning", BROKEN, "A shape that wraps 64 bits."),
    ("shape-negative", raw(one(shape=[-2]), bytes(8)), "warning", BROKEN, "A negative dimension."),
    ("dtype-unknown", raw(one(dtype="OBJECT"), bytes(8)), "info", BROKEN, "A dtype that does not exist."),
    ("dtype-missing", raw(b'{"w":{"shape":[2],"data_offsets":[0,8]}}', bytes(8)), "warning", BROKEN, "No dtype."),
    ("extra-key", raw(one(code="os.system"), bytes(8)), "info", BROKEN, "A key that the format does not know."),
    (
        "duplicate-tensor",
        raw(
            b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}',
            bytes(16),
        ),
        "warning",
        BROKEN,
        "One name twice.",
    ),
    (
        "duplicate-escaped",
        raw(
            b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
            b'"\\u0077":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}',
            bytes(16),
        ),
        "warning",
        BROKEN,
        "One name twice, once escaped.",
    ),
    (
        "duplicate-inner-key",
        raw(b'{"w":{"dtype":"F32","dtype":"F64","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
        "warning",
        BROKEN,
        "One key twice within a tensor.",
    ),
    (
        "duplicate-metadata",
        raw(
            b'{"__metadata__":{"a":"1"},"__metadata__":{"a":"2"},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
            bytes(8),
        ),
        "warning",
        BROKEN,
        "Metadata twice.",
    ),
    ("header-length-2-63", raw(one(), bytes(8), 2**63), "warning", BROKEN | {"skipped"}, "A header of 2^63 bytes."),
    ("header-length-past-file", raw(one(), bytes(8), 10**6), "warning", BROKEN | {"skipped"}, "A header past the end."),
    ("header-length-short", raw(one(), bytes(8), 20), "warning", BROKEN | {"skipped"}, "A header cut short."),
    ("header-not-utf8", raw(one().replace(b'"w"', b'"\xff\xfe"'), bytes(8)), "warning", BROKEN, "Not UTF-8."),
    ("header-deep", raw(b'{"w":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "warning", BROKEN, "100,000 lists deep."),
    ("header-is-list", raw(b"[" + one() + b"]", bytes(8)), "warning", BROKEN | {"skipped"}, "A list, not a table."),
    ("header-nan", raw(one(shape=[float("nan")]), bytes(8)), "warning", BROKEN, "A dimension that is not a number."),
    ("header-padded-with-text", raw(one() + b"x" * 64, bytes(8)), "warning", BROKEN, "Padding that is not spaces."),
    ("header-padded-with-nul", raw(one() + bytes(64), bytes(8)), "warning", BROKEN, "Padding of NULs."),
    ("metadata-not-strings", with_metadata({"a": [1]}), "info", BROKEN, "Metadata that is not a string."),
    ("tensor-name-traversal", raw(tensors(("../../etc/x", "F32", [2], 0, 8)), bytes(8)), "warning", BROKEN, "A path."),
)

SOURCE = HARM.source
METADATA: tuple[tuple[str, str, str], ...] = (
    ("python-source", f"import os; {SOURCE}", "Python source."),
    ("eval-source", f'eval("{SOURCE}")', "A call of eval."),
    ("lambda-source", f"lambda x: {SOURCE}", "A lambda that makes the call."),
    ("subprocess", "subprocess.Popen(['sh', '-c', 'echo modelaudit-sample'])", "A call of subprocess."),
    (
        "jinja",
        "{{ self.__init__.__globals__.__builtins__.__import__('os').popen('echo modelaudit-sample').read() }}",
        "A template that escapes its sandbox.",
    ),
    ("jinja-cycler", "{{ cycler.__init__.__globals__.os.popen('echo modelaudit-sample').read() }}", "Another one."),
    ("jinja-subclasses", "{% for c in ''.__class__.__mro__[1].__subclasses__() %}{{ c }}{% endfor %}", "A third."),
    ("pickle-base64", base64.b64encode(HARM.pickle()).decode(), "A hostile pickle in base64."),
    ("pickle-base64-protocol2", base64.b64encode(HARM.pickle(2)).decode(), "The same in protocol 2."),
    ("pickle-hex", HARM.pickle().hex(), "A hostile pickle in hex."),
    ("pickle-text", HARM.pickle(0).decode(), "A hostile text pickle."),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    for name, data, expect, ends, why in HEADERS:
        yield Sample(
            f"B072-{name}", "B072", "model.safetensors", lambda _, data=data: data, why + DATA_ONLY, expect, "", ends
        )
    for name, text, why in METADATA:
        yield Sample(
            f"B073-{name}",
            "B073",
            "model.safetensors",
            lambda _, text=text: with_metadata(text),
            f"{why} In the metadata.{DATA_ONLY}",
            "warning",
            "",
        )
    yield Sample(
        "B073-in-key",
        "B073",
        "model.safetensors",
        lambda _: with_metadata("x", f"import os; {SOURCE}"),
        f"Python source as a metadata key.{DATA_ONLY}",
        "warning",
        "",
    )
