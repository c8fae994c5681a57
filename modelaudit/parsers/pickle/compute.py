"""Values that follow from literals by text and codec functions, and expressions as people read them.

Nothing of the stream's is run: only the pure functions listed here are done, on bounded input with bounded
output, and each call once however often its result is used.
"""

import base64
import binascii
import bz2
import codecs
import encodings
import lzma
import zlib
from collections.abc import Callable
from encodings.aliases import aliases
from typing import Final

from modelaudit.parsers.pickle.reading import LITERAL_BYTES, is_container, literal
from modelaudit.parsers.pickle.state import State
from modelaudit.parsers.pickle.values import Attribute, Call, Global, Instance, Persistent, Plain, Value

NOTHING: Final = None  # no value that can be known
OUTPUT_BYTES: Final = 1 << 20  # of one function; what a decoder would give beyond is cut
_DEPTH: Final = 24  # calls inside calls that are computed
_SHOWN_DEPTH: Final = 6
_SHOWN_CHARS: Final = 160
# The codecs that are done, by their modules in `encodings`; a name or text in another stays unknown. Python loads
# a codec's module when it is first asked for, which a caged worker cannot do: `warm` asks for each of these.
_CODECS: Final = frozenset({
    "ascii", "base64_codec", "bz2_codec", "cp037", "cp1252", "cp437", "hex_codec", "idna", "latin_1", "punycode",
    "quopri_codec", "raw_unicode_escape", "rot_13", "unicode_escape", "utf_16", "utf_16_be", "utf_16_le", "utf_32",
    "utf_32_be", "utf_32_le", "utf_7", "utf_8", "utf_8_sig", "uu_codec", "zlib_codec",
})  # fmt: skip
_SLOW: Final = {"idna": 1024, "punycode": 1024}  # characters; their time grows with the square of the length
_DECODERS: Final = (
    "base64.", "binascii.", "zlib.", "gzip.", "bz2.", "lzma.", "codecs.", "_codecs.", "builtins.bytes.fromhex",
    "builtins.bytearray.fromhex",
)  # fmt: skip

Function = Callable[..., Plain]


def _octets(value: Plain) -> bytes:
    return value.encode("latin-1") if isinstance(value, str) else bytes(value) if isinstance(value, bytes) else b""


def _unpack(make: Callable[[], object]) -> Function:
    def function(data: Plain, *_: Plain) -> Plain:
        unpacker = make()
        return bytes(unpacker.decompress(_octets(data), OUTPUT_BYTES))  # type: ignore[attr-defined]  # zlib, bz2 and lzma objects share it

    return function


def warm() -> None:
    """Load every codec that a stream can ask for, and the table that `\\N{...}` is looked up in."""
    for name in sorted(_CODECS):
        codecs.lookup(name)
    codecs.decode(rb"\N{DIGIT ONE}", "unicode_escape")


def _codec(encoding: Plain, data: Plain) -> str:
    """The codec of that name, as Python finds it. Raises `LookupError` for one that is not done."""
    name = encodings.normalize_encoding(str(encoding)).lower()
    name = aliases.get(name, name)
    if name not in _CODECS or (isinstance(data, str | bytes) and len(data) > _SLOW.get(name, len(data))):
        raise LookupError("a codec that is not followed")
    return name


def _decode(data: Plain, encoding: Plain = "utf-8", *_: Plain) -> Plain:
    name = _codec(encoding, data)
    if name in ("zlib_codec", "bz2_codec"):
        return _unpack(bz2.BZ2Decompressor if name == "bz2_codec" else zlib.decompressobj)(data)
    text = codecs.decode(data, name)  # type: ignore[arg-type]  # str for rot13, bytes for the rest
    return text if isinstance(text, str | bytes) else b""


def _encode(data: Plain, encoding: Plain = "utf-8", *_: Plain) -> Plain:
    out = codecs.encode(data, _codec(encoding, data))  # type: ignore[arg-type]  # as above
    return out if isinstance(out, str | bytes) else b""


def _replace(text: Plain, old: Plain, new: Plain, *_: Plain) -> Plain:
    if not (isinstance(text, str) and isinstance(old, str) and isinstance(new, str)):
        raise ValueError("not text")
    if (text.count(old) + 1) * len(new) > OUTPUT_BYTES:
        raise ValueError("too long")
    return text.replace(old, new)


