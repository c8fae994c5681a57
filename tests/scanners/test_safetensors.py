"""safetensors: each rule with a file that fires it and one next to it that does not."""

import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from modelaudit.blob import BytesBlob, RootBlob
from modelaudit.engine import inspect
from modelaudit.errors import LimitExceeded, Missing, ParseError
from modelaudit.model import Severity
from modelaudit.parsers import safetensors as parser
from tests.scanners.streams import ATTACK, look

ORDINARY = save(
    {"a": np.zeros((3, 4), np.float32), "b": np.ones(5, np.int8), "empty": np.zeros((0, 3)), "scalar": np.array(1.0)},
    metadata={"format": "pt"},
)


def make(header: object, data: bytes = b"", pad: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    text += pad
    return len(text).to_bytes(8, "little") + text + data


def tensor(begin: int, end: int, shape: tuple[int, ...] = (4,), dtype: str = "U8") -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def rules(data: bytes) -> set[str]:
    return {finding.rule.removeprefix("safetensors-") for finding in look(data).findings}


FIRING: dict[str, tuple[str, bytes]] = {
    "past the end": ("out-of-bounds", make({"a": tensor(100, 104)}, bytes(8))),
    "reversed": ("out-of-bounds", make({"a": tensor(4, 0)}, bytes(4))),
    "cut short": ("truncated", make({"a": tensor(0, 4), "b": tensor(4, 8)}, bytes(7))),
    "same bytes twice": ("overlap", make({"a": tensor(0, 4), "b": tensor(0, 4)}, bytes(4))),
    "partly shared": ("overlap", make({"a": tensor(0, 4), "b": tensor(2, 6)}, bytes(6))),
    "too few bytes": ("size-mismatch", make({"a": tensor(0, 3)}, bytes(3))),
    "too many bytes": ("size-mismatch", make({"a": tensor(0, 5)}, bytes(5))),
    "hole": ("gap", make({"a": tensor(0, 4), "b": tensor(8, 12)}, bytes(12))),
    "hole at the start": ("gap", make({"a": tensor(4, 8)}, bytes(8))),
    "appended": ("trailing", ORDINARY + b"more"),
    "key twice": ("duplicate-key", make(b'{"a":%s,"a":%s}' % ((json.dumps(tensor(0, 4)).encode(),) * 2), bytes(4))),
    "metadata key twice": ("duplicate-key", make(b'{"__metadata__":{"x":"1","x":"2"}}')),
    "field of a tensor twice": (
        "duplicate-key", make(b'{"a":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}}', bytes(4)),
    ),
    "huge header": ("header-length", (1 << 40).to_bytes(8, "little") + b'{"a":{}}'),
    "declared 2^63": ("header-length", (1 << 63).to_bytes(8, "little") + b'{"a":{}}'),
    "not JSON": ("malformed", make(b'{"a":{"dtype" 1}}')),
    "deep JSON": ("malformed", make(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
    "leading space": ("malformed", make(b" " + json.dumps({"a": tensor(0, 4)}).encode(), bytes(4))),
    "padded with NUL": ("malformed", make({"a": tensor(0, 4)}, bytes(4), pad=bytes(8))),
    "metadata of numbers": ("malformed", make({"__metadata__": {"epoch": 3}})),
    "metadata a list": ("malformed", make({"__metadata__": []})),
    "a tensor without shape": ("malformed", make({"a": {"dtype": "U8", "data_offsets": [0, 1]}}, bytes(1))),
    "negative offset": ("malformed", make({"a": tensor(-4, 0)}, bytes(4))),
    "shape beyond 2^64": ("malformed", make({"a": tensor(0, 4, (1 << 33, 1 << 33))}, bytes(4))),
    "shape beyond 2^64 and then zero": ("malformed", make({"a": tensor(0, 0, (1 << 63, 4, 0))})),
    "half a byte": ("malformed", make({"a": tensor(0, 2, (3,), "F4")}, bytes(2))),
    "a key of its own": ("malformed", make({"a": {**tensor(0, 4), "code": "x"}}, bytes(4))),
    "empty inside another": ("malformed", make({"a": tensor(0, 8, (8,)), "z": tensor(4, 4, (0,))}, bytes(8))),
    "half a character": ("malformed", make(b'{"\\ud800":%s}' % json.dumps(tensor(0, 4)).encode(), bytes(4))),
    "number that is none": ("malformed", make(b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,4]}}', bytes(4))),
    "key twice, once escaped": (
        "duplicate-key", make(b'{"a":%s,"\\u0061":%s}' % ((json.dumps(tensor(0, 4)).encode(),) * 2), bytes(4)),
    ),
    "key twice, with colons": ("duplicate-key", make(
        b'{"\\u003a\\u003a\\u003a\\u003a":%s,"a":%s,"a":%s}' % tuple(
            json.dumps(tensor(*span)).encode() for span in ((0, 4), (4, 8), (4, 8))
        ), bytes(8))),
    "unknown dtype": ("unknown-dtype", make({"a": tensor(0, 4, dtype="Q3")}, bytes(4))),
    "name a path": ("tensor-name", make({"../../etc/x": tensor(0, 4)}, bytes(4))),
    "name absolute": ("tensor-name", make({"/etc/x": tensor(0, 4)}, bytes(4))),
    "name with control": ("tensor-name", make({"a\x1b[2J": tensor(0, 4)}, bytes(4))),
    "python in metadata": ("metadata-code", make({"__metadata__": {"n": "__import__('os').system('id')"}})),
    "names out of a module": ("metadata-code", make({"__metadata__": {"n": "from os import system as s\ns('id')"}})),
    "module by another name": ("metadata-code", make({"__metadata__": {"n": "import os as o; o.system('id')"}})),
    "attribute by text": ("metadata-code", make({"__metadata__": {"n": "import os; getattr(os, 'sys' + 'tem')"}})),
    "template in metadata": ("metadata-code", make({"__metadata__": {"t": "{{ ''.__class__.__mro__ }}"}})),
    "script in metadata": ("metadata-code", make({"__metadata__": {"h": "<script>alert(1)</script>"}})),
    "token in metadata": ("metadata-secret", make({"__metadata__": {"t": "hf_" + "a" * 34}})),
    "private key": ("metadata-secret", make({"__metadata__": {"k": "-----BEGIN PRIVATE KEY-----"}})),
}  # fmt: skip

SILENT: dict[str, bytes] = {
    "no metadata, in so many words": make({"__metadata__": None, "a": tensor(0, 4)}, bytes(4)),
    "metadata with quotes and colons": make(
        {"__metadata__": {"ss:x": '{"a": "b:c", "d": [1, 2]}', "e": "\u00fc:\n"}, "a:b": tensor(0, 4)}, bytes(4)
    ),
    "one tensor after another, empty ones between": make(
        {"b": tensor(4, 8), "e": tensor(4, 4, (0, 1 << 40)), "a": tensor(0, 4)}, bytes(8)
    ),
    "saved by the library": ORDINARY,
    "padded with spaces": make({"a": tensor(0, 4)}, bytes(4), pad=b"   "),
    "names with dots and slashes": make({"model.layers.0/attn..q": tensor(0, 4)}, bytes(4)),
    "empty": make({}),
    "newest dtypes": make(
        {"a": tensor(0, 4, dtype="F8_E4M3"), "b": tensor(4, 6, dtype="F4"), "c": tensor(6, 14, (4,), "BF16")}, bytes(14)
    ),
    "training metadata": make({"__metadata__": {
        "format": "pt", "modelspec.title": "A {style} of <lora:x:1>", "ss_network_args": '{"conv_dim": "4"}',
        "modelspec.thumbnail": "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ" + "A" * 400,
        "eval": "we eval (zero-shot) and exec (once) every 100 steps; see eval() in the docs",
        "notes": "import the weights, then evaluate (exec summary in README); system requirements: os x",
        "usage": "```python\nimport os\nfrom safetensors.torch import load_file\nload_file(os.path.join(d, 'x'))\n```",
        "ss_tag_frequency": '{"1_x": {"on error": 3}}',
    }}),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRING)
def test_a_flaw_is_found(name: str) -> None:
    """The rule fires, whatever else does."""
    rule, data = FIRING[name]
    assert rule in rules(data)


@pytest.mark.parametrize("name", SILENT)
def test_an_ordinary_file_is_silent(name: str) -> None:
    """Not one finding, of any severity."""
    found = look(SILENT[name])
    assert (found.status, found.findings) == ("scanned", ())


def test_every_rule_is_fired() -> None:
    """No rule without a sample."""
    from modelaudit.engine import default_engine

    known = {rule.removeprefix("safetensors-") for rule in default_engine().catalogue.rules if rule.startswith("safet")}
    assert known == {rule for rule, _ in FIRING.values()}


def test_a_secret_is_not_repeated() -> None:
    """The report does not publish what it warns of."""
    token = "hf_" + "s3cr3t" * 6
    found = look(make({"__metadata__": {"t": token}}))
    assert found.findings
    assert token.encode() not in b"".join(repr(finding).encode() for finding in found.findings)


def test_what_is_appended_or_hidden_is_scanned() -> None:
    """A pickle behind the tensors, in a hole, or in the metadata is found as one."""
    import base64

    hole = make({"a": tensor(0, 4), "b": tensor(4 + len(ATTACK), 8 + len(ATTACK))}, bytes(4) + ATTACK + bytes(4))
    text = base64.b64encode(
        b"\x80\x04\x95\x1f\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x02id\x94\x85\x94R\x94."
    )
    metadata = make({"__metadata__": {"state": text.decode()}})
    url = make({"__metadata__": {"state": "data:application/octet-stream;base64," + text.decode()}})
    latin = make({"__metadata__": {"state": base64.b64decode(text).decode("latin-1")}})
    plain = make({"__metadata__": {"state": ATTACK.decode()}})
    for data in (ORDINARY + ATTACK, hole, metadata, url, latin, plain):
        assert Severity.CRITICAL in {f.severity for f in look(data).findings if f.rule.startswith("pickle-")}


@pytest.mark.parametrize("value", ["{{" * 200_000, "{%" * 200_000, "import " * 200_000, "onload=" * 200_000,
                                   "-----BEGIN " * 100_000, "sk-" * 300_000 + "!"])  # fmt: skip
def test_no_text_takes_for_ever(value: str) -> None:
    """Metadata that is made to be slow to search is searched in time that grows with its length."""
    assert look(make({"__metadata__": {"k": value}})).status == "scanned"


@pytest.mark.parametrize("prefix", ["[\n      ", '{\n"a4":\t', '{"data":', '{"é":  '])
def test_json_is_not_taken_for_a_header(prefix: str) -> None:
    """Text in the place of the length is text."""
    assert len(prefix.encode()) == 8
    assert "safetensors" not in look(prefix.encode() + b'{"x": {"dtype": 1}}]').formats


def test_white_space_behind_the_header_is_no_alarm() -> None:
    """The reference reader takes it; the format asks for spaces."""
    [finding] = look(make({"a": tensor(0, 4)}, bytes(4), pad=b"\n")).findings
    assert (finding.rule, finding.severity) == ("safetensors-malformed", Severity.INFO)


def test_only_the_header_is_read() -> None:
    """A file of 14 GB costs its header: the ranges that are asked for say so."""
    header = {f"t{number}": tensor(number * 4, number * 4 + 4) for number in range(1000)}
    data = make(header)
    size = len(data) + 14 * 10**9
    with pytest.raises(Missing) as missing:
        inspect_root(data[:512], size)
    assert sum(length for _, length in missing.value.ranges) <= len(data)
    big = make({"t": tensor(0, 14 * 10**9, (14 * 10**9,))})
    assert inspect_root(big + bytes(8192), len(big) + 14 * 10**9).status == "scanned"


def inspect_root(here: bytes, size: int):  # type: ignore[no-untyped-def]
    from modelaudit.engine import default_engine
    from modelaudit.limits import Limits

    return default_engine().inspect(RootBlob(here, size, [(0, len(here))]), Limits())


def test_any_number_of_tensors() -> None:
    """Fifty thousand tensors are ordinary."""
    header = {f"layer.{number}.weight": tensor(number * 4, number * 4 + 4) for number in range(50_000)}
    found = look(make(header, bytes(200_000)))
    assert (found.status, found.findings) == ("scanned", ())
    assert found.assets[0].tensors_total == 50_000


@given(cut=st.integers(0, len(ORDINARY)))
def test_a_file_cut_anywhere_is_an_answer(cut: int) -> None:
    """Truncation is a parse error or a finding, never anything else."""
    with suppress(ParseError):
        parser.parse(BytesBlob(ORDINARY[:cut]))
    assert look(ORDINARY[:cut]).status in ("scanned", "partial", "skipped")


@settings(max_examples=300)
@given(place=st.integers(0, 300), value=st.integers(1, 255))
def test_damage_anywhere_is_an_answer(place: int, value: int) -> None:
    """A flipped byte raises nothing but what the contract allows."""
    data = bytearray(ORDINARY)
    data[place % len(data)] ^= value
    with suppress(ParseError, LimitExceeded):
        parser.parse(BytesBlob(bytes(data)))
    inspect(BytesBlob(bytes(data)))


OTHER = [
    b'{"a": 1}' * 10,
    b"\x10\0\0\0\0\0\0\0not json at all, just text",
    b"PK\x03\x04" + b"{" * 40,
]


@pytest.mark.parametrize("data", OTHER)
def test_other_files_are_not_safetensors(data: bytes) -> None:
    """JSON, text and archives are not taken for headers."""
    assert "safetensors" not in look(data).formats
