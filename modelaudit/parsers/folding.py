"""Constants computed the way Python and Jinja compute them, so that a name put together from pieces is seen.

Attackers write `'__cl' ~ 'ass__'`, `'%c%c' % (95, 95)` or `'metsys'[::-1]`. Only text, bytes, numbers and small
containers of them are computed, every result is bounded, and nothing is computed that could run code or grow.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from modelaudit.late import late

CHARS: Final = 16_384  # of one computed value; a name or a command is shorter, a payload is decoded elsewhere
ITEMS: Final = 1024  # of one computed list


class Unknown:
    """What cannot be computed. There is one, `UNKNOWN`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "?"


UNKNOWN: Final = Unknown()

_WIDE = late(r"\*|\d{4,}")
_FIELD = late(r"\{\{|\}\}|\{(?P<name>\w*)(?:!(?P<how>[rsa]))?(?::(?P<spec>[^{}]{0,16}))?\}")
_FAULTS = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, ArithmeticError, LookupError)


def known(value: object) -> bool:
    """Whether `value` and everything in it is computed. Looks at two levels; deeper ones are not made."""
    if isinstance(value, list | tuple):
        return all(not isinstance(item, Unknown) for item in value)
    return not isinstance(value, Unknown)


def bounded(value: object) -> object:
    """`value`, or `UNKNOWN` where it is too large to keep or of a kind that is not computed with."""
    if isinstance(value, str | bytes):
        return value if len(value) <= CHARS else UNKNOWN
    if isinstance(value, list | tuple | dict):
        return value if len(value) <= ITEMS else UNKNOWN
    if isinstance(value, bool | float) or value is None:
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 4096 else UNKNOWN
    return UNKNOWN


def add(left: object, right: object) -> object:
    """`left + right` for two texts, bytes, numbers or lists."""
    for kind in (str, bytes, list, tuple, int | float):
        if isinstance(left, kind) and isinstance(right, kind):
            return bounded(left + right)  # type: ignore[operator]  # both are of the kind
    return UNKNOWN


def times(left: object, right: object) -> object:
    """`left * right`, where the result is small."""
    if isinstance(left, int) and isinstance(right, str | bytes | list | tuple):
        left, right = right, left
    if isinstance(left, str | bytes | list | tuple) and isinstance(right, int):
        return bounded(left * right) if len(left) * max(0, right) <= ITEMS else UNKNOWN
    if isinstance(left, int | float) and isinstance(right, int | float):
        return bounded(left * right)
    return UNKNOWN


def power(base: object, exponent: object) -> object:
    """`base ** exponent` for small whole numbers."""
    if isinstance(base, int) and isinstance(exponent, int) and 0 <= exponent <= ITEMS and base.bit_length() <= 64:
        return bounded(base**exponent)
    return UNKNOWN


def percent(template: object, values: object) -> object:
    """`template % values` without widths that would make it long; numbers: the remainder."""
    if isinstance(template, int) and isinstance(values, int):
        return template % values if values else UNKNOWN
    if not isinstance(template, str | bytes) or len(template) > CHARS or not known(values):
        return UNKNOWN
    if _WIDE.search(template if isinstance(template, str) else template.decode("latin-1")):
        return UNKNOWN
    try:
        return bounded(template % (tuple(values) if isinstance(values, list) else values))
    except _FAULTS:
        return UNKNOWN


def braces(template: str, positional: Sequence[object], named: Mapping[str, object]) -> object:
    """`template.format(...)` for plain fields. Attributes and items in fields are not followed."""
    counter = iter(range(ITEMS))
    wrong = _FIELD.sub("", template)
    if "{" in wrong or "}" in wrong or len(template) > CHARS:
        return UNKNOWN

    def field(match: re.Match[str]) -> str:
        if match["name"] is None:
            return match[0][0]
        key = match["name"] or str(next(counter))
        value = positional[int(key)] if key.isdigit() else named[key]
        spec = match["spec"] or ""
        if isinstance(value, Unknown) or _WIDE.search(spec):
            raise ValueError(key)
        if match["how"]:
            value = str(value) if match["how"] == "s" else repr(value)
        return format(value, spec)

    try:
        return bounded(_FIELD.sub(field, template))
    except (*_FAULTS, StopIteration):
        return UNKNOWN


