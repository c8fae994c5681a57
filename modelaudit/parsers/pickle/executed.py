"""Source text that a class executes when BUILD fills one of its objects.

SciPy's distributions keep the source of three methods in their state, and `rv_generic.__setstate__` executes it
(scipy/stats/_distn_infrastructure.py: `self.__dict__.update(state)`, then `exec(self._parse_arg_template)`). Which
classes do so is the catalogue's knowledge; here their state is read the way `dict.update` reads it.
"""

from collections.abc import Iterator
from typing import Final

from modelaudit.parsers.pickle.compute import NOTHING, plain
from modelaudit.parsers.pickle.opcodes import NAMES
from modelaudit.parsers.pickle.reading import is_container
from modelaudit.parsers.pickle.state import State
from modelaudit.parsers.pickle.values import Executed, Global, Instance, Value

_SETSTATE: Final = "__setstate__"
# They give an object its state themselves, out of their arguments.
_FILLERS: Final = frozenset({"dill._dill._create_array", "copy._reconstruct"})


def filled(state: State, what: Global, value: Value) -> None:
    """Tell of the text that is executed when an object of `what` is given the state `value`."""
    for text in _texts(state, what.executes, value):
        opcode = NAMES.get(state.window.data[state.offset - state.window.base], "")
        state.events.append(Executed(state.offset, opcode, what.path, text))


def fills(func: Global) -> bool:
    """Whether a call of `func` gives an object its state, as BUILD does."""
    return func.path in _FILLERS or (bool(func.executes) and func.name.rpartition(".")[2] == _SETSTATE)


def called(state: State, func: Global, args: tuple[Value, ...]) -> None:
    """Tell of the text that is executed when `func(*args)` fills an object, as BUILD would."""
    if not fills(func):
        return
    if func.executes:
        filled(state, func, args[-1] if args else None)
    else:
        for arg in args:
            what = arg.of if isinstance(arg, Instance) else arg
            if isinstance(what, Global) and what.executes:
                state.events.append(Executed(state.offset, "REDUCE", what.path, None))


def _texts(state: State, name: str, value: Value) -> Iterator[str | None]:
    """The texts that the state has for `name`; None for what may be one and cannot be known."""
    if isinstance(value, int) and value < 0 and is_container(state.blob, ~value) == "dict":
        items = state.items_of(value)
        if items is None:
            yield None
        for key, item in zip((items or [])[::2], (items or [])[1::2], strict=False):
            yield from _pair(state, name, key, item)
        return
    if value is None or (isinstance(value, int) and value >= 0):
        return  # the loader breaks
    elements = list(value) if isinstance(value, tuple) else state.items_of(value) if isinstance(value, int) else None
    if elements is None:
        yield None
    for element in elements or []:
        pair = _of_two(state, element)
        if pair is None:
            yield None
        if not pair:
            return  # no pair: nothing more is read, and nothing is executed
        yield from _pair(state, name, *pair)


def _pair(state: State, name: str, key: Value, item: Value) -> Iterator[str | None]:
    known = plain(state, key)
    if known is NOTHING or known == name:
        text = plain(state, item) if known == name else None
        yield text if isinstance(text, str) else None


def _of_two(state: State, element: Value) -> tuple[Value, ...] | None:
    """Key and value that the element of a sequence stands for; empty when it is no pair, None when unknown."""
    if element is None or (isinstance(element, int) and element >= 0):
        return ()
    if isinstance(element, tuple):
        return element if len(element) == 2 else ()
    if not isinstance(element, int):
        return None
    items = state.items_of(element)
    if items is None:
        return None
    if is_container(state.blob, ~element) == "dict":  # its keys are what it is a sequence of
        items = items[::2]
    return tuple(items) if len(items) == 2 else ()
