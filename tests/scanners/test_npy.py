"""NumPy arrays: each rule with a file that fires it and one next to it that does not."""

import io
import pickle
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, RootBlob
from modelaudit.engine import default_engine, inspect
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits
from modelaudit.parsers import npy as parser
from tests.scanners.streams import ATTACK, look


def saved(array: np.ndarray, **options: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def make(header: str, data: bytes = b"", version: int = 1) -> bytes:
    text = header.encode("latin-1" if version < 3 else "utf-8")
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


def described(descr: object, shape: object = (1,), data: bytes = b"") -> bytes:
    return make(repr({"descr": descr, "fortran_order": False, "shape": shape}), data)


def rules(data: bytes) -> set[str]:
    return {finding.rule for finding in look(data).findings}


PLAIN = "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }"
FIRING = {
    "objects": ("npy-object-array", saved(np.array([{"a": 1}], dtype=object), allow_pickle=True)),
    "objects in a field": ("npy-object-array", described([("a", "<i4"), ("b", [("c", "|O")])], data=pickle.dumps(1))),
    "objects in a sub-array": ("npy-object-array", described([("a", "|O", (2,))], data=pickle.dumps(1))),
    "huge shape": ("npy-shape", described("<f8", (1 << 62, 1 << 62))),
    "cut short": ("npy-shape", saved(np.zeros(100))[:-1]),
    "structured bomb": ("npy-shape", described([("a", "<f8", (1 << 40,))] * 50)),
    "negative size": ("npy-dimensions", described("<f8", (-1,))),
    "too many dimensions": ("npy-dimensions", described("<f8", (1,) * 65, bytes(8))),
    "long header": ("npy-long-header", make(PLAIN + " " * 10_001, bytes(8))),
    "appended": ("npy-trailing", saved(np.zeros(3)) + b"tail"),
}  # fmt: skip

SILENT = {
    "float": saved(np.zeros((3, 4))),
    "scalar": saved(np.array(1.5)),
    "empty": saved(np.zeros((0, 1 << 40))),
    "fortran": saved(np.asfortranarray(np.ones((5, 6)))),
    "bool": saved(np.array([True])),
    "half": saved(np.zeros(7, np.float16)),
    "complex": saved(np.array([1 + 2j], np.complex64)),
    "bytes": saved(np.array([b"abc", b"d"])),
    "text": saved(np.array(["für", "x"])),
    "dates": saved(np.array(["2020-01-01"], dtype="M8[ns]")),
    "spans": saved(np.array([1], dtype="m8[25s]")),
    "void": saved(np.zeros(2, "V7")),
    "longdouble": saved(np.zeros(2, np.longdouble)),
    "structured": saved(np.zeros(3, dtype=[("a", "<i4", (2, 3)), ("b", "S5"), ("c", [("d", "?"), ("e", ">u2")])])),
    "titles": saved(np.zeros(2, dtype={"names": ["x"], "formats": ["<f4"], "titles": ["long x"]})),
    "python 2": described("<f8", (1,), bytes(8)).replace(b"(1,)", b"(1,)"),
    "version 2": make("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", bytes(8), 2),
    "version 3": make("{'descr': [('ü', '<f8')], 'fortran_order': False, 'shape': (1,), }", bytes(8), 3),
    "several in one file": b"".join(saved(np.arange(number)) for number in range(30)),
    "words for types": described([("a", "float64"), ("b", "int32")], (1,), bytes(12)),
    "bool for a size": described("<f8", (True,), bytes(8)),
    "long integer of Python 2": make("{'descr': '<f8', 'fortran_order': False, 'shape': (1L,), }", bytes(8)),
}


@pytest.mark.parametrize("name", FIRING)
def test_a_flaw_is_found(name: str) -> None:
    """The rule fires."""
    rule, data = FIRING[name]
    assert rule in rules(data)


@pytest.mark.parametrize("name", SILENT)
def test_an_ordinary_array_is_silent(name: str) -> None:
    """Not one finding, of any severity, and its size is what numpy wrote."""
    found = look(SILENT[name])
    assert (found.status, found.formats, found.findings) == ("scanned", ("npy",), ())


def test_every_rule_is_fired() -> None:
    """No rule without a sample."""
    known = {rule for rule in default_engine().catalogue.rules if rule.startswith("npy-")}
    assert known == {rule for rule, _ in FIRING.values()}


DEEP: object = "|O"
for _ in range(90):
    DEEP = [("a", DEEP)]


@pytest.mark.parametrize(
    "descr",
    ["|O", [("x", "|O")], [("a", [("b", [("c", "|O")])])], "object", "i4,O", "T", {("a", "|O")}, {("a", "|O"): 1},
     ("|O", (1,), "x"), [["a", "|O"]], ["aO"], [("a", "object"), ("b", "float64")], [("(" * 300, "|O")], DEEP],
)  # fmt: skip
def test_the_pickle_of_an_object_array_is_followed(descr: object) -> None:
    """What the objects would do when loaded is found as in any pickle."""
    assert "pickle-import" in rules(described(descr, (1,), ATTACK))


def test_a_broken_header_hides_nothing_behind_it() -> None:
    """What numpy cannot read is said, and the bytes behind the magic are looked at."""
    found = look(b"\x93NUMPY" + ATTACK)
    assert found.status == "partial"
    assert "pickle-import" in {finding.rule for finding in found.findings}


@pytest.mark.parametrize(
    "header",
    ["(" * 5000 + ")" * 5000, "{" + "'a':[" * 200, "__import__('os').system('id')", "{'shape': 1}", "[]",
     "{'descr': 5, 'shape': ()}",
     "{'descr': '<q99z', 'fortran_order': False, 'shape': (1,)}", "9" * 9000, "-" * 9000 + "1"],
)  # fmt: skip
def test_a_hostile_header_is_a_parse_error(header: str) -> None:
    """Python's literal parser is never driven to its own limits, and nothing is evaluated."""
    with pytest.raises((ParseError, LimitExceeded)):
        parser.parse(BytesBlob(make(header)))


@pytest.mark.parametrize(
    "header",
    [PLAIN.replace("<f8", "|O") + " " * (2 << 20), "[" * 300, PLAIN.replace("<f8", "<x"),
     "{'shape': (" + "9" * 5000 + ",)}"],
    ids=["longer than is read", "too deep", "no dtype", "no number"],
)  # fmt: skip
def test_a_header_that_is_not_understood_hides_nothing(header: str) -> None:
    """Other readers may understand it: what stands behind it is looked at."""
    found = look(make(header, ATTACK, version=2))
    assert found.status == "partial"
    assert "pickle-import" in {finding.rule for finding in found.findings}


def test_numbers_without_end_are_no_trouble() -> None:
    """Sizes of thousands of digits, which Python does not even print, are bounded."""
    number = "0x" + "f" * 6000
    for shape, descr in ((f"({number},)", "'<f8'"), ("(1,)", f"[('a', '<f8', ({number},))]")):
        header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
        assert "npy-shape" in rules(make(header, bytes(8)))
    many = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {(1 << 62,) * 5_000}}}"
    assert {"npy-shape", "npy-dimensions", "npy-long-header"} <= rules(make(many, version=2))


