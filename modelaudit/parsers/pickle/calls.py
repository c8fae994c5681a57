"""What a call gives: ladders of getattr, imports from text, partial and lazy calls are followed to what they reach.

A callable's `role` says what calling it does to names:

    getattr   gives an attribute of its first argument (operator.attrgetter, methodcaller: when called in turn)
    import    gives the module that its first argument names
    resolve   gives what a dotted path in its first argument names
    partial   keeps a callable and arguments
    apply     calls one of its arguments
    decode    gives text or bytes that follow from its arguments
    exec      runs text as code
    loads     deserialises bytes
    type      gives the type that its first argument names
    literal   evaluates text as an expression, which is harmless where it is a literal
    new       is a class that does harm when it is called with arguments, not when its objects are only made

What cannot be followed gives `Unknown`, is told of as computed, and is told of again when it is called.
"""

import _compat_pickle
import builtins
import re
from typing import Final

from modelaudit.parsers.pickle import arrays, executed
from modelaudit.parsers.pickle.compute import is_decoder, is_pure, plain, shown
from modelaudit.parsers.pickle.opcodes import BYTES, NAMES, TEXTS
from modelaudit.parsers.pickle.reading import is_container, payload_span
from modelaudit.parsers.pickle.state import State
from modelaudit.parsers.pickle.values import (
    Attribute,
    Broken,
    Call,
    Called,
    Global,
    Instance,
    Nested,
    Persistent,
    Unknown,
    Value,
)

_KEEP_ARGUMENTS: Final = frozenset({"numpy.dtype", "builtins.slice"})
_LATER: Final = frozenset({"operator.attrgetter", "operator.methodcaller", "operator.itemgetter"})
_IMPORTS_TOP: Final = frozenset({"builtins.__import__", "importlib.__import__"})
# dill's own names for types that are in neither `types` nor `builtins`.
_TYPES: Final = {
    "PartialType": ("functools", "partial"),
    "ItemGetterType": ("operator", "itemgetter"),
    "AttrGetterType": ("operator", "attrgetter"),
    "SuperType": ("builtins", "super"),
    "PropertyType": ("builtins", "property"),
}
# They make an object of the class in their first argument, as NEWOBJ does.
_MAKERS: Final = frozenset({"copyreg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__"})
# What dill has evaluated: representations of what no pickler of its time could save.
_LITERAL: Final = re.compile(r"x?range\(-?\d{1,20}L?(?:, -?\d{1,20}L?){0,2}\)|Ellipsis|NotImplemented|None", re.ASCII)
_NAME_CHARS: Final = 1024  # of a dotted name that getattr builds step by step
_CODE_CHARS: Final = 400
_STEPS: Final = 16  # calls that one call is followed through
_ITEMS: Final = 64  # items of an argument that a mapped callable is followed over


