"""The .npy header as numpy writes and reads it."""

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, RootBlob
from modelaudit.errors import LimitExceeded, Missing, ParseError
from modelaudit.parsers import npy

CODES = [
    "?",
    "<i1",
    "<u2",
    ">i4",
    "<u8",
    "<f2",
    ">f4",
    "<f8",
    "<c8",
    ">c16",
    "S3",
    "<U5",
    "V7",
    "<M8[ns]",
    "<m8[25s]",
    "O",
]
NAMES = st.text(st.characters(codec="latin-1", exclude_characters="\x00"), min_size=1, max_size=4)
SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)


def structs(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """A struct of fields, each of `inner`, with or without a shape of its own."""
    field = st.tuples(inner, SHAPES)
    return st.dictionaries(NAMES, field, min_size=1, max_size=4).map(
        lambda fields: [(name, *described) for name, described in fields.items()]
    )


DTYPES = st.recursive(st.sampled_from(CODES), structs, max_leaves=12).map(np.dtype)


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@given(dtype=DTYPES, shape=SHAPES)
def test_what_numpy_writes_is_measured_as_numpy_does(dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """Shape, size of an element, where the data begins, and whether there are objects in it."""
    array = np.zeros(shape, dtype)
    data = saved(array)
    header = npy.parse(BytesBlob(data))
    assert header.objects == array.dtype.hasobject
    assert header.shape == array.shape
    if not header.objects:
        assert header.item_bytes == array.dtype.itemsize
        assert header.data_start + array.nbytes == len(data)
        assert header.data_bytes == array.nbytes


WORDS = ["O", "|O", "<f8", "i4", "object", "float64", "S", "i4,O", "T", "V8", "aO", "?"]
ODD = st.recursive(
    st.sampled_from(WORDS),
    lambda inner: st.one_of(
        st.lists(st.tuples(st.sampled_from("abcd"), inner), max_size=3),
        st.lists(st.tuples(st.sampled_from("abcd"), inner, SHAPES), max_size=2),
        st.lists(st.lists(inner, min_size=2, max_size=3), max_size=2),
        st.tuples(inner, SHAPES),
        st.tuples(inner, st.integers(0, 3), inner),
    ),
    max_leaves=6,
)


@settings(max_examples=500)
@given(descr=ODD)
def test_no_spelling_of_objects_is_missed(descr: object) -> None:
    """Whatever numpy reads as a dtype with objects is read as one here, or not understood and so said."""
    try:
        dtype = np.lib.format.descr_to_dtype(descr)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, SyntaxError):  # numpy refuses it
        dtype = None
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': (1,)}}".encode()
    data = npy.MAGIC + b"\x02\0" + len(text).to_bytes(4, "little") + text
    with suppress(ParseError):
        header = npy.parse(BytesBlob(data))
        assert dtype is None or header.objects or not dtype.hasobject


@pytest.mark.parametrize("version", [1, 2, 3])
def test_only_the_header_is_asked_for(version: int) -> None:
    """Two rounds at most: the prefix, then the header that it announces."""
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000,), }".ljust(300) + b"\n"
    start = 10 if version == 1 else 12
    data = npy.MAGIC + bytes([version, 0]) + len(text).to_bytes(start - 8, "little") + text
    size = len(data) + 8 * 10**9
    asked = []
    for extents in ([], [(0, 12)], [(0, len(data))]):
        try:
            assert npy.parse(RootBlob(data, size, extents)).data_bytes == 8 * 10**9
        except Missing as missing:
            asked.append(missing.ranges)
    assert asked == [((0, 12),), ((12, len(data) - 12),)]


@given(data=st.binary(max_size=200), version=st.integers(0, 4))
def test_anything_behind_the_magic_is_an_answer(data: bytes, version: int) -> None:
    """Chance raises nothing but what the contract allows."""
    with suppress(ParseError, LimitExceeded):
        npy.parse(BytesBlob(npy.MAGIC + bytes([version, 0]) + data))
