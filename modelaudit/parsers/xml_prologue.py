"""What stands before an XML document's root: its encoding, instructions, and the DOCTYPE with what it declares.

Read as text by patterns that never go back, and never acted upon: no entity is expanded and nothing is fetched.
Sources: XML 1.0 (5th edition), sections 2.8 and 4.2, and appendix F for encodings.
"""

import codecs
import re
from typing import Literal

import msgspec

from modelaudit.blob import Blob
from modelaudit.errors import ParseError
from modelaudit.late import late
from modelaudit.limits import Limits

Expat = Literal["utf-8", "utf-16le", "utf-16be", "iso-8859-1"]

_STEPS = (4096, 64 * 1024, 1024 * 1024)  # bytes looked at, one after the other, until the root is seen
_ENTITIES = 1000  # declarations handed out; whoever declares more is known by then
_SHOWN = 400  # characters of a subset that is broken
_MARKS: tuple[tuple[bytes, Expat | None], ...] = (
    (b"\x00\x00\xfe\xff", None),
    (b"\xff\xfe\x00\x00", None),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16le"),
    (b"\xfe\xff", "utf-16be"),
)
# Without a mark, the first character tells: white space or `<`, in two bytes or four; and EBCDIC's `<?xm`.
_WIDE = late(rb"(?P<utf32>(?:[<\s]\0\0\0)|(?:\0\0\0[<\s])|Lo\xa7\x94)|(?P<le>[<\s]\0)|(?P<be>\0[<\s])")
_DECLARATION = late(r"\s*<\?xml\s(?P<body>[^?>]*+)\?>")
_ENCODING = late(r"encoding\s*=\s*[\"']([^\"']*)[\"']")
# Encodings in which no byte of `<>&"'` is ever part of another character.
_ASCII = late(
    r"us-?ascii|ascii|iso[-_]?8859[-_]\d+|latin-?\d|windows-?\d+|cp\d+|koi8-\w+|macintosh|mac\w+|tis-?620"
    r"|gbk|gb2312|gb_?18030|big5(?:-hkscs)?|shift[_-]?jis|sjis|euc-(?:jp|kr|cn|tw)|utf-?8|utf8",
    re.IGNORECASE,
)
_UTF8 = late(r"us-?ascii|ascii|utf-?8", re.IGNORECASE)
_UTF16 = late(r"utf[-_]?16(?:[-_]?[lb]e)?|ucs-?2|iso-10646-ucs-2|unicode", re.IGNORECASE)
_QUOTED = r"(?:\"[^\"]*+\"|'[^']*+')"
_SPACE = late(r"\s*+")
_COMMENT = late(r"<!--.*?-->", re.DOTALL)
_INSTRUCTION = late(r"<\?(?P<target>[^\s?>]++)(?P<text>.*?)\?>", re.DOTALL)
_DOCTYPE = late(
    rf"<!DOCTYPE\s++(?P<name>[^\s>\[\"']++)(?P<ids>(?:[^\[>\"']++|{_QUOTED})*+)(?P<close>[\[>])", re.IGNORECASE
)
_REFERENCE = late(r"%[^\s;<>]*+;")
_DECLARED = late(rf"<!(?:[^>\"']++|{_QUOTED})*+>")
_SUBSET_END = late(r"\]\s*+>")
_ENTITY = late(
    rf"<!ENTITY\s++(?P<parameter>%\s++)?+(?P<name>[^\s\"'>]++)\s++(?:(?P<value>{_QUOTED})|(?P<ids>[^>\"']*+(?:{_QUOTED}[^>\"']*+)*+))"
)
_LITERAL = late(_QUOTED)
_ROOT = late(r"<(?![?!])([^\s/>\x00]{1,200})")


class Instruction(msgspec.Struct, frozen=True):
    """`<?target text?>`."""

    target: str
    text: str
    offset: int


