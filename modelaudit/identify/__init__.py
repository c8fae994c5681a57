"""Bytes to the formats that may fit, by signature alone; a scanner's own `fits` has the last word.

More than one format may fit: a polyglot is scanned as all that it is.
"""

from collections.abc import Iterable

from modelaudit.blob import Blob
from modelaudit.catalogue import Format

_HEAD_BYTES = 512  # every signature from the start lies in these


class Identifier:
    """The signatures of all formats, laid out so that one look at a blob's head is enough."""

    def __init__(self, formats: Iterable[Format]) -> None:
        self._formats = tuple(formats)
        self._always = frozenset(format.id for format in self._formats if format.always)
        self._fallbacks = tuple(format for format in self._formats if format.fallback)
        self._by_offset: dict[int, dict[bytes, list[str]]] = {}
        for format in self._formats:
            for signature in format.signature:
                magics = self._by_offset.setdefault(signature.offset, {})
                magics.setdefault(signature.magic, []).append(format.id)
        self._lengths = {offset: sorted({len(magic) for magic in m}) for offset, m in self._by_offset.items()}

    def candidates(self, blob: Blob) -> list[Format]:
        """The formats whose signature stands in `blob`, and those that ask to look at every blob.

        In the catalogue's order, `fallback` formats left out. Reads the head, and only where a signature
        counts from the end that end. Raises `Missing`.
        """
        found = self._matching(blob) | self._always
        return [format for format in self._formats if format.id in found and not format.fallback]

    def fallbacks(self, blob: Blob) -> list[Format]:
        """The formats to try on a blob that no other format claimed. Raises `Missing`."""
        matching = self._matching(blob)
        return [format for format in self._fallbacks if not format.signature or format.id in matching]

    def _matching(self, blob: Blob) -> set[str]:
        head = bytes(blob.view(0, _HEAD_BYTES))
        found: set[str] = set()
        for offset, magics in self._by_offset.items():
            for length in self._lengths[offset]:
                if offset >= 0:
                    piece = head[offset : offset + length]
                else:
                    piece = bytes(blob.view(max(0, blob.size + offset), length))
                found.update(magics.get(piece, ()))
        return found
