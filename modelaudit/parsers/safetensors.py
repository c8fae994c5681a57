"""The header of a safetensors file (https://github.com/huggingface/safetensors, format section).

Eight bytes little-endian header length, a JSON object, then the tensors' bytes. Only the header is read.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelaudit.blob import Blob, read
from modelaudit.errors import LimitExceeded, ParseError

HEADER_MOST_BYTES = 100_000_000  # the reference reader refuses longer headers
PREFIX_BYTES = 8

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry: `begin` and `end` in bytes from the start of the data; `bytes_needed` by shape and dtype.

    `bytes_needed` is None for a dtype that is not known; `flaw` says what makes the entry no tensor at all.
    """

    name: str
    dtype: str
    begin: int
    end: int
    bytes_needed: int | None
    flaw: str | None = None


@dataclass(frozen=True, slots=True)
class Header:
    """What the header says. `data_start` is where the tensors' bytes begin, in bytes from the file's start."""

    length: int
    tensors: Sequence[Tensor]
    metadata: dict[str, object]
    metadata_flaw: str | None
    duplicates: Sequence[str]
    leading: str
    padding: bytes

    @property
    def data_start(self) -> int:
        """First byte after the header."""
        return PREFIX_BYTES + self.length


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
    try:
        top = json.loads(body.decode("utf-8"), object_pairs_hook=_Pairs)
    except RecursionError:
        raise ParseError("the header's JSON is nested too deep", PREFIX_BYTES) from None
    except ValueError as error:
        raise ParseError(f"the header is not JSON: {error}", PREFIX_BYTES) from None
    if not isinstance(top, _Pairs):
        raise ParseError("the header is not a JSON object", PREFIX_BYTES)
    return _header(length, top, text, body)


def _header(length: int, top: _Pairs, text: bytes, body: bytes) -> Header:
    duplicates = _duplicates(top)
    metadata: dict[str, object] = {}
    flaw = None
    tensors = []
    for name, entry in top:
        if isinstance(entry, _Pairs) and name != "__metadata__":
            duplicates += [f"{name}.{key}" for key in _duplicates(entry)]
        if name != "__metadata__":
            tensors.append(_tensor(name, entry))
        elif isinstance(entry, _Pairs):
            duplicates += [f"__metadata__.{key}" for key in _duplicates(entry)]
            metadata |= dict(entry)
            wrong = [key for key, value in entry if not isinstance(value, str)]
            flaw = f"the value of {wrong[0]!r} is no string" if wrong else flaw
        else:
            flaw = "it is no object"
    leading = body[: len(body) - len(body.lstrip())].decode("latin-1")
    return Header(length, tensors, metadata, flaw, duplicates, leading, text[len(body) :].strip(b" "))


def _duplicates(pairs: _Pairs) -> list[str]:
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for name, _ in pairs:
        if name in seen:
            twice[name] = None
        seen.add(name)
    return list(twice)


def _tensor(name: str, entry: object) -> Tensor:
    if not isinstance(entry, _Pairs):
        return Tensor(name, "", 0, 0, None, "it is no object")
    fields = dict(entry)
    dtype, shape, offsets = fields.get("dtype"), fields.get("shape"), fields.get("data_offsets")
    if not isinstance(dtype, str):
        return Tensor(name, "", 0, 0, None, "it has no dtype")
    if not isinstance(shape, list) or not all(_natural(size) for size in shape):
        return Tensor(name, dtype, 0, 0, None, "its shape is no list of sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_natural(place) for place in offsets):
        return Tensor(name, dtype, 0, 0, None, "its data_offsets are no two offsets")
    extra = fields.keys() - {"dtype", "shape", "data_offsets"}
    if extra:
        return Tensor(name, dtype, offsets[0], offsets[1], None, f"it has the unknown key {min(extra)!r}")
    bits = DTYPE_BITS.get(dtype)
    needed = None
    if bits is not None:
        count = 0 if 0 in shape else math.prod(shape)
        if count >= 1 << 64:
            return Tensor(name, dtype, offsets[0], offsets[1], None, "its shape is larger than any address")
        needed = (count * bits + 7) // 8
    return Tensor(name, dtype, offsets[0], offsets[1], needed)


def _natural(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64
