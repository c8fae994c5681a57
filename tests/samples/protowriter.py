"""Writes the wire format of protocol buffers: fields of a number, of bytes, and what no honest writer writes."""


def varint(value: int, length: int = 1) -> bytes:
    """`value` in at least `length` bytes."""
    written = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F or len(written) + 1 < length:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def number(field: int, value: int) -> bytes:
    """A varint; negative ones as an int64."""
    return varint(field << 3) + varint(value)


def text(field: int, payload: str | bytes, claimed: int | None = None) -> bytes:
    """Bytes, a string or a message, of the length that it claims."""
    payload = payload.encode() if isinstance(payload, str) else payload
    return varint(field << 3 | 2) + varint(len(payload) if claimed is None else claimed) + payload


def pair(field: int, key: str, value: str | bytes) -> bytes:
    """An entry of a map of strings, or one of ONNX's pairs."""
    return text(field, text(1, key) + text(2, value))


def group(field: int, inside: bytes = b"", end: int | None = None) -> bytes:
    """A group; `end` is the number that ends it."""
    return varint(field << 3 | 3) + inside + varint((field if end is None else end) << 3 | 4)
