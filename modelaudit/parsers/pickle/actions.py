"""One function for each opcode that the hot loop leaves: `action(state, argument, length)`.

`argument` is the offset of the opcode's argument and `length` its bytes. Raises `IndexError` on a stack or
memo that lacks what the opcode needs, `ValueError` or `ParseError` on a bad argument: the loader stops there.
"""

from collections.abc import Callable
from typing import Final

from modelaudit.parsers.pickle import arrays, executed
from modelaudit.parsers.pickle.calls import call, canonical, make
from modelaudit.parsers.pickle.compute import NOTHING, plain, shown
from modelaudit.parsers.pickle.memo import AsideError
from modelaudit.parsers.pickle.opcodes import BYTES, CODES, NAMES, SIZE, TEXTS
from modelaudit.parsers.pickle.reading import LITERAL_BYTES, number
from modelaudit.parsers.pickle.skim import LOOK_BYTES
from modelaudit.parsers.pickle.state import State
from modelaudit.parsers.pickle.torch_tar import ELEMENT_BYTES
from modelaudit.parsers.pickle.values import (
    Attribute,
    Call,
    Extension,
    Global,
    Instance,
    Persistent,
    Tensor,
    Unknown,
    Value,
    Wrote,
)

Action = Callable[[State, int, int], None]

_TENSORS: Final = ("torch._utils._rebuild", "torch.storage.", "torch.Tensor", "torch._tensor.", "torch.nn.parameter.")
_KEYS_READ: Final = 200  # keys and values of one state
_KEYS_KEPT: Final = 1 << 16
_STORAGES_MOST: Final = 1 << 20
_TENSORS_MOST: Final = 10_000
_FLOATS: Final = frozenset(("Double", "Float", "Half", "BFloat16"))


def opcode(state: State) -> str:
    """The name of the opcode being followed."""
    return NAMES.get(state.window.data[state.offset - state.window.base], "")


# --- plain data -------------------------------------------------------------------------------------------


def _nothing(state: State, argument: int, length: int) -> None:
    """MARK and the like have functions of their own; this is for opcodes without effect."""


def _frame(state: State, argument: int, length: int) -> None:
    state.frames.begin(state.offset, int.from_bytes(state.blob.view(argument, 8), "little"), state.blob.size)


def _literal(state: State, argument: int, length: int) -> None:
    op = state.window.data[state.offset - state.window.base]
    if (op in BYTES or op in TEXTS) and length >= LOOK_BYTES - 12 * (op in BYTES):
        state.look(op, argument, length)
    state.stack.append(state.offset)


def _none(state: State, argument: int, length: int) -> None:
    state.stack.append(None)


def _container(state: State, argument: int, length: int) -> None:
    state.stack.append(~state.offset)


def _empty_tuple(state: State, argument: int, length: int) -> None:
    state.stack.append(())


def _tuple(state: State, argument: int, length: int) -> None:
    state.stack.append(tuple(state.pop_mark()))


def _short_tuple(state: State, argument: int, length: int) -> None:
    count = state.window.data[state.offset - state.window.base] - CODES["TUPLE1"] + 1
    values = [state.pop() for _ in range(count)]
    state.stack.append(tuple(reversed(values)))


def _filled(state: State, argument: int, length: int) -> None:
    state.fill(~state.offset, state.pop_mark())
    state.stack.append(~state.offset)


# --- stack and memo ---------------------------------------------------------------------------------------


def _mark(state: State, argument: int, length: int) -> None:
    state.marks.append(len(state.stack))


def _pop(state: State, argument: int, length: int) -> None:
    if state.marks and state.marks[-1] == len(state.stack):
        state.marks.pop()
    else:
        state.pop()


def _pop_mark(state: State, argument: int, length: int) -> None:
    state.pop_mark()


def _dup(state: State, argument: int, length: int) -> None:
    top = state.pop()
    if isinstance(top, Instance) and top.of.wraps:
        arrays.again(state)
    state.stack += (top, _used(state, top))


def _used(state: State, value: Value) -> Value:
    """The value, one more use of which counts."""
    if state.shared.watched and isinstance(value, Global):
        value.named += 1
    return value


def _index(state: State, argument: int, length: int) -> int:
    raw = bytes(state.blob.view(argument, min(length, LITERAL_BYTES)))
    if SIZE[state.window.data[state.offset - state.window.base]]:
        return int.from_bytes(raw, "little")
    if length > LITERAL_BYTES:
        raise ValueError("an index without end")
    return int(number(raw).lstrip(b"0_") or b"0")


def _put(state: State, argument: int, length: int) -> None:
    state.memo.put(_index(state, argument, length), state.stack[-1])


