"""Every exception that modelaudit raises on purpose.

ModelauditError
├── Missing          control flow: these bytes, names or modules are not here yet
├── ParseError       the bytes break the rules of their format (says where)
├── LimitExceeded    the bytes ask for more than a bound of `limits.py` allows
├── SourceError      an object or a listing could not be read (says why, as a word and a sentence)
├── UsageError       the command line, a setting or the environment is wrong (says what to do)
├── SinkClosed       the reader of the records went away
└── SinkFailed       the records can no longer be written
"""

from collections.abc import Sequence
from itertools import chain


class ModelauditError(Exception):
    """Base of everything below; never raised itself."""


class Missing(ModelauditError):
    """What a scan asked for and the parent has not given it yet; with it the scan begins anew.

    `ranges` holds `(offset, length)` pairs in bytes of the *root* object, whatever view of it was read;
    `folders` those whose names are asked for, relative to the one that holds the object; `modules` the Python
    modules that a scanner needs and this worker has not loaded.
    """

    def __init__(
        self, ranges: Sequence[tuple[int, int]] = (), folders: Sequence[str] = (), modules: Sequence[str] = ()
    ) -> None:
        super().__init__(ranges, folders, modules)
        self.ranges = tuple(ranges)
        self.folders = tuple(folders)
        self.modules = tuple(modules)


class ParseError(ModelauditError):
    """The bytes break their format. `offset` (bytes, in the blob that was parsed) says where."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class LimitExceeded(ModelauditError):
    """The bytes ask for too much. `limit` is the name of the field of `Limits` that said no."""

    def __init__(self, limit: str, asked: int, allowed: int) -> None:
        super().__init__(f"{limit}: {asked} asked, {allowed} allowed")
        self.limit = limit
        self.asked = asked
        self.allowed = allowed


class SourceError(ModelauditError):
    """An object, page or listing could not be read.

    `reason` is one word for machines (`access_denied`, `not_found`, `changed`, `unreachable`, `throttled`,
    `credentials`, `special_file`, …); the message is one sentence for people and holds no secret.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class UsageError(ModelauditError):
    """Something the user gave is wrong; the message says what, where and what to do. Exit code 2."""


class SinkClosed(ModelauditError):
    """Whoever read the records went away (a closed pipe): the run ends, without complaint."""


class SinkFailed(ModelauditError):
    """Records can no longer be written (a full disk); the message says what, where and what to do."""


def first_cause(error: BaseException) -> BaseException:
    """The first exception in what may be groups of groups: one cause is enough to know."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


class Absent:
    """What one run found missing, in the order of asking, each once."""

    def __init__(self) -> None:
        self._asked: list[Missing] = []

    def __bool__(self) -> bool:
        return bool(self._asked)

    def add(self, missing: Missing) -> None:
        """Note down what `missing` asks for."""
        self._asked.append(missing)

    def all(self) -> Missing:
        """One `Missing` for everything."""
        return Missing(
            tuple(dict.fromkeys(chain.from_iterable(missing.ranges for missing in self._asked))),
            tuple(dict.fromkeys(chain.from_iterable(missing.folders for missing in self._asked))),
            tuple(dict.fromkeys(chain.from_iterable(missing.modules for missing in self._asked))),
        )
