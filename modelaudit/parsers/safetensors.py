"""The header of a safetensors file (https://github.com/huggingface/safetensors, format section).

Eight bytes little-endian header length, a JSON object, then the tensors' bytes. Only the header is read.

A header is decoded fast and then held against the number of its colons: each key has one, so keys that were
written twice, or that nobody asked for, are colons too many. Only then, or when the header is not of the strict
form that the reference reader takes, is it read again in a way that is ten times slower and keeps everything.
"""

import json
from collections.abc import Sequence

import msgspec

from modelaudit.blob import Blob, read
from modelaudit.errors import LimitExceeded, ParseError

HEADER_MOST_BYTES = 100_000_000  # the reference reader refuses longer headers
PREFIX_BYTES = 8

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_METADATA = "__metadata__"
_FIELDS = frozenset(("dtype", "shape", "data_offsets"))
_ADDRESSES = 1 << 64


class Tensor(msgspec.Struct, frozen=True, gc=False):
    """One entry: `begin` and `end` in bytes from the start of the data; `bytes_needed` by shape and dtype.

    `bytes_needed` is None for a dtype that is not known. `flaw` says what makes the entry no tensor; without
    `placed` it has no offsets either, with it no `shape`. `extra` is a key that the format does not know.
    """

    name: str
    dtype: str = ""
    begin: int = 0
    end: int = 0
    bytes_needed: int | None = None
    flaw: str | None = None
    placed: bool = True
    extra: str | None = None
    shape: tuple[int, ...] = ()


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the header says. `data_start` is where the tensors' bytes begin, in bytes from the file's start.

    `duplicates` are keys that were written more than once; `tensors` and `metadata` hold each of them.
    `flaws` are sentences about what is not as the format has it; `leading` and `padding` what is around the JSON.
    """

    length: int
    tensors: Sequence[Tensor]
    metadata: Sequence[tuple[str, object]]
    flaws: Sequence[str] = ()
    duplicates: Sequence[str] = ()
    leading: bytes = b""
    padding: bytes = b""

    @property
    def data_start(self) -> int:
        """First byte after the header."""
        return PREFIX_BYTES + self.length


class _Entry(msgspec.Struct, gc=False):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


_ENTRIES = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENTRY = msgspec.json.Decoder(_Entry)
_TEXTS = msgspec.json.Decoder(dict[str, str] | None)


class _Pairs(list[tuple[str, object]]):
    """An object of the JSON, in order and with every key that was written."""


def header_length(blob: Blob) -> int:
    """The declared length of the header in bytes. Raises `ParseError` when the prefix is not there."""
    prefix = read(blob, 0, PREFIX_BYTES)
    if len(prefix) < PREFIX_BYTES:
        raise ParseError("shorter than the eight bytes of the header's length", 0)
    return int.from_bytes(prefix, "little")


def parse(blob: Blob) -> Header:
    """Read the header. Raises `Missing`, `ParseError` (not a header), `LimitExceeded` (one too long)."""
    length = header_length(blob)
    if length > HEADER_MOST_BYTES:
        raise LimitExceeded("header_bytes", length, HEADER_MOST_BYTES)
    text = read(blob, PREFIX_BYTES, length)
    if len(text) < length:
        raise ParseError(f"the header ends at byte {PREFIX_BYTES + len(text)} of {PREFIX_BYTES + length}", len(text))
    body = text.rstrip(b"\0 \t\r\n")
    padding = text[len(body) :].strip(b" ")
    leading = body[: len(body) - len(body.lstrip())]
    return _fast(length, body, leading, padding) or _exact(length, body, leading, padding)


def _fast(length: int, body: bytes, leading: bytes, padding: bytes) -> Header | None:
    """The header, if it has what it should have and nothing else; None otherwise."""
    if b"\\u003" in body:
        return None  # a colon that is not written as one
    try:
        entries = _ENTRIES.decode(body)
        texts = _TEXTS.decode(entries[_METADATA]) or {} if _METADATA in entries else {}
        tensors = [
            _tensor(name, entry.dtype, entry.shape, entry.data_offsets)
            for name, entry in ((name, _ENTRY.decode(raw)) for name, raw in entries.items() if name != _METADATA)
        ]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    colons = len(entries) + len(texts) + len(_FIELDS) * len(tensors)
    colons += sum(key.count(":") + value.count(":") for key, value in texts.items())
    colons += sum(tensor.name.count(":") + tensor.dtype.count(":") for tensor in tensors)
    if body.count(b":") != colons:
        return None
    return Header(length=length, tensors=tensors, metadata=tuple(texts.items()), leading=leading, padding=padding)


def _exact(length: int, body: bytes, leading: bytes, padding: bytes) -> Header:
    """The header with all that is wrong in it. Raises `ParseError` when it is not even JSON."""
    try:
        top = json.loads(body.decode("utf-8"), object_pairs_hook=_Pairs)
    except RecursionError:
        raise ParseError("the header's JSON is nested too deep", PREFIX_BYTES) from None
    except ValueError as error:
        raise ParseError(f"the header is not JSON: {error}", PREFIX_BYTES) from None
    if not isinstance(top, _Pairs):
        raise ParseError("the header is not a JSON object", PREFIX_BYTES)
    duplicates = _duplicates(top)
    flaws: list[str] = []
    metadata: list[tuple[str, object]] = []
    tensors = []
    for name, entry in top:
        if isinstance(entry, _Pairs):
            duplicates += [f"{name}.{key}" for key in _duplicates(entry)]
        if name != _METADATA:
            tensors.append(_entry(name, entry))
        elif isinstance(entry, _Pairs):
            metadata += entry
            wrong = [key for key, value in entry if not isinstance(value, str)]
            flaws += [f"__metadata__ must map strings to strings: the value of {key!r} is none" for key in wrong[:1]]
        elif entry is not None:
            flaws.append("__metadata__ must map strings to strings: it is no object")
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        flaws.append(f"The header is JSON only for lenient readers: {error}")
    return Header(
        length=length,
        tensors=tensors,
        metadata=metadata,
        flaws=flaws,
        duplicates=duplicates,
        leading=leading,
        padding=padding,
    )


def _duplicates(pairs: _Pairs) -> list[str]:
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for name, _ in pairs:
        if name in seen:
            twice[name] = None
        seen.add(name)
    return list(twice)


def _entry(name: str, entry: object) -> Tensor:
    if not isinstance(entry, _Pairs):
        return Tensor(name, flaw="it is no object", placed=False)
    fields = dict(entry)
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not isinstance(dtype, str):
        return Tensor(name, flaw="it has no dtype", placed=False)
    if not isinstance(shape, list) or not all(_integer(size) for size in shape):
        return Tensor(name, dtype, flaw="its shape is no list of sizes", placed=False)
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_integer(place) for place in offsets):
        return Tensor(name, dtype, flaw="its data_offsets are no two offsets", placed=False)
    return _tensor(name, dtype, shape, (offsets[0], offsets[1]), min(fields.keys() - _FIELDS, default=None))


def _tensor(name: str, dtype: str, shape: list[int], offsets: tuple[int, int], extra: str | None = None) -> Tensor:
    begin, end = offsets
    if not (0 <= begin < _ADDRESSES and 0 <= end < _ADDRESSES):
        return Tensor(name, dtype, flaw="its data_offsets are no two offsets", placed=False, extra=extra)
    count = 1
    for size in shape:
        count *= size
        if size < 0 or size >= _ADDRESSES or count >= _ADDRESSES:
            return Tensor(name, dtype, begin, end, flaw="its shape is no shape that memory can hold", extra=extra)
    bits = DTYPE_BITS.get(dtype)
    if bits is None:
        return Tensor(name, dtype, begin, end, extra=extra)
    if count * bits % 8:
        return Tensor(name, dtype, begin, end, flaw="its elements do not fill whole bytes", extra=extra)
    return Tensor(name, dtype, begin, end, count * bits // 8, extra=extra, shape=tuple(shape))


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
