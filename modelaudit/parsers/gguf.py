"""The header of a GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 1 to 3.

Magic, version, two counts, key-value pairs, descriptions of tensors; then, aligned, the tensors' bytes, which are
never read. Numbers are little-endian, or big-endian when only so the version makes sense; version 1 has lengths of
four bytes where later ones have eight.

A vocabulary is an array of hundreds of thousands of strings, and where each ends is known from its length alone. So
they are walked one by one, over windows that are asked for in large pieces; arrays of numbers are stepped over.
A header that breaks off is given as far as it goes, because readers use what stands before the break.
"""

import re
import struct

import msgspec

from modelaudit.blob import Blob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits

MAGIC = b"GGUF"
STRING, ARRAY, BOOL = 8, 9, 7
UINT8, INT8, UINT32, INT32, FLOAT32 = 0, 1, 4, 5, 6
KINDS = ("u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64")
KIND_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "B", 10: "Q", 11: "q", 12: "d"}

# ggml's types: (elements in a block, bytes of a block), by number. Source: ggml.h and gguf-py's GGML_QUANT_SIZES.
# 31–33 and 36–38 were repacked forms of Q4_0 and IQ4_NL that files of 2024 still have.
TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66),
    17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136),
    24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 31: (32, 18), 32: (32, 18),
    33: (32, 18), 34: (256, 54), 35: (256, 66), 36: (32, 18), 37: (32, 18), 38: (32, 18), 39: (32, 17), 40: (64, 36),
    41: (128, 18),
}  # fmt: skip

LENGTH_MOST = 1 << 30  # bytes of a string and elements of an array: what llama.cpp takes
TOKENS = "tokenizer.ggml.tokens"
_KEY_BYTES_MOST = 1 << 16  # by the specification a key is shorter
_DIMENSIONS_MOST = 64  # far beyond ggml's 4; more are not read
_ENTRIES_MOST = 1 << 17  # pairs; real files have below 100
_TENSORS_MOST = 1 << 20  # the largest real file has some 70,000
_ARRAY_DEPTH = 4  # arrays in arrays; llama.cpp takes none at all
_ADDRESSES = 1 << 64
_PIECE_BYTES = (64 << 10, 1 << 20)  # least and most of one window: small headers cost little, large ones few rounds
_STRINGS_BYTES = 16 << 20  # most of one window over an array of strings, whose size can be foretold
_STRING_BYTES = 14  # foretold of a string that has not been seen: length and six characters
_TENSOR_BYTES = 80  # foretold of a tensor's description


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One key-value pair. `offset` and `length` (bytes) are those of the value itself, without its own prefixes.

    `element` and `count` are those of an array; `value` is a number's. `longest` is the longest string of an array.
    """

    key: str
    kind: int
    offset: int
    length: int
    value: int | float | None = None
    element: int = -1
    count: int = 0
    longest: int = 0


class Tensor(msgspec.Struct, frozen=True, gc=False):
    """One tensor. `begin` is in bytes from the start of the data; `bytes_needed` None for a type that is not known.

    `bytes_needed` is not reduced modulo anything: it may be larger than any file.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    begin: int
    bytes_needed: int | None
    offset: int


class Stop(msgspec.Struct, frozen=True):
    """Why a header could not be read to its end. `what` is `truncated`, `malformed`, `length`, `version` or `limit`."""

    what: str
    message: str
    offset: int
    claimed: int = 0


