"""The catalogue of callables that ships, read once for the process. Frozen data, so one is enough."""

from functools import cache

from modelaudit.catalogue.callables import Callables, load


@cache
def shipped() -> Callables:
    """All of it. The first call reads files: a worker makes it before its cage closes."""
    return load()
