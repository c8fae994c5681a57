"""Bytes to the formats that may fit, by signature alone; a scanner's own `fits` has the last word.

More than one format may fit: a polyglot is scanned as all that it is.
"""

from collections.abc import Iterable, Sequence

from modelaudit.blob import Blob
from modelaudit.catalogue import Format

_HEAD_BYTES = 512  # every signature from the start lies in these


class Identifier:
    """The signatures of all formats, laid out so that one look at a blob's head is enough."""

    def __init__(self, formats: Iterable[Format]) -> None:
        self._formats = tuple(formats)
        self._always = frozenset(format.id for format in self._formats if format.always)
        self._asked = tuple(format for format in self._formats if format.always and not format.fallback)
        self._fallbacks = tuple(format for format in self._formats if format.fallback)
        self._by_first: dict[int, list[tuple[bytes, str]]] = {}  # signatures at the start, by their first byte
        self._elsewhere: list[tuple[int, bytes, str]] = []
        for format in self._formats:
            for signature in format.signature:
                magic = signature.magic
                if signature.offset == 0:
                    self._by_first.setdefault(magic[0], []).append((magic, format.id))
                else:
                    self._elsewhere.append((signature.offset, magic, format.id))

    def candidates(self, blob: Blob) -> Sequence[Format]:
        """The formats whose signature stands in `blob`, and those that ask to look at every blob.

        In the catalogue's order, `fallback` formats left out. Reads the head, and only where a signature
        counts from the end that end. Raises `Missing`.
        """
        found = self._matching(blob)
        if not found:
            return self._asked
        found |= self._always
        return [format for format in self._formats if format.id in found and not format.fallback]

    def fallbacks(self, blob: Blob) -> list[Format]:
        """The formats to try on a blob that no other format claimed. Raises `Missing`."""
        matching = self._matching(blob)
        return [format for format in self._fallbacks if not format.signature or format.id in matching]

    def _matching(self, blob: Blob) -> set[str]:
        head = bytes(blob.view(0, _HEAD_BYTES))
        first = self._by_first.get(head[0], ()) if head else ()
        found = {format for magic, format in first if head.startswith(magic)}
        for offset, magic, format in self._elsewhere:
            if offset >= 0:
                fits = head.startswith(magic, offset)
            else:
                fits = bytes(blob.view(max(0, blob.size + offset), len(magic))) == magic
            if fits:
                found.add(format)
        return found