def _join(glue: Plain, parts: Plain) -> Plain:
    items = list(parts) if isinstance(parts, list | tuple | str) else []
    if sum(len(str(item)) + len(str(glue)) for item in items) > OUTPUT_BYTES:
        raise ValueError("too long")
    if isinstance(glue, bytes):
        return glue.join(_octets(item) for item in items)
    return str(glue).join(str(item) for item in items)


def _format(text: Plain, *args: Plain) -> Plain:
    pieces = str(text)
    if any(sign in pieces for sign in (":", "!", "[", "{{")) or len(pieces) > 4096:
        raise ValueError("a format that is not followed")
    return pieces.format(*(str(arg) for arg in args))


def _add(left: Plain, right: Plain) -> Plain:
    for kind in (str, bytes, list, tuple):
        if isinstance(left, kind) and isinstance(right, kind):
            if len(left) + len(right) > OUTPUT_BYTES:
                raise ValueError("too long")
            return left + right  # type: ignore[operator]  # both are of `kind`
    raise ValueError("not text")


def _item(value: Plain, index: Plain) -> Plain:
    if isinstance(value, str | bytes | list | tuple) and isinstance(index, int):
        return value[index]
    raise ValueError("not a sequence")


def _text(value: Plain = "", encoding: Plain = "", *_: Plain) -> Plain:
    return (
        _octets(value).decode(_codec(encoding, value)) if encoding else value if isinstance(value, str) else str(value)
    )


def _bytes(value: Plain = b"", encoding: Plain = "latin-1", *_: Plain) -> Plain:
    if isinstance(value, list | tuple):
        return bytes(item for item in value if isinstance(item, int))
    return value.encode(_codec(encoding, value)) if isinstance(value, str) else _octets(value)


def _reverse(value: Plain) -> Plain:
    return value[::-1] if isinstance(value, str | bytes | list | tuple) else value


class _Gzip:
    """zlib's decompressor for gzip, with the others' way of saying how much."""

    def __init__(self) -> None:
        self._unpacker = zlib.decompressobj(31)

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._unpacker.decompress(data, most)


_METHODS: Final[dict[str, Function]] = {
    "join": _join,
    "replace": _replace,
    "format": _format,
    "decode": _decode,
    "encode": _encode,
    "lower": lambda text: str(text).lower(),
    "upper": lambda text: str(text).upper(),
    "strip": lambda text, *chars: str(text).strip(*(str(char) for char in chars)),
    "title": lambda text: str(text).title(),
    "swapcase": lambda text: str(text).swapcase(),
    "__add__": _add,
    "__getitem__": _item,
    "split": lambda text, glue=None: list(str(text).split(None if glue is None else str(glue))),
    "removeprefix": lambda text, prefix: str(text).removeprefix(str(prefix)),
    "removesuffix": lambda text, suffix: str(text).removesuffix(str(suffix)),
}
_FUNCTIONS: Final[dict[str, Function]] = {
    "_codecs.decode": _decode,
    "codecs.decode": _decode,
    "_codecs.encode": _encode,
    "codecs.encode": _encode,
    "base64.b64decode": lambda data, *_: base64.b64decode(_octets(data)),
    "base64.standard_b64decode": lambda data: base64.b64decode(_octets(data)),
    "base64.urlsafe_b64decode": lambda data: base64.urlsafe_b64decode(_octets(data)),
    "base64.decodebytes": lambda data: base64.decodebytes(_octets(data)),
    "base64.b32decode": lambda data, *_: base64.b32decode(_octets(data)),
    "base64.b16decode": lambda data, *_: base64.b16decode(_octets(data)),
    "base64.a85decode": lambda data, *_: base64.a85decode(_octets(data)),
    "base64.b85decode": lambda data, *_: base64.b85decode(_octets(data)),
    "binascii.a2b_base64": lambda data, *_: binascii.a2b_base64(_octets(data)),
    "binascii.a2b_hex": lambda data, *_: binascii.unhexlify(_octets(data)),
    "binascii.unhexlify": lambda data, *_: binascii.unhexlify(_octets(data)),
    "builtins.bytes.fromhex": lambda data: bytes.fromhex(str(data)),
    "builtins.bytearray.fromhex": lambda data: bytes.fromhex(str(data)),
    "zlib.decompress": _unpack(zlib.decompressobj),
    "gzip.decompress": _unpack(_Gzip),
    "bz2.decompress": _unpack(bz2.BZ2Decompressor),
    "lzma.decompress": _unpack(lzma.LZMADecompressor),
    "builtins.str": _text,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "builtins.chr": lambda code: chr(code) if isinstance(code, int) else "",
    "builtins.reversed": _reverse,
    "builtins.list": lambda value=(): list(value),
    "builtins.tuple": lambda value=(): list(value),
    "operator.add": _add,
    "operator.concat": _add,
    "operator.getitem": _item,
    "sys.intern": lambda text: text,
}
_ALL: Final = _FUNCTIONS | {
    f"builtins.{kind}.{name}": method for kind in ("str", "bytes", "bytearray") for name, method in _METHODS.items()
}


