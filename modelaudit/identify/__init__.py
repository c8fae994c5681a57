"""Bytes to the formats that may fit, by signature alone; a scanner's own `fits` has the last word.

More than one format may fit: a polyglot is scanned as all that it is.
"""

from collections.abc import Iterable, Iterator

from modelaudit.blob import Blob
from modelaudit.catalogue import Format


def _matches(blob: Blob, format: Format) -> bool:
    for signature in format.signature:
        magic = signature.magic
        offset = signature.offset if signature.offset >= 0 else blob.size + signature.offset
        if offset >= 0 and bytes(blob.view(offset, len(magic))) == magic:
            return True
    return False


def candidates(blob: Blob, formats: Iterable[Format]) -> Iterator[Format]:
    """The formats whose signature stands in `blob`, and those that ask to look at every blob.

    `fallback` formats are not among them. Reads only where signatures stand. Raises `Missing`.
    """
    for format in formats:
        if not format.fallback and (format.always or _matches(blob, format)):
            yield format


def fallbacks(blob: Blob, formats: Iterable[Format]) -> Iterator[Format]:
    """The formats to try on a blob that no other format claimed. Raises `Missing`."""
    for format in formats:
        if format.fallback and (not format.signature or _matches(blob, format)):
            yield format
