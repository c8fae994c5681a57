"""What in a text is not data: code of a language that some loader might run, and pickles written as text.

Each pattern is a thing that has no meaning as the value of a weight file: a call or an import in code, a script
in a page, a way to Python's internals. Words that merely name such things (`eval`, `system`) do not count.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import suppress

from modelaudit.late import late

_BEFORE, _AFTER = 40, 80  # characters shown around what was found

_TEMPLATE = "a template that reaches Python's internals"  # only where an expression of one is open, see `_opening`
_EXPRESSION = 400  # characters between the opening of an expression and what it reaches for

_CODE = {
    "Python code": late(
        r"__import__\s*\(|\bos\.(?:system|popen|exec[lv]\w*|spawn\w*|remove|unlink)\s*\(|\bsubprocess\.\w+\s*\("
        r"|\b(?:eval|exec)(?:\(\s*[^)\s]|\s+\(\s*[\"'])|\b(?:pickle|marshal|cloudpickle|dill)\.loads?\s*\("
        r"|\bimport\s+(?:os\s+as\s+\w|subprocess\b|socket\b|ctypes\b|pty\b)|\bimportlib\.import_module\s*\("
        r"|\bfrom\s+(?:os|posix|subprocess|socket|ctypes|pty)\s+import\b"
        r"|\bgetattr\s*\(\s*(?:os|__builtins__|builtins)\b"
        r"|\b__(?:builtins|globals|subclasses|reduce|reduce_ex|class|mro|bases)__\b"
    ),
    "Java code": late(
        r"\bRuntime\s*\.\s*getRuntime\s*\(|\bnew\s+(?:java\.lang\.)?ProcessBuilder\b|\bjavax\.script\.\w+"
        r"|\bjava\.lang\.(?:Runtime|ProcessBuilder|reflect)\b|\bjava\.net\.URLClassLoader\b|\$\{jndi:"
    ),
    "a command for a shell": late(
        r"\b(?:curl|wget)\s+[^|\n]{1,300}\|\s*(?:ba|z|da)?sh\b|/dev/tcp/|\b(?:ba)?sh\s+-[ci]\b|\bnc\s+-[lnv]*e\b"
        r"|\bpowershell(?:\.exe)?\s+-|\brm\s+-[rf]{2}\s"
    ),
    _TEMPLATE: late(r"__(?:class|mro|subclasses|globals|builtins|init)__"),
    "a script for a browser": late(r"<script\b|javascript:|\bon(?:error|load)\s*=\s*[\"']?\w+\(", re.IGNORECASE),
    "a JAX callback into Python": late(
        r"\b(?:host_callback|pure_callback|io_callback|id_tap|id_print|xla_(?:ffi_)?python_(?:cpu|gpu)_callback)\b"
        r"|\bjax\.experimental\.host_callback\b|\bjax\.debug\.callback\b"
    ),
}
_HEX = late(r"(?:[0-9A-Fa-f]{2}){16,}")
_BASE64 = late(r"[A-Za-z0-9+/_-]{20,}={0,2}")
# How pickles and what holds them begin.
_BEGINNING = late(rb"\x80[\x01-\x05]|[c(\]}]|\x1f\x8b|x[\x01\x5e\x9c\xda]|PK\x03\x04|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd")
_WRITTEN = late(rb"[c(][^\n]{0,200}\n")
# Bytes as they are: beginnings that tensor data or text would not have by chance.
_BINARY = late(
    rb"\x80[\x02-\x05][\x95}\](cqKX\x8cGNM\x58\x63]|c[a-z_.]+\n[A-Za-z_.]+\n|\(i?[a-zS(dl]|\x1f\x8b\x08|PK\x03\x04|BZh[1-9]"
    rb"|\xfd7zXZ\0|\x28\xb5\x2f\xfd|\x7fELF|MZ[\x00\x50\x90]|\xcf\xfa\xed\xfe|\x93NUMPY|\x89HDF"
)


# One of these stands in everything that is found; most texts have none, and are done with one search.
_HINT = late(r"[({|=]|__|/dev/|sh\s|\s-|import|java|script|callback|id_", re.IGNORECASE)


def code(text: str) -> tuple[str, str] | None:
    """What kind of code `text` holds, and the place where it shows, or None."""
    if _HINT.search(text) is None:
        return None
    for what, pattern in _CODE.items():
        found = pattern.search(text)
        place = found.span() if found is not None else None
        if what == _TEMPLATE and place is not None:
            place = template(text)
        if place is not None:
            return what, text[max(0, place[0] - _BEFORE) : place[1] + _AFTER]
    return None


def template(text: str) -> tuple[int, int] | None:
    """Where an expression of a template reaches for Python's internals: from its opening to the end of that name."""
    for found in _CODE[_TEMPLATE].finditer(text):
        start = _opening(text, found.start())
        if start >= 0:
            return start, found.end()
    return None


def _opening(text: str, at: int) -> int:
    """Where the template's expression opens in which `at` stands; -1 when it stands in none.

    Looked for from its end: a search from each opening would take four hundred steps for each of a text full of them.
    """
    begin = max(0, at - _EXPRESSION - 2)
    begin = max(begin, text.rfind("}", begin, at) + 1)
    openings = [text.find(mark, begin, at) for mark in ("{{", "{%")]
    return min((place for place in openings if place >= 0), default=-1)


def payloads(text: str) -> Iterator[bytes]:
    """What `text` is in bytes, for each encoding in which bytes are kept in texts, where those may be a pickle."""
    text = text.strip()
    decoded: list[bytes] = []
    written = text.encode("utf-8", "surrogatepass")
    if _WRITTEN.match(written):
        yield written
    with suppress(UnicodeEncodeError):
        if text[:1] in ("\x80", "\x1f", "x"):  # each byte as the character of that number
            decoded.append(text.encode("latin-1"))
    if _HEX.fullmatch(text):
        decoded.append(bytes.fromhex(text))
    coded = "".join(text.rpartition("base64,")[2].split())
    if _BASE64.fullmatch(coded):
        standard = coded.rstrip("=").translate(str.maketrans("-_", "+/"))
        with suppress(binascii.Error):
            decoded.append(base64.b64decode(standard + "=" * (-len(standard) % 4)))
    yield from (data for data in decoded if _BEGINNING.match(data))


def is_payload(head: bytes | memoryview) -> bool:
    """Whether bytes that begin with `head` (16 of them are enough) are likely something to be looked at."""
    return _BINARY.match(head) is not None
