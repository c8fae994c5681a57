"""joblib's arrays: raw bytes that stand in the middle of the opcodes, after a NumpyArrayWrapper is built.

joblib's own unpickler reads them right after BUILD (source: joblib/numpy_pickle.py, `NumpyArrayWrapper.read_array`):
since 1.0 one byte that says how many padding bytes follow, then the elements. An array of objects is a whole
pickle of its own instead. Where the wrapper, its state or its dtype are not as joblib and NumPy write them, the
loader may go on elsewhere than it seems, and that is told of.
"""

import re
from typing import Final

from modelaudit.errors import ParseError
from modelaudit.parsers.pickle.compute import plain
from modelaudit.parsers.pickle.state import State
from modelaudit.parsers.pickle.values import Call, Disguised, Global, Instance, Raw, Unknown, Value

# What `numpy.dtype.__reduce__` gives: the kind and the bytes of an element, for "U" the characters; no unit of time.
_TYPE = re.compile(r"[<>|=]?([?bBhHiIlLqQpPuefdgFDGSUVOMmc])(\d{0,18})")
_LETTER_BYTES: Final = {
    "?": 1, "b": 1, "B": 1, "c": 1, "h": 2, "H": 2, "e": 2, "i": 4, "I": 4, "u": 4, "f": 4, "l": 8, "L": 8, "q": 8,
    "Q": 8, "p": 8, "P": 8, "d": 8, "F": 8, "M": 8, "m": 8, "g": 16, "D": 16, "G": 32, "S": 0, "U": 0, "V": 0, "O": 8,
}  # fmt: skip
_SIZED: Final = "SUV"  # whose element size in bytes is that of the state, whatever the text says
_RECORDS: Final = frozenset({"numpy.record", "numpy.void"})
_OWN_TYPES: Final = ("ml_dtypes.", "jax.", "jaxlib.")  # packages with element types of their own
_STRINGS: Final = "StringDType", "_convert_to_stringdtype_kwargs"
_OBJECTS: Final = 1  # numpy's NPY_ITEM_REFCOUNT, among the flags of a dtype's state
_SUBARRAY, _ELEMENT_BYTES, _FLAGS = 2, 5, 7  # places in a dtype's state, which has eight or nine


def after(state: State, target: Instance, value: Value) -> int | None:
    """Where the opcodes go on when BUILD has given `value` to `target`; None when no raw bytes follow.

    Tells of the raw bytes; the reader of the events follows an inner pickle and moves the state behind it.
    Raises `ParseError` when the array's length cannot be known.
    """
    if not state.raw_arrays or not target.of.wraps:
        return None
    state.wrappers -= 0 if state.broken else 1
    state.stack[-1] = state.shared.array
    fields = _fields(state, value)
    size = _element_bytes(state, fields.get("dtype"))
    place = state.after
    if size is None:
        state.events.append(Raw(place, place, True))
        return None
    size *= _count(state, fields.get("shape"))
    if fields.get("numpy_array_alignment_bytes") is not None:
        place += 1 + state.blob.view(place, 1)[0] if place < state.blob.size else 1
    if place + size > state.blob.size:
        raise ParseError("a joblib array longer than the file", state.offset)
    state.events.append(Raw(state.after, place + size, False))
    return place + size


def made(state: State, wrapper: Global, args: tuple[Value, ...] | None) -> Instance:
    """A wrapper, as its class gives it: joblib calls it with no arguments, and at once gives it its state."""
    if state.raw_arrays:
        state.wrappers += 0 if state.broken else 1
        if args != ():
            _odd(state, "a wrapper made with arguments")
    return state.instance(wrapper)


def again(state: State) -> None:
    """A wrapper is taken from the memo, or doubled."""
    if state.raw_arrays:
        _odd(state, "a wrapper used twice")


def kept(state: State, args: tuple[Value, ...] | None) -> None:
    """A callable and arguments are kept for a later call."""
    if any(isinstance(arg, Global) and arg.wraps for arg in (args or ())[:1]):
        _odd(state, "a wrapper made elsewhere")


