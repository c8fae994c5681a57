"""Texts of licences: which they are. A file of another name is one if its first line says so."""

import re
from collections.abc import Iterator
from typing import Final

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import License

_NAMES: Final = ("license", "licence", "copying", "notice", "unlicense", "copyright", "third_party", "thirdparty")
_ENDINGS: Final = ("", "txt", "md", "rst", "text", "markdown")
_FIRST_BYTES: Final = 512
_FIRST_LINE: Final = re.compile(rb"\s*([A-Za-z0-9][ -~]{3,119}?)\s*(?:\n|\Z)")
_WORDS: Final = (b"license", b"licence", b"copyright (c)", b"terms of use")


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the name says that it is a licence, or the first line does, and it is text."""
    head = bytes(blob.view(0, _FIRST_BYTES))
    if not head.strip() or b"\0" in head:
        return False
    stem, _, ending = blob.place.name.casefold().partition(".")
    if stem.startswith(_NAMES) and (ending in _ENDINGS or stem.startswith(_NAMES[:3])):
        return True
    first = _FIRST_LINE.match(head) if ending.rpartition(".")[2] in _ENDINGS else None
    return first is not None and any(word in first[1].lower() for word in _WORDS)


def scan(blob: Blob, limits: Limits, /) -> Iterator[License]:
    """The licences whose texts these are. Reads up to `Limits.license_bytes`."""
    from modelaudit.licensing.expressions import of_text

    data = bytes(blob.view(0, min(blob.size, limits.license_bytes)))
    for expression in of_text(data.decode("utf-8", "replace")):
        yield License("", expression, source="text")
