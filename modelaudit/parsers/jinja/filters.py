"""Jinja's filters over constants: those that make text out of text, numbers or lists.

Source: jinja2 3.1 filters.py. Each is bounded as `folding` is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from modelaudit.parsers import folding
from modelaudit.parsers.folding import UNKNOWN

Arguments = Sequence[object]

_AS_METHODS: Final = {
    "lower": "lower", "upper": "upper", "capitalize": "capitalize", "title": "title", "replace": "replace",
    "trim": "strip",
}  # fmt: skip
_SAME: Final = frozenset(
    ("safe", "string", "list", "e", "escape", "forceescape", "unique", "tojson", "pprint", "striptags")
)


def range_of(arguments: Arguments) -> object:
    """`range(...)`, however long: it is only counted."""
    numbers = [argument for argument in arguments if isinstance(argument, int)]
    if not 1 <= len(arguments) <= 3 or len(numbers) != len(arguments):
        return UNKNOWN
    try:
        return range(*numbers)
    except ValueError:
        return UNKNOWN


def applied(name: str, value: object, arguments: Arguments, named: Mapping[str, object]) -> object:
    """`value | name(...)`."""
    if value is UNKNOWN or isinstance(value, range):
        return UNKNOWN
    if name in _AS_METHODS:
        return folding.method(value, _AS_METHODS[name], arguments, named)
    if name in _SAME:
        return list(value) if name == "list" and isinstance(value, str | dict) else value
    function = _FILTERS.get(name)
    return function(value, arguments, named) if function is not None else UNKNOWN


def _join(value: object, arguments: Arguments, named: Mapping[str, object]) -> object:
    return folding.join(arguments[0] if arguments else named.get("d", ""), value)


def _format(value: object, arguments: Arguments, named: Mapping[str, object]) -> object:
    return folding.percent(value, dict(named) if named else tuple(arguments))


def _reverse(value: object, arguments: Arguments, named: Mapping[str, object]) -> object:
    return folding.item(value, slice(None, None, -1))


def _first(value: object, arguments: Arguments, named: Mapping[str, object]) -> object:
    return folding.item(list(value) if isinstance(value, dict) else value, 0)


def _last(value: object, arguments: Arguments, named: Mapping[str, object]) -> object:
    return folding.item(list(value) if isinstance(value, dict) else value, -1)


def _default(value: object, arguments: Arguments, named: Mapping[str, object]) -> object:
    return value


def _items(value: object, arguments: Arguments, named: Mapping[str, object]) -> object:
    return [list(pair) for pair in value.items()] if isinstance(value, dict) else UNKNOWN


def _number(value: object, arguments: Arguments, named: Mapping[str, object]) -> object:
    try:
        return int(value) if isinstance(value, int | float) or (isinstance(value, str) and len(value) < 20) else UNKNOWN
    except (ValueError, OverflowError):
        return UNKNOWN


def _sorted(value: object, arguments: Arguments, named: Mapping[str, object]) -> object:
    if isinstance(value, str | list | dict) and all(isinstance(item, str) for item in value):
        return sorted(value)
    return UNKNOWN


_FILTERS: Final[Mapping[str, Callable[[object, Arguments, Mapping[str, object]], object]]] = {
    "join": _join,
    "format": _format,
    "reverse": _reverse,
    "first": _first,
    "last": _last,
    "min": _first,
    "default": _default,
    "d": _default,
    "items": _items,
    "dictsort": _items,
    "int": _number,
    "sort": _sorted,
}
