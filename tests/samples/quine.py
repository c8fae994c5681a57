"""A gzip file that unpacks to itself, for ever.

Deflate can say "these n bytes as they are" (L) and "the last n bytes again" (R), which is enough for a program
that prints itself; that this works is Russ Cox's observation of 2010. Here each instruction and each piece is a
unit of five bytes, so that the ladder below holds for the header (three units) and the trailer (three units).
"""

import struct
import zlib

UNIT = 5
NAME = b"self\0"  # makes the header three units long


def literal(units: int) -> bytes:
    """L: a stored block's header; the next `units` units come out as they are."""
    return struct.pack("<BHH", 0, units * UNIT, units * UNIT ^ 0xFFFF)


def repeat() -> bytes:
    """R: the last four units again, as a fixed block with two copies of ten bytes from twenty bytes back."""
    copy = "0001000" + "01000" + "110"  # length 10 (code 264), distance 17 to 24 (code 8), and 3 more, low bit first
    return _packed("010" + copy + copy + "0000000")


def _packed(bits: str) -> bytes:
    """Bits in the order of the stream, low bit of each byte first."""
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0")[::-1], 2).to_bytes(-(-len(bits) // 8), "little")


def assembled(crc: int) -> bytes:
    """The file, with this checksum in its trailer."""
    head = b"\x1f\x8b\x08\x08" + bytes(4) + b"\x00\xff" + NAME
    end = _packed("0100000000" * 2 + "100") + b"\x00\x00\xff\xff"  # two empty blocks for their length, then the last
    one, four, again = literal(1), literal(4), repeat()
    tail = end + struct.pack("<II", crc, 0)
    ladder = [head, four, head, four, again, one, again, one, one, four, again, one, one, four, again]
    ladder += [four, again, four, again, four, again, four, again, tail, again, tail]
    size = sum(map(len, ladder))
    return b"".join(ladder).replace(tail, end + struct.pack("<II", crc, size))


def gzip_quine() -> bytes:
    """The file whose checksum is right. The CRC is linear, so the fixed point is 32 equations in 32 unknowns."""
    base = zlib.crc32(assembled(0))
    columns = [zlib.crc32(assembled(1 << bit)) ^ base ^ (1 << bit) for bit in range(32)]
    rows = []  # (the combination's image, the combination)
    answer, target = 0, base
    for bit, column in enumerate(columns):
        vector, combination = column, 1 << bit
        for image, parts in rows:
            if vector ^ image < vector:
                vector, combination = vector ^ image, combination ^ parts
        if vector:
            rows.append((vector, combination))
            rows.sort(reverse=True)
    for image, parts in rows:
        if target ^ image < target:
            target, answer = target ^ image, answer ^ parts
    return assembled(answer)
