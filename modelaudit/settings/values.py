"""One setting each: from what was said, wherever that was, to its value."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NoReturn, cast, get_args

from modelaudit.errors import UsageError
from modelaudit.limits import KIB
from modelaudit.model import Severity, WeightsMode

Format = Literal["text", "json", "ndjson", "sarif", "ocsf"]

_LINE_BYTES_LEAST = 64 * KIB  # a record without findings fits, whatever the object is called
_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)\s*([kmgtp]i?b|b|)", re.IGNORECASE | re.ASCII)
_POWERS = {letter: power for power, letter in enumerate("kmgtp", 1)}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")

Said = tuple[object, str]  # what was said, and where


def refuse(said: Said, wanted: str) -> NoReturn:
    """Say what was said where, and what is `wanted`. Raises `UsageError`."""
    value, where = said
    raise UsageError(f"{where}: {value!r} is not {wanted}")


def size_bytes(said: Said, least: int = 1) -> int:
    """A size such as `1073741824`, `10GB` (10¹⁰ bytes) or `512MiB` (2²⁹) in bytes. Raises `UsageError`."""
    match = None if isinstance(said[0], bool) else _SIZE.fullmatch(str(said[0]).strip())
    if match is None:
        refuse(
            said, "a size; write bytes or a number with KB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 10GB or 512MiB"
        )
    unit = match[2].lower()
    factor = 1 if unit in ("", "b") else (1024 if "i" in unit else 1000) ** _POWERS[unit[0]]
    size = int(match[1]) * factor if match[1].isdecimal() else int(float(match[1]) * factor)
    if not least <= size < 1 << 63:
        refuse(said, f"a size that can be used; at least {least} byte{'s' * (least > 1)}")
    return size


def _line_bytes(said: Said) -> int:
    return size_bytes(said, _LINE_BYTES_LEAST)


def _seconds(said: Said) -> float:
    try:
        seconds = float(said[0]) if isinstance(said[0], int | float | str) else 0.0
    except ValueError:
        seconds = 0.0
    if isinstance(said[0], bool) or not 0 < seconds <= 1e6:
        refuse(said, "a number of seconds above 0 and up to 1000000, such as 300")
    return seconds


def _count(said: Said) -> int:
    text = str(said[0]).strip()
    if isinstance(said[0], bool) or not (re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= 10_000):
        refuse(said, "a whole number from 1 to 10000")
    return int(text)


def _flag(said: Said) -> bool:
    text = str(said[0]).strip().lower()
    if text not in _TRUE + _FALSE:
        refuse(said, f"yes or no; write one of {', '.join(_TRUE + _FALSE)}")
    return text in _TRUE


def text(said: Said) -> str:
    """A text that says something. Raises `UsageError`."""
    if not isinstance(said[0], str) or not said[0]:
        refuse(said, "a text")
    return said[0]


def listed(said: Said) -> tuple[str, ...]:
    """A list of texts; in the environment, separated by commas."""
    value = said[0]
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) and part for part in value):
        refuse(said, "a list of texts")
    return tuple(value)


def _format(said: Said) -> Format:
    if said[0] not in get_args(Format):
        refuse(said, f"a format; write one of {', '.join(get_args(Format))}")
    return cast(Format, said[0])


def _weights(said: Said) -> WeightsMode:
    switch = {True: "on", False: "off"}  # as some write these words in TOML
    value = switch.get(said[0], said[0]) if isinstance(said[0], bool) else said[0]
    if value not in get_args(WeightsMode):
        refuse(said, f"a way to treat weights; write one of {', '.join(get_args(WeightsMode))}")
    return cast(WeightsMode, value)


def _level(said: Said) -> Severity:
    try:
        return Severity(str(said[0]).strip().lower())
    except ValueError:
        refuse(said, f"a severity; write one of {', '.join(Severity)}")


def _fail_on(said: Said) -> Severity:
    level = _level(said)
    if level is Severity.DEBUG:
        refuse(said, "a severity to fail on; write one of critical, warning, info")
    return level


def _levels(said: Said) -> dict[str, Severity]:
    """`RULE=LEVEL` texts, or a table of them."""
    value, where = said
    if isinstance(value, Mapping):
        pairs = [(str(rule), level) for rule, level in value.items()]
    else:
        pairs = []
        for text in listed(said):
            rule, equals, level = text.partition("=")
            if not equals:
                refuse((text, where), "RULE=LEVEL, such as pickle-unknown-call=info")
            pairs.append((rule.strip(), level))
    known_rules([rule for rule, _ in pairs], where)
    return {rule: _level((level, f"{where}: {rule}")) for rule, level in pairs}


def known_rules(names: Iterable[str], where: str) -> None:
    """Raises `UsageError` for a name that is no rule's id, with the nearest that is."""
    from modelaudit import catalogue

    known = catalogue.load().rules
    for name in names:
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, known, 3)
            raise UsageError(
                f"{where}: there is no rule {name!r}"
                + (f"; did you mean {' or '.join(near)}?" if near else "; see: modelaudit rules")
            )


LISTS = ("include", "exclude", "blacklist")
LIMITS: dict[str, tuple[str, Callable[[Said], object]]] = {
    "timeout": ("timeout_seconds", _seconds),
    "max_file_size": ("max_file_bytes", size_bytes),
    "max_total_size": ("max_total_bytes", size_bytes),
    "max_line_bytes": ("line_bytes", _line_bytes),
    "concurrency": ("concurrency", _count),
}
PLAIN: dict[str, Callable[[Said], object]] = {
    "format": _format,
    "output": text,
    "state": text,
    "sbom": text,
    "hash": _flag,
    "workers": _count,
    "include": listed,
    "exclude": listed,
    "blacklist": listed,
    "fail_on": _fail_on,
    "severity": _levels,
    "strict_license": _flag,
    "weights": _weights,
    "heartbeat": _seconds,
    "dry_run": _flag,
    "verbose": _flag,
    "quiet": _flag,
}
REPEATED = (*LISTS, "suppress", "severity")
SWITCHES = ("hash", "dry_run", "verbose", "quiet", "strict_license")
ACCESS = ("ca_bundle", "registry_uri", "jfrog_api_token", "jfrog_access_token")  # how servers are reached
# What flags, variables and files may set; `paths`, `config` and `targets` stand apart.
OPTIONS = (*PLAIN, "suppress", *LIMITS, *ACCESS)