class Doctype(msgspec.Struct, frozen=True):
    """`<!DOCTYPE name PUBLIC "public" "system" [subset]>`; what is not there is None. Comes after its entities."""

    name: str
    public: str | None
    system: str | None
    subset: str | None
    offset: int


class Entity(msgspec.Struct, frozen=True):
    """`<!ENTITY name "value">` or `<!ENTITY name SYSTEM "system">`; `parameter` for those of the DTD's own use."""

    name: str
    parameter: bool
    value: str | None
    public: str | None
    system: str | None
    offset: int


class Unread(msgspec.Struct, frozen=True):
    """The document is in an encoding that is not read here (UTF-7, UTF-32, EBCDIC, one that nobody knows)."""

    encoding: str


class Prologue(msgspec.Struct, frozen=True):
    """What was found up to byte `end`, where the root or what follows a DOCTYPE begins; `flaw` if it is broken."""

    events: tuple[Instruction | Doctype | Entity | Unread, ...]
    encoding: Expat | None
    end: int
    flaw: ParseError | None = None


def read(blob: Blob, limits: Limits) -> Prologue:
    """Read the prologue. What is longer than `limits.text_bytes` is a flaw. Raises `Missing`."""
    for most in (*_STEPS, limits.text_bytes):
        whole = most >= min(blob.size, limits.text_bytes)
        found = _Reader(bytes(blob.view(0, min(most, limits.text_bytes)))).read()
        if found.flaw is None or whole:
            return found
    raise AssertionError  # the last step is whole


def root_guess(head: bytes) -> str | None:
    """The first name after a `<` in bytes that cannot be read properly, or None."""
    text = head.replace(b"\0", b"").decode("latin-1")
    if head.startswith(b"Lo\xa7\x94"):
        return None
    if "+ADw" in text:
        text = codecs.utf_7_decode(text.encode("latin-1"), "replace")[0]
    found = _ROOT.search(text)
    return None if found is None else found[1]


def _unquoted(literal: str) -> str:
    return literal[1:-1]


def _identifiers(text: str) -> tuple[str | None, str | None]:
    """The public and the system identifier of `PUBLIC "a" "b"` or `SYSTEM "b"`."""
    literals = [_unquoted(literal) for literal in _LITERAL.findall(text)]
    if text.lstrip()[:6].upper() == "PUBLIC":
        return (literals[0] if literals else None), (literals[1] if len(literals) > 1 else None)
    return None, literals[0] if literals else None