def ended(state: State) -> None:
    """The pickle stopped or broke: what joblib reads where a wrapper that went astray is given its state is unknown."""
    if (state.wrappers if state.broken else state.astray()) > 0:
        state.events.append(Disguised(state.outcome.end, "a wrapper that is passed around"))


def _odd(state: State, why: str) -> ParseError:
    """Tell that no pickler writes this; the error to raise where the length cannot be known."""
    if not state.broken:
        state.events.append(Disguised(state.offset, why))
    return ParseError(f"a joblib array with {why}", state.offset)


def _fields(state: State, value: Value) -> dict[str, Value]:
    """The attributes that BUILD sets: from a dict, or from a pair of two."""
    pair = isinstance(value, tuple) and len(value) == 2
    fields: dict[str, Value] = {}
    for part in value if isinstance(value, tuple) and pair else (value,):
        items = state.items_of(part) if isinstance(part, int) and part < 0 else [] if part is None and pair else None
        if items is None:
            raise _odd(state, "a state that is no dict")
        for key, item in zip(items[::2], items[1::2], strict=False):
            name = plain(state, key)
            if isinstance(name, str):
                fields[name] = item
    if pair:
        _odd(state, "a state of two parts")
    return fields


def _count(state: State, shape: Value) -> int:
    if isinstance(shape, int) and shape < 0:
        _odd(state, "a list as shape")
        shape = tuple(state.items_of(shape) or (None,))
    if not isinstance(shape, tuple):
        raise _odd(state, "no shape")
    count = 1
    for item in shape:
        length = plain(state, item)
        if not isinstance(length, int) or length < 0:
            raise _odd(state, "a bad shape")
        count *= length
    return count


def _element_bytes(state: State, dtype: Value) -> int | None:
    """Bytes of one element; None for objects. Raises `ParseError`."""
    if isinstance(dtype, Unknown):
        raise ParseError("a joblib array whose element size cannot be known", state.offset)
    if isinstance(dtype, Instance) and dtype.of.module.startswith("numpy.") and dtype.of.name in _STRINGS:
        return None
    if not isinstance(dtype, Call) or not isinstance(dtype.func, Global) or dtype.func.path != "numpy.dtype":
        raise _odd(state, "no dtype")
    of = dtype.args[0] if dtype.args else None
    letter, size = _letter(state, of)
    said = dtype.state if isinstance(dtype.state, tuple) and len(dtype.state) in (8, 9) else None
    if said is None:
        if letter in _SIZED or dtype.state is not None:
            _odd(state, "a dtype without its state")
        objects = letter == "O"
    else:
        numbers = [plain(state, said[place]) for place in (_ELEMENT_BYTES, _FLAGS)]
        if not all(isinstance(number, int) for number in numbers) or said[_SUBARRAY] is not None:
            raise _odd(state, "a dtype of no known size")
        element, flags = (int(number) for number in numbers if isinstance(number, int))
        objects = bool(flags & _OBJECTS)
        if letter in _SIZED and element != size and not isinstance(of, Global):
            _odd(state, "a dtype of two sizes")
        size = element if letter in _SIZED else size
    if size < 0 or (objects != (letter == "O") and letter != "V"):
        raise _odd(state, "a dtype of no known size")
    return None if objects else size


def _letter(state: State, of: Value) -> tuple[str, int]:
    """The kind of a dtype's elements and their bytes, from the first argument of `numpy.dtype`. Raises `ParseError`."""
    if isinstance(of, Global) and (of.path in _RECORDS or of.path.startswith(_OWN_TYPES)):
        return ("V", 0)
    text = plain(state, of)
    match = _TYPE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise _odd(state, "a dtype of no known size")
    letter, digits = match[1], match[2]
    size = int(digits) * (4 if letter == "U" else 1) if digits else _LETTER_BYTES[letter]
    return (letter, 8 if letter in "Mm" else size)
