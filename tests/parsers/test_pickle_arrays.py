"""joblib's arrays: what joblib and NumPy write is followed without a word, to its end."""

import io
from collections import OrderedDict

import joblib
import numpy as np
import pytest

from modelaudit import inspect
from modelaudit.blob import BytesBlob
from modelaudit.parsers.pickle import Ended, Walk
from modelaudit.parsers.pickle.values import Raw
from tests.samples import assembler as asm
from tests.samples import wrappers

ARRAYS = {
    "numbers": np.arange(12, dtype="f4").reshape(3, 4),
    "fortran": np.asfortranarray(np.arange(12, dtype="i8").reshape(3, 4)),
    "big-endian": np.arange(5, dtype=">u2"),
    "bits": np.array([True, False]),
    "complex": np.array([1 + 2j]),
    "empty": np.empty((0, 7), dtype="f8"),
    "scalar": np.array(3.5),
    "texts": np.array(["first", "second and longer"]),
    "bytes": np.array([b"first", b"second"]),
    "void": np.zeros(3, dtype="V7"),
    "dates": np.array(["2026-07-31"], dtype="M8[ns]"),
    "spans": np.array([5], dtype="m8[D]"),
    "objects": np.array([{"a": 1}, None, "text"], dtype=object),
    "rows": np.zeros(4, dtype=[("a", "i4"), ("b", "S3"), ("c", "f8", (2,))]),
    "rows-of-objects": np.array([(1, "x")], dtype=[("a", "i4"), ("b", "O")]),
    "aligned-rows": np.zeros(2, dtype=np.dtype([("a", "u1"), ("b", "f8")], align=True)),
    "records": np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "matrix": np.zeros((2, 2)).view(np.matrix),
    "masked": np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    "described": np.zeros(2, dtype=np.dtype("f8", metadata={"unit": "m"})),
}
if hasattr(np.dtypes, "StringDType"):
    ARRAYS["strings"] = np.array(["short", "x" * 100], dtype=np.dtypes.StringDType())


class _Unseekable(io.BytesIO):
    """A pipe: joblib then writes no padding, and None in its place."""

    def tell(self) -> int:
        raise io.UnsupportedOperation


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("out", [io.BytesIO, _Unseekable])
def test_arrays_that_joblib_writes(name: str, out: type[io.BytesIO]) -> None:
    """Alone, twice, and among other values, by every protocol: nothing is found, and each byte is accounted for."""
    array = ARRAYS[name]
    for protocol in range(6):
        for value in (array, [array, array], OrderedDict(before=[1], array=array, after=("x", array.T))):
            file = out()
            joblib.dump(value, file, protocol=protocol)
            result = inspect(file.getvalue(), uri="m.joblib")
            assert result.status == "scanned"
            assert not result.findings


def test_raw_bytes_are_as_many_as_joblib_reads() -> None:
    """Padding and elements of one array, up to the STOP behind them."""
    file = io.BytesIO()
    joblib.dump(ARRAYS["texts"], file)
    data = file.getvalue()
    items = list(Walk(BytesBlob(data), lambda module, name: None, 1).items())
    assert [item.end for item in items if isinstance(item, Ended)] == [len(data)]
    assert not [item for item in items if isinstance(item, Raw)]


@pytest.mark.parametrize("cut", range(1, 240, 7))
def test_a_file_that_is_cut_is_no_attack(cut: int) -> None:
    """Half a download has no findings, wherever it ends."""
    file = io.BytesIO()
    joblib.dump([ARRAYS["rows"], ARRAYS["masked"]], file)
    result = inspect(file.getvalue()[:-cut], uri="m.joblib")
    assert not [finding for finding in result.findings if finding.severity >= "warning"]


def test_a_class_of_the_same_name_is_another() -> None:
    """Somebody's own NumpyArrayWrapper has a state like any object."""
    body = asm.stack_global("kept.arrays", "NumpyArrayWrapper") + asm.EMPTY_TUPLE + asm.NEWOBJ
    result = inspect(asm.pickle(body + asm.literal({"shape": (3,)}) + asm.BUILD), uri="m.pkl")
    assert {finding.rule for finding in result.findings} == {"pickle-unknown-call"}
    assert result.status == "scanned"


@pytest.mark.parametrize("sample", list(wrappers.hostile()), ids=lambda sample: sample.id)
def test_what_joblib_does_not_write_is_told(sample: wrappers.Sample) -> None:
    """By the rule for it, or by the call that stands behind the array, which no search for names finds."""
    assert b"system" not in sample.data
    found = {finding.rule for finding in inspect(sample.data, uri=sample.filename).findings}
    assert found & {"pickle-joblib-array", "pickle-call"}
