"""The table of licences holds together, and with the libraries that know the rest."""

import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from license_expression import get_spdx_licensing

from modelaudit import catalogue
from modelaudit.catalogue.licenses import folded, shipped
from modelaudit.licensing import RULES

FILE = Path(catalogue.__file__).parent / "licenses" / "known.toml"
TABLE: dict[str, Any] = tomllib.loads(FILE.read_text("utf-8"))
SPDX = get_spdx_licensing()


def test_each_id_is_written_as_spdx_and_scancode_write_it() -> None:
    """Or is a reference of our own that neither knows."""
    for entry in TABLE["license"]:
        parsed = SPDX.parse(entry["id"])
        assert str(parsed.render()) == entry["id"]
        if SPDX.unknown_license_keys(parsed):
            assert entry["id"].startswith("LicenseRef-")
            assert "scancode" not in entry["id"]


def test_each_pattern_fits_a_licence() -> None:
    """A pattern that fits none is a mistake."""
    known = [*map(str, SPDX.known_symbols), *(entry["id"] for entry in TABLE["license"])]
    for patterns in TABLE["restricted"].values():
        for pattern in patterns:
            assert any(fnmatchcase(each, pattern) for each in known), pattern


def test_names_are_looked_up_as_they_are_written() -> None:
    """Each once, in lower case, and none that says nothing."""
    names = [name for entry in TABLE["license"] for name in entry.get("names", ())]
    assert len(names) == len(set(names))
    assert all(name == folded(name) for name in [*names, *TABLE["nothing"]])
    assert not set(names) & set(TABLE["nothing"])


def test_each_restriction_has_its_rule() -> None:
    """And the table knows no other."""
    assert set(TABLE["restricted"]) == set(RULES)
    rules = catalogue.load().rules
    assert all(rule in rules for rule in RULES.values())
    assert shipped().restrictions("Apache-2.0") == ()
