"""The opcodes of pickle protocols 0 to 5 as tables indexed by opcode byte (source: CPython's Modules/_pickle.c).

`SIZE[op]` is the whole length in bytes of an opcode of fixed length, 0 for every other byte.
`COUNT_BYTES[op]` is the width of the length that precedes a counted argument, 0 for every other byte.
`LINES[op]` is the number of newline-ended text arguments, 0 for every other byte.
"""

from typing import Final

_FIXED = {
    "MARK": (b"(", 0),
    "STOP": (b".", 0),
    "POP": (b"0", 0),
    "POP_MARK": (b"1", 0),
    "DUP": (b"2", 0),
    "BINFLOAT": (b"G", 8),
    "BININT": (b"J", 4),
    "BININT1": (b"K", 1),
    "BININT2": (b"M", 2),
    "NONE": (b"N", 0),
    "BINPERSID": (b"Q", 0),
    "REDUCE": (b"R", 0),
    "APPEND": (b"a", 0),
    "BUILD": (b"b", 0),
    "DICT": (b"d", 0),
    "EMPTY_DICT": (b"}", 0),
    "APPENDS": (b"e", 0),
    "BINGET": (b"h", 1),
    "LONG_BINGET": (b"j", 4),
    "LIST": (b"l", 0),
    "EMPTY_LIST": (b"]", 0),
    "OBJ": (b"o", 0),
    "BINPUT": (b"q", 1),
    "LONG_BINPUT": (b"r", 4),
    "SETITEM": (b"s", 0),
    "TUPLE": (b"t", 0),
    "EMPTY_TUPLE": (b")", 0),
    "SETITEMS": (b"u", 0),
    "PROTO": (b"\x80", 1),
    "NEWOBJ": (b"\x81", 0),
    "EXT1": (b"\x82", 1),
    "EXT2": (b"\x83", 2),
    "EXT4": (b"\x84", 4),
    "TUPLE1": (b"\x85", 0),
    "TUPLE2": (b"\x86", 0),
    "TUPLE3": (b"\x87", 0),
    "NEWTRUE": (b"\x88", 0),
    "NEWFALSE": (b"\x89", 0),
    "EMPTY_SET": (b"\x8f", 0),
    "ADDITEMS": (b"\x90", 0),
    "FROZENSET": (b"\x91", 0),
    "NEWOBJ_EX": (b"\x92", 0),
    "STACK_GLOBAL": (b"\x93", 0),
    "MEMOIZE": (b"\x94", 0),
    "FRAME": (b"\x95", 8),
    "NEXT_BUFFER": (b"\x97", 0),
    "READONLY_BUFFER": (b"\x98", 0),
}
_COUNTED = {
    "BINBYTES": (b"B", 4),
    "SHORT_BINBYTES": (b"C", 1),
    "BINSTRING": (b"T", 4),
    "SHORT_BINSTRING": (b"U", 1),
    "BINUNICODE": (b"X", 4),
    "LONG1": (b"\x8a", 1),
    "LONG4": (b"\x8b", 4),
    "SHORT_BINUNICODE": (b"\x8c", 1),
    "BINUNICODE8": (b"\x8d", 8),
    "BINBYTES8": (b"\x8e", 8),
    "BYTEARRAY8": (b"\x96", 8),
}
_TEXT = {
    "FLOAT": (b"F", 1),
    "INT": (b"I", 1),
    "LONG": (b"L", 1),
    "PERSID": (b"P", 1),
    "STRING": (b"S", 1),
    "UNICODE": (b"V", 1),
    "GLOBAL": (b"c", 2),
    "GET": (b"g", 1),
    "INST": (b"i", 2),
    "PUT": (b"p", 1),
}


def _table(values: dict[str, tuple[bytes, int]], more: int = 0) -> tuple[int, ...]:
    by_code = {code[0]: value + more for code, value in values.values()}
    return tuple(by_code.get(op, 0) for op in range(256))


CODES: Final = {name: code[0] for group in (_FIXED, _COUNTED, _TEXT) for name, (code, _) in group.items()}
NAMES: Final = {code: name for name, code in CODES.items()}
SIZE: Final = _table(_FIXED, 1)
COUNT_BYTES: Final = _table(_COUNTED)
LINES: Final = _table(_TEXT)

# A negative length in these is an error; everywhere else lengths are unsigned.
SIGNED_COUNT: Final = frozenset({CODES["BINSTRING"], CODES["LONG4"]})

# Text and bytes literals: what may hold a payload.
TEXTS: Final = frozenset(
    CODES[name]
    for name in ("STRING", "UNICODE", "BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
)
BYTES: Final = frozenset(CODES[name] for name in ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"))

# Opcodes that import, call, write into something that was called into being, or leave the stream. A pickle
# without any of them builds plain data, whatever else it does.
ACTIVE: Final = frozenset(
    CODES[name]
    for names in (
        ("GLOBAL", "INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"),
        ("REDUCE", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "NEXT_BUFFER", "READONLY_BUFFER"),
    )
    for name in names
)
