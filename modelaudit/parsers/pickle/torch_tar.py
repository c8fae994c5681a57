"""The raw bytes between the pickles of PyTorch's tar archives, which `torch.load` still reads.

The member `storages` has, for each storage, a pickle of (key, location, class), the number of elements in eight bytes
and the elements; the member `tensors` has, for each tensor, a pickle of (key, storage, class), the number of
dimensions in eight bytes of which four count, sizes, strides and an offset of eight bytes each.
Source: torch/serialization.py, `_legacy_load`.
"""

from typing import Final

from modelaudit.blob import Blob
from modelaudit.parsers.pickle.values import Global, Value

# Bytes of one element of the storages that legacy torch streams name.
ELEMENT_BYTES: Final = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1,
    "Bool": 1, "ComplexDouble": 16, "ComplexFloat": 8, "QUInt8": 1, "QInt8": 1, "QInt32": 4, "QUInt4x2": 1,
    "QUInt2x4": 1, "Untyped": 1,
}  # fmt: skip


def kind(result: Value) -> str:
    """The class behind whose pickle raw bytes stand, as in `FloatStorage` or `FloatTensor`; empty for other results."""
    last = result[2] if isinstance(result, tuple) and len(result) == 3 else None
    if not isinstance(last, Global) or not last.module.startswith("torch"):
        return ""
    return last.name if last.name.endswith(("Storage", "Tensor")) else ""


def raw_bytes(blob: Blob, place: int, kind: str) -> int:
    """How many raw bytes stand at `place`, behind the pickle of an object of class `kind`; 0 when they do not fit."""
    count = int.from_bytes(blob.view(place, 8), "little")
    if kind.endswith("Tensor"):
        length = 16 + 16 * (count & 0xFFFFFFFF)
    else:
        length = 8 + count * ELEMENT_BYTES.get(kind.removesuffix("Storage"), 0)
    return length if place + length <= blob.size else 0
