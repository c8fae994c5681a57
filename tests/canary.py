"""The harmless payload: a callable that tells the process which runs `tests.samples.prove` that it was called.

It stands in for `os.system` in the twins of the hostile samples. The module holds itself as an attribute, so
that a walk such as `pathlib.os.system` has a twin, and the class is for techniques that need a type.
"""

import sys

MARKS: list[tuple[object, ...]] = []
canary = sys.modules[__name__]


def mark(*args: object, **kwargs: object) -> int:
    """Note the call. Gives 0, as `os.system` of a command that succeeds does."""
    MARKS.append(args)
    return 0