def _get(state: State, argument: int, length: int) -> None:
    index = _index(state, argument, length)
    try:
        state.stack.append(_used(state, state.memo.get(index)))
    except AsideError:
        arrays.again(state)
        state.stack.append(state.memo.aside(index))
    except IndexError:
        state.outcome.forgotten = state.outcome.forgotten or not state.broken
        raise


def _memoize(state: State, argument: int, length: int) -> None:
    state.memo.memoize(state.stack[-1])


# --- imports ----------------------------------------------------------------------------------------------


def _global(state: State, argument: int, length: int) -> None:
    module, place = state.line(argument)
    name, _ = state.line(place)
    state.stack.append(state.name(*canonical(module, name), "GLOBAL"))


def _stack_global(state: State, argument: int, length: int) -> None:
    name, module = state.pop(), state.pop()
    names = [plain(state, value) for value in (module, name)]
    if all(isinstance(text, str) for text in names):
        computed = not (isinstance(module, int) and isinstance(name, int))
        via = f"{shown(state, module)}.{shown(state, name)}" if computed else ""
        state.stack.append(state.name(*canonical(str(names[0]), str(names[1])), "STACK_GLOBAL", via))
    elif any(text is NOTHING and not _is_data(value) for text, value in zip(names, (module, name), strict=True)):
        text = f"{shown(state, module)}.{shown(state, name)}"
        state.stack.append(state.unknown(text))
    else:
        raise ValueError("a module or name that is not text")


def _is_data(value: Value) -> bool:
    """Whether the value cannot be text: a tuple, a container, None, an instance of a class."""
    return value is None or isinstance(value, tuple | Persistent) or (isinstance(value, int) and value < 0)


def _extension(state: State, argument: int, length: int) -> None:
    code = int.from_bytes(state.blob.view(argument, length), "little")
    known = state.shared.extensions.get(code)
    if known is not None:
        state.stack.append(state.name(known.module, known.name, opcode(state)))
        return
    state.events.append(Extension(state.offset, opcode(state), code))
    state.stack.append(Unknown())


def _persistent_text(state: State, argument: int, length: int) -> None:
    state.stack.append(Persistent())


def _persistent(state: State, argument: int, length: int) -> None:
    pid = state.pop()
    if isinstance(pid, tuple) and len(pid) == 4 and isinstance(pid[1], Global) and plain(state, pid[0]) == "module":
        state.stack.append(pid[1])  # legacy torch: a class, with its source
        return
    stored = Persistent()
    state.stack.append(stored)
    if not isinstance(pid, tuple) or len(pid) < 5 or not isinstance(pid[1], Global):
        return
    if plain(state, pid[0]) == "storage" and len(state.outcome.storages) < _STORAGES_MOST:
        key, count = plain(state, pid[2]), plain(state, pid[4])
        kind = pid[1].name.removesuffix("Storage")
        element = ELEMENT_BYTES.get(kind, 0)
        if isinstance(key, str) and isinstance(count, int) and count >= 0:
            state.outcome.storages[key] = count * element
            stored.key, stored.kind = key, kind


# --- calls ------------------------------------------------------------------------------------------------


def _reduce(state: State, argument: int, length: int) -> None:
    args, func = state.pop(), state.pop()
    if isinstance(args, tuple) and args and isinstance(args[0], Persistent) and args[0].kind in _FLOATS:
        _tensor(state, args[0], args)
    state.stack.append(call(state, func, args, "REDUCE"))


def _tensor(state: State, stored: Persistent, args: tuple[Value, ...]) -> None:
    """Note down a tensor of numbers that weigh something: `_rebuild_tensor_v2(storage, start, shape, strides, ...)`."""
    if len(state.outcome.tensors) >= _TENSORS_MOST or len(args) < 4:
        return
    start, shape, strides = (plain(state, value) for value in args[1:4])
    if not isinstance(start, int) or not isinstance(shape, list | tuple) or not isinstance(strides, list | tuple):
        return
    sizes = tuple(size for size in shape if isinstance(size, int) and 0 < size < 1 << 48)
    steps = tuple(step for step in strides if isinstance(step, int) and 0 <= step < 1 << 48)
    if len(sizes) == len(shape) and len(steps) == len(strides) == len(sizes) and 2 <= len(sizes) <= 8 and start >= 0:
        below = state.stack[-1] if state.stack else None
        name = plain(state, below) if isinstance(below, int) and below >= 0 else None
        called = name if isinstance(name, str) else stored.key
        state.outcome.tensors.append(Tensor(called, stored.key, stored.kind, start, sizes, steps))


def _newobj(state: State, argument: int, length: int) -> None:
    args, func = state.pop(), state.pop()
    state.stack.append(make(state, func, args, "NEWOBJ"))


