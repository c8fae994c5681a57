"""The shape of the code is checked, not hoped for: layers, sizes, places."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import modelaudit

ROOT = Path(modelaudit.__file__).parent
TESTS = Path(__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# Imports point down only: a module may import from its own layer's line or from any line above it.
LAYERS = [
    {"errors", "late", "limits", "model", "access"},
    {"catalogue", "blob"},
    {"parsers", "identify", "unpack"},
    {"scanners", "weights", "licensing", "kept"},
    {"engine"},
    {"workers", "sources", "sinks", "state", "settings", "progress", "logs"},
    {"pipeline"},
    {"api", "inprocess", "report"},
    {"cli", "__init__", "__main__"},
]
# Rows of which the members know nothing of each other.
STRANGERS = [{"parsers", "identify", "unpack"}, {"workers", "sources", "sinks", "state", "logs"}]
# Each of these appears in one place only.
ONLY_IN = {
    "aiobotocore": "sources/s3",
    "botocore": "sources/s3",
    "gcsfs": "sources/gcs",
    "google": "sources/gcs",
    "requests": "sources/gcs",
    "aiohttp": "sources/",
    "typer": "cli/",
    "structlog": "logs",
    "rich": "",
    "sqlite3": "state/",
}


def place(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def layer(name: str) -> int:
    return next(index for index, members in enumerate(LAYERS) if name in members)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module that `path` imports, deferred ones included, with its line."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            base = node.module or ""
            yield base, node.lineno
            yield from ((f"{base}.{alias.name}", node.lineno) for alias in node.names)


def top(name: str) -> str | None:
    """The first part below `modelaudit` that `name` means, if it is ours and not just a value in `__init__`."""
    parts = name.split(".")
    if parts[0] != "modelaudit" or len(parts) == 1:
        return None
    known = (ROOT / parts[1]).is_dir() or (ROOT / f"{parts[1]}.py").exists()
    return parts[1] if known else None


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_imports_point_down(path: Path) -> None:
    """No module imports from a higher layer, nor from a stranger on its own."""
    own = place(path).split("/")[0]
    for name, line in imports(path):
        other = top(name)
        if other is None or other == own:
            continue
        assert layer(other) <= layer(own), f"{place(path)}:{line} imports {name} from above"
        for row in STRANGERS:
            assert not {own, other} <= row, f"{place(path)}:{line}: {own} imports its sibling {name}"


@pytest.mark.parametrize("path", sorted((ROOT / "scanners").rglob("*.py")), ids=place)
def test_a_scanner_imports_no_other_scanner(path: Path) -> None:
    """What one format has inside goes through the engine."""
    own = place(path).split("/")[1]
    for name, line in imports(path):
        parts = name.split(".")
        if parts[:2] == ["modelaudit", "scanners"] and len(parts) > 2:
            assert parts[2] == own, f"{place(path)}:{line} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_the_parent_parses_nothing(path: Path) -> None:
    """Only the engine and its child know scanners and parsers; the process with the keys does not."""
    if place(path).split("/")[0] in ("workers", "sources", "sinks", "pipeline", "settings", "api", "cli"):
        for name, line in imports(path):
            of_engine = name.startswith(("modelaudit.engine", "modelaudit.weights"))
            if place(path) in ("workers/child", "workers/nursery") and of_engine:
                continue
            parsing = ("parsers", "scanners", "identify", "unpack", "weights", "engine")
            assert top(name) not in parsing, f"{place(path)}:{line}"


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_each_outside_library_has_one_place(path: Path) -> None:
    """A library for one purpose stays where that purpose lives."""
    for name, line in imports(path):
        allowed = ONLY_IN.get(name.split(".")[0], "")
        assert place(path).startswith(allowed), f"{place(path)}:{line} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_nothing_unpickles(path: Path) -> None:
    """No part of the product can load a pickle."""
    for name, line in imports(path):
        assert name.split(".")[0] not in ("pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "torch"), line


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_modules_and_functions_stay_small(path: Path) -> None:
    """No module over 400 lines, no function over 60."""
    text = path.read_text("utf-8")
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < 60, f"{place(path)}:{node.lineno} {node.name}"


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_catch_all_stands_in_two_places(path: Path) -> None:
    """`except Exception` is for the child's loop and the command line's top."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception"):
            assert place(path).startswith(("workers/child", "cli/")), f"{place(path)}:{node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_the_environment_is_read_in_one_module(path: Path) -> None:
    """`os.environ` belongs to the settings."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv"):
            assert place(path).startswith("settings/"), f"{place(path)}:{node.lineno}"


@pytest.mark.parametrize("path", sorted((ROOT / "catalogue").glob("*.toml")), ids=lambda path: path.stem)
def test_one_name_three_places(path: Path) -> None:
    """A scanned format is a catalogue file, a scanner and its test, of one name; rule ids begin with it."""
    entry = tomllib.loads(path.read_text("utf-8"))
    for rule in entry.get("rule", ()):
        assert rule["id"].startswith(path.stem.replace("_", "-") + "-"), rule["id"]
    if entry.get("format", {"scanned": False}).get("scanned", True):
        scanner = ROOT / "scanners" / path.stem
        assert scanner.with_suffix(".py").exists() or (scanner / "__init__.py").exists()
        assert list((TESTS / "scanners").glob(f"test_{path.stem}*.py")), "no test"


def test_forbidden_names() -> None:
    """Modules have proper names; leftovers have no home."""
    for path in MODULES:
        assert path.stem not in ("utils", "util", "helpers", "helper", "common", "misc"), path
        assert "_part" not in path.stem, path