class _Reader:
    """One look at the first bytes. Positions in `text` are characters; `_bytes_at` turns them into bytes."""

    def __init__(self, data: bytes) -> None:
        self._events: list[Instruction | Doctype | Entity | Unread] = []
        self._at = 0
        self._skipped = 0
        self._unread: str | None = None
        self._encoding: Expat | None = None
        self._text = self._decode(data)

    def _decode(self, data: bytes) -> str:
        """`data` as text in which every character of markup is one character; sets the encoding."""
        for mark, encoding in _MARKS:
            if data.startswith(mark):
                self._skipped = len(mark)
                self._encoding = encoding
                self._unread = "UTF-32" if encoding is None else None
                break
        else:
            wide = _WIDE.match(data)
            if wide is not None:
                self._encoding = "utf-16le" if wide["le"] else "utf-16be" if wide["be"] else None
                self._unread = "UTF-32 or EBCDIC" if wide["utf32"] else None
        data = data[self._skipped :]
        if self._unread is not None:
            return ""
        if self._encoding == "utf-16le":
            return codecs.utf_16_le_decode(data, "replace", True)[0]
        if self._encoding == "utf-16be":
            return codecs.utf_16_be_decode(data, "replace", True)[0]
        text = data.decode("latin-1")
        declared = self._declared(text)
        if self._encoding is None:
            self._encoding = "utf-8"
            if declared and not _UTF8.fullmatch(declared):  # UTF-16 it cannot be: the first bytes were read as ASCII
                self._encoding = "iso-8859-1" if _ASCII.fullmatch(declared) or _UTF16.fullmatch(declared) else None
                self._unread = None if self._encoding else declared
        return text

    @staticmethod
    def _declared(text: str) -> str | None:
        declaration = _DECLARATION.match(text)
        found = None if declaration is None else _ENCODING.search(declaration["body"])
        return None if found is None else found[1]

    def _place(self, index: int) -> int:
        """Where the character is, in bytes; too low where characters of four bytes stand before it."""
        return self._skipped + (2 * index if self._encoding in ("utf-16le", "utf-16be") else index)

    def _bytes_at(self, index: int) -> int:
        if self._encoding in ("utf-16le", "utf-16be"):
            return self._skipped + len(codecs.utf_16_le_encode(self._text[:index], "surrogatepass")[0])
        return self._skipped + index

    def read(self) -> Prologue:
        """Go over what stands before the root."""
        if self._unread is not None:
            return Prologue((Unread(self._unread),), None, 0)
        declaration = _DECLARATION.match(self._text)
        if declaration is not None:
            self._at = declaration.end()
        flaw = self._miscellany()
        return Prologue(tuple(self._events), self._encoding, self._bytes_at(self._at), flaw)

    def _miscellany(self) -> ParseError | None:
        text = self._text
        while True:
            self._skip(_SPACE)
            if text.startswith("<!--", self._at):
                if not self._skip(_COMMENT):
                    return self._flaw("a comment does not end")
            elif text.startswith("<?", self._at):
                if not self._instruction():
                    return self._flaw("an instruction does not end")
            elif text[self._at : self._at + 9].upper() == "<!DOCTYPE":
                return self._doctype()
            else:
                return None if text.startswith("<", self._at) else self._flaw("no root")

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found is not None

    def _flaw(self, what: str) -> ParseError:
        return ParseError(f"XML: {what}", self._place(self._at))

    def _instruction(self) -> bool:
        found = _INSTRUCTION.match(self._text, self._at)
        if found is not None:
            self._events.append(Instruction(found["target"], found["text"].strip(), self._place(self._at)))
            self._at = found.end()
        return found is not None

    def _doctype(self) -> ParseError | None:
        start = self._at
        found = _DOCTYPE.match(self._text, start)
        if found is None:
            return self._flaw("a DOCTYPE does not end")
        public, system = _identifiers(found["ids"])
        self._at = inside = found.end()
        flaw = self._subset() if found["close"] == "[" else None
        until = self._at if flaw is None else max(self._at, inside + _SHOWN)
        subset = self._text[inside:until] if found["close"] == "[" else None
        self._events.append(Doctype(found["name"], public, system, subset, self._place(start)))
        if found["close"] == "[" and flaw is None and not self._skip(_SUBSET_END):
            flaw = self._flaw("a DOCTYPE does not end")
        return flaw

    def _subset(self) -> ParseError | None:
        """Read declarations up to the `]`, and keep those of entities."""
        text, count = self._text, 0
        while True:
            self._skip(_SPACE)
            if text.startswith("]", self._at):
                return None
            if text.startswith("<!ENTITY", self._at):
                count += 1
                if count <= _ENTITIES:
                    self._entity()
            patterns = (_COMMENT,) if text.startswith("<!--", self._at) else (_INSTRUCTION, _REFERENCE, _DECLARED)
            if not any(self._skip(pattern) for pattern in patterns):
                return self._flaw("a DOCTYPE does not end")

    def _entity(self) -> None:
        found = _ENTITY.match(self._text, self._at)
        if found is None:
            return
        value = None if found["value"] is None else _unquoted(found["value"])
        public, system = (None, None) if value is not None else _identifiers(found["ids"])
        place = self._place(self._at)
        self._events.append(Entity(found["name"], found["parameter"] is not None, value, public, system, place))
