"""The licence that a package's or data set's own description states.

Only files of known names are looked at: elsewhere `license` may be the key of a product, which nobody wants to see.
Sources: npm package.json; PEP 621 and PEP 639; setuptools; Cargo; Citation File Format; Frictionless Data Package;
Croissant; KitOps; Kaggle dataset-metadata.json; Hugging Face dataset_infos.json.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from modelaudit.model import Hit, License
from modelaudit.parsers.manifest.tree import Pairs, plain, text_of

# By name: the tables that hold the licence, as paths of keys; () is the root and * any key.
_PACKAGES: Final[dict[str, Sequence[tuple[str, ...]]]] = {
    "package.json": [()],
    "pyproject.toml": [("project",), ("tool", "poetry")],
    "setup.cfg": [("metadata",)],
    "cargo.toml": [("package",)],
    "composer.json": [()],
    "codemeta.json": [()],
    "citation.cff": [()],
    "meta.yaml": [("about",)],
    "modelcard.json": [(), ("model_details",)],
    "metadata.json": [()],
    "kitfile": [("package",), ("model",)],
}
_DATA: Final[dict[str, Sequence[tuple[str, ...]]]] = {
    "datapackage.json": [()],
    "dataset-metadata.json": [()],
    "croissant.json": [()],
    "dataset_infos.json": [("*",)],
    "dataset_info.json": [()],
}
_KEYS: Final = ("license", "licence", "licenses", "license_name", "licenseId", "sc:license")
_PARTS: Final = ("type", "id", "identifier", "spdx_id", "name", "@id", "url", "text")
_CLASSIFIER: Final = "License :: "
_BARE: Final = "License :: OSI Approved"
_MOST: Final = 100


def of(root: object, name: str) -> Iterator[License | Hit]:
    """Licences that the file called `name` states, and a hit on a data set that states none."""
    name = name.casefold()
    places = _PACKAGES.get(name) or _DATA.get(name)
    if places is None or not isinstance(root, Pairs):
        return
    tables = [table for path in places for table in _tables(root, path)]
    found = [text for table in tables for text in _stated(table)][:_MOST]
    yield from (License("", declared=text, source="package") for text in found)
    if name in _DATA and tables and not found:
        yield Hit("model-card-dataset-unlicensed")


def _tables(root: Pairs, path: tuple[str, ...]) -> list[Pairs]:
    """The mappings at `path` below `root`."""
    here = [root]
    for key in path:
        inner = [plain(value) for table in here for each, value in table if key in ("*", each)]
        here = [value for value in inner if isinstance(value, Pairs)]
    return here


def _stated(table: Pairs) -> list[str]:
    """What `table` says of its licence; classifiers only where it says nothing else."""
    said = [text for key in _KEYS for text in _texts(table.first(key))]
    if said:
        return said
    return [text for text in _texts(table.first("classifiers")) if text.startswith(_CLASSIFIER) and text != _BARE]


def _texts(value: object) -> list[str]:
    """A text, those of a list, or what a mapping calls its licence; several lines are a list too, as in setup.cfg."""
    value = plain(value)
    if isinstance(value, Pairs):
        named = (text_of(value.first(part)) for part in _PARTS)
        return [next(filter(None, named), "")]
    if isinstance(value, list):
        return [text for item in value[:_MOST] for text in _texts(item) if text]
    text = text_of(value)
    if text is None:
        return []
    lines = text.strip().splitlines()
    is_list = len(lines) > 1 and all(line.strip().startswith(_CLASSIFIER) for line in lines)
    return [line.strip() for line in lines] if is_list else [text.strip()] if text.strip() else []
