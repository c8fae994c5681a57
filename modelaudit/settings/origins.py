"""Where each setting comes from: what `modelaudit config` shows."""

import os
from collections.abc import Mapping

import msgspec

from modelaudit.settings import OPTIONS, Settings, gather, settle
from modelaudit.settings.values import ACCESS, LIMITS

_SECRET = ("jfrog_api_token", "jfrog_access_token")
DEFAULT = "default"


class Setting(msgspec.Struct, frozen=True):
    """One setting: its `value` as JSON has it (secrets masked), and `origin`: `default`, or who said so."""

    name: str
    value: object
    origin: str


def settings_of(config: str | None = None, environ: Mapping[str, str] | None = None) -> tuple[list[Setting], list[str]]:
    """Every setting that a scan in this folder would have, and what there is to say about them.

    `config` is the file that was named; `environ` the process's own by default. Raises `UsageError`.
    """
    variables = os.environ if environ is None else environ
    gathered = gather((), {}, config, variables)
    settings = settle(gathered, (), variables)
    found = [
        Setting(
            name.replace("_", "-"), _value(settings, name), gathered.said[name][1] if name in gathered.said else DEFAULT
        )
        for name in OPTIONS
    ]
    named = gathered.limits if isinstance(gathered.limits, Mapping) else {}
    for key in named:
        field = str(key).replace("-", "_")
        found.append(Setting(f"limits.{key}", getattr(settings.limits, field), f"{gathered.used}: limits.{key}"))
    return found, list(settings.notices)


def _value(settings: Settings, name: str) -> object:
    if name in LIMITS:
        return getattr(settings.limits, LIMITS[name][0])
    if name in ACCESS:
        value = getattr(settings.access, name)
        return "***" if value and name in _SECRET else value
    if name == "suppress":
        return [
            f"{each.what}: {each.reason}" + (f" (until {each.expires})" if each.expires else "")
            for each in settings.suppress
        ]
    return msgspec.to_builtins(getattr(settings, name))
