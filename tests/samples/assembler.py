"""A small assembler for pickle: each name gives the bytes of one opcode, or of a few that belong together.

Written from the opcode documentation in the standard library's `pickletools`. Nothing here loads a pickle;
the pieces are plain bytes and are joined with `+`, so that every broken or odd stream can be written down.
"""

import struct

MARK = b"("
STOP = b"."
POP = b"0"
POP_MARK = b"1"
DUP = b"2"
NONE = b"N"
NEWTRUE = b"\x88"
NEWFALSE = b"\x89"
REDUCE = b"R"
BUILD = b"b"
OBJ = b"o"
NEWOBJ = b"\x81"
NEWOBJ_EX = b"\x92"
STACK_GLOBAL = b"\x93"
MEMOIZE = b"\x94"
BINPERSID = b"Q"
EMPTY_LIST = b"]"
EMPTY_TUPLE = b")"
EMPTY_DICT = b"}"
EMPTY_SET = b"\x8f"
LIST = b"l"
TUPLE = b"t"
DICT = b"d"
FROZENSET = b"\x91"
TUPLE1 = b"\x85"
TUPLE2 = b"\x86"
TUPLE3 = b"\x87"
APPEND = b"a"
APPENDS = b"e"
ADDITEMS = b"\x90"
SETITEM = b"s"
SETITEMS = b"u"
NEXT_BUFFER = b"\x97"
READONLY_BUFFER = b"\x98"


def proto(version: int) -> bytes:
    """PROTO; any byte, also versions that do not exist."""
    return b"\x80" + bytes([version])


def frame(body: bytes, length: int | None = None) -> bytes:
    """FRAME around `body`; `length` may lie."""
    return b"\x95" + struct.pack("<Q", len(body) if length is None else length) + body


# --- strings ------------------------------------------------------------------------------------------------


def short_unicode(text: str) -> bytes:
    """SHORT_BINUNICODE (protocol 4)."""
    data = text.encode("utf-8", "surrogatepass")
    return b"\x8c" + bytes([len(data)]) + data


def binunicode(text: str) -> bytes:
    """BINUNICODE (protocol 1)."""
    data = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def binunicode8(text: str) -> bytes:
    """BINUNICODE8 (protocol 4)."""
    data = text.encode("utf-8", "surrogatepass")
    return b"\x8d" + struct.pack("<Q", len(data)) + data


def unicode_line(raw: str) -> bytes:
    """UNICODE (protocol 0): `raw` as it stands in the file, in raw-unicode-escape."""
    return b"V" + raw.encode("latin-1") + b"\n"


def string_line(raw: bytes) -> bytes:
    """STRING (protocol 0): `raw` with its quotes, as it stands in the file."""
    return b"S" + raw + b"\n"


def binstring(data: bytes) -> bytes:
    """BINSTRING (protocol 1)."""
    return b"T" + struct.pack("<i", len(data)) + data


def short_binstring(data: bytes) -> bytes:
    """SHORT_BINSTRING (protocol 1)."""
    return b"U" + bytes([len(data)]) + data


def binbytes(data: bytes) -> bytes:
    """SHORT_BINBYTES or BINBYTES (protocol 3), whichever fits."""
    if len(data) < 256:
        return b"C" + bytes([len(data)]) + data
    return b"B" + struct.pack("<I", len(data)) + data


def binbytes8(data: bytes, length: int | None = None) -> bytes:
    """BINBYTES8 (protocol 4); `length` may lie."""
    return b"\x8e" + struct.pack("<Q", len(data) if length is None else length) + data


def bytearray8(data: bytes) -> bytes:
    """BYTEARRAY8 (protocol 5)."""
    return b"\x96" + struct.pack("<Q", len(data)) + data


def text(value: str, protocol: int = 4) -> bytes:
    """`value` as an ordinary pickler of `protocol` writes it."""
    if protocol == 0:
        return unicode_line(value.encode("raw-unicode-escape").decode("latin-1"))
    if protocol >= 4 and len(value.encode("utf-8", "surrogatepass")) < 256:
        return short_unicode(value)
    return binunicode(value)


# --- numbers ------------------------------------------------------------------------------------------------


def integer(value: int, protocol: int = 4) -> bytes:
    """`value` as an ordinary pickler of `protocol` writes it."""
    if protocol == 0:
        return b"I%d\n" % value if -(2**31) <= value < 2**31 else b"L%dL\n" % value
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if 0 <= value < 65536:
        return b"M" + struct.pack("<H", value)
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def binfloat(value: float) -> bytes:
    """BINFLOAT (protocol 1)."""
    return b"G" + struct.pack(">d", value)


# --- imports and calls --------------------------------------------------------------------------------------


