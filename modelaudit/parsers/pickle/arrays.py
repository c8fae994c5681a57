"""joblib's arrays: raw bytes that stand in the middle of the opcodes, after a NumpyArrayWrapper is built.

joblib's own unpickler reads them right after BUILD (source: joblib/numpy_pickle.py, `NumpyArrayWrapper.read_array`):
since 1.0 one byte that says how many padding bytes follow, then the elements. An array of objects is a whole
pickle of its own instead.
"""

import re
from typing import Final

from modelaudit.errors import ParseError
from modelaudit.parsers.pickle.compute import plain
from modelaudit.parsers.pickle.state import State
from modelaudit.parsers.pickle.values import WRAPPER, Call, Global, Instance, Raw, Value

_TYPE = re.compile(r"[<>|=]?([?bBhHiIlLqQpPuefdgFDGSUVOMmc])(\d*)(?:\[\w+\])?")
_LETTER_BYTES: Final = {
    "?": 1, "b": 1, "B": 1, "c": 1, "h": 2, "H": 2, "e": 2, "i": 4, "I": 4, "u": 4, "f": 4, "l": 8, "L": 8, "q": 8,
    "Q": 8, "p": 8, "P": 8, "d": 8, "F": 8, "M": 8, "m": 8, "g": 16, "D": 16, "G": 32, "S": 0, "U": 0, "V": 0,
}  # fmt: skip
_OBJECTS: Final = 1  # numpy's NPY_ITEM_REFCOUNT, in the last number of a dtype's state


def after(state: State, target: Instance, value: Value) -> int | None:
    """Where the opcodes go on when BUILD has given `value` to `target`; None when no raw bytes follow.

    Tells of the raw bytes; the reader of the events follows an inner pickle and moves the state behind it.
    Raises `ParseError` when the array's length cannot be known.
    """
    if not state.raw_arrays or target.of.name != WRAPPER or not target.of.module.endswith("numpy_pickle"):
        return None
    if not isinstance(value, int) or value >= 0:
        return None
    items = state.items_of(value) or []
    named = ((plain(state, key), item) for key, item in zip(items[::2], items[1::2], strict=False))
    fields = {name: item for name, item in named if isinstance(name, str)}
    size = _element_bytes(state, fields.get("dtype"))
    if size is None:
        raise ParseError("a joblib array whose element size cannot be known", state.offset)
    place = state.after
    if size < 0:
        state.events.append(Raw(place, place, True))
        return None
    shape = fields.get("shape")
    if not isinstance(shape, tuple):
        raise ParseError("a joblib array without shape", state.offset)
    for length in shape:
        count = plain(state, length)
        if not isinstance(count, int) or count < 0:
            raise ParseError("a joblib array with a bad shape", state.offset)
        size *= count
    if fields.get("numpy_array_alignment_bytes") is not None:
        place += 1 + state.blob.view(place, 1)[0] if place < state.blob.size else 1
    if place + size > state.blob.size:
        raise ParseError("a joblib array longer than the file", state.offset)
    state.events.append(Raw(state.after, place + size, False))
    return place + size


def _element_bytes(state: State, dtype: Value) -> int | None:
    """Bytes of one element; -1 for objects, None when it cannot be known."""
    if isinstance(dtype, Instance | Global):
        return None
    if not isinstance(dtype, Call) or not dtype.args:
        return None
    text = plain(state, dtype.args[0])
    match = _TYPE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return None
    letter, digits = match[1], match[2]
    if letter == "O" or _has_objects(state, dtype.state):
        return -1
    if not digits:
        return _LETTER_BYTES[letter]
    return int(digits) * (4 if letter == "U" else 1)


def _has_objects(state: State, value: Value) -> bool:
    """Whether a dtype's state says that its fields hold objects: the bit among the flags at its end."""
    if not isinstance(value, tuple) or len(value) < 8:
        return False
    flags = plain(state, value[7])
    return isinstance(flags, int) and bool(flags & _OBJECTS)
