"""joblib's arrays made by hand so that joblib goes on elsewhere than readers that go by the usual form (B036).

Behind the array stand 19 raw bytes that begin like a long string; whoever does not read them as the array's takes all
that follows, the call among it, for that string. The call's names are escaped, so that no search for them finds any.
"""

import struct
from collections.abc import Callable, Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, literal, stack_global
from tests.samples.sample import Payload, Sample

_NDARRAY = Raw(stack_global("numpy", "ndarray"))
_WRAPPER = stack_global("joblib.numpy_pickle", "NumpyArrayWrapper")
_RAW_BYTES = 19
_BYTE = Raw(asm.calls("numpy", "dtype", "u1", False, True))


def _fields(dtype: object = _BYTE, shape: object = (_RAW_BYTES,), **more: object) -> dict[str, object]:
    return {"subclass": _NDARRAY, "shape": shape, "order": "C", "dtype": dtype, "allow_mmap": False, **more}


def _sized(code: str, element: int, places: int = 8) -> Raw:
    """A dtype whose state gives the bytes of an element otherwise than its text does."""
    states = {
        8: (3, "|", None, None, None, element, 1, 0),
        7: (3, "|", None, None, None, element, 1),
        6: (1, "|", None, None, element, 1),
    }
    return Raw(asm.calls("numpy", "dtype", code, False, True) + literal(states[places]) + asm.BUILD)


def _escaped(text: str) -> bytes:
    return asm.unicode_line("".join(f"\\u{ord(character):04x}" for character in text))


def _hidden(payload: Payload) -> bytes:
    """The raw bytes and the call behind them; for other readers one string."""
    function = _escaped(payload.module) + _escaped(payload.name) + asm.STACK_GLOBAL
    call = asm.call(function, payload.text()) + asm.POP
    return b"X" + struct.pack("<I", 14 + len(call)) + b"hello dear all" + call


def _new(wrapper: bytes = _WRAPPER) -> bytes:
    return wrapper + asm.EMPTY_TUPLE + asm.NEWOBJ


def _array(state: object, target: bytes = b"") -> bytes:
    return (target or _new()) + literal(state) + asm.BUILD


def _through(module: str, name: str, *arguments: object) -> bytes:
    """The wrapper as a function gives it back, and its state."""
    return _array(_fields(), bytes(asm.calls(module, name, *arguments)))


_HELD = Raw(_new())
_POPPED = asm.calls("builtins", "getattr", Raw(asm.calls("collections", "deque", [_HELD])), "pop") + b")R"
_DOUBLED = (  # max([wrapper]), after its double became an array
    stack_global("builtins", "max") + asm.MARK + _array(_fields(shape=(0,)), _new() + asm.DUP) + asm.POP
    + asm.LIST + asm.TUPLE1 + asm.REDUCE
)  # fmt: skip

_FORMS: tuple[tuple[str, Callable[[], bytes], str], ...] = (
    ("bytes-of-a-text", lambda: _array(_fields(_sized("S1", _RAW_BYTES), (1,))), "The state's element size counts."),
    ("bytes-of-a-void", lambda: _array(_fields(_sized("V1", _RAW_BYTES), (1,))), "The state's element size counts."),
    ("state-of-seven", lambda: _array(_fields(_sized("S1", _RAW_BYTES, 7), (1,))), "A dtype's state as NumPy 1.0 had."),
    ("state-of-six", lambda: _array(_fields(_sized("S1", _RAW_BYTES, 6), (1,))), "A dtype's state as Numeric had."),
    ("two-parts", lambda: _array((None, _fields())), "BUILD sets what the second part of a pair says."),
    (
        "ordered-dict",
        lambda: _array(Raw(asm.calls("collections", "OrderedDict", [*map(list, _fields().items())]))),
        "For the unpickler in Python any mapping is a state.",
    ),
    ("shape-in-a-list", lambda: _array(_fields(shape=[_RAW_BYTES])), "A list is as good as a tuple."),
    (
        "shape-by-a-call",
        lambda: _array(_fields(shape=(Raw(asm.calls("builtins", "int", str(_RAW_BYTES))),))),
        "The length is known when the file is loaded.",
    ),
    (
        "dtype-by-fields",
        lambda: _array(_fields(Raw(asm.calls("numpy", "dtype", [("a", "u1")])))),
        "The element's size follows from a list of fields.",
    ),
    (
        "padding-by-true",
        lambda: _array(_fields(numpy_array_alignment_bytes=True)) + b"\x03abc",
        "Anything but None makes joblib read padding.",
    ),
    (
        "dotted-class",
        lambda: _array(_fields(), _new(stack_global("joblib", "numpy_pickle.NumpyArrayWrapper"))),
        "The class under another module's name.",
    ),
    ("from-max", lambda: _through("builtins", "max", [_HELD]), "A function gives the wrapper back."),
    ("from-getitem", lambda: _through("operator", "getitem", (_HELD,), 0), "A function gives the wrapper back."),
    ("from-copy", lambda: _through("copy", "copy", _HELD), "A function gives the wrapper back."),
    ("from-deque", lambda: _array(_fields(), _POPPED), "A method gives the wrapper back."),
    (
        "from-memo",
        lambda: (
            _array(_fields(shape=(0,)), _new() + asm.binput(200))
            + asm.POP
            + _through("builtins", "max", [Raw(asm.binget(200))])
        ),
        "The same.",
    ),
    ("doubled", lambda: _array(_fields(), _DOUBLED), "The wrapper of an honest array is used once more."),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    for name, build, why in _FORMS:
        yield Sample(
            f"B036-wrapper-{name}",
            "B036",
            "model.joblib",
            lambda p, build=build: asm.proto(4) + build() + _hidden(p) + asm.STOP,
            why,
            loader="joblib",
        )
    yield Sample(
        "B036-wrapper-broken-off",
        "B036",
        "model.joblib",
        lambda p: asm.proto(4) + _through("builtins", "max", [_HELD]) + _hidden(p),
        "The call is made before the file breaks off.",
        loader="joblib",
    )
