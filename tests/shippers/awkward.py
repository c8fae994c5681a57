"""A folder whose records are hard on a pipeline: numbers beyond doubles, names in every script, long lines."""

import json
import pickle
from pathlib import Path
from typing import Any

NAMES = ("plain", "ümläut", "模型", "line\u2028separator", "emoji😀", 'quote"and\\slash', "tab\tand\nbreak", "a/b"[0])


def folder(where: Path, count: int) -> Path:
    """`count` harmless pickles and an attack, under awkward names."""
    models = where / "models"
    models.mkdir()
    for number in range(count):
        name = f"{NAMES[number % len(NAMES)]}-{number}.pkl"
        (models / name).write_bytes(pickle.dumps({"n": 2**60 + number}))
    (models / "evil.pkl").write_bytes(b"cos\nsystem\n(S'echo \xc3\xbc'\ntR.")
    return models


def uris(lines: list[dict[str, Any]]) -> list[str]:
    """The objects that the records are about, sorted."""
    return sorted(line["uri"] for line in lines if line.get("type") == "file")


def records(path: Path) -> list[dict[str, Any]]:
    """The records in the file `path`."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]
