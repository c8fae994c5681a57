"""Texts of licences: which they are. A file of another name is one if its first line says so."""

from collections.abc import Iterator
from typing import Final

from modelaudit.blob import Blob
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import License
from modelaudit.parsers.manifest.tree import words

_NAMES: Final = ("license", "licence", "copying")  # anywhere: `MODEL_LICENSE`, `Qwen LICENSE AGREEMENT.txt`
_OTHERS: Final = ("plate", "plaque")  # what models read and no licence is
_BESIDE: Final = ("notice", "copyright", "third_party", "third-party", "thirdparty")  # hold others' licences, or none
_TEXTS: Final = ("", "txt", "md", "rst", "text", "markdown")
_ENDINGS: Final = words(
    "agpl apache apache2 bsd bsd2 bsd3 cc0 code data gpl gpl2 gpl3 isc lesser lgpl lib mit model mpl psf python"
    " weights zlib"
)
_FIRST_BYTES: Final = 512
_FIRST_LINE: Final = late(rb"\s*([A-Za-z0-9][ -~]{3,119}?)\s*(?:\n|\Z)")
_WORDS: Final = (b"license", b"licence", b"copyright (c)", b"terms of use")
_SHOWN_CHARS: Final = 100
_COVERED: Final = 40.0  # per cent of a licence file that are a known text; elsewhere the library's own measure counts


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the name says that it is a licence, or the first line does, and it is text."""
    head = bytes(blob.view(0, _FIRST_BYTES))
    if not head.strip() or b"\0" in head:
        return False
    name = blob.place.name.casefold()
    if _is_license(name):
        return True
    is_text = _ending(name) in _TEXTS
    if is_text and name.startswith(_BESIDE):
        return True
    first = _FIRST_LINE.match(head) if is_text else None
    return first is not None and any(word in first[1].lower() for word in _WORDS)


def _is_license(name: str) -> bool:
    """Whether a file of this name, in lower case, is a licence if it is text."""
    if not any(word in name for word in _NAMES) or any(word in name for word in _OTHERS):
        return False
    ending = _ending(name)
    return ending in _TEXTS or ending in _ENDINGS or ending.isdecimal()


def _ending(name: str) -> str:
    return name.rpartition(".")[2] if "." in name else ""


def scan(blob: Blob, limits: Limits, /) -> Iterator[License]:
    """The licences whose texts these are; of a licence file with none that is known, what stands above it.

    Reads up to `Limits.license_bytes`.
    """
    from modelaudit.licensing.expressions import of_text

    text = bytes(blob.view(0, min(blob.size, limits.license_bytes))).decode("utf-8", "replace")
    is_license = _is_license(blob.place.name.casefold())
    found = of_text(text, _COVERED) if is_license else of_text(text)
    for expression in found:
        yield License("", expression, source="text")
    heading = text.strip().split("\n", 1)[0].strip()[:_SHOWN_CHARS]
    if is_license and not found and heading.isprintable():
        yield License("", declared=heading, source="text")
