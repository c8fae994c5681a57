"""Payloads inside strings and bytes: a pickle, archive or program, raw or encoded, also in several layers.

Cheap looks come first: the first bytes, the alphabet of a sample. Only what passes them is decoded, and only
what decodes to something that is read as code, pickle or container is told of.
"""

import binascii
import bz2
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Final

import msgspec

from modelaudit.blob import Blob, BytesBlob
from modelaudit.parsers.pickle.opcodes import BYTES, CODES, NAMES
from modelaudit.parsers.pickle.probe import is_pickle, probe
from modelaudit.parsers.pickle.reading import unescape
from modelaudit.parsers.pickle.search import Search
from modelaudit.parsers.pickle.values import Nested, Unread

HEAD_BYTES: Final = 4096
DECODED_BYTES: Final = 1 << 26  # of one payload; the child's own budget bounds what comes of it
_LASTING: Final = 64  # opcodes after which a stream is believed of which only the head is here
SEARCHED_BYTES: Final = 1 << 20  # a literal up to this size is searched for a pickle that does not begin it
FOUND_MOST: Final = 100_000  # in one pickle, or in one window of one that acts
SEARCHES: Final = 64  # places in one literal where a pickle might begin

_TEXT: Final = "\0"  # and the opcode, whose text is a pickle
_ENCODED: Final = "\1"  # and the opcode, whose argument is encoded

# Opcodes whose argument is the bytes themselves, Python 2 strings among them.
_RAW: Final = BYTES | {CODES["BINSTRING"], CODES["SHORT_BINSTRING"]}

_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_\s-]{24,}={0,2}\s*")
_HEX: Final = re.compile(rb"(?:[0-9a-fA-F]{2}\s*){12,}")
_ESCAPED: Final = re.compile(rb"(?:\\x[0-9a-fA-F]{2}){12,}")
_HEADER: Final = re.compile(rb"\x80[\x02-\x05][\x95}\](c\x8cX)N\x8fK\x80\x8a]")
_TEXT_HEADER: Final = re.compile(rb"c[A-Za-z_][\w.]{0,99}\n[A-Za-z_][\w.]{0,99}\n")
_MAGIC: Final = {
    b"\x7fELF": "ELF program",
    b"\xcf\xfa\xed\xfe": "Mach-O program",
    b"\xce\xfa\xed\xfe": "Mach-O program",
    b"PK\x03\x04": "zip archive",
    b"\x93NUMPY": "NumPy array",
}

# How bytes begin that `Payloads.look` may find something in, unless one of `beginnings` touches them: an opcode that
# takes nothing from the stack, with an argument that could be one, and then another opcode; a magic number; text in
# an encoding; the head of something compressed. Sixteen bytes must be there.
SUSPECT: Final = (
    rb"(?:(?:[()N\]}\x88\x89\x8f\x97\x98]|[Kh\x82].|[M\x83].{2}|[Jj\x84].{4}|[G\x95].{8}|\x80[\0-\5])[%b]"
    rb"|[CPUV\x8a\x8c]|[BTX\x8b].{2}\0\0|[\x8d\x8e\x96].{2}\0{6}|[FILg][\s+.0-9IiNn-]|S['\x22]|c[A-Za-z_]"
    rb"|[A-Za-z0-9+/_\s-]{24}|\\x|\x1f\x8b|\x78[\x01\x5e\x9c\xda]|BZh|MZ|PK|\x7fELF|[\xce\xcf]\xfa\xed\xfe|\x93NUMPY)"
) % re.escape(bytes(NAMES))


