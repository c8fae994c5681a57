"""The copy of the catalogue's tables says what the TOML files say, and never stands in the way of an edit."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import modelaudit.catalogue
from modelaudit.catalogue import tables

FOLDER = Path(modelaudit.catalogue.__file__).parent
TABLES = sorted(FOLDER.rglob("*.toml"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A catalogue of two tables of our own, and their copy."""
    (tmp_path / "below").mkdir()
    (tmp_path / "one.toml").write_text('title = "one"\n[rules.a]\nwhy = "first"\n', "utf-8")
    (tmp_path / "below" / "two.toml").write_text('title = "zwei – 二"\n', "utf-8")
    tables.copy(tmp_path)
    monkeypatch.setattr(tables, "_FOLDER", str(tmp_path))
    tables._copies.cache_clear()
    yield tmp_path
    tables._copies.cache_clear()


@pytest.fixture
def no_toml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads TOML fails."""

    def refused(_text: str) -> None:
        raise AssertionError("TOML was read")

    monkeypatch.setattr(tomllib, "loads", refused)


def test_the_copy_says_what_every_table_of_the_catalogue_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that JSON cannot hold, as a date, would fail here and not in a build."""
    for path in TABLES:
        place = tmp_path / path.relative_to(FOLDER)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    tables.copy(tmp_path)
    monkeypatch.setattr(tables, "_FOLDER", str(tmp_path))
    tables._copies.cache_clear()
    expected = {path: tomllib.loads(path.read_text("utf-8")) for path in TABLES}
    monkeypatch.setattr(tomllib, "loads", None)  # from here on only the copy can answer
    for path in TABLES:
        assert tables.table(tmp_path / path.relative_to(FOLDER)) == expected[path], path
    tables._copies.cache_clear()


def test_the_copy_is_read_instead_of_the_toml(folder: Path, no_toml: None) -> None:
    """Else it were of no use."""
    assert tables.table(folder / "one.toml") == {"title": "one", "rules": {"a": {"why": "first"}}}
    assert tables.table(folder / "below" / "two.toml") == {"title": "zwei – 二"}


def test_a_table_edited_since_is_read_itself(folder: Path) -> None:
    """Also where the edit leaves the length as it was."""
    (folder / "one.toml").write_text('title = "eno"\n[rules.a]\nwhy = "first"\n', "utf-8")
    assert tables.table(folder / "one.toml")["title"] == "eno"
    assert tables.table(folder / "below" / "two.toml") == {"title": "zwei – 二"}


def test_a_table_added_since_is_read_itself(folder: Path) -> None:
    """A contributor adds a format and builds nothing."""
    (folder / "three.toml").write_text("deep = 3\n", "utf-8")
    assert tables.table(folder / "three.toml") == {"deep": 3}


@pytest.mark.parametrize("copy", [None, b"", b"{", b"[1]", b'{"one.toml":[1]}', b"\xff"])
def test_a_broken_or_absent_copy_is_as_none(folder: Path, copy: bytes | None) -> None:
    """The TOML files are the truth; the copy is only faster."""
    (folder / tables.COPY).unlink()
    if copy is not None:
        (folder / tables.COPY).write_bytes(copy)
    assert tables.table(folder / "one.toml")["title"] == "one"


def test_a_table_that_is_no_toml_is_told(folder: Path) -> None:
    """As the docstring says."""
    (folder / "one.toml").write_text("title = \n", "utf-8")
    with pytest.raises(ValueError, match="Invalid value"):
        tables.table(folder / "one.toml")
