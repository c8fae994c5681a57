"""PKG-INFO and METADATA of Python packages: the licence that the package states (core metadata 2.4, PEP 639)."""

from collections.abc import Iterator
from typing import Final

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import License

_CLASSIFIER: Final = "License :: "
_BARE: Final = "License :: OSI Approved"


def scan(blob: Blob, limits: Limits, /) -> Iterator[License]:
    """`License-Expression`; without it `License`, if that is no text of many lines, and then the classifiers."""
    text = bytes(blob.view(0, min(blob.size, limits.license_bytes))).decode("utf-8", "replace")
    fields = [(name, value) for name, value in _fields(text) if value and value.casefold() != "unknown"]
    ways = (
        [value for name, value in fields if name == "license-expression"],
        [value for name, value in fields if name == "license" and "\n" not in value],
        [value for name, value in fields if name == "classifier" and value.startswith(_CLASSIFIER) and value != _BARE],
        [value for name, value in fields if name == "license"],  # the text
    )
    for declared in next(filter(None, ways), ()):
        yield License("", declared=declared, source="package")


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """The fields of the header, names in lower case, folded lines joined."""
    name, value = "", ""
    for line in text.splitlines():
        if not line:
            break
        if line[0] in " \t":
            value += "\n" + line.strip().removeprefix("|").strip()
            continue
        if name:
            yield name, value
        name, _, value = line.partition(":")
        name, value = name.strip().casefold(), value.strip()
    if name:
        yield name, value
