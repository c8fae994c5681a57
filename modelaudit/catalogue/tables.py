"""The tables of the catalogue, TOML, and a copy of them that is read ten times as fast.

The copy is made when the package is built (`hatch_build.py`) and holds each file's checksum: a table that was edited
since, or that the copy lacks, is read from its TOML file, so that nobody has to think of the copy.
"""

import json
import os
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path  # a tenth of a worker's start: only whoever builds needs it

Place: TypeAlias = "str | os.PathLike[str]"

COPY: Final = "tables.json"
_FOLDER: Final = os.path.dirname(os.path.abspath(__file__))


def table(path: Place) -> dict[str, Any]:
    """The table in the TOML file at `path`. Raises `OSError`, and `ValueError` for what is no TOML."""
    with open(path, "rb") as file:
        text = file.read()
    known = _copies().get(os.path.relpath(path, _FOLDER))
    if known is not None and known[0] == _checksum(text):
        return dict(known[1])
    import tomllib  # takes as long to load as all of the copy

    return tomllib.loads(text.decode())


def tables_in(folder: Place) -> list[tuple[str, dict[str, Any]]]:
    """The name, without its ending, and the table of every TOML file in `folder`, by name. Raises as `table`."""
    names = sorted(name for name in os.listdir(folder) if name.endswith(".toml"))
    return [(name.removesuffix(".toml"), table(os.path.join(folder, name))) for name in names]


@cache
def _copies() -> dict[str, Any]:
    """File's name to its checksum and table; empty where the package was not built, or the copy is broken."""
    import msgspec

    try:
        with open(os.path.join(_FOLDER, COPY), "rb") as file:
            return msgspec.json.decode(file.read(), type=dict[str, tuple[int, dict[str, Any]]])
    except (OSError, msgspec.MsgspecError):
        return {}


def copy(folder: "Path") -> None:
    """Write the copy of all tables in `folder` and below. Needs nothing but Python: a build calls it."""
    import tomllib

    found = {}
    for path in sorted(folder.rglob("*.toml")):
        text = path.read_bytes()
        found[str(path.relative_to(folder))] = (_checksum(text), tomllib.loads(text.decode()))
    (folder / COPY).write_text(json.dumps(found, ensure_ascii=False, separators=(",", ":")), "utf-8")


def _checksum(text: bytes) -> int:
    return zlib.crc32(text)
