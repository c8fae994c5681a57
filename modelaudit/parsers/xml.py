"""XML as a stream of events, read by expat without its DTD: entities are told, and never expanded.

What stands before the root (the XML declaration, comments, instructions, the DOCTYPE with its entities) is read
by `prologue`, which is ours; expat is given the rest alone. It has then no entity to expand, neither in text
nor in attributes, and nothing to fetch; a reference to one of them is `Reference`, or an empty attribute.

Bounds: depth, attributes of a tag, bytes of a tag, bytes in all. Encodings: UTF-8, UTF-16, ISO 8859-1, and those
that write ASCII as ASCII, whose other characters are read as ISO 8859-1 would have them.
Sources: XML 1.0 (5th edition); CVE-2013-0340 and CVE-2023-52425 for what expat itself does not bound.
"""

import pyexpat
from collections.abc import Iterator

import msgspec

from modelaudit.blob import Blob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits
from modelaudit.parsers.xml_prologue import Doctype, Entity, Instruction, Prologue, Unread, root_guess
from modelaudit.parsers.xml_prologue import read as prologue

__all__ = [
    "Doctype",
    "End",
    "Entity",
    "Event",
    "Instruction",
    "Junk",
    "Reference",
    "Start",
    "Text",
    "Unread",
    "events",
    "root",
]

_PIECE_BYTES = 256 * 1024  # fed to expat at once; its events are held in memory together
_FIRST_BYTES = 4096  # enough to see the root of most files
_ATTRIBUTES = 4096  # of one tag; more is no data that anybody wrote down
_TEXT_CHARS = 64 * 1024  # text is handed out in pieces of at most so many


class Start(msgspec.Struct, frozen=True):
    """A tag opens. `name` and the attributes' names are as written, prefixes included; the root has depth 1."""

    name: str
    attributes: dict[str, str]
    depth: int
    offset: int


class End(msgspec.Struct, frozen=True):
    """A tag closes."""

    name: str
    depth: int


class Text(msgspec.Struct, frozen=True):
    """Characters between tags; a long run comes in several pieces."""

    text: str
    offset: int


class Reference(msgspec.Struct, frozen=True):
    """`&name;` in text, for a `name` that is not one of XML's own five."""

    name: str
    offset: int


class Junk(msgspec.Struct, frozen=True):
    """The root is closed, and then comes something that is no comment: the document ends here."""

    offset: int


Event = Start | End | Text | Reference | Instruction | Doctype | Entity | Unread | Junk


def events(blob: Blob, limits: Limits, *, text: bool = True, depth: int | None = None) -> Iterator[Event]:
    """All of the document, in order; `Doctype` and `Entity` come first, `Junk` last.

    `depth` bounds nesting (default: `limits.text_depth`). After `Unread` (an encoding that is not read) nothing
    follows. Raises `Missing`, `ParseError` (after the events before the fault) and `LimitExceeded`: `text_depth`,
    `text_bytes` (a tag, or what stands before the root), `stream_text_bytes` (the document), `xml_attributes`.
    """
    head = prologue(blob, limits)
    yield from head.events
    if head.encoding is None:
        return
    if head.flaw is not None:
        raise head.flaw
    yield from _Document(head, limits, text, limits.text_depth if depth is None else depth).run(blob)


def root(blob: Blob, limits: Limits) -> Start | None:
    """The root's tag, or None where `blob` is no XML; reads up to the root only.

    Of a document that is broken before its root, or in an encoding that is not read, the name is guessed.
    Raises `Missing`.
    """
    head = bytes(blob.view(0, _FIRST_BYTES, 1)) if blob.size else b""
    if not _begins(head):
        return None
    try:
        for event in events(blob, limits, text=False):
            if isinstance(event, Start):
                return event
    except (ParseError, LimitExceeded):
        pass
    name = root_guess(head)
    return None if name is None else Start(name, {}, 1, 0)


def _begins(head: bytes) -> bool:
    """Whether the first visible character is `<`, in any of the encodings of XML."""
    start = head.lstrip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n")[:5]
    return start.startswith((b"<", b"+ADw", b"\x4c\x6f\xa7\x94"))


class _Document:
    """Expat with handlers that collect events. `base` is where in the blob it began."""

    def __init__(self, head: Prologue, limits: Limits, text: bool, depth: int) -> None:
        self._base = head.end
        self._limits = limits
        self._most_depth = depth
        self._depth = 0
        self._closed = False
        self._found: list[Event] = []
        parser = self._parser = pyexpat.ParserCreate(head.encoding)
        parser.buffer_text = True
        parser.buffer_size = _TEXT_CHARS
        parser.UseForeignDTD(True)  # without one, a reference to an entity that nobody told of is an error
        parser.SetParamEntityParsing(pyexpat.XML_PARAM_ENTITY_PARSING_NEVER)
        parser.StartDoctypeDeclHandler = self._second_doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.ProcessingInstructionHandler = self._instruction
        parser.SkippedEntityHandler = self._reference
        if text:
            parser.CharacterDataHandler = self._text

    def run(self, blob: Blob) -> Iterator[Event]:
        """Feed all of `blob` and give what came out of each piece."""
        limits, at = self._limits, self._base
        length, seen = _FIRST_BYTES, self._base
        while at < blob.size:
            if at > limits.stream_text_bytes:
                raise LimitExceeded("stream_text_bytes", blob.size, limits.stream_text_bytes)
            piece = blob.view(at, length, 1)
            at += len(piece)
            fault = self._feed(piece, at >= blob.size)
            found, self._found = self._found, []
            yield from found
            if fault is not None:
                if self._closed:
                    yield Junk(self._base + self._parser.ErrorByteIndex)
                    return
                what = pyexpat.errors.messages.get(fault.code, "malformed")
                raise ParseError(f"XML: {what}", self._base + self._parser.ErrorByteIndex)
            # a tag that goes on past the piece is read from its start again: longer pieces keep that linear
            done = max(seen, self._base + self._parser.CurrentByteIndex)
            if done == seen and at - done > limits.text_bytes:
                raise LimitExceeded("text_bytes", at - done, limits.text_bytes)
            length = max(_PIECE_BYTES, min(at - done, limits.text_bytes))
            seen = done

    def _feed(self, piece: memoryview, last: bool) -> pyexpat.ExpatError | None:
        try:
            self._parser.Parse(piece, last)
        except pyexpat.ExpatError as error:
            return error
        return None

    def _place(self) -> int:
        return self._base + self._parser.CurrentByteIndex

    def _second_doctype(self, name: str, system: str | None, public: str | None, subset: int) -> None:
        raise ParseError("XML: a second DOCTYPE", self._place())

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > self._most_depth:
            raise LimitExceeded("text_depth", self._depth, self._most_depth)
        if len(attributes) > _ATTRIBUTES:
            raise LimitExceeded("xml_attributes", len(attributes), _ATTRIBUTES)
        self._found.append(Start(name, attributes, self._depth, self._place()))

    def _end(self, name: str) -> None:
        self._found.append(End(name, self._depth))
        self._depth -= 1
        self._closed = not self._depth

    def _text(self, text: str) -> None:
        self._found.append(Text(text, self._place()))

    def _instruction(self, target: str, text: str) -> None:
        self._found.append(Instruction(target, text, self._place()))

    def _reference(self, name: str, parameter: bool) -> None:
        self._found.append(Reference(name, self._place()))
