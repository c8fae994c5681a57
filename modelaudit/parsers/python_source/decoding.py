"""Constants that Python code decodes: base64, hexadecimal, compression, sums of characters. All bounded."""

import ast
import base64
import binascii
import bz2
import codecs
import lzma
import operator
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from modelaudit.parsers import folding
from modelaudit.parsers.folding import UNKNOWN

BYTES: Final = 8 << 20  # of one decoded constant

Bytes = bytes | bytearray


def _raw(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode("ascii")
    if isinstance(value, Bytes):
        return bytes(value)
    raise TypeError(type(value).__name__)


def _fromhex(value: object) -> bytes:
    return bytes.fromhex(_raw(value).decode("ascii"))


def _base64(value: object) -> bytes:
    return base64.b64decode(_raw(value))


def _inflated(value: object, wbits: int = 15) -> bytes:
    return zlib.decompressobj(wbits).decompress(_raw(value), BYTES)


def _codec(value: object, name: object = "utf-8") -> object:
    if not isinstance(name, str):
        raise TypeError(name)
    plain = name.lower().replace("-", "").replace("_", "")
    if plain == "rot13" and isinstance(value, str):
        return codecs.decode(value, "rot13")
    simple: dict[str, Callable[[object], object]] = {
        "hex": lambda raw: binascii.unhexlify(_raw(raw)),
        "base64": lambda raw: base64.b64decode(_raw(raw)),
        "zlib": _inflated,
        "zip": _inflated,
    }
    if plain in simple:
        return simple[plain](value)
    return folding.method(value, "decode", [name], {})


def _bytes(value: object, *rest: object) -> object:
    if isinstance(value, list | tuple):
        return bytes(each for each in value if isinstance(each, int))
    return _raw(value)


_TABLE: Final[Mapping[str, Callable[..., object]]] = {
    "base64.b64decode": lambda value, *rest: base64.b64decode(_raw(value)),
    "base64.standard_b64decode": lambda value: base64.b64decode(_raw(value)),
    "base64.urlsafe_b64decode": lambda value: base64.urlsafe_b64decode(_raw(value)),
    "base64.decodebytes": lambda value: base64.b64decode(_raw(value)),
    "base64.b32decode": lambda value, *rest: base64.b32decode(_raw(value)),
    "base64.b16decode": lambda value, *rest: base64.b16decode(_raw(value), casefold=True),
    "base64.b85decode": lambda value: base64.b85decode(_raw(value)),
    "base64.a85decode": lambda value, *rest: base64.a85decode(_raw(value)),
    "binascii.unhexlify": _fromhex,
    "binascii.a2b_hex": _fromhex,
    "binascii.a2b_base64": _base64,
    "builtins.bytes.fromhex": _fromhex,
    "builtins.bytearray.fromhex": _fromhex,
    "zlib.decompress": _inflated,
    "gzip.decompress": lambda value: _inflated(value, 31),
    "bz2.decompress": lambda value: bz2.BZ2Decompressor().decompress(_raw(value), BYTES),
    "lzma.decompress": lambda value: lzma.LZMADecompressor(memlimit=64 << 20).decompress(_raw(value), BYTES),
    "codecs.decode": _codec,
    "builtins.bytes": _bytes,
    "builtins.bytearray": _bytes,
    "builtins.str": lambda value, *rest: _codec(value, *rest) if rest else str(value),
    "builtins.chr": chr,
    "builtins.ord": ord,
    "builtins.int": int,
    "builtins.reversed": lambda value: list(value)[::-1],
    "builtins.list": lambda value=(): list(value),
    "builtins.tuple": lambda value=(): list(value),
}
FUNCTIONS: Final = frozenset(_TABLE)
# Those whose result is data that was packed away; the others only make text.
DECODERS: Final = frozenset(name for name in _TABLE if not name.startswith("builtins.")) | {
    "builtins.bytes.fromhex",
    "builtins.bytearray.fromhex",
}
_FAULTS: Final = (ValueError, TypeError, EOFError, OSError, zlib.error, lzma.LZMAError, ArithmeticError, LookupError)


def decoded(name: str, arguments: Sequence[object]) -> object:
    """What the function `name` gives for constants, or `UNKNOWN`."""
    if not folding.known(list(arguments)) or not all(_short(each) for each in arguments):
        return UNKNOWN
    try:
        value = _TABLE[name](*arguments)
    except _FAULTS:
        return UNKNOWN
    return value if _short(value) else UNKNOWN


def _short(value: object) -> bool:
    if isinstance(value, str | Bytes):
        return len(value) <= BYTES
    if isinstance(value, list | tuple | dict):
        return len(value) <= folding.ITEMS * 64
    return isinstance(value, int | float) or value is None or value is UNKNOWN


_WHOLE: Final[Mapping[type[ast.operator], Callable[[int, int], int]]] = {
    ast.BitXor: operator.xor,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.Sub: operator.sub,
    ast.Mod: operator.mod,
    ast.FloorDiv: operator.floordiv,
}


def binary(kind: type[ast.operator], left: object, right: object) -> object:
    """`left <kind> right` for constants."""
    if kind is ast.Add:
        return folding.add(left, right)
    if kind is ast.Mult:
        return folding.times(left, right)
    if kind is ast.Mod and isinstance(left, str | bytes):
        return folding.percent(left, right)
    if kind in _WHOLE and isinstance(left, int) and isinstance(right, int):
        try:
            return _WHOLE[kind](left, right)
        except ArithmeticError:
            return UNKNOWN
    return UNKNOWN


def comprehension(element: ast.expr, name: str, items: object) -> object:
    """`[element for name in items]`, where the element is a character or number computed from the item."""
    if isinstance(items, str | bytes):
        items = list(items)
    if not isinstance(items, list) or len(items) > folding.CHARS or not folding.known(items):
        return UNKNOWN
    made = []
    for item in items:
        value = _element(element, name, item, 6)
        if value is UNKNOWN:
            return UNKNOWN
        made.append(value)
    return made


def characters(items: object) -> object:
    """`map(chr, items)`."""
    if not isinstance(items, list) or len(items) > folding.CHARS:
        return UNKNOWN
    made = [decoded("builtins.chr", [item]) for item in items]
    return made if folding.known(made) else UNKNOWN


def computes(element: ast.expr) -> bool:
    """Whether characters are computed from numbers, and not only written out."""
    return any(
        isinstance(node, ast.BinOp) or (isinstance(node, ast.Name) and node.id == "chr") for node in ast.walk(element)
    )


def _element(node: ast.expr, name: str, item: object, depth: int) -> object:
    if depth <= 0:
        return UNKNOWN
    if isinstance(node, ast.Name):
        return item if node.id == name else UNKNOWN
    if isinstance(node, ast.Constant):
        return folding.bounded(node.value)
    if isinstance(node, ast.BinOp):
        left, right = (_element(each, name, item, depth - 1) for each in (node.left, node.right))
        return binary(type(node.op), left, right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("chr", "ord", "int", "str"):
        return decoded(f"builtins.{node.func.id}", [_element(each, name, item, depth - 1) for each in node.args])
    return UNKNOWN
