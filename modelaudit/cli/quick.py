"""The ordinary `modelaudit scan` without typer, which takes longer to import and to ask than a small scan takes.

Only what is beyond doubt is understood here: the options of the settings in their full spelling, and paths.
Help, mistakes and every other spelling are left to typer; a test holds the two to the same meaning.
"""

from collections.abc import Sequence
from typing import NamedTuple

from modelaudit.settings import OPTIONS, REPEATED, SWITCHES

_NAMES = {"--" + name.replace("_", "-"): name for name in (*OPTIONS, "config", "targets")}
_NAMES |= {"-f": "format", "-o": "output", "-v": "verbose", "-q": "quiet"}


class Asked(NamedTuple):
    """The arguments of `modelaudit.settings.resolve`."""

    paths: list[str]
    flags: dict[str, object]
    config: str | None
    targets: str | None


def scan_of(arguments: Sequence[str]) -> Asked | None:
    """What `arguments` ask for, or None where typer must see them."""
    if not arguments or arguments[0] != "scan":
        return None
    paths: list[str] = []
    texts: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    switches: dict[str, object] = {}
    rest = iter(arguments[1:])
    for word in rest:
        if not word.startswith("-"):
            paths.append(word)
            continue
        option, equals, attached = word.partition("=") if word.startswith("--") else (word, "", "")
        name = _NAMES.get(option)
        if name is None or (equals and name in SWITCHES):
            return None
        if name in SWITCHES:
            switches[name] = True
            continue
        value = attached if equals else next(rest, None)
        if value is None or (not equals and value.startswith("-") and value != "-"):
            return None
        if name in REPEATED:
            lists.setdefault(name, []).append(value)
        else:
            texts[name] = value
    config, targets = texts.pop("config", None), texts.pop("targets", None)
    return Asked(paths, {**texts, **lists, **switches}, config, targets)
