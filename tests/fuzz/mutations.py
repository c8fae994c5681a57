"""Mutations that know nothing of any format, the same for the same seed."""

import random
import struct
from collections.abc import Callable, Sequence

Mutation = Callable[[random.Random, bytearray, Sequence[bytes]], None]

# What counts, sizes and offsets break on: nothing, minus one, the edges of the signed and unsigned widths.
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, 1 << 63, (1 << 64) - 1)
# Words of the many languages that the formats are written in.
TOKENS = (
    b"PK\x03\x04", b"PK\x05\x06", b"PK\x01\x02", b"\x1f\x8b\x08", b"\x80\x04\x95", b"\x89HDF\r\n\x1a\n", b"GGUF",
    b"TFL3", b"\x93NUMPY\x01\0", b"7z\xbc\xaf\x27\x1c", b"BZh9", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"cos\nsystem\n",
    b"\x93", b"R.", b"(((((((((", b"[[[[[[[[[", b"{{{{{{{{{", b'{"a":', b"{% for x in y %}", b"{{ x.__class__ }}",
    b"<!DOCTYPE a [", b"&a;", b"<![CDATA[", b"\xff\xfe", b"\xed\xa0\x80", b"\xc2\x80", b"\0" * 16, b"\n" * 8,
    b"- - - -", b"&a *a", b"!!python/name:os.system", b"import os\n", b"lambda: ", b"not ", b"\\N{", b"'''", b"../",
    b"999999999999999999999", b"-1", b"1e999", b"NaN", b"\x0a\xff\xff\xff\xff\x0f", b"\x81\xa1a",
    b"\xc9\xff\xff\xff\xff\x01", b"ustar\0", b"00000000000\0", b"%d", b"__import__",
)  # fmt: skip


def _place(chance: random.Random, data: bytearray) -> int:
    """A byte of `data`; most formats keep what matters at the start or the end."""
    kind = chance.random()
    if kind < 0.3:
        return chance.randrange(min(len(data), 64))
    if kind < 0.5:
        return len(data) - 1 - chance.randrange(min(len(data), 64))
    return chance.randrange(len(data))


def _flip(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    data[_place(chance, data)] ^= 1 << chance.randrange(8)


def _set(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    data[_place(chance, data)] = chance.choice((0, 1, 0x20, 0x7F, 0x80, 0xFF, chance.randrange(256)))


def _stuff(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    code = chance.choice(("<B", "<H", ">H", "<I", ">I", "<Q", ">Q"))
    width = struct.calcsize(code)
    at = _place(chance, data)
    data[at : at + width] = struct.pack(code, chance.choice(_NUMBERS) & ((1 << 8 * width) - 1))


def _count(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A little more or less: counts that are off by one or two."""
    at = _place(chance, data)
    data[at] = (data[at] + chance.choice((-2, -1, 1, 2))) & 0xFF


def _truncate(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[chance.randrange(len(data)) :]


def _delete(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = _place(chance, data)
    del data[at : at + chance.randrange(1, 33)]


def _slice(chance: random.Random, data: bytes | bytearray, most: int = 4096) -> bytes:
    at = chance.randrange(len(data))
    return bytes(data[at : at + chance.randrange(1, min(most, len(data)) + 1)])


def _duplicate(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    piece, at = _slice(chance, data), _place(chance, data)
    data[at:at] = piece


def _repeat(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """One piece very often: what is quadratic shows."""
    piece, at = _slice(chance, data, 48), _place(chance, data)
    data[at:at] = piece * (1 << chance.randrange(2, 13))


def _splice(chance: random.Random, data: bytearray, others: Sequence[bytes]) -> None:
    other = chance.choice(others)
    if not other:
        return
    if chance.random() < 0.5:
        at = chance.randrange(len(data))
        data[at:] = other[min(at, len(other)) :] if chance.random() < 0.5 else other
    else:
        at = _place(chance, data)
        data[at:at] = _slice(chance, other)


def _token(chance: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    token, at = chance.choice(TOKENS), _place(chance, data)
    if chance.random() < 0.5:
        data[at:at] = token
    else:
        data[at : at + len(token)] = token


MUTATIONS: tuple[Mutation, ...] = (
    _flip, _flip, _set, _set, _stuff, _stuff, _stuff, _count, _count, _truncate,
    _delete, _duplicate, _repeat, _splice, _token, _token,
)  # fmt: skip


def mutate(chance: random.Random, seed: bytes, others: Sequence[bytes], most: int) -> bytes:
    """`seed` with a few things changed, at most `most` bytes of it."""
    data = bytearray(seed)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        if not data:
            data.extend(chance.choice(TOKENS))
        chance.choice(MUTATIONS)(chance, data, others)
    return bytes(data[:most])
