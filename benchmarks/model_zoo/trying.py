"""How the classes of a library are tried: with a few arguments, and never mind those that refuse them."""

import contextlib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

# Each class of each library is tried with a few arguments; which of them it refuses, and how, does not matter.
tried = functools.partial(contextlib.suppress, Exception)


def made(kind: Callable[..., Any], *arguments: Any, **named: Any) -> Iterator[Any]:
    """`kind(...)` if it can be made so."""
    with tried():
        yield kind(*arguments, **named)


def members(name: str, base: type | None = None) -> Iterator[Any]:
    """The public classes of a module (subclasses of `base`)."""
    names: dict[str, Any] = {}
    with tried():
        names = vars(importlib.import_module(name))
    for label, value in sorted(names.items()):
        if inspect.isclass(value) and not label.startswith("_") and (base is None or issubclass(value, base)):
            yield value
