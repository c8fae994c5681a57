"""What is known about licences beyond SPDX's list: those of models, and which ask for more than permissive ones do.

Ids, expressions, names and texts of licences in general are known to libraries; see `modelaudit.licensing`.
"""

import os
from fnmatch import fnmatchcase
from functools import cache

import msgspec

from modelaudit.catalogue.tables import table
from modelaudit.model import Restriction


class ModelLicense(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One licence: its SPDX id or reference, what cards call it (lower case), and what stands above its text.

    `restrictions` are those that the tables of `[restricted]` do not give to its id.
    """

    id: str
    names: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    restrictions: tuple[Restriction, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    nothing: tuple[str, ...]
    restricted: dict[Restriction, tuple[str, ...]]
    license: tuple[ModelLicense, ...]


class KnownLicenses:
    """The data, laid out for looking up."""

    def __init__(self, file: _File) -> None:
        self._nothing = frozenset(file.nothing)
        self._restricted = file.restricted
        self._by_name = {name: each.id for each in file.license for name in each.names}
        self._own = {each.id: each.restrictions for each in file.license}
        self._headings = tuple((folded(heading), each.id) for each in file.license for heading in each.headings)

    def says_nothing(self, declared: str) -> bool:
        """Whether the words stand where a licence should and name none."""
        return folded(declared) in self._nothing

    def named(self, declared: str) -> str | None:
        """The id of the licence that cards call `declared`."""
        return self._by_name.get(folded(declared))

    def headed(self, text: str) -> str | None:
        """The id of the licence whose heading stands in `text`, the beginning of a file."""
        flat = folded(text)
        found = [(flat.index(heading), -len(heading), known) for heading, known in self._headings if heading in flat]
        return min(found)[2] if found else None

    def restrictions(self, license_id: str) -> tuple[Restriction, ...]:
        """What the licence asks that permissive ones do not."""
        own = self._own.get(license_id, ())
        return tuple(
            kind
            for kind, patterns in self._restricted.items()
            if kind in own or any(fnmatchcase(license_id, pattern) for pattern in patterns)
        )


def folded(text: str) -> str:
    """`text` in lower case, its white space as single blanks."""
    return " ".join(text.casefold().split())


@cache
def shipped() -> KnownLicenses:
    """The data that ships. The first call reads a file: a worker makes it before its cage closes."""
    return KnownLicenses(msgspec.convert(table(os.path.join(os.path.dirname(__file__), "known.toml")), _File))