def global_(module: str, name: str) -> bytes:
    """GLOBAL (protocol 0). Dotted names need `proto(4)` in front of the stream."""
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def stack_global(module: str, name: str) -> bytes:
    """Both names, then STACK_GLOBAL (protocol 4)."""
    return short_unicode(module) + short_unicode(name) + STACK_GLOBAL


def inst(module: str, name: str, *arguments: bytes) -> bytes:
    """INST (protocol 0): import and call in one opcode."""
    return MARK + b"".join(arguments) + b"i" + module.encode() + b"\n" + name.encode() + b"\n"


def tuple_(*items: bytes) -> bytes:
    """A tuple with MARK and TUPLE, good for every protocol."""
    return MARK + b"".join(items) + TUPLE


def list_(*items: bytes) -> bytes:
    """A list with MARK and LIST, good for every protocol."""
    return MARK + b"".join(items) + LIST


def dict_(*items: bytes) -> bytes:
    """A dict with MARK and DICT, good for every protocol; keys and values alternate."""
    return MARK + b"".join(items) + DICT


def call(function: bytes, *arguments: bytes) -> bytes:
    """REDUCE of `function` with `arguments`."""
    return function + tuple_(*arguments) + REDUCE


def method(getattr_: bytes, target: bytes, name: str, *arguments: bytes) -> bytes:
    """getattr(target, name)(*arguments), where `getattr_` is what puts getattr on the stack."""
    return call(call(getattr_, target, short_unicode(name)), *arguments)


# --- memo ---------------------------------------------------------------------------------------------------


def put(index: int | str) -> bytes:
    """PUT (protocol 0); a string is written as it stands."""
    return b"p" + str(index).encode() + b"\n"


def get(index: int | str) -> bytes:
    """GET (protocol 0); a string is written as it stands."""
    return b"g" + str(index).encode() + b"\n"


def binput(index: int) -> bytes:
    """BINPUT (protocol 1)."""
    return b"q" + bytes([index])


def binget(index: int) -> bytes:
    """BINGET (protocol 1)."""
    return b"h" + bytes([index])


def long_binput(index: int) -> bytes:
    """LONG_BINPUT (protocol 1)."""
    return b"r" + struct.pack("<I", index)


def long_binget(index: int) -> bytes:
    """LONG_BINGET (protocol 1)."""
    return b"j" + struct.pack("<I", index)


# --- others -------------------------------------------------------------------------------------------------


def persid(identity: bytes) -> bytes:
    """PERSID (protocol 0)."""
    return b"P" + identity + b"\n"


def ext(code: int, width: int) -> bytes:
    """EXT1, EXT2 or EXT4 by `width` in bytes."""
    return {1: b"\x82", 2: b"\x83", 4: b"\x84"}[width] + code.to_bytes(width, "little")


def pickle(body: bytes, protocol: int = 4) -> bytes:
    """A whole stream: PROTO where the protocol has one, `body`, STOP."""
    return (proto(protocol) if protocol >= 2 else b"") + body + STOP


class Raw(bytes):
    """Opcodes that stand for themselves inside a value given to `literal`."""


def literal(value: object, protocol: int = 4) -> bytes:
    """Opcodes for a plain Python value; `Raw` passes through. Raises `TypeError` for anything else."""
    if isinstance(value, Raw):
        return bytes(value)
    if value is None:
        return NONE
    if isinstance(value, bool):
        return b"I%02d\n" % value if protocol < 2 else NEWTRUE if value else NEWFALSE
    if isinstance(value, int):
        return integer(value, protocol)
    if isinstance(value, float):
        return binfloat(value) if protocol else b"F" + repr(value).encode() + b"\n"
    if isinstance(value, str):
        return text(value, protocol)
    if isinstance(value, bytes):
        if protocol >= 3:
            return binbytes(value)
        return call(global_("_codecs", "encode"), text(value.decode("latin-1"), protocol), text("latin1", protocol))
    if isinstance(value, tuple | list):
        maker = tuple_ if isinstance(value, tuple) else list_
        return maker(*(literal(item, protocol) for item in value))
    if isinstance(value, dict):
        return dict_(*(literal(item, protocol) for pair in value.items() for item in pair))
    raise TypeError(f"no opcodes for {type(value).__name__}")


def calls(module: str, name: str, *arguments: object) -> Raw:
    """`module.name(*arguments)` in protocol 4; the arguments as `literal` takes them."""
    return Raw(call(stack_global(module, name), *(literal(argument) for argument in arguments)))


def applied(function: bytes, *arguments: object) -> bytes:
    """A whole stream that calls what `function` leaves on the stack."""
    return pickle(call(function, *(literal(argument) for argument in arguments)))