class Header(msgspec.Struct):
    """What was read, up to `end` (bytes). `byte_tokens` are tokens that look like a byte's and are none."""

    version: int = 0
    big_endian: bool = False
    tensors_claimed: int = 0
    entries_claimed: int = 0
    entries: list[Entry] = msgspec.field(default_factory=list)
    tensors: list[Tensor] = msgspec.field(default_factory=list)
    byte_tokens: list[bytes] = msgspec.field(default_factory=list)
    end: int = 0
    stop: Stop | None = None

    def get(self, key: str) -> Entry | None:
        """The first pair with this key: llama.cpp and gguf-py take that one, where they take the file at all."""
        return next((entry for entry in self.entries if entry.key == key), None)

    @property
    def alignment(self) -> int:
        """Bytes to which tensors are aligned; 32 unless the file has a usable `general.alignment`."""
        entry = self.get("general.alignment")
        value = entry.value if entry is not None else None
        return value if isinstance(value, int) and value > 0 and value & (value - 1) == 0 else 32

    @property
    def data_start(self) -> int:
        """Where the tensors' bytes begin."""
        return -(-self.end // self.alignment) * self.alignment


class _Halt(Exception):
    """Ends the reading; never leaves this module."""

    def __init__(self, what: str, message: str, offset: int, claimed: int = 0) -> None:
        super().__init__(message)
        self.stop = Stop(what, message, offset, claimed)


def byte_order(blob: Blob) -> str | None:
    """`<` or `>`, by the version behind the magic; None when this is no GGUF."""
    head = bytes(blob.view(0, 8))
    if len(head) < 8 or not head.startswith(MAGIC):
        return None
    if 0 < int.from_bytes(head[4:], "little") < 1 << 16:
        return "<"
    return ">" if 0 < int.from_bytes(head[4:], "big") < 1 << 16 else None


def parse(blob: Blob, limits: Limits) -> Header:
    """Read the header, as far as it makes sense. Raises `Missing`; `ParseError` when this is no GGUF."""
    order = byte_order(blob)
    if order is None:
        raise ParseError("no GGUF header", 0)
    header = Header(big_endian=order == ">")
    reader = _Reader(blob, limits, order)
    try:
        reader.read(header)
    except _Halt as halt:
        header.stop = halt.stop
    except LimitExceeded as limit:
        header.stop = Stop("limit", str(limit), reader.position, limit.asked)
    header.byte_tokens = reader.byte_tokens
    return header


def strings(blob: Blob, header: Header, entry: Entry, most: int, most_bytes: int) -> list[bytes]:
    """The first `most` strings of an array of them, those of more than `most_bytes` left out. Raises `Missing`."""
    width = 4 if header.version == 1 else 8
    order = "big" if header.big_endian else "little"
    found, place, end = [], entry.offset, entry.offset + entry.length
    for _ in range(min(entry.count, most)):
        length = int.from_bytes(blob.view(place, width), "big" if order == "big" else "little")
        if place + width + length > end:
            break
        if length <= most_bytes:
            found.append(bytes(blob.view(place + width, length)))
        place += width + length
    return found


class _Reader:
    """A window over the blob that moves forwards. `position` is where the next value stands, in bytes."""

    def __init__(self, blob: Blob, limits: Limits, order: str) -> None:
        self._blob, self._limits, self._order = blob, limits, order
        self._size = blob.size
        self._base = 0
        self._window = blob.view(0, limits.head_bytes)
        self._read_bytes = len(self._window)
        self._length = struct.Struct(order + "Q")
        self._bad_byte = re.compile(b"")
        self._nested = 0
        self.position = 0
        self.byte_tokens: list[bytes] = []

    def read(self, header: Header) -> None:
        """Fill `header`."""
        self.position = len(MAGIC)
        header.version = self._number("I")
        if header.version > 3:
            raise _Halt("version", f"version {header.version} is not known", 4)
        if header.version == 1:
            self._length = struct.Struct(self._order + "I")
        six = re.escape(self._length.pack(6))
        self._bad_byte = re.compile(six + rb"(<0x(?![0-9A-Fa-f]{2}>)[^>]{2}>)", re.DOTALL)
        count = "I" if header.version == 1 else "Q"
        header.tensors_claimed, header.entries_claimed = self._number(count), self._number(count)
        self._check_count("tensors", header.tensors_claimed, self._length.size + 20, _TENSORS_MOST)
        self._check_count("keys", header.entries_claimed, self._length.size + 5, _ENTRIES_MOST)
        for _ in range(header.entries_claimed):
            header.entries.append(self._entry())
            header.end = self.position
        self._ahead(header.tensors_claimed * _TENSOR_BYTES)
        for _ in range(header.tensors_claimed):
            header.tensors.append(self._tensor(header.version))
            header.end = self.position
        header.end = self.position

    # --- the window ---------------------------------------------------------------------------------------

    def _ahead(self, wanted: int = 0) -> None:
        """Move the window to the position; ask for `wanted` bytes and more, in one piece."""
        least, most = _PIECE_BYTES
        piece = max(min(wanted, _STRINGS_BYTES), min(max(self.position, least), most))
        here = self._base + len(self._window) - self.position
        if here >= piece or self.position + here >= self._size > self.position:
            return
        self._read_bytes += piece
        if self._read_bytes > self._limits.header_bytes:
            raise LimitExceeded("header_bytes", self._read_bytes, self._limits.header_bytes)
        self._base = self.position
        self._window = self._blob.view(self.position, piece)

    def _take(self, count: int) -> int:
        """Step over `count` bytes, which are in the window afterwards; where in it they begin."""
        place = self.position - self._base
        if place + count > len(self._window):
            if self.position + count > self._size:
                raise _Halt("truncated", f"the file ends inside its header, at byte {self._size}", self.position)
            self._ahead(count)
            place = self.position - self._base
        self.position += count
        return place

    def _number(self, code: str) -> int:
        width = struct.calcsize("<" + code)
        place = self._take(width)
        value: int = struct.unpack_from(self._order + code, self._window, place)[0]
        return value

    def _long(self) -> int:
        """A length or count of the width that the version has."""
        place = self._take(self._length.size)
        value: int = self._length.unpack_from(self._window, place)[0]
        return value

    def _check_count(self, things: str, count: int, least_bytes: int, most: int) -> None:
        """Refuse a count that the file has no room for: loaders that trust it allocate by it."""
        if count > (self._size - self.position) // least_bytes:
            what = "truncated" if count <= most else "length"
            raise _Halt(what, f"{count} {things} in a file of {self._size} bytes", self.position, count)
        if count > most:
            raise _Halt("limit", f"{count} {things}, at most {most} are read", self.position, count)

    def _room(self, count: int, width: int, thing: str) -> int:
        """`count` times `width`, if so many bytes are left."""
        if count * width > self._size - self.position:
            what = "length" if count > LENGTH_MOST else "truncated"
            unit = "bytes" if thing == "string" else "elements"
            raise _Halt(what, f"a {thing} of {count} {unit} in a file of {self._size} bytes", self.position, count)
        return count * width

    def _text(self, most: int) -> str:
        length = self._long()
        self._room(length, 1, "string")
        if length > most:
            raise _Halt("malformed", f"a name of {length} bytes", self.position, length)
        place = self._take(length)
        return bytes(self._window[place : place + length]).decode("utf-8", "backslashreplace")

    # --- pairs --------------------------------------------------------------------------------------------

    def _entry(self) -> Entry:
        key = self._text(_KEY_BYTES_MOST)
        kind = self._kind()
        if kind == STRING:
            length = self._long()
            offset = self.position
            self.position += self._room(length, 1, "string")
            return Entry(key, kind, offset, length)
        if kind == ARRAY:
            return self._array(key, 0)
        place = self._take(KIND_BYTES[kind])
        value = struct.unpack_from(self._order + _CODES[kind], self._window, place)[0]
        return Entry(key, kind, self.position - KIND_BYTES[kind], KIND_BYTES[kind], value)

    def _kind(self) -> int:
        kind = self._number("I")
        if kind >= len(KINDS):
            raise _Halt("malformed", f"value type {kind} does not exist", self.position - 4)
        return kind

    def _array(self, key: str, depth: int) -> Entry:
        element = self._kind()
        count = self._long()
        offset, longest = self.position, 0
        if element == STRING:
            self._room(count, self._length.size, "array")
            longest = self._strings(count, key == TOKENS)
        elif element == ARRAY:
            if depth >= _ARRAY_DEPTH:
                raise _Halt("malformed", f"arrays nested deeper than {_ARRAY_DEPTH}", self.position)
            self._room(count, self._length.size + 4, "array")
            self._nested += count
            if self._nested > _ENTRIES_MOST:
                raise _Halt("limit", f"{self._nested} arrays in arrays", self.position, self._nested)
            for _ in range(count):
                self._array(key, depth + 1)
        else:
            self.position += self._room(count, KIND_BYTES[element], "array")
        return Entry(key, ARRAY, offset, self.position - offset, None, element, count, longest)

    def _strings(self, count: int, tokens: bool) -> int:
        """Step over `count` strings; the length of the longest."""
        unpack, width, longest, done = self._length.unpack_from, self._length.size, 0, 0
        start = self.position
        while done < count:
            seen = (self.position - start) / done if done else _STRING_BYTES
            if self.position - self._base + width > len(self._window):
                self._ahead(int(seen * (count - done) * 1.05))
            window, begin = self._window, self.position - self._base
            place, end = begin, len(window) - width
            while done < count and place <= end:
                length = unpack(window, place)[0]
                place += width + length
                longest = max(longest, length)
                done += 1
            self.position = self._base + place
            if self.position > self._size or (done < count and self.position + width > self._size):
                self.position = self._base + begin
                what = "length" if longest > LENGTH_MOST else "truncated"
                raise _Halt(what, f"a string of {longest} bytes in a file of {self._size} bytes", start, longest)
            if tokens:
                self._look_for_bytes(begin, place)
        return longest

    def _look_for_bytes(self, begin: int, end: int) -> None:
        """Tokens such as `<0x-1>`, which a tokenizer takes for a byte's and uses as an index (llama.cpp #25969)."""
        for found in self._bad_byte.finditer(self._window[begin:end]):
            if len(self.byte_tokens) < 16:
                self.byte_tokens.append(bytes(found[1]))

    # --- tensors ------------------------------------------------------------------------------------------

    def _tensor(self, version: int) -> Tensor:
        offset = self.position
        name = self._text(_KEY_BYTES_MOST)
        rank = self._number("I")
        if rank > _DIMENSIONS_MOST:
            raise _Halt("length", f"a tensor of {rank} dimensions", self.position - 4, rank)
        code, width = ("I", 4) if version == 1 else ("Q", 8)
        place = self._take(rank * width)
        shape = struct.unpack_from(f"{self._order}{rank}{code}", self._window, place)
        kind = self._number("I")
        begin = self._number("Q")
        return Tensor(name, shape, kind, begin, _bytes_needed(shape, kind), offset)


def _bytes_needed(shape: tuple[int, ...], kind: int) -> int | None:
    if kind not in TYPES:
        return None
    elements = 1
    for size in shape:
        elements *= size
    block, block_bytes = TYPES[kind]
    return -(-elements // block) * block_bytes


def overflows(tensor: Tensor) -> bool:
    """Whether the product of the dimensions, or the bytes, are more than a signed 64-bit number holds."""
    elements = 1
    for size in tensor.shape:
        elements *= size
        if size >= _ADDRESSES >> 1 or elements >= _ADDRESSES >> 1:
            return True
    # ggml multiplies the elements of a row by the bytes of a block before it divides (llama.cpp #27200)
    return elements * TYPES.get(tensor.type, (1, 1))[1] >= _ADDRESSES >> 1
