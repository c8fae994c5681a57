"""Flags, environment and a TOML file become one frozen value. The only module that reads the environment.

Precedence, strongest first: flags, `MODELAUDIT_*` variables, the file (`--config`, else `modelaudit.toml` or
`[tool.modelaudit]` of `pyproject.toml` in the working directory), the defaults.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from modelaudit.errors import UsageError
from modelaudit.limits import Limits
from modelaudit.model import Severity

Format = Literal["text", "json", "ndjson"]

_UNITS = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", 1):
    _UNITS[_letter] = _UNITS[f"{_letter}b"] = 1000**_power
    _UNITS[f"{_letter}ib"] = 1024**_power
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the user decides about one run."""

    paths: tuple[str, ...] = ()
    format: Format | None = None  # None: text on a terminal, ndjson elsewhere
    output: str | None = None
    limits: Limits = Limits()
    workers: int = 1
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    blacklist: tuple[str, ...] = ()
    fail_on: Severity = Severity.WARNING
    suppress: tuple[str, ...] = ()
    severity: Mapping[str, Severity] = {}
    dry_run: bool = False
    verbose: bool = False
    quiet: bool = False
    colour: bool = True  # on terminals; NO_COLOR=1 turns it off


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What may be said in each place, before it is merged; None means not said here. Sizes may have units."""

    format: Format | None = None
    output: str | None = None
    timeout: float | None = None
    max_file_size: int | str | None = None
    max_total_size: int | str | None = None
    concurrency: int | None = None
    workers: int | None = None
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    blacklist: tuple[str, ...] | None = None
    fail_on: Severity | None = None
    suppress: tuple[str, ...] | None = None
    severity: dict[str, Severity] | None = None
    dry_run: bool | None = None
    verbose: bool | None = None
    quiet: bool | None = None


def default_workers() -> int:
    """One worker for each core that this process may use."""
    return len(os.sched_getaffinity(0))


def size_bytes(text: int | str, where: str) -> int:
    """A size such as `1073741824`, `10GB` (10¹⁰) or `512MiB` in bytes. Raises `UsageError`."""
    match = _SIZE.fullmatch(str(text))
    if match is None or match[2].lower() not in _UNITS:
        raise UsageError(f"{where}: {text!r} is not a size; write bytes, or a number with KB, MB, GB, KiB, MiB, GiB")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def resolve(paths: tuple[str, ...], flags: Options, config: str | None = None) -> Settings:
    """Merge everything that was said. Raises `UsageError` with what is wrong, where, and what to do."""
    places = [("the command line", flags), ("the environment", _environment()), _file(config)]
    said: dict[str, tuple[str, object]] = {}
    for where, options in places:
        for name in Options.__struct_fields__:
            value = getattr(options, name)
            if value is not None and name not in said:
                said[name] = (where, value)
    limits = _limits(said)
    workers = _at_least(said, "workers", 1) or default_workers()
    plain = {
        name: value
        for name, (_, value) in said.items()
        if name not in ("timeout", "max_file_size", "max_total_size", "concurrency", "workers")
    }
    colour = not os.environ.get("NO_COLOR")  # https://no-color.org
    return msgspec.convert({**plain, "paths": paths, "limits": limits, "workers": workers, "colour": colour}, Settings)


def _limits(said: Mapping[str, tuple[str, object]]) -> Limits:
    limits = Limits()
    for name, field in (("max_file_size", "max_file_bytes"), ("max_total_size", "max_total_bytes")):
        if name in said:
            where, value = said[name]
            assert isinstance(value, int | str)  # noqa: S101  the type of Options says so
            size = size_bytes(value, f"{_flag(name)} ({where})")
            limits = msgspec.structs.replace(limits, **{field: size or None})
    if "timeout" in said:
        where, seconds = said["timeout"]
        if not isinstance(seconds, int | float) or not 0 < seconds <= 1e6:
            raise UsageError(f"--timeout ({where}): {seconds} is not a number of seconds above 0")
        limits = msgspec.structs.replace(limits, timeout_seconds=float(seconds))
    concurrency = _at_least(said, "concurrency", 1)
    return msgspec.structs.replace(limits, concurrency=concurrency) if concurrency else limits


def _at_least(said: Mapping[str, tuple[str, object]], name: str, least: int) -> int | None:
    if name not in said:
        return None
    where, value = said[name]
    if not isinstance(value, int) or value < least or value > 10_000:
        raise UsageError(f"{_flag(name)} ({where}): {value} is not a number from {least} to 10000")
    return value


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _environment() -> Options:
    """`MODELAUDIT_MAX_FILE_SIZE=1GB` and so on; lists are separated by commas."""
    found: dict[str, object] = {}
    for name in Options.__struct_fields__:
        text = os.environ.get(f"MODELAUDIT_{name.upper()}")
        if text is not None and name != "severity":
            several = name in ("include", "exclude", "blacklist", "suppress")
            found[name.replace("_", "-")] = [part.strip() for part in text.split(",") if part] if several else text
    return _options(found, "the environment (MODELAUDIT_…)")


def _file(config: str | None) -> tuple[str, Options]:
    path = Path(config) if config is not None else Path("modelaudit.toml")
    if config is None and not path.is_file():
        path = Path("pyproject.toml")
        if not path.is_file():
            return str(path), Options()
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        if config is None and path.name == "pyproject.toml":
            return str(path), Options()  # somebody else's file; not ours to complain about
        raise UsageError(f"{path}: cannot be read as TOML: {error}") from error
    if path.name == "pyproject.toml":
        table = table.get("tool", {}).get("modelaudit", {})
    return str(path), _options(table, str(path))


def _options(table: Mapping[str, object], where: str) -> Options:
    try:
        return msgspec.convert(table, Options, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(name.replace("_", "-") for name in Options.__struct_fields__)
        raise UsageError(f"{where}: {error}. Known settings: {known}") from error