def beginnings(data: bytes, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """From where to where it looks as if a pickle began, from `begin` to `end`.

    In a literal that none of these touches, and that does not begin with `SUSPECT`, `Payloads.look` finds nothing.
    """
    for pattern in (_HEADER, _TEXT_HEADER):
        for found in pattern.finditer(data, begin, end):
            yield found.span()


class Allowance(msgspec.Struct):
    """Bytes that may still be decoded out of the literals of one stream."""

    left: int = 1 << 30


class Payloads:
    """Collects what the literals of one pickle hold. `depth` is how many encodings around encodings are undone."""

    def __init__(self, blob: Blob, depth: int, allowance: Allowance, search: Search) -> None:
        self._blob = blob
        self._depth = depth
        self._allowance = allowance
        self._looks = search
        self._unsearched = 0
        self._found: list[tuple[int, int, str]] = []  # offset, length, what it is or which way it is encoded

    def look(self, op: int, offset: int, length: int) -> None:
        """Look into the literal of opcode `op` whose `length` bytes lie at `offset`. Raises `Missing`."""
        if len(self._found) >= FOUND_MOST:
            return
        head = bytes(self._blob.view(offset, min(length, HEAD_BYTES)))
        if op in _RAW:
            what = kind(head, length)
            if what:
                self._found.append((offset, length, what))
                return
            if self._search(offset, length, head):
                return
        head = unquoted(op, head)
        if op not in _RAW and (head[:1] == b"\xc2" or b"\n" in head[:200]) and is_pickle(BytesBlob(_latin(head))):
            self._found.append((offset, length, f"{_TEXT}{op}"))
        elif encoding(head[:256]) and decoded(head, self._depth, HEAD_BYTES).what and length <= DECODED_BYTES:
            self._found.append((offset, length, f"{_ENCODED}{op}"))

    def drain(self) -> Iterator[Nested | Unread]:
        """What was found since the last call, decoded one by one."""
        found, self._found = self._found, []
        if self._looks.spent and not self._looks.told:
            self._looks.told = True
            yield Unread(self._unsearched, "more places where a pickle might begin than are looked at")
        for offset, length, what in found:
            if not what.startswith((_TEXT, _ENCODED)):
                yield Nested(offset, length, None, "", what)
            elif self._allowance.left <= 0:
                yield Unread(offset, "more encoded payloads than are decoded in one stream")
            elif length <= DECODED_BYTES:
                text = unquoted(int(what[1:]), bytes(self._blob.view(offset, length)))
                full = decoded(text, self._depth, min(DECODED_BYTES, self._allowance.left))
                self._allowance.left -= len(text) + len(full.data)
                if what.startswith(_TEXT):
                    yield Nested(offset, length, _latin(text), "text", "pickle")
                elif full.what:
                    yield Nested(offset, length, full.data, full.encoding, full.what)

    def _search(self, offset: int, length: int, head: bytes) -> bool:
        """A pickle that begins further on in bytes that are not too many."""
        if length > SEARCHED_BYTES:
            return False
        data = head if length <= len(head) else bytes(self._blob.view(offset, length))
        for pattern in (_HEADER, _TEXT_HEADER):
            for match in islice(pattern.finditer(data), SEARCHES):
                probed = self._looks.look(data, match.start(), offset, last=True)
                if self._looks.spent:
                    self._unsearched = offset + match.start()
                    return False
                if probed is not None and probed.acts:
                    self._found.append((offset + match.start(), length - match.start(), "pickle"))
                    return True
        return False


def unquoted(op: int, argument: bytes) -> bytes:
    """The argument of a text opcode as UTF-8: protocol 0 has its own ways to write a line. A cut end is no error."""
    if op == CODES["UNICODE"]:
        return argument.decode("raw-unicode-escape", "ignore").encode("utf-8", "surrogatepass")
    if op == CODES["STRING"]:
        return unescape(argument.strip()[1:].rstrip(argument[:1]))
    return argument


def _latin(text: bytes) -> bytes:
    """The bytes that UTF-8 `text` stands for as Latin-1; `text` itself where it is not that. A cut end is no error."""
    try:
        return text.decode("utf-8", "ignore").encode("latin-1")
    except UnicodeEncodeError:
        return text


class Decoded:
    """`data` after undoing `encoding` (outermost first, joined by `+`); `what` it is, or the empty string."""

    __slots__ = ("data", "encoding", "what")

    def __init__(self, data: bytes, encoding: str = "", what: str = "") -> None:
        self.data = data
        self.encoding = encoding
        self.what = what


def kind(head: bytes, length: int) -> str:
    """What bytes that begin with `head` and are `length` long are, when that is something to look into."""
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            return what
    if head[:2] == b"MZ" and length > 64 and b"PE\0\0" in head:
        return "Windows program"
    if head[:1] == b"\x80":
        # Numbers begin so by chance: what is all here must stop or act, what goes on must do so for long.
        found = probe(head)
        goes_on = length > len(head) and found.opcodes >= _LASTING and is_pickle(BytesBlob(head))
        return "pickle" if found.acts or (found.stopped and found.opcodes > 2) or goes_on else ""
    return "pickle" if length > 10 and probe(head).acts else ""


def encoding(sample: bytes) -> str:
    """The encoding that the first bytes of a payload could be in, or the empty string."""
    if sample[:2] in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"):
        return "zlib"
    if sample[:3] == b"\x1f\x8b\x08":
        return "gzip"
    if sample[:3] == b"BZh":
        return "bz2"
    if _HEX.fullmatch(sample[: len(sample) & ~1]):
        return "hex"
    if _ESCAPED.match(sample):
        return "escaped"
    return "base64" if _BASE64.fullmatch(sample) else ""


def decoded(data: bytes, depth: int, most: int) -> Decoded:
    """Undo up to `depth` encodings of `data`, giving at most `most` bytes. A cut end is no error."""
    names: list[str] = []
    for _ in range(depth):
        name = encoding(data[:256])
        inner = _undo(name, data, most) if name else b""
        if not inner and name == "hex":
            name, inner = "base64", _undo("base64", data, most)
        if not inner:
            break
        names.append(name)
        what = kind(inner[:HEAD_BYTES], len(inner))
        if what:
            return Decoded(inner, "+".join(names), what)
        data = inner
    return Decoded(data)


def _undo(name: str, data: bytes, most: int) -> bytes:
    try:
        match name:
            case "zlib" | "gzip":
                return zlib.decompressobj(15 if name == "zlib" else 31).decompress(data, most)
            case "bz2":
                return bz2.BZ2Decompressor().decompress(data, most)
            case "hex":
                text = re.sub(rb"\s", b"", data)
                return binascii.unhexlify(text[: len(text) & ~1])
            case "escaped":
                return binascii.unhexlify(b"".join(re.findall(rb"\\x([0-9a-fA-F]{2})", data)))
        text = re.sub(rb"[\s=]", b"", data).translate(bytes.maketrans(b"-_", b"+/"))
        text = text[: len(text) - (len(text) % 4 == 1)]
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except (ValueError, zlib.error, OSError, EOFError):
        return b""
