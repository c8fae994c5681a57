"""What an expression of a source may stand for."""

from typing import TypeAlias

import msgspec

from modelaudit.parsers.python_source.scopes import Definition


class Path(msgspec.Struct, frozen=True):
    """Something that is reached by a dotted name; `()` after a part stands for what its call gives.

    `hidden` says that the name was computed or looked up in a namespace instead of written down.
    """

    name: str
    hidden: bool = False


class Here(msgspec.Struct, frozen=True):
    """A function or class that the source defines, or an `instance` of the class."""

    node: Definition
    instance: bool = False


class Constant(msgspec.Struct, frozen=True):
    """A value that is computed. `plain` says that it stands in the source as such; `decoded` that it was decoded."""

    value: object
    plain: bool = False
    decoded: bool = False


Value: TypeAlias = Path | Here | Constant
Values: TypeAlias = tuple[Value, ...]