def _newobj_ex(state: State, argument: int, length: int) -> None:
    keywords, args, func = state.pop(), state.pop(), state.pop()
    if isinstance(args, tuple) and isinstance(keywords, int) and keywords < 0:
        args = (*args, *(state.items_of(keywords) or [])[1::2])
    state.stack.append(make(state, func, args, "NEWOBJ_EX"))


def _obj(state: State, argument: int, length: int) -> None:
    func, *args = state.pop_mark()
    state.stack.append(call(state, func, tuple(args), "OBJ"))


def _inst(state: State, argument: int, length: int) -> None:
    module, place = state.line(argument)
    name, _ = state.line(place, cut=True)
    args = tuple(state.pop_mark())
    state.stack.append(call(state, state.name(*canonical(module, name), "INST"), args, "INST"))


# --- writes -----------------------------------------------------------------------------------------------


def _build(state: State, argument: int, length: int) -> None:
    value = state.pop()
    target = state.top()
    if isinstance(target, Call):
        target.state = value
    elif isinstance(target, Global | Attribute | Unknown):
        _wrote(state, target)
    elif isinstance(target, Instance):
        if target.of.executes:
            executed.filled(state, target.of, value)
        if plants_setstate(state, value):
            state.events.append(Wrote(state.offset, opcode(state), shown(state, target), "setstate"))
        raw = arrays.after(state, target, value)
        if raw is not None:
            state.frames.passed(state.after)
            state.after = raw


def plants_setstate(state: State, value: Value) -> bool:
    """Whether the state that BUILD gives to an instance sets its `__setstate__`. Keys that do not are remembered."""
    plain_keys = state.shared.plain_keys
    for part in value if isinstance(value, tuple) and len(value) == 2 else (value,):
        keys = (state.items_of(part) or ())[:_KEYS_READ:2] if isinstance(part, int) and part < 0 else ()
        for key in keys:
            if key in plain_keys or not isinstance(key, int) or key < 0:
                continue
            if plain(state, key) == "__setstate__":
                return True
            if len(plain_keys) < _KEYS_KEPT:
                plain_keys.add(key)
    return False


def _set_items(state: State, argument: int, length: int) -> None:
    mark = state.marks[-1]
    if mark == 0:
        raise IndexError("nothing below the mark")
    values = state.pop_mark()
    _written(state, state.top(), values)


def _set_item(state: State, argument: int, length: int) -> None:
    count = 2 if opcode(state) == "SETITEM" else 1
    values = [state.pop() for _ in range(count)]
    _written(state, state.top(), values[::-1])


def _written(state: State, target: Value, values: list[Value]) -> None:
    if isinstance(target, int) and target < 0:
        state.fill(target, values)
    elif isinstance(target, Global | Attribute | Unknown | Persistent):
        _wrote(state, target)
    elif isinstance(target, Instance) and target.of.path.startswith(_TENSORS):
        state.events.append(Wrote(state.offset, opcode(state), shown(state, target), "tensor"))
    elif isinstance(target, int | tuple):
        state.events.append(Wrote(state.offset, opcode(state), shown(state, target), "data"))


def _wrote(state: State, target: Value) -> None:
    kind = "global" if isinstance(target, Global) else "tensor" if isinstance(target, Persistent) else "unknown"
    state.events.append(Wrote(state.offset, opcode(state), shown(state, target), kind))


_BY_NAME: Final[dict[str, Action]] = {
    "PROTO READONLY_BUFFER": _nothing,
    "FRAME": _frame,
    "BININT BININT1 BININT2 BINFLOAT LONG1 LONG4 INT FLOAT LONG NEWTRUE NEWFALSE": _literal,
    "STRING UNICODE BINSTRING SHORT_BINSTRING BINUNICODE SHORT_BINUNICODE BINUNICODE8": _literal,
    "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8": _literal,
    "NONE NEXT_BUFFER": _none,
    "EMPTY_LIST EMPTY_DICT EMPTY_SET": _container,
    "EMPTY_TUPLE": _empty_tuple,
    "TUPLE": _tuple,
    "TUPLE1 TUPLE2 TUPLE3": _short_tuple,
    "LIST DICT FROZENSET": _filled,
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "DUP": _dup,
    "PUT BINPUT LONG_BINPUT": _put,
    "GET BINGET LONG_BINGET": _get,
    "MEMOIZE": _memoize,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "EXT1 EXT2 EXT4": _extension,
    "PERSID": _persistent_text,
    "BINPERSID": _persistent,
    "REDUCE": _reduce,
    "NEWOBJ": _newobj,
    "NEWOBJ_EX": _newobj_ex,
    "OBJ": _obj,
    "INST": _inst,
    "BUILD": _build,
    "SETITEMS APPENDS ADDITEMS": _set_items,
    "SETITEM APPEND": _set_item,
}
ACTIONS: Final = {CODES[name]: action for names, action in _BY_NAME.items() for name in names.split()}
