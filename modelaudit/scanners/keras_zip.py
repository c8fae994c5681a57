"""Keras archives: what must be there once, and what should not be there at all.

The archive as such, the configuration and the weights are looked at by the scanners of those formats.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

from modelaudit.blob import Blob
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Evidence, Hit
from modelaudit.parsers.zip import ends, names
from modelaudit.parsers.zip.archive import Archive

_MARK: Final = late(rb"config\.json", re.IGNORECASE)
_SECOND: Final = late(rb"metadata\.json|model(?:_\d+)?\.weights\.|\.h5", re.IGNORECASE)
_ONCE: Final = ("config.json", "metadata.json", "model.weights.h5")
_OWN: Final = late(
    r"config\.json|metadata\.json|model(?:_\d+)?\.weights\.(?:h5|npz|json)|assets(?:/.*)?|quantization_config\.json|.*/"
)
_SOURCE: Final = (".py", ".pyc", ".pyo", ".pyw")
_NATIVE: Final = (".so", ".dll", ".dylib", ".pyd", ".exe")
_SHOWN: Final = 10


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the zip's directory has a configuration, and metadata or weights. Raises `Missing`."""
    end = ends.find(blob)
    if end is None:
        return False
    blob.require([(one.start, one.limit - one.start) for one in end.directories])
    return any(
        _MARK.search(blob.view(one.start, one.limit - one.start))
        and _SECOND.search(blob.view(one.start, one.limit - one.start))
        for one in end.directories
    )


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Asset]:
    """What makes this archive an unusual Keras file; nothing where it turns out to be none."""
    end = ends.find(blob)
    if end is None:
        return
    archive = Archive(blob, end, limits.header_bytes)
    meant: dict[str, list[str]] = {name: [] for name in _ONCE}
    strange: dict[str, list[str]] = {rule: [] for rule in ("python-source", "native-code", "extra-member")}
    for index, member in enumerate(archive.members()):
        if index >= limits.members:
            break
        name = names.text(member.entry.name)
        plain = _plain(name)
        if plain in meant:
            meant[plain].append(name)
        else:
            rule = _strange(name)
            if rule:
                strange[rule].append(name)
    if not meant["config.json"] or not (meant["metadata.json"] or meant["model.weights.h5"]):
        return
    yield Asset("", "keras", blob.size)
    for once, found in meant.items():
        if len(found) > 1:
            shown = ", ".join(repr(name) for name in found[:_SHOWN])
            yield Hit("keras-zip-two-configs", None, {"meant": once, "count": len(found), "shown": shown})
    for rule, found in strange.items():
        if found:
            evidence: Evidence = {"count": len(found), "names": found[:_SHOWN], "name": found[0]}
            yield Hit(f"keras-zip-{rule}", None, evidence)


def _plain(name: str) -> str:
    """The name as lenient readers take it: case, `./`, backslashes, look-alikes and what follows NUL do not count."""
    name = unicodedata.normalize("NFKC", name.partition("\0")[0]).replace("\\", "/")
    parts = [part.strip(" .") if part.strip(".") else part for part in name.split("/")]
    kept: list[str] = []
    for part in parts:
        if part == "..":
            kept = kept[:-1]
        elif part not in ("", "."):
            kept.append(part)
    return "/".join(kept).casefold()


def _strange(name: str) -> str:
    lower = name.casefold()
    if lower.endswith(_SOURCE):
        return "python-source"
    if lower.endswith(_NATIVE) or ".so." in lower:
        return "native-code"
    return "" if _OWN.fullmatch(name) else "extra-member"
