"""METADATA and PKG-INFO: the licence that the package states, the best statement first."""

import pytest

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.model import License
from tests.samples.licensefiles import MIT, metadata


def look(data: bytes) -> tuple[License, ...]:
    found = inspect(BytesBlob(data, Place("METADATA")), uri="METADATA")
    assert "package_metadata" in found.formats
    assert found.status == "scanned"
    return found.licenses


STATED = {
    "expression": (["License-Expression: MIT OR Apache-2.0", "License: other words"], "MIT OR Apache-2.0"),
    "name": (["License: Apache License 2.0", "Classifier: License :: OSI Approved :: MIT License"], "Apache-2.0"),
    "classifier": (["License: UNKNOWN", "Classifier: License :: OSI Approved :: MIT License"], "MIT"),
    "classifier before a text": (
        ["License: Copyright (c) 2020", "        All of it.", "Classifier: License :: OSI Approved :: MIT License"],
        "MIT",
    ),
    "text": (["License: " + MIT.decode().replace("\n", "\n        ")], "MIT"),
}


@pytest.mark.parametrize("case", STATED)
def test_the_best_statement_counts(case: str) -> None:
    """An expression before a name, a name before classifiers, those before what stands above a text."""
    fields, expression = STATED[case]
    assert [(each.expression, each.source) for each in look(metadata(*fields))] == [(expression, "package")]


def test_the_description_states_nothing() -> None:
    """Fields end at the first empty line."""
    assert look(metadata(body="License: AGPL-3.0")) == ()
