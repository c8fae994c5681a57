"""Flags, environment and a TOML file become one frozen value. The only module that reads the environment.

Precedence, strongest first: flags; `MODELAUDIT_*` variables; the file (`--config`, else `modelaudit.toml`, else
`[tool.modelaudit]` of `pyproject.toml`, in the working directory); the defaults. A list from a stronger place
replaces that of a weaker one.

A file that was not named and lies inside what is being scanned is not used: whoever wrote the models could have
written it, to have their own findings suppressed. `Settings.notices` says so.
"""

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NoReturn, cast, get_args

import msgspec

from modelaudit.errors import UsageError
from modelaudit.limits import KIB, MIB, Limits
from modelaudit.model import Evidence, Severity

Format = Literal["text", "json", "ndjson"]

_CONFIG_BYTES = 1 * MIB  # a settings file; a larger one is something else
_TARGETS = 100_000  # places from --targets; they are held in memory, unlike the objects in them
_LINE_BYTES_LEAST = 64 * KIB  # a record without findings fits, whatever the object is called
_LINE_CHARS = 64 * KIB  # of one line of --targets; the longest path that a kernel or S3 takes is far shorter
_SIZE = re.compile(r"(\d{1,20}(?:\.\d{1,20})?)\s*([kmgtp]i?b|b|)", re.IGNORECASE | re.ASCII)
_POWERS = {letter: power for power, letter in enumerate("kmgtp", 1)}
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the user decides about one run.

    `format` None means text on a terminal and ndjson elsewhere; `output` None means standard output. `config`
    is the file that was used. `notices` are sentences for the user.
    """

    paths: tuple[str, ...] = ()
    format: Format | None = None
    output: str | None = None
    limits: Limits = Limits()
    workers: int = 1
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    blacklist: tuple[str, ...] = ()
    fail_on: Severity = Severity.WARNING
    suppress: tuple[str, ...] = ()
    severity: dict[str, Severity] = {}
    dry_run: bool = False
    verbose: bool = False
    quiet: bool = False
    colour: bool = True
    config: str | None = None
    notices: tuple[str, ...] = ()

    def worth_knowing(self) -> Evidence:
        """What shapes the result, for the `run` record: settings that are not the defaults, and `fail_on`."""
        known: Evidence = {"fail_on": self.fail_on.value}
        known |= {name: list(value) for name in _LISTS if (value := getattr(self, name))}
        known |= {f"severity.{rule}": level.value for rule, level in self.severity.items()}
        known |= {"dry_run": True} if self.dry_run else {}
        known |= {"config": self.config} if self.config else {}
        defaults = Limits()
        for name in Limits.__struct_fields__:
            if getattr(self.limits, name) != getattr(defaults, name):
                known[f"limits.{name}"] = getattr(self.limits, name)
        return known


Said = tuple[object, str]  # what was said, and where


def _refuse(said: Said, wanted: str) -> NoReturn:
    value, where = said
    raise UsageError(f"{where}: {value!r} is not {wanted}")


# --- one setting each: from what was said to its value ---------------------------------------------------------


def size_bytes(said: Said, least: int = 1) -> int:
    """A size such as `1073741824`, `10GB` (10¹⁰ bytes) or `512MiB` (2²⁹) in bytes. Raises `UsageError`."""
    match = None if isinstance(said[0], bool) else _SIZE.fullmatch(str(said[0]).strip())
    if match is None:
        _refuse(
            said, "a size; write bytes or a number with KB, MB, GB, TB, KiB, MiB, GiB or TiB, such as 10GB or 512MiB"
        )
    unit = match[2].lower()
    factor = 1 if unit in ("", "b") else (1024 if "i" in unit else 1000) ** _POWERS[unit[0]]
    size = int(match[1]) * factor if match[1].isdecimal() else int(float(match[1]) * factor)
    if not least <= size < 1 << 63:
        _refuse(said, f"a size that can be used; at least {least} byte{'s' * (least > 1)}")
    return size


def _line_bytes(said: Said) -> int:
    return size_bytes(said, _LINE_BYTES_LEAST)


def _seconds(said: Said) -> float:
    try:
        seconds = float(said[0]) if isinstance(said[0], int | float | str) else 0.0
    except ValueError:
        seconds = 0.0
    if isinstance(said[0], bool) or not 0 < seconds <= 1e6:
        _refuse(said, "a number of seconds above 0 and up to 1000000, such as 300")
    return seconds


def _count(said: Said) -> int:
    text = str(said[0]).strip()
    if isinstance(said[0], bool) or not (re.fullmatch("[0-9]{1,9}", text) and 1 <= int(text) <= 10_000):
        _refuse(said, "a whole number from 1 to 10000")
    return int(text)


def _flag(said: Said) -> bool:
    text = str(said[0]).strip().lower()
    if text not in _TRUE + _FALSE:
        _refuse(said, f"yes or no; write one of {', '.join(_TRUE + _FALSE)}")
    return text in _TRUE


def _text(said: Said) -> str:
    if not isinstance(said[0], str) or not said[0]:
        _refuse(said, "a text")
    return said[0]


def _list(said: Said) -> tuple[str, ...]:
    """A list of texts; in the environment, separated by commas."""
    value = said[0]
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) and part for part in value):
        _refuse(said, "a list of texts")
    return tuple(value)


def _format(said: Said) -> Format:
    if said[0] not in get_args(Format):
        _refuse(said, f"a format; write one of {', '.join(get_args(Format))}")
    return cast(Format, said[0])


def _level(said: Said) -> Severity:
    try:
        return Severity(str(said[0]).strip().lower())
    except ValueError:
        _refuse(said, f"a severity; write one of {', '.join(Severity)}")


def _fail_on(said: Said) -> Severity:
    level = _level(said)
    if level is Severity.DEBUG:
        _refuse(said, "a severity to fail on; write one of critical, warning, info")
    return level


def _rules(said: Said) -> tuple[str, ...]:
    names = _list(said)
    _known_rules(names, said[1])
    return names


def _levels(said: Said) -> dict[str, Severity]:
    """`RULE=LEVEL` texts, or a table of them."""
    value, where = said
    if isinstance(value, Mapping):
        pairs = [(str(rule), level) for rule, level in value.items()]
    else:
        pairs = []
        for text in _list(said):
            rule, equals, level = text.partition("=")
            if not equals:
                _refuse((text, where), "RULE=LEVEL, such as pickle-unknown-call=info")
            pairs.append((rule.strip(), level))
    _known_rules([rule for rule, _ in pairs], where)
    return {rule: _level((level, f"{where}: {rule}")) for rule, level in pairs}


def _known_rules(names: Iterable[str], where: str) -> None:
    from modelaudit import catalogue

    known = catalogue.load().rules
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 3)
            raise UsageError(
                f"{where}: there is no rule {name!r}"
                + (f"; did you mean {' or '.join(near)}?" if near else "; see: modelaudit rules")
            )


_LISTS = ("include", "exclude", "blacklist", "suppress")
_LIMITS: dict[str, tuple[str, Callable[[Said], object]]] = {
    "timeout": ("timeout_seconds", _seconds),
    "max_file_size": ("max_file_bytes", size_bytes),
    "max_total_size": ("max_total_bytes", size_bytes),
    "max_line_bytes": ("line_bytes", _line_bytes),
    "concurrency": ("concurrency", _count),
}
_PLAIN: dict[str, Callable[[Said], object]] = {
    "format": _format,
    "output": _text,
    "workers": _count,
    "include": _list,
    "exclude": _list,
    "blacklist": _list,
    "fail_on": _fail_on,
    "suppress": _rules,
    "severity": _levels,
    "dry_run": _flag,
    "verbose": _flag,
    "quiet": _flag,
}
REPEATED = (*_LISTS, "severity")
SWITCHES = ("dry_run", "verbose", "quiet")
OPTIONS = (*_PLAIN, *_LIMITS)  # what flags, variables and files may set; `paths`, `config`, `targets` stand apart
_ELSEWHERE = ("config", "targets")  # known in the environment, refused in a file


# --- places where settings are said ----------------------------------------------------------------------------


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
    notices: list[str] = []
    from_environment = dict(_environment(variables, notices))
    config = config or variables.get("MODELAUDIT_CONFIG") or None
    targets = targets or variables.get("MODELAUDIT_TARGETS") or None
    paths = (*paths, *(_targets(targets) if targets else ()))
    if not paths or not all(paths):
        raise UsageError("no path to scan: name files, folders or s3://bucket/prefix/, or give --targets FILE")
    used, table = _table(config, paths, notices)
    said: dict[str, Said] = dict(_from_table(table, used or ""))
    said |= from_environment
    said |= {name: (value, _dashed(name)) for name, value in flags.items() if value is not None}
    limits = _table_limits(table.get("limits", {}), used or "")
    for name, (field, read) in _LIMITS.items():
        if name in said:
            limits = msgspec.structs.replace(limits, **{field: read(said[name])})
    plain = {"workers": default_workers()} | {name: _PLAIN[name](said[name]) for name in _PLAIN if name in said}
    if plain.get("verbose") and plain.get("quiet"):
        raise UsageError(f"{said['verbose'][1]} and {said['quiet'][1]} contradict each other: leave one out")
    colour = not variables.get("NO_COLOR") and variables.get("TERM") != "dumb"  # https://no-color.org
    known = {**plain, "paths": paths, "limits": limits, "colour": colour, "config": used, "notices": tuple(notices)}
    return msgspec.convert(known, Settings)


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
            notices.append(f"the environment variable {variable} is not known and was ignored{_near(name, OPTIONS)}")


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def _targets(path: str) -> list[str]:
    """The paths in the file `path`, one a line; empty lines are passed over. Bytes that are no UTF-8 are kept."""
    try:
        with open(0 if path == "-" else path, encoding="utf-8", errors="surrogateescape", closefd=path != "-") as lines:
            found: list[str] = []
            while len(found) <= _TARGETS and (line := lines.readline(_LINE_CHARS)):
                if len(line) == _LINE_CHARS:
                    raise ValueError(f"a line of {_LINE_CHARS} characters or more")
                found += [line.rstrip("\r\n")] if line.strip() else []
    except (OSError, ValueError) as error:
        raise UsageError(f"--targets {path}: {_cause(error)}; name a file with one path a line, or -") from error
    if len(found) > _TARGETS:
        raise UsageError(f"--targets {path}: more than {_TARGETS} paths; split the file, or name folders and prefixes")
    if not found:
        raise UsageError(f"--targets {path}: no path in it; write one path a line")
    return found


def _cause(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _table(config: str | None, paths: Sequence[str], notices: list[str]) -> tuple[str | None, dict[str, object]]:
    """The file's name and its settings, as they are written."""
    if config is not None:
        return config, _parsed(config, _read(config))
    for name in ("modelaudit.toml", "pyproject.toml"):
        if not Path(name).is_file():
            continue
        text = _read(name)
        if name == "pyproject.toml" and "[tool.modelaudit" not in text:
            return None, {}
        if any(_holds(path, name) for path in paths):
            notices.append(
                f"{name} lies inside what is being scanned and was not used; if you trust it, give --config {name}"
            )
            return None, {}
        return name, _parsed(name, text)
    return None, {}


