"""Files in the shapes that libraries write, made without the libraries. Tensor bytes are holes: cheap to make."""

import io
import json
import pickle
import random
import struct
import sys
import types
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

_ALIGNMENT = 64  # PyTorch starts every member's bytes at a multiple of it
_ZEROS = bytes(1 << 20)
_WIDTHS = (64, 128, 192, 256, 320, 384, 512, 768, 1024)
_PARTS = ("attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj", "mlp.fc1", "mlp.fc2", "norm1", "norm2")


class Attack:
    """Pickles as a call of `function` with `arguments`. It is written, never loaded."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._call


def invent(module: str, *names: str) -> list[type]:
    """Empty classes that pickle as `module.name`, for libraries that are not installed."""
    made = []
    for depth in range(1, module.count(".") + 2):
        path = ".".join(module.split(".")[:depth])
        sys.modules.setdefault(path, types.ModuleType(path))
    for name in names:
        kind = type(name, (), {"__module__": module})
        setattr(sys.modules[module], name, kind)
        made.append(kind)
    return made


def layers(total_bytes: int) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of float32 tensors as a transformer has them, about `total_bytes` in all."""
    found: list[tuple[str, tuple[int, ...]]] = []
    width = next((w for w in reversed(_WIDTHS) if w * w * 4 * 12 <= total_bytes), _WIDTHS[0])
    left, block = total_bytes, 0
    while True:
        for part in _PARTS:
            shape: tuple[int, ...] = (width,) if "norm" in part else (width, width)
            if "mlp" in part:
                shape = (4 * width, width) if part.endswith("1") else (width, 4 * width)
            count = 4
            for side in shape:
                count *= side
            if count > left:
                rows = max(1, left // (4 * width))
                found.append(("head.weight", (rows, width)))
                return found
            found.append((f"blocks.{block}.{part}.weight", shape))
            left -= count
        block += 1


def _bytes_of(shape: Sequence[int]) -> int:
    count = 4
    for side in shape:
        count *= side
    return count


class _Storages(pickle.Pickler):
    """Writes `_Storage` values as persistent ids, as `torch.save` does."""

    def persistent_id(self, obj: Any) -> Any:
        return obj.key if isinstance(obj, _Storage) else None


class _Storage:
    def __init__(self, key: tuple[Any, ...]) -> None:
        self.key = key


class _Tensor:
    def __init__(self, rebuild: Any, storage: _Storage, shape: tuple[int, ...]) -> None:
        stride: list[int] = []
        step = 1
        for side in reversed(shape):
            stride.append(step)
            step *= side
        self._call: tuple[Any, tuple[Any, ...]] = (
            rebuild,
            (storage, 0, shape, tuple(reversed(stride)), False, OrderedDict()),
        )

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self._call


def state_dict_pickle(tensors: Sequence[tuple[str, tuple[int, ...]]], extra: dict[str, Any]) -> bytes:
    """`data.pkl` of a state dict of float32 tensors, protocol 2, with `extra` entries at its end."""
    (rebuild,) = invent("torch._utils", "_rebuild_tensor_v2")
    (kind,) = invent("torch", "FloatStorage")
    state: OrderedDict[str, Any] = OrderedDict()
    for index, (name, shape) in enumerate(tensors):
        storage = _Storage(("storage", kind, str(index), "cpu", _bytes_of(shape) // 4))
        state[name] = _Tensor(rebuild, storage, shape)
    state.update(extra)
    buffer = io.BytesIO()
    _Storages(buffer, protocol=2).dump(state)
    return buffer.getvalue()


class _TorchZip:
    """The zip that PyTorch writes: stored, streamed members with data descriptors, padded to 64 bytes, zip64 end."""

    def __init__(self, file: BinaryIO, root: str) -> None:
        self._file = file
        self._root = root
        self._directory: list[bytes] = []

    def add(self, name: str, data: bytes | int) -> None:
        """A member of these bytes, or of so many zeros (left as a hole in the file)."""
        path = f"{self._root}/{name}".encode()
        start = self._file.tell()
        padding = -(start + 30 + len(path) + 4) % _ALIGNMENT
        extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
        header = struct.pack("<4s5H3I2H", b"PK\x03\x04", 0, 0x0808, 0, 0, 0, 0, 0, 0, len(path), len(extra))
        self._file.write(header + path + extra)
        if isinstance(data, int):
            size, crc = data, _crc_of_zeros(data)
            self._file.seek(size, io.SEEK_CUR)
        else:
            size, crc = len(data), zlib.crc32(data)
            self._file.write(data)
        self._file.write(struct.pack("<4s3I", b"PK\x07\x08", crc, size, size))
        central = (b"PK\x01\x02", 0, 0, 0x0808, 0, 0, 0, crc, size, size, len(path), 0, 0, 0, 0, 0, start)
        self._directory.append(struct.pack("<4s6H3I5H2I", *central) + path)

    def close(self) -> None:
        start, count = self._file.tell(), len(self._directory)
        directory = b"".join(self._directory)
        size = len(directory)
        end64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 0x031E, 45, 0, 0, count, count, size, start)
        locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, start + size, 1)
        end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, size, start, 0)
        self._file.write(directory + end64 + locator + end)


def _crc_of_zeros(count: int) -> int:
    crc = 0
    while count:
        piece = min(count, len(_ZEROS))
        crc = zlib.crc32(memoryview(_ZEROS)[:piece], crc)
        count -= piece
    return crc


def write_torch(path: Path, rng: random.Random, total_bytes: int, extra: dict[str, Any] | None = None) -> None:
    """A `torch.save`d state dict of about `total_bytes`."""
    tensors = layers(total_bytes)
    with path.open("wb") as file:
        archive = _TorchZip(file, path.stem)
        archive.add("data.pkl", state_dict_pickle(tensors, extra or {}))
        archive.add(".format_version", b"1")
        archive.add(".storage_alignment", b"64")
        archive.add("byteorder", b"little")
        for index, (_, shape) in enumerate(tensors):
            archive.add(f"data/{index}", _bytes_of(shape))
        archive.add("version", b"3\n")
        archive.add(".data/serialization_id", b"%040d" % rng.randrange(10**40))
        archive.close()


def write_safetensors(path: Path, total_bytes: int) -> None:
    """A safetensors file of about `total_bytes`."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, shape in layers(total_bytes):
        end = place + _bytes_of(shape)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + place)


def npy(rng: random.Random, rows: int, columns: int) -> bytes:
    """A `.npy` file of random float32 numbers."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}"
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + rng.randbytes(4 * rows * columns)
