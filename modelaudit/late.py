"""Regular expressions that are compiled when they are first used.

A scan needs a few of the hundreds that the scanners have; compiling all of them takes as long as scanning a hundred
small files, and every run would pay for it.
"""

import re
from typing import AnyStr, Generic, cast


def late(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As `re.compile`, but a mistake in `pattern` shows, as `re.error`, when the expression is first used."""
    return cast("re.Pattern[AnyStr]", _Late(pattern, flags))


class _Late(Generic[AnyStr]):
    def __init__(self, pattern: AnyStr, flags: int) -> None:
        self._source: tuple[AnyStr, int] = (pattern, flags)

    def __getattr__(self, name: str) -> object:
        """Of the compiled expression; kept, so that it is asked for once."""
        value = getattr(re.compile(*self._source), name)
        setattr(self, name, value)
        return value
