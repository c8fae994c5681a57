"""What is known about formats and rules, as data: one TOML file a format, read into frozen values.

A format file holds one `[format]` table, any number of `[[format.signature]]` and `[[rule]]` tables.
`shared.toml` has rules only: those of the engine. The callables that a pickle may name live in
`catalogue/callables/` and are read by `catalogue.callables`.
"""

import os

import msgspec

from modelaudit.catalogue.tables import Place, tables_in
from modelaudit.model import Severity

_FOLDER = os.path.dirname(__file__)


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes (`hex`) at `offset` bytes from the start; a negative offset counts from the end."""

    hex: str
    offset: int = 0

    @property
    def magic(self) -> bytes:
        """`hex` as bytes."""
        return bytes.fromhex(self.hex)


class Hint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes of a remote object worth fetching before the first scan, for names with the format's extensions."""

    head_bytes: int = 0
    tail_bytes: int = 0


class Format(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file format. `always` asks the scanner's own `fits` about every blob, signature or not.

    `fallback` formats are only tried on blobs that no other format claimed. `scanned` is false for formats
    that are identified so that the record can say what it is that nobody looked at. A `wrapper` only holds
    something else: a file in which nothing but wrappers was recognised counts as unsupported. `kin` names groups of
    formats of which one ordinary file may be several: a syntax, or an archive that holds the others unpacked.
    `needs` names the modules that the scanner imports when it is first used: a worker must load them before its
    cage closes.
    """

    id: str
    title: str
    extensions: tuple[str, ...] = ()
    signature: tuple[Signature, ...] = ()
    always: bool = False
    fallback: bool = False
    scanned: bool = True
    wrapper: bool = False
    kin: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    hint: Hint = Hint()


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule. `message` and `why` are templates over the hit's evidence; a rule id never changes meaning."""

    id: str
    severity: Severity
    title: str
    message: str
    why: str
    advice: str
    cwe: str | None = None
    cve: tuple[str, ...] = ()


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Format | None = None
    rule: tuple[Rule, ...] = ()


class Catalogue(msgspec.Struct, frozen=True):
    """All formats and rules by id."""

    formats: dict[str, Format]
    rules: dict[str, Rule]


def load(folder: Place = _FOLDER) -> Catalogue:
    """Read every format file in `folder` (default: the ones that ship).

    Raises `ValueError` when a file's name is not its format's id, or an id is defined twice.
    """
    formats: dict[str, Format] = {}
    rules: dict[str, Rule] = {}
    for name, content in tables_in(folder):
        entry = msgspec.convert(content, _File)
        if entry.format is not None:
            if entry.format.id != name:
                raise ValueError(f"{name}.toml: format id {entry.format.id!r} is not the file's name")
            formats[entry.format.id] = entry.format
        for rule in entry.rule:
            if rule.id in rules:
                raise ValueError(f"{name}.toml: rule {rule.id!r} is defined twice")
            rules[rule.id] = rule
    return Catalogue(formats, rules)