def _holds(path: str, name: str) -> bool:
    """Whether the file `name` lies in the local folder `path`."""
    path = path.removeprefix("file://")
    if "://" in path:
        return False
    folder = os.path.realpath(path)
    return os.path.realpath(name).startswith(os.path.join(folder, ""))


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(_CONFIG_BYTES + 1)
        if len(data) > _CONFIG_BYTES:
            raise UsageError(f"{path}: larger than {_CONFIG_BYTES} bytes; this is no settings file")
        return data.decode()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as settings: {_cause(error)}") from error


def _parsed(path: str, text: str) -> dict[str, object]:
    import tomllib

    try:
        table: object = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also for a number of thousands of digits
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    if Path(path).name == "pyproject.toml":
        for key in ("tool", "modelaudit"):
            table = table.get(key, {}) if isinstance(table, dict) else {}
    if not isinstance(table, dict):
        raise UsageError(f"{path}: [tool.modelaudit] is not a table")
    return table


def _from_table(table: Mapping[str, object], path: str) -> Iterator[tuple[str, Said]]:
    for key, value in table.items():
        name = key.replace("-", "_")
        if name in OPTIONS:
            yield name, (value, f"{path}: {key}")
        elif name != "limits":
            known = ", ".join(option.replace("_", "-") for option in (*OPTIONS, "limits"))
            raise UsageError(f"{path}: unknown setting {key!r}{_near(name, OPTIONS) or '.'} Known: {known}")


def _table_limits(table: object, path: str) -> Limits:
    """The bounds of `limits.py`, any of them, by name; sizes may have units."""
    where = f"{path}: limits"
    if not isinstance(table, dict):
        raise UsageError(f"{where}: not a table; write [limits] and one bound a line")
    found: dict[str, object] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in Limits.__struct_fields__:
            raise UsageError(f"{where}: there is no bound {key!r}{_near(name, Limits.__struct_fields__)}")
        said = (value, f"{where}.{key}")
        found[name] = size_bytes(said) if name.endswith("_bytes") else _above_zero(said)
    try:
        return msgspec.convert(found, Limits)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from error


def _above_zero(said: Said) -> int | float:
    if isinstance(said[0], bool) or not isinstance(said[0], int | float) or not 0 < said[0] < 1 << 53:
        _refuse(said, "a number above 0")
    return said[0]