def is_pure(path: str) -> bool:
    """Whether a call of `path` is one that this module can do."""
    return path in _ALL


def is_decoder(path: str) -> bool:
    """Whether `path` turns text or bytes that nobody can read into some that one can."""
    return path in _ALL and path.startswith(_DECODERS)


def plain(state: State, value: Value, depth: int = 0) -> Plain | None:
    """The plain value that `value` stands for, or None (`NOTHING`). Raises `Missing`."""
    if isinstance(value, int):
        if value >= 0:
            return literal(state.blob, value, state.window)
        return _items(state, value, depth)
    if isinstance(value, tuple):
        return _all(state, list(value), depth)
    if not isinstance(value, Call) or depth > _DEPTH:
        return NOTHING
    if value.computed is None:
        value.computed = []
        result = _compute(state, value, depth)
        if result is not NOTHING:
            value.computed = [result]
    return value.computed[0] if value.computed else NOTHING


def _items(state: State, container: int, depth: int) -> Plain | None:
    if is_container(state.blob, ~container) != "list" or state.items_of(container) is None:
        return NOTHING
    return _all(state, state.items_of(container) or [], depth)


def _all(state: State, values: list[Value], depth: int) -> Plain | None:
    if depth > _DEPTH or len(values) > LITERAL_BYTES:
        return NOTHING
    found: list[Plain] = []
    for value in values:
        item = plain(state, value, depth + 6)
        if item is NOTHING:
            return NOTHING
        found.append(item)
    return found


def _compute(state: State, made: Call, depth: int) -> Plain | None:
    func, args = made.func, list(made.args or ())
    function = None
    if isinstance(func, Global):
        function = _ALL.get(func.path)
    elif isinstance(func, Attribute):
        function, args = _METHODS.get(func.name), [func.owner, *args]
    if function is None:
        return NOTHING
    known = [plain(state, arg, depth + 1) for arg in args if arg is not None]
    if any(item is NOTHING for item in known):
        return NOTHING
    try:
        result = function(*known)
    except (ValueError, TypeError, LookupError, ArithmeticError, EOFError, OSError, zlib.error, lzma.LZMAError):
        return NOTHING
    return result if not isinstance(result, str | bytes) or len(result) <= OUTPUT_BYTES else NOTHING


def shown(state: State, value: Value, depth: int = 0) -> str:
    """The value as an expression of at most some hundred characters."""
    if depth > _SHOWN_DEPTH:
        return "…"
    if isinstance(value, int):
        return _shown_plain(state, value, depth)
    if isinstance(value, tuple):
        inner = ", ".join(shown(state, item, depth + 1) for item in value[:6]) + (", …" if len(value) > 6 else "")
        return _cut(f"({inner},)" if len(value) == 1 else f"({inner})")
    if isinstance(value, Global):
        return value.via or value.path
    if isinstance(value, Instance):
        return f"{value.of.path}(…)"
    if isinstance(value, Call):
        args = ", ".join(shown(state, item, depth + 1) for item in (value.args or ())[:6])
        return _cut(f"{shown(state, value.func, depth + 1)}({args})")
    if isinstance(value, Attribute):
        return _cut(f"{shown(state, value.owner, depth + 1)}.{value.name}")
    return "<persistent>" if isinstance(value, Persistent) else "…"


def _shown_plain(state: State, value: int, depth: int) -> str:
    if value < 0:
        kind = is_container(state.blob, ~value)
        items = state.items_of(value) or []
        if kind == "list":
            return _cut("[" + ", ".join(shown(state, item, depth + 1) for item in items[:6]) + "]")
        return "{…}" if items or kind != "dict" else "{}"
    found = literal(state.blob, value, state.window)
    return "…" if found is None else _cut(repr(found))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
