"""Settings from files: TOML by name or where they usually lie, bounds, lists of paths."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from modelaudit.errors import UsageError
from modelaudit.limits import KIB, MIB, Limits
from modelaudit.settings.values import OPTIONS, Said, refuse, size_bytes

_CONFIG_BYTES = 1 * MIB  # a settings file; a larger one is something else
_TARGETS = 100_000  # places from --targets; they are held in memory, unlike the objects in them
_LINE_CHARS = 64 * KIB  # of one line of --targets; the longest path that a kernel or S3 takes is far shorter


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question about the closest of `known`, or nothing."""
    import difflib  # for mistakes only

    near = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""


def read_targets(path: str) -> list[str]:
    """The paths in the file `path`, one a line; empty lines and comments are passed over.

    A comment is a line that begins with `#`; a file of such a name is written as `./#name`. Bytes that are no UTF-8
    are kept.
    """
    try:
        with open(0 if path == "-" else path, encoding="utf-8", errors="surrogateescape", closefd=path != "-") as lines:
            found: list[str] = []
            while len(found) <= _TARGETS and (line := lines.readline(_LINE_CHARS)):
                if len(line) == _LINE_CHARS:
                    raise ValueError(f"a line of {_LINE_CHARS} characters or more")
                found += [line.rstrip("\r\n")] if line.strip() and not line.lstrip().startswith("#") else []
    except (OSError, ValueError) as error:
        raise UsageError(f"--targets {path}: {_cause(error)}; name a file with one path a line, or -") from error
    if len(found) > _TARGETS:
        raise UsageError(f"--targets {path}: more than {_TARGETS} paths; split the file, or name folders and prefixes")
    if not found:
        raise UsageError(f"--targets {path}: no path in it; write one path a line")
    return found


def _cause(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def find_table(config: str | None, paths: Sequence[str], notices: list[str]) -> tuple[str | None, dict[str, object]]:
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


def options_of(table: Mapping[str, object], path: str) -> Iterator[tuple[str, Said]]:
    """What `table`, out of the file `path`, sets. Raises `UsageError` for what there is not."""
    for key, value in table.items():
        name = key.replace("-", "_")
        if name in OPTIONS:
            yield name, (value, f"{path}: {key}")
        elif name != "limits":
            known = ", ".join(option.replace("_", "-") for option in (*OPTIONS, "limits"))
            raise UsageError(f"{path}: unknown setting {key!r}{did_you_mean(name, OPTIONS) or '.'} Known: {known}")


def limits_of(table: object, path: str) -> Limits:
    """The bounds of `limits.py`, any of them, by name; sizes may have units."""
    where = f"{path}: limits"
    if not isinstance(table, dict):
        raise UsageError(f"{where}: not a table; write [limits] and one bound a line")
    found: dict[str, object] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in Limits.__struct_fields__:
            raise UsageError(f"{where}: there is no bound {key!r}{did_you_mean(name, Limits.__struct_fields__)}")
        said = (value, f"{where}.{key}")
        found[name] = size_bytes(said) if name.endswith("_bytes") else _above_zero(said)
    try:
        return msgspec.convert(found, Limits)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}") from error


def _above_zero(said: Said) -> int | float:
    if isinstance(said[0], bool) or not isinstance(said[0], int | float) or not 0 < said[0] < 1 << 53:
        refuse(said, "a number above 0")
    return said[0]
