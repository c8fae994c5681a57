"""Flags, environment and a TOML file become one frozen value. The only module that reads the environment.

Precedence, strongest first: flags; `MODELAUDIT_*` variables; the file (`--config`, else `modelaudit.toml`, else
`[tool.modelaudit]` of `pyproject.toml`, in the working directory); the defaults. A list from a stronger place
replaces that of a weaker one.

A file that was not named and lies inside what is being scanned is not used: whoever wrote the models could have
written it, to have their own findings suppressed. `Settings.notices` says so.
"""

import datetime
import os
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from modelaudit.access import Access
from modelaudit.errors import UsageError
from modelaudit.limits import Limits
from modelaudit.model import Evidence, Severity, WeightsMode
from modelaudit.settings.files import did_you_mean, find_table, limits_of, options_of, read_targets
from modelaudit.settings.reach import access_of
from modelaudit.settings.suppressions import Suppression, holding, suppressions
from modelaudit.settings.values import (
    LIMITS,
    LISTS,
    OPTIONS,
    PLAIN,
    REPEATED,
    SWITCHES,
    Format,
    Said,
    size_bytes,
)

__all__ = [
    "OPTIONS",
    "REPEATED",
    "SWITCHES",
    "Format",
    "Settings",
    "Suppression",
    "default_workers",
    "resolve",
    "size_bytes",
]

_ELSEWHERE = ("config", "targets")  # known in the environment, refused in a file


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the user decides about one run.

    `format` None means text on a terminal and ndjson elsewhere; `output` None means standard output. `state`
    is the file of what was scanned before. `heartbeat` is the seconds between two signs of life. `sbom`
    is where the bill of materials goes, and `hash` has every object's SHA-256 computed. `config` is the file
    that was used. `notices` are sentences for the user.
    """

    paths: tuple[str, ...] = ()
    format: Format | None = None
    output: str | None = None
    state: str | None = None
    sbom: str | None = None
    hash: bool = False
    limits: Limits = Limits()
    workers: int = 1
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    blacklist: tuple[str, ...] = ()
    fail_on: Severity = Severity.WARNING
    suppress: tuple[Suppression, ...] = ()
    severity: dict[str, Severity] = {}
    strict_license: bool = False
    weights: WeightsMode = "auto"
    heartbeat: float | None = None
    dry_run: bool = False
    verbose: bool = False
    quiet: bool = False
    colour: bool = True
    access: Access = Access()
    config: str | None = None
    notices: tuple[str, ...] = ()

    def worth_knowing(self) -> Evidence:
        """What shapes the result, for the `run` record: settings that are not the defaults, and `fail_on`."""
        known: Evidence = {"fail_on": self.fail_on.value}
        known |= {name: list(value) for name in LISTS if (value := getattr(self, name))}
        known |= {"suppress": [f"{each.what}: {each.reason}" for each in self.suppress]} if self.suppress else {}
        known |= {f"severity.{rule}": level.value for rule, level in self.severity.items()}
        known |= {"strict_license": True} if self.strict_license else {}
        known |= {"weights": self.weights} if self.weights != "auto" else {}
        known |= {"dry_run": True} if self.dry_run else {}
        known |= {"config": self.config} if self.config else {}
        defaults = Limits()
        for name in Limits.__struct_fields__:
            if getattr(self.limits, name) != getattr(defaults, name):
                known[f"limits.{name}"] = getattr(self.limits, name)
        return known


def resolve(
    paths: Sequence[str],
    flags: Mapping[str, object],
    *,
    config: str | None = None,
    targets: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Merge everything that was said; `flags` hold names of `OPTIONS`, None where a flag was not given.

    `targets` names a file of more paths, one a line, `-` for standard input. `environ` is the process's own by
    default. Raises `UsageError` with what is wrong, where, and what to do.
    """
    variables = os.environ if environ is None else environ
    targets = targets or variables.get("MODELAUDIT_TARGETS") or None
    paths = (*paths, *(read_targets(targets) if targets else ()))
    if not paths or not all(paths):
        raise UsageError("no path to scan: name files, folders or s3://bucket/prefix/, or give --targets FILE")
    return settle(gather(paths, flags, config, variables), paths, variables)


class Gathered(msgspec.Struct, frozen=True):
    """What was said of each option where, as it was said; `limits` is the table of bounds of the file `used`."""

    said: dict[str, Said]
    limits: object
    used: str | None
    notices: tuple[str, ...]


def gather(
    paths: Sequence[str], flags: Mapping[str, object], config: str | None, variables: Mapping[str, str]
) -> Gathered:
    """The strongest word on each option. Raises `UsageError` for a file that cannot be used."""
    notices: list[str] = []
    from_environment = dict(_environment(variables, notices))
    used, table = find_table(config or variables.get("MODELAUDIT_CONFIG") or None, paths, notices)
    said: dict[str, Said] = dict(options_of(table, used or ""))
    said |= from_environment
    said |= {name: (value, _dashed(name)) for name, value in flags.items() if value is not None}
    return Gathered(said, table.get("limits", {}), used, tuple(notices))


def settle(gathered: Gathered, paths: Sequence[str], variables: Mapping[str, str]) -> Settings:
    """What was said as values. Raises `UsageError`."""
    said, notices = gathered.said, list(gathered.notices)
    limits = limits_of(gathered.limits, gathered.used or "")
    for name, (field, read) in LIMITS.items():
        if name in said:
            limits = msgspec.structs.replace(limits, **{field: read(said[name])})
    plain = {"workers": default_workers()} | {name: PLAIN[name](said[name]) for name in PLAIN if name in said}
    if "suppress" in said:
        plain["suppress"] = tuple(holding(suppressions(said["suppress"]), today(), notices))
    if plain.get("verbose") and plain.get("quiet"):
        raise UsageError(f"{said['verbose'][1]} and {said['quiet'][1]} contradict each other: leave one out")
    colour = not variables.get("NO_COLOR") and variables.get("TERM") != "dumb"  # https://no-color.org
    plain["access"] = access_of(said, variables, paths)
    known = {
        **plain,
        "paths": paths,
        "limits": limits,
        "colour": colour,
        "config": gathered.used,
        "notices": tuple(notices),
    }
    return msgspec.convert(known, Settings)


def today() -> datetime.date:
    """The day by which suppressions end, in UTC."""
    return datetime.datetime.now(datetime.UTC).date()


def default_workers() -> int:
    """One worker a core that this process may use."""
    return len(os.sched_getaffinity(0))


def _dashed(name: str) -> str:
    return "--" + name.replace("_", "-")


def _environment(variables: Mapping[str, str], notices: list[str]) -> Iterator[tuple[str, Said]]:
    """`MODELAUDIT_MAX_FILE_SIZE=1GB` and so on; an empty variable says nothing."""
    for variable in sorted(variables):
        name = variable.removeprefix("MODELAUDIT_").lower()
        if not variable.startswith("MODELAUDIT_") or name in _ELSEWHERE or not variables[variable]:
            continue
        if name in OPTIONS:
            yield name, (variables[variable], variable)
        else:
            near = did_you_mean(variable, [f"MODELAUDIT_{known.upper()}" for known in OPTIONS])
            notices.append(f"the environment variable {variable} is not known and was ignored{near}")
