"""The opcodes that are run from an open file, against CPython's own C unpickler where it still does so."""

import io
import pickle
import random
import struct
import sys

import numpy as np
import pytest

from modelaudit import inspect
from modelaudit.blob import BytesBlob
from modelaudit.parsers.pickle.framed import from_file
from modelaudit.parsers.pickle.probe import is_pickle


def frame(body: bytes, length: int) -> bytes:
    return b"\x95" + struct.pack("<Q", length) + body


@pytest.mark.parametrize(
    "pickles",
    [
        (b"\x80\x04" + frame(frame(b"b", 5), 10) + b"K\1K\2.", b"\x80\x04K\1K\2."),
        (frame(b"K\1J\1\2", 5) + b"\1\2\3\4.", b"K\1J\1\2\3\4."),
        (frame(b"K\1Vab", 5) + b"cd\n.", b"K\1Vcd\n."),
        (frame(b"N.b", 3) + b"K\1.", b"K\1."),
        (frame(b"N.b", 3) + b"K\1.b", b"K\1.", b"b"),
    ],
    ids=["frame", "argument", "line", "second", "third"],
)
def test_the_rest_of_a_frame_is_skipped(pickles: tuple[bytes, ...]) -> None:
    """By a frame, a number or a line that reach beyond it, and by the next pickle."""
    data, *run = pickles
    assert list(from_file(data)) == run


@pytest.mark.parametrize("protocol", range(6))
def test_picklers_write_no_frames_that_are_cut(protocol: int) -> None:
    """Nothing is skipped in what CPython writes."""
    value = [{"text": "x" * 70_000, "numbers": list(range(30_000))}, b"y" * 100_000]
    assert list(from_file(pickle.dumps(value, protocol))) == []


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="later CPythons refuse such frames, as the pure one does")
def test_what_is_run_is_what_cpython_runs() -> None:
    """Random frames around harmless opcodes: the unpickler's result, or its failure, is that of the bytes in a row."""
    rng = random.Random(5)
    pieces = [b"K\1", b"N", b"0", b"]", b"a", b"(", b"t", b"\x85", b"\x8c\3abc", b"Vab\n", b"J\1\0\0\0", b"2", b"I5\n"]
    compared = 0
    for _ in range(3000):
        some = (frame(b"", rng.randrange(20)) if rng.random() < 0.2 else rng.choice(pieces) for _ in range(12))
        data = b"".join(some) + b"N" * 40 + b"."
        for run in [*from_file(data)][:1]:
            compared += 1
            assert _loaded(data) == _loaded(run)
    assert compared > 200


class _Harmless(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError


def _loaded(data: bytes) -> str:
    """Constants, lists and tuples, made here; an import that comes about by chance is refused."""
    try:
        return repr(_Harmless(io.BytesIO(data)).load())
    except (OverflowError, pickle.UnpicklingError, EOFError, ValueError, AttributeError, IndexError, TypeError):
        return "refused"


@pytest.mark.parametrize(
    "data", [frame(b"not a pickle", 4), b"(text\nimore\ntext", b"\x95" + bytes(40), b"(dear\ninbox\n"]
)
def test_text_and_numbers_are_no_pickles(data: bytes) -> None:
    """What begins by chance like a frame or like a call."""
    assert not is_pickle(BytesBlob(data))


def test_a_small_zip_with_a_pickle_in_it_is_a_zip() -> None:
    """Its first line is like a persistent id, and opcodes of its member follow: that is no stream of opcodes."""
    out = io.BytesIO()
    np.savez(out, x=np.array([None, 1], dtype=object))
    assert len(out.getvalue()) < 512
    assert not is_pickle(BytesBlob(out.getvalue()))
    assert {finding.rule for finding in inspect(out.getvalue()).findings} == {"npy-object-array"}


def test_keys_of_any_kind_in_a_joblib_wrapper() -> None:
    """A list as key of the wrapper's state is no reason to give up: what follows is found."""
    wrapper = b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(](K\1eK\2ub0cos\nsystem\nX\2\0\0\0id\x85R."
    assert {finding.rule for finding in inspect(wrapper).findings} >= {"pickle-import", "pickle-call"}