def test_an_array_of_objects_behind_others_is_found() -> None:
    """numpy.load on the same open file gets there."""
    data = saved(np.zeros(3)) + saved(np.ones(4, np.int8)) + described("|O", (1,), ATTACK)
    assert {"npy-object-array", "pickle-import"} <= rules(data)


def test_only_the_header_is_read() -> None:
    """A huge array costs its head."""
    head = described("<f8", (10**10,)).ljust(8192, b"\0")
    data_start = parser.parse(BytesBlob(head)).data_start
    blob = RootBlob(head, data_start + 8 * 10**10, [(0, 8192)])
    assert default_engine().inspect(blob, Limits()).findings == ()


@given(cut=st.integers(0, 200), name=st.sampled_from(sorted(SILENT)))
def test_a_file_cut_anywhere_is_an_answer(cut: int, name: str) -> None:
    """Truncation is a parse error, never anything else."""
    with suppress(ParseError):
        parser.parse(BytesBlob(SILENT[name][:cut]))
    inspect(BytesBlob(SILENT[name][:cut]))


@settings(max_examples=300)
@given(place=st.integers(0, 200), value=st.integers(1, 255), name=st.sampled_from(sorted(SILENT)))
def test_damage_anywhere_is_an_answer(place: int, value: int, name: str) -> None:
    """A flipped byte raises nothing but what the contract allows."""
    data = bytearray(SILENT[name])
    data[place % len(data)] ^= value
    with suppress(ParseError, LimitExceeded):
        parser.parse(BytesBlob(bytes(data)))
    inspect(BytesBlob(bytes(data)))
