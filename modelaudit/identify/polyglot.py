"""Files that are two formats at once: what one program loads is not what another one shows.

Formats are kin, and then no surprise together, where they share a signature (a Keras archive is a zip) or the
catalogue says so: they are written in one syntax, or one holds the files of the other as they are.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

from modelaudit.catalogue import Format
from modelaudit.model import Child, Hit, Severity

_REST: Final = frozenset(("trailing bytes",))  # what scanners call bytes behind their format
_RUNNING: Final = frozenset(("executable", "python_bytecode", "python_source", "pickle", "pytorch", "torchscript"))


def at_once(formats: Sequence[Format]) -> Iterator[Hit]:
    """One hit where two of the formats that claim the same bytes are not kin."""
    claims = [format for format in formats if format.scanned and not format.wrapper and not format.fallback]
    for one, other in combinations(claims, 2):
        if not _kin(one, other):
            yield Hit("shared-two-formats", 0, {"one": one.title, "other": other.title})
            return


def behind(child: Child, outer: Format | None, inner: Sequence[Format]) -> Iterator[Hit]:
    """One hit where what the format `outer` leaves over of the bytes is a file of another one, by its signature."""
    if child.name not in _REST or outer is None or outer.wrapper or outer.id == "executable":
        return  # programs carry data behind them, and are told of as what they are
    for other in inner:
        if other.signature and not other.wrapper and not _kin(outer, other):
            severity = None if other.id in _RUNNING else Severity.INFO
            yield Hit("shared-two-formats", child.offset, {"one": outer.title, "other": other.title}, severity)
            return


def _kin(one: Format, other: Format) -> bool:
    if one is other or set(one.kin) & set(other.kin):
        return True
    return any(mine == its for mine in one.signature for its in other.signature)
