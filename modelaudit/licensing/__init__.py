"""The licences that an object states: collected while it is scanned, understood at the end.

What understands them (`licensing.expressions`, and the libraries behind it) is loaded when something states a
licence, and never for an object that states none.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec.structs import replace

from modelaudit.limits import Limits
from modelaudit.model import Evidence, Hit, License, LicenseSource, Restriction, shown

NEEDS = ("modelaudit.licensing.expressions",)  # a cage lets nothing be imported later
RULES: dict[Restriction, str] = {
    "noncommercial": "license-noncommercial",
    "commercial_terms": "license-commercial-terms",
    "use_limits": "license-use-limits",
    "network": "license-network",
}
_SOURCES: dict[LicenseSource, str] = {
    "text": "licence text",
    "card": "card",
    "package": "package metadata",
    "metadata": "metadata of the file",
}

_KEYS = ("license", "licence", "licenses", "general.license", "modelspec.license")
_OTHERS = ("other", "custom", "unknown")
_KEY_CHARS = 64
_NAMES = ("license_name", "license.name", "general.license.name")  # what a licence called `other` is called


def in_metadata(pairs: Iterable[tuple[str, str]], source: LicenseSource = "metadata") -> Iterator[License]:
    """The licences that the keys and values of a file's metadata, or of a card, state."""
    known = [(key.casefold(), value.strip()) for key, value in pairs if len(key) <= _KEY_CHARS]
    named = next((value for key, value in known if key in _NAMES and value), "")
    stated = [value for key, value in known if key in _KEYS and value]
    for value in stated or ([named] if named else []):
        yield License("", declared=named if named and value.casefold() in _OTHERS else value, source=source)


class Stated:
    """What one object states, up to `Limits.licenses`; `cut` counts the rest."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._stated: dict[License, None] = {}
        self.cut = 0

    def add(self, stated: License, location: str) -> None:
        """Keep `stated`, which stands at its path below `location`; each is kept once."""
        path = f"{location}:{shown(stated.path, self._limits.name_chars)}" if stated.path else location
        stated = replace(stated, path=path, declared=shown(stated.declared, self._limits.license_bytes))
        if stated in self._stated:
            return
        if len(self._stated) >= self._limits.licenses:
            self.cut += 1
            return
        self._stated[stated] = None

    def understood(self, require: Callable[[Sequence[str]], None]) -> tuple[License, ...]:
        """All that were stated, with what they mean. `require` sees to it that modules are loaded; raises `Missing`."""
        if not self._stated:
            return ()
        require(NEEDS)
        from modelaudit.licensing.expressions import meaning

        most = self._limits.evidence_chars
        meant = map(meaning, self._stated)
        return tuple(dict.fromkeys(replace(each, declared=shown(each.declared, most)) for each in meant))


def hits(licenses: Sequence[License]) -> Iterator[tuple[str, Hit]]:
    """What the rules say about `licenses`, each rule once a licence, with the place where it was first stated."""
    told: dict[tuple[str, str], list[License]] = {}
    for each in licenses:
        for kind in each.restrictions:
            told.setdefault((RULES[kind], each.expression or ""), []).append(each)
        if each.expression is None:
            told.setdefault(("license-unrecognised", each.declared), []).append(each)
    for (rule, said), where in told.items():
        names = sorted({each.declared for each in where if each.declared and each.declared != said})
        evidence: Evidence = {
            "license": f"{said} ({', '.join(names[:3])})" if names else said,
            "source": _SOURCES[where[0].source],
            "count": len(where),
        }
        yield where[0].path, Hit(rule, None, evidence)