def item(value: object, key: object) -> object:
    """`value[key]`, slices included."""
    if isinstance(value, str | bytes | list | tuple) and isinstance(key, int | slice):
        try:
            return value[key]
        except _FAULTS:
            return UNKNOWN
    if isinstance(value, dict) and isinstance(key, str | int | bytes):
        return value.get(key, UNKNOWN)
    return UNKNOWN


def join(glue: object, parts: object) -> object:
    """`glue.join(parts)`, numbers among the parts written out as Jinja does."""
    if isinstance(parts, str | bytes):
        parts = list(parts) if isinstance(parts, str) else parts
    if isinstance(parts, dict):
        parts = list(parts)
    if isinstance(glue, bytes) and isinstance(parts, list | tuple):
        return bounded(glue.join(parts)) if all(isinstance(part, bytes) for part in parts) else UNKNOWN
    if not isinstance(glue, str) or not isinstance(parts, list | tuple) or not known(parts):
        return UNKNOWN
    if sum(len(part) if isinstance(part, str) else 20 for part in parts) + len(glue) * len(parts) > CHARS:
        return UNKNOWN
    return bounded(glue.join(str(part) for part in parts))


_PLAIN: Final[Mapping[str, Callable[..., object]]] = {
    name: getattr(str, name)
    for name in (
        "capitalize", "casefold", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace",
        "rpartition", "rsplit", "rstrip", "split", "splitlines", "strip", "swapcase", "title", "translate", "upper",
    )
}  # fmt: skip
_RAW: Final[Mapping[str, Callable[..., object]]] = {
    name: getattr(bytes, name)
    for name in ("hex", "lower", "lstrip", "replace", "rstrip", "split", "strip", "translate", "upper")
}
_CODECS: Final = frozenset(("ascii", "latin-1", "latin1", "utf-8", "utf8", "utf_8"))


def method(value: object, name: str, positional: Sequence[object], named: Mapping[str, object]) -> object:
    """`value.name(...)` for the methods of text and bytes that make other text; a dictionary's `get`."""
    if not known(list(positional)) or isinstance(value, Unknown):
        return UNKNOWN
    if name == "join" and len(positional) == 1:
        return join(value, positional[0])
    if isinstance(value, str) and name == "format":
        return braces(value, positional, named)
    if isinstance(value, dict):
        return _of_dict(value, name, positional)
    if name in ("encode", "decode") and isinstance(value, str | bytes):
        return _coded(value, positional)
    table = _PLAIN if isinstance(value, str) else _RAW if isinstance(value, bytes) else {}
    if name not in table or not isinstance(value, str | bytes):
        return UNKNOWN
    if name == "replace" and _grows(value, positional):
        return UNKNOWN
    try:
        return bounded(table[name](value, *positional))
    except _FAULTS:
        return UNKNOWN


def _grows(value: str | bytes, positional: Sequence[object]) -> bool:
    new = positional[1] if len(positional) > 1 else ""
    return not isinstance(new, str | bytes) or len(value) * max(1, len(new)) > 16 * CHARS


def _of_dict(value: dict[object, object], name: str, positional: Sequence[object]) -> object:
    if name == "keys":
        return list(value)
    if name == "values":
        return list(value.values())
    if name in ("get", "pop") and positional:
        return item(value, positional[0])
    return UNKNOWN


def _coded(value: str | bytes, positional: Sequence[object]) -> object:
    name = positional[0] if positional else "utf-8"
    if not isinstance(name, str) or name.lower() not in _CODECS:
        return UNKNOWN
    try:
        return value.encode(name) if isinstance(value, str) else value.decode(name)
    except ValueError:
        return UNKNOWN
