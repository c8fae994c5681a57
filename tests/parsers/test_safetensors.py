"""The safetensors header, held against the reference reader and against a reader that keeps everything."""

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize

from modelaudit.blob import BytesBlob, RootBlob
from modelaudit.engine import inspect
from modelaudit.errors import LimitExceeded, Missing, ParseError
from modelaudit.model import Severity
from modelaudit.parsers import safetensors

NAMES = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["a", "b", ":", '":', "__metadata__"])
DTYPES = st.sampled_from([*safetensors.DTYPE_BITS, "u8", "U128"])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Mostly right files: tensors behind each other, with here and there a lie."""
    header: list[tuple[str, object]] = []
    end = 0
    for name in draw(st.lists(NAMES, max_size=5)):
        dtype = draw(DTYPES)
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        count = 1
        for size in shape:
            count *= size
        length = count * safetensors.DTYPE_BITS.get(dtype, 8) // 8
        begin = end + draw(st.sampled_from([0] * 12 + [1, -1]))
        end = begin + length + draw(st.sampled_from([0] * 12 + [1, -1]))
        header.append((name, {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}))
    if draw(st.booleans()):
        texts = draw(st.none() | st.dictionaries(NAMES, NAMES | st.none(), max_size=3))
        header.insert(draw(st.integers(0, len(header))), ("__metadata__", texts))
    body = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in header)
    text = ("{" + body + "}" + draw(st.sampled_from(["", "", " ", "\n", "\0", "}"]))).encode()
    return len(text).to_bytes(8, "little") + text + bytes(max(0, end + draw(st.sampled_from([0] * 8 + [1, -1]))))


@settings(max_examples=600, deadline=None)
@given(data=files())
def test_what_the_reference_reader_refuses_is_told(data: bytes) -> None:
    """A file without a word about it is one that the reference reader takes."""
    try:
        deserialize(data)
        refused = False
    except SafetensorError:
        refused = True
    found = inspect(BytesBlob(data))
    if found.status == "scanned" and not found.findings:
        assert not refused


@settings(max_examples=400, deadline=None)
@given(data=files())
def test_the_fast_way_reads_what_the_exact_way_reads(data: bytes) -> None:
    """It gives the same header, or none at all."""
    body = data[8 : 8 + int.from_bytes(data[:8], "little")].rstrip(b"\0 \t\r\n")
    fast = safetensors._fast(len(body), body, b"", b"")
    if fast is not None:
        exact = safetensors._exact(len(body), body, b"", b"")
        assert exact.duplicates == []
        assert exact.flaws == []
        assert list(exact.tensors) == list(fast.tensors)
        assert list(exact.metadata) == list(fast.metadata)


def written(count: int, extra: str = "") -> bytes:
    header = {f"t{n}": {"dtype": "U8", "shape": [1], "data_offsets": [n, n + 1]} for n in range(count)}
    text = (json.dumps(header)[:-1] + extra + "}").encode()
    return len(text).to_bytes(8, "little") + text


def test_an_ordinary_header_is_read_the_fast_way() -> None:
    """What the reference library writes never needs the slow one; a key that is written twice does."""
    ordinary, twice = written(1000), written(1000, ', "t5": {"dtype": "U8", "shape": [1], "data_offsets": [5, 6]}')
    assert safetensors._fast(0, ordinary[8:], b"", b"") is not None
    assert safetensors._fast(0, twice[8:], b"", b"") is None
    assert safetensors.parse(BytesBlob(twice)).duplicates == ["t5"]


def test_only_the_header_is_asked_for() -> None:
    """Two rounds at most: the length, then the header."""
    data = written(2000)
    size = len(data) + 14 * 10**9
    asked = []
    for extents in ([], [(0, 8)], [(0, len(data))]):
        try:
            assert len(safetensors.parse(RootBlob(data, size, extents)).tensors) == 2000
        except Missing as missing:
            asked.append(missing.ranges)
    assert asked == [((0, 8),), ((8, len(data) - 8),)]


@pytest.mark.parametrize("length", [safetensors.HEADER_MOST_BYTES + 1, 1 << 40, 1 << 63, (1 << 64) - 1])
def test_a_header_that_is_too_long_is_not_read(length: int) -> None:
    """No declared length makes the parser ask for as much."""
    blob = RootBlob(length.to_bytes(8, "little"), 1 << 50, [(0, 8)])
    with pytest.raises(LimitExceeded):
        safetensors.parse(blob)


@given(data=st.binary(max_size=100))
def test_anything_in_place_of_json_is_an_answer(data: bytes) -> None:
    """Chance raises nothing but what the contract allows."""
    with suppress(ParseError):
        safetensors.parse(BytesBlob(len(data).to_bytes(8, "little") + data))


def test_findings_do_not_depend_on_the_way() -> None:
    """A hole is a hole in both."""
    text = b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}%s}'
    for extra in (b"", b',"\\u0062":{"dtype":"U8","shape":[0],"data_offsets":[2,2]}'):
        body = text % extra
        found = inspect(BytesBlob(len(body).to_bytes(8, "little") + body + b"xy"))
        assert [(finding.rule, finding.severity) for finding in found.findings] == [
            ("safetensors-gap", Severity.WARNING)
        ]