def canonical(module: str, name: str) -> tuple[str, str]:
    """Python 3's name of what Python 2 called so, as the unpickler's `fix_imports` reads it."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        new: tuple[str, str] = _compat_pickle.NAME_MAPPING[module, name]
        return new
    return (_compat_pickle.IMPORT_MAPPING.get(module, module), name)


def call(state: State, func: Value, args: Value, opcode: str, steps: int = 0) -> Value:
    """What `func(*args)` gives. Raises `ValueError` when `func` is no callable or `args` nothing to go over."""
    if isinstance(args, int):
        args = _spread(state, args)
    given = args if isinstance(args, tuple) else None
    if steps > _STEPS:
        return state.unknown(shown(state, func), called=True)
    if isinstance(func, Global):
        return _call_global(state, func, given, opcode, steps)
    if isinstance(func, Call):
        return _call_result(state, func, given, opcode, steps)
    if isinstance(func, Attribute):
        return _call_attribute(state, func, given)
    if isinstance(func, Instance):
        if func.of.attribute == "__call__":
            return func  # what an instance gives when it is called, called again
        inner = state.name(func.of.module, f"{func.of.name}.__call__", opcode, f"{func.of.path}(…)")
        inner.owner, inner.attribute = func.of, "__call__"
        return _call_global(state, inner, given, opcode, steps)
    if isinstance(func, Unknown | Persistent):
        return state.unknown(f"{shown(state, func)}({_arguments(state, given)})", called=True)
    raise ValueError("a call of something that is no callable")


def _arguments(state: State, args: tuple[Value, ...] | None) -> str:
    return "…" if args is None else ", ".join(shown(state, arg, 1) for arg in args[:6])


def _call_global(state: State, func: Global, args: tuple[Value, ...] | None, opcode: str, steps: int) -> Value:
    func.called += 1
    path = func.path
    if state.shared.executing and args is not None:
        executed.called(state, func, args)
    if path in _MAKERS and args:
        return _made(state, func, args, opcode, steps)
    if func.role in ("new", "literal"):
        return _harmless(state, func, args, opcode)
    if func.role is None and path not in _KEEP_ARGUMENTS and path not in _LATER and not is_pure(path):
        if func.called == 1:
            text = f"{func.via or path}({_arguments(state, args)})"
            state.events.append(Called(func, state.offset, opcode, text))
        if path == "copyreg.add_extension":
            _register(state, args)
        else:
            func.repeats = not executed.fills(func) and not func.wraps
        return arrays.made(state, func, args) if func.wraps else state.instance(func)
    made = Call(func, args, state.offset)
    code, decoded = ("", False)
    if func.role == "exec":
        code, decoded = _code(state, args)
    if func.called == 1 or decoded:
        state.events.append(Called(func, state.offset, opcode, shown(state, made), code, decoded))
    return _follow(state, func, made, opcode, steps)


def _spread(state: State, args: int) -> Value:
    """Arguments that are no tuple: the unpickler in C stops at them, the one in Python (dill, joblib) goes over them.

    None when they cannot be known.
    """
    if args >= 0 and not isinstance(plain(state, args), str | bytes):
        raise ValueError("arguments that are no tuple")
    if not state.broken:
        state.events.append(Broken(state.offset, "arguments that are no tuple"))
    items = state.items_of(args) if args < 0 else None
    if items is None:
        return None
    return tuple(items[::2] if is_container(state.blob, ~args) == "dict" else items)


def make(state: State, func: Value, args: Value, opcode: str, steps: int = 0) -> Value:
    """What `func.__new__(func, *args)` gives: an object whose constructor did not run. Raises as `call` does."""
    if isinstance(args, int):
        args = _spread(state, args)
    if isinstance(func, Global) and func.role == "new":
        func.called += 1
        return state.instance(func)
    return call(state, func, args, opcode, steps)


def _made(state: State, func: Global, args: tuple[Value, ...], opcode: str, steps: int) -> Value:
    """A call of `copyreg._reconstructor(class, base, state)` or of what NEWOBJ stands for in older protocols."""
    if func.called == 1:
        state.events.append(Called(func, state.offset, opcode, f"{func.path}({_arguments(state, args)})"))
    if func.name == "__newobj__":
        return make(state, args[0], args[1:], opcode, steps + 1)
    base = args[1] if len(args) == 3 and func.name == "_reconstructor" else None
    if isinstance(base, Global) and base.path != "builtins.object":
        call(state, base, args[2:], opcode, steps + 1)  # base.__init__ runs
    given = args[1] if len(args) > 1 and func.name == "__newobj_ex__" else ()
    return make(state, args[0], given if isinstance(given, tuple) else None, opcode, steps + 1)


def _harmless(state: State, func: Global, args: tuple[Value, ...] | None, opcode: str) -> Value:
    """A call of what is harmless in most cases: told of in the others."""
    text = plain(state, args[0]) if args else None
    if func.role == "new":
        quiet = args == ()
    else:
        quiet = len(args or ()) == 1 and isinstance(text, str) and _LITERAL.fullmatch(text) is not None
    func.harmless += quiet
    if not quiet and not func.told:
        func.told = True
        code = text[:_CODE_CHARS] if func.role == "literal" and isinstance(text, str) else ""
        state.events.append(Called(func, state.offset, opcode, f"{func.path}({_arguments(state, args)})", code))
    return state.instance(func)


def _follow(state: State, func: Global, made: Call, opcode: str, steps: int) -> Value:
    args, path = made.args, func.path
    if func.role == "partial":
        arrays.kept(state, args)
    if is_pure(path) or path in _KEEP_ARGUMENTS or func.role in ("partial", "decode") or path in _LATER:
        return made
    if args is None:
        return state.unknown(shown(state, made))
    if func.role == "getattr":
        return _getattr(state, args, made)
    if func.role == "import":
        return _import(state, func, args, made)
    if func.role == "resolve":
        return _resolve(state, args, made)
    if func.role == "type":
        return _type(state, args, made)
    if func.role == "apply":
        return _apply(state, func, args, opcode, steps)
    if func.role == "loads":
        _loads(state, func, args)
    return Unknown()


def _call_result(state: State, func: Call, args: tuple[Value, ...] | None, opcode: str, steps: int) -> Value:
    """A call of what a call gave: a partial, an attrgetter, a lazy or an unknown one."""
    maker, kept = func.func, func.args or ()
    path = maker.path if isinstance(maker, Global) else ""
    if path == "operator.attrgetter" and args:
        found: Value = args[0]
        for name in kept[:1]:
            found = attribute(state, found, plain(state, name), func)
        return found
    if path == "operator.methodcaller" and args and kept:
        method = attribute(state, args[0], plain(state, kept[0]), func)
        return call(state, method, kept[1:], opcode, steps + 1)
    if path == "operator.itemgetter" and args:
        return Call(Global("operator", "getitem", state.offset, opcode), (args[0], *kept[:1]), state.offset)
    if isinstance(maker, Global) and maker.role == "partial" and kept:
        return call(state, kept[0], None if args is None else (*kept[1:], *args), opcode, steps + 1)
    return state.unknown(f"{shown(state, func)}({_arguments(state, args)})", called=True)


def _call_attribute(state: State, func: Attribute, args: tuple[Value, ...] | None) -> Value:
    made = Call(func, args, state.offset)
    if plain(state, made) is not None:
        return made
    return state.unknown(shown(state, made), called=True)


# --- names reached by calls -------------------------------------------------------------------------------


def attribute(state: State, owner: Value, name: object, made: Call) -> Value:
    """`getattr(owner, name)`, where `name` may be dotted; `made` is the call that does it."""
    if not isinstance(name, str):
        return state.unknown(shown(state, made))
    base = owner.of if isinstance(owner, Instance) else owner
    if isinstance(base, Global) and len(base.name) + len(name) <= _NAME_CHARS:
        dotted = f"{base.name}.{name}" if base.name else name
        via = shown(state, made)
        found = state.name(base.module, dotted, NAMES.get(state.window.data[state.offset - state.window.base], ""), via)
        if found.owner is None and found.via and base.name:
            found.owner, found.attribute = base, name
        return found
    if isinstance(base, Global):
        return state.unknown(shown(state, made))
    if name.startswith("__") and name not in ("__getitem__", "__add__"):
        state.unknown(shown(state, made))
    return Attribute(owner, name)


def _getattr(state: State, args: tuple[Value, ...], made: Call) -> Value:
    if len(args) < 2:
        return state.unknown(shown(state, made))
    return attribute(state, args[0], plain(state, args[1]), made)


def _import(state: State, func: Global, args: tuple[Value, ...], made: Call) -> Value:
    module = plain(state, args[0]) if args else None
    if not isinstance(module, str):
        return state.unknown(shown(state, made))
    from_list = len(args) > 3 and args[3] not in (None, ())
    if func.path in _IMPORTS_TOP and not from_list:
        module = module.partition(".")[0]
    return state.name(canonical(module, "")[0], "", "REDUCE", shown(state, made))


def _resolve(state: State, args: tuple[Value, ...], made: Call) -> Value:
    path = plain(state, args[0]) if args else None
    if not isinstance(path, str):
        return state.unknown(shown(state, made))
    module, colon, name = path.partition(":")
    if not colon:
        module, _, name = path.rpartition(".")
        module, name = (module, name) if module else (name, "")
    return state.name(*canonical(module, name), "REDUCE", shown(state, made))


def _type(state: State, args: tuple[Value, ...], made: Call) -> Value:
    """dill's and cloudpickle's names of types: those of `types`, and of built-in types."""
    name = plain(state, args[0]) if args else None
    if not isinstance(name, str):
        return state.unknown(shown(state, made))
    module, name = _TYPES.get(name, ("builtins" if hasattr(builtins, name) else "types", name))
    return state.name(module, name, "REDUCE", shown(state, made))


def _apply(state: State, func: Global, args: tuple[Value, ...], opcode: str, steps: int) -> Value:
    """Call the callables among the arguments with what follows them, item by item where that is known."""
    result: Value = Unknown()
    for place, inner in enumerate(args[:4]):
        if not isinstance(inner, Global | Call | Attribute | Unknown) or (isinstance(inner, Call) and _is_data(inner)):
            continue
        rest = args[place + 1 :]
        if func.path == "functools.reduce":
            return _reduce(state, inner, rest, opcode, steps)
        rows = _rows(state, func, rest)
        if rows is None and isinstance(inner, Global) and inner.role is None:
            rows = [None]
        if rows is None:
            return state.unknown(f"{shown(state, func)}({_arguments(state, args)})", called=True)
        results = [call(state, inner, row, opcode, steps + 1) for row in rows[:_ITEMS]]
        result = tuple(results) if func.name == "map" and len(rows) <= _ITEMS else Unknown()
    return result


def _is_data(value: Call) -> bool:
    maker = value.func
    return isinstance(maker, Global) and (is_pure(maker.path) or maker.path in _KEEP_ARGUMENTS)


def _values(state: State, value: Value) -> list[Value] | None:
    """The items of a tuple or of a list made by the stream."""
    if isinstance(value, tuple):
        return list(value)
    return state.items_of(value) if isinstance(value, int) and value < 0 else None


def _rows(state: State, func: Global, rest: tuple[Value, ...]) -> list[tuple[Value, ...] | None] | None:
    """The argument tuples that `func`, given a callable and `rest`, calls it with."""
    name = func.name.rpartition(".")[2]
    columns = [_values(state, value) for value in rest]
    if any(column is None for column in columns) or not columns:
        return [rest] if name not in ("map", "filter", "starmap") else None
    lists = [column for column in columns if column is not None]
    if name == "starmap":
        return [item if isinstance(item, tuple) else None for item in lists[0]]
    if name in ("apply", "call", "submit"):
        return [tuple(lists[0])] if name == "apply" else [rest]
    if name in ("map", "filter", "filterfalse", "takewhile", "dropwhile", "accumulate"):
        return list(zip(*lists, strict=False))
    return [rest]


def _reduce(state: State, inner: Value, rest: tuple[Value, ...], opcode: str, steps: int) -> Value:
    items = _values(state, rest[0]) if rest else None
    if items is None:
        if isinstance(inner, Global) and inner.role is None:
            return call(state, inner, None, opcode, steps + 1)
        return state.unknown("functools.reduce(…)", called=True)
    chain = [*rest[1:2], *items[:_ITEMS]]
    result = chain[0] if chain else None
    for item in chain[1:]:
        result = call(state, inner, (result, item), opcode, steps + 1)
    return result


# --- payloads given to calls ------------------------------------------------------------------------------


def _register(state: State, args: tuple[Value, ...] | None) -> None:
    """copyreg.add_extension(module, name, code) inside the stream."""
    if args is None or len(args) != 3:
        return
    module, name, code = (plain(state, arg) for arg in args)
    if isinstance(module, str) and isinstance(name, str) and isinstance(code, int):
        state.shared.extensions[code] = state.name(*canonical(module, name), "EXT", f"copyreg extension {code}")


def _code(state: State, args: tuple[Value, ...] | None) -> tuple[str, bool]:
    """The source text that a call runs, and whether it comes out of decoding functions."""
    for arg in (args or ())[:3]:
        text = plain(state, arg)
        if isinstance(arg, Call) and text is None and _decodes(arg):
            return ("", True)
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        if isinstance(text, str):
            return (text[:_CODE_CHARS], isinstance(arg, Call) and _decodes(arg))
    return ("", False)


def _decodes(made: Value, depth: int = 0) -> bool:
    if not isinstance(made, Call) or depth > _STEPS:
        return False
    if isinstance(made.func, Global) and (made.func.role in ("decode", "loads") or is_decoder(made.func.path)):
        return True
    return any(_decodes(arg, depth + 1) for arg in (made.args or ())[:4])


def _loads(state: State, func: Global, args: tuple[Value, ...]) -> None:
    """Bytes that a call deserialises are a payload, however short and whatever they look like."""
    for arg in args[:2]:
        if isinstance(arg, int) and arg >= 0:
            op = state.blob.view(arg, 1)[0]
            start, length = payload_span(state.blob, arg)
            if op in BYTES and 0 < length <= state.blob.size - start:
                state.events.append(Nested(start, length, None, "", "payload", func))
            elif op not in TEXTS:
                continue
        elif isinstance(arg, Call):
            value = plain(state, arg)
            if isinstance(value, bytes) and value:
                state.events.append(Nested(arg.offset, len(value), value, "computed", "payload", func))
