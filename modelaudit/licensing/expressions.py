"""What somebody wrote about a licence, as an SPDX expression.

Ids and expressions: license-expression with SPDX's list and ScanCode's; names: LicenseLynx; addresses and texts:
licenseclassifier. All of them read their data when this module is imported, which is before a cage closes.
"""

import re
from collections.abc import Mapping
from typing import Final

import licenseclassifier
from boolean import ParseError
from license_expression import ExpressionError, LicenseSymbol, get_spdx_licensing
from licenselynx.licenselynx import LicenseLynx
from msgspec.structs import replace

from modelaudit.catalogue.licenses import KnownLicenses, shipped
from modelaudit.model import License, Restriction

_SPDX: Final = get_spdx_licensing()
_REFERENCE: Final = re.compile(r"(?:DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-[A-Za-z0-9.-]+")  # SPDX 3.0.1, annex B
_MOST_CHARS: Final = 400  # of what is declared; the longest expressions of real packages have 300
_MOST_NESTED: Final = 20  # parentheses
_HEAD_CHARS: Final = 3000  # in which the heading of a licence stands
_HEADED_MOST: Final = 200_000

shipped()
LicenseLynx.map("MIT")  # reads its table
licenseclassifier.identify_license("https://opensource.org/licenses/MIT")  # reads its templates


def of_declared(declared: str) -> str | None:
    """The SPDX expression that `declared` means: an expression, a name or an address. None where nothing fits."""
    words = declared.strip()
    known = shipped()
    if not words or len(words) > _MOST_CHARS or words.count("(") > _MOST_NESTED or known.says_nothing(words):
        return None
    written = _of_name(words, known) or _of_expression(words, known)
    return written if written is not None and _is_valid(written) else None


def _of_expression(words: str, known: KnownLicenses) -> str | None:
    """An expression whose licences are known, by whatever name, or are references."""
    try:
        parsed = _SPDX.parse(words)
        unknown = _SPDX.unknown_license_keys(parsed)
    except (ExpressionError, ParseError, IndexError, AssertionError):  # the last two: what boolean.py makes of `()`
        return None
    meant: Mapping[str, str | None] = {
        key: key if _REFERENCE.fullmatch(key) else _of_name(key, known) for key in unknown
    }
    if parsed is None or any(name is None for name in meant.values()):
        return None
    symbols = {LicenseSymbol(key): LicenseSymbol(str(name)) for key, name in meant.items() if name != key}
    return str((parsed.subs(symbols) if symbols else parsed).render())


def _is_valid(expression: str) -> bool:
    """Whether each name is known or a reference, and each exception is one."""
    try:
        parsed = _SPDX.parse(expression, strict=True)
    except (ExpressionError, ParseError, IndexError, AssertionError):
        return False
    return all(_REFERENCE.fullmatch(key) for key in _SPDX.unknown_license_keys(parsed))


def _of_name(name: str, known: KnownLicenses) -> str | None:
    """The id of one licence by its id, its name or its address."""
    own = known.named(name) or known.named(name.rpartition(" :: ")[2])
    if own is not None:
        return own
    if "://" in name:
        found = {match.id for match in licenseclassifier.identify_license(name)}
        return _canonical(found.pop()) if len(found) == 1 else None
    mapped = LicenseLynx.map(name)
    return None if mapped is None or known.says_nothing(mapped.id) else _canonical(mapped.id)


def _canonical(name: str) -> str | None:
    """A licence's id as SPDX has it today; of what only ScanCode knows, its reference."""
    for candidate in (name, f"LicenseRef-scancode-{name}"):
        parsed = _SPDX.parse(candidate)
        if not _SPDX.unknown_license_keys(parsed):
            return str(parsed.render())
    return None


def of_text(text: str, covered: float = licenseclassifier.COVERAGE_THRESHOLD) -> list[str]:
    """The licences whose texts `text` consists of, in order, each once; empty where it is something else.

    `covered` per cent of it must be the text of some licence.
    """
    known = shipped()
    head = known.headed(text[:_HEAD_CHARS]) if len(text) <= _HEADED_MOST else None
    found = [match.id for match in licenseclassifier.identify_license(text, covered)]
    names = [known.named(each) or _canonical(each) or f"LicenseRef-{each}" for each in found]
    return list(dict.fromkeys([*([head] if head else []), *names]))


def meaning(stated: License) -> License:
    """`stated` with its expression, and with what the licence asks that permissive ones do not."""
    declared, expression = stated.declared, stated.expression
    if len(declared) > _MOST_CHARS:  # the text itself
        expression = " AND ".join(of_text(declared)) or None
        declared = declared.strip().split("\n", 1)[0]
    expression = expression or of_declared(declared)
    if expression is None:
        return replace(stated, declared=declared)
    return replace(stated, declared=declared, expression=expression, restrictions=_restrictions(expression))


def _restrictions(expression: str) -> tuple[Restriction, ...]:
    """What binds whatever choice the expression leaves: that of `AGPL-3.0-only OR MIT` is none."""
    parsed = _SPDX.parse(expression)
    choices = parsed.args if isinstance(parsed, _SPDX.OR) else [parsed]
    asked = [
        {kind for key in _SPDX.license_keys(choice) for kind in shipped().restrictions(str(key))} for choice in choices
    ]
    return tuple(sorted(set.intersection(*asked)))
