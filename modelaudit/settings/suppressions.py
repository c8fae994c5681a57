"""Suppressions: findings that somebody has looked at and accepts. Each has a reason, and may have an end."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from modelaudit.errors import UsageError
from modelaudit.settings.files import did_you_mean
from modelaudit.settings.values import Said, known_rules, listed, refuse

_KEYS = ("rule", "path", "finding", "reason", "expires")
_UNSAID = "no reason was given"  # on the command line, for one run


class Suppression(msgspec.Struct, frozen=True):
    """Accepts findings of `rule` (an id, or a glob over ids) in objects whose URI matches the glob `path`, or one
    `finding` by its id; all that are named must match. `expires` is the last day, as an ISO 8601 date, on which it
    holds. `where` says who wrote it.
    """

    reason: str
    rule: str | None = None
    path: str | None = None
    finding: str | None = None
    expires: str | None = None
    where: str = ""

    @property
    def what(self) -> str:
        """What it accepts, in a few words."""
        named = (("rule", self.rule), ("path", self.path), ("finding", self.finding))
        return ", ".join(f"{name} {value}" for name, value in named if value is not None)


def suppressions(said: Said) -> tuple[Suppression, ...]:
    """`RULE=REASON` texts, or tables with the keys `rule`, `path`, `finding`, `reason` and `expires`.

    On the command line the reason may be left out. Raises `UsageError`.
    """
    value, where = said
    if isinstance(value, list | tuple) and any(isinstance(entry, Mapping) for entry in value):
        return tuple(_table(entry, f"{where} ({number})") for number, entry in enumerate(value, 1))
    return tuple(_text(text, where) for text in listed(said))


def _text(text: str, where: str) -> Suppression:
    rule, _, reason = (part.strip() for part in text.partition("="))
    known_rules([rule], where)
    if not reason and not where.startswith("--"):
        raise UsageError(f"{where}: {rule} has no reason; write {rule}=why these findings are accepted")
    return Suppression(reason or _UNSAID, rule=rule, where=where)


def _table(entry: object, where: str) -> Suppression:
    if not isinstance(entry, Mapping):
        refuse((entry, where), f"a table with some of the keys {', '.join(_KEYS)}")
    unknown = [key for key in entry if key not in _KEYS]
    if unknown:
        near = did_you_mean(unknown[0], _KEYS)
        raise UsageError(f"{where}: unknown key {unknown[0]!r}{near or '.'} Known: {', '.join(_KEYS)}")
    found = {key: _value(entry[key], key, where) for key in entry}
    if not found.keys() & {"rule", "path", "finding"}:
        raise UsageError(f"{where}: says nothing of what is accepted; give rule, path or finding")
    if "reason" not in found:
        raise UsageError(f"{where}: has no reason; write reason = why these findings are accepted")
    rule = found.get("rule")
    if rule is not None and not any(mark in rule for mark in "*?["):
        known_rules([rule], where)
    return Suppression(**found, where=where)


def _value(value: object, key: str, where: str) -> str:
    if key != "expires":
        if not isinstance(value, str) or not value.strip():
            refuse((value, f"{where}: {key}"), "a text")
        return value.strip()
    try:
        if isinstance(value, datetime.datetime):
            value = value.date()
        return (value if isinstance(value, datetime.date) else datetime.date.fromisoformat(str(value))).isoformat()
    except ValueError:
        refuse((value, f"{where}: expires"), "a date such as 2027-01-31")


def holding(all: Sequence[Suppression], today: datetime.date, notices: list[str]) -> Iterator[Suppression]:
    """Those that hold `today`; `notices` gains a sentence for each that does not any more."""
    for each in all:
        if each.expires is not None and each.expires < today.isoformat():
            notices.append(f"{each.where}: the suppression of {each.what} ended on {each.expires}; its findings count")
        else:
            yield each


def accepts(suppression: Suppression, uri: str, rule: str, finding: str) -> bool:
    """Whether `suppression` is about the finding `finding` (an id) of `rule` in the object `uri`."""
    if suppression.rule is not None and not fnmatchcase(rule, suppression.rule):
        return False
    if suppression.path is not None and not fnmatchcase(uri, suppression.path):
        return False
    return suppression.finding is None or suppression.finding == finding
