"""Tensors from bytes to one number an output, piece by piece. Imported only when numpy is loaded."""

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from modelaudit.blob import Blob
from modelaudit.limits import MIB
from modelaudit.model import Weights

Floats = npt.NDArray[np.float64]
_PIECE_BYTES = 1 * MIB  # a piece and what is computed from it stay in the caches and below 10 MiB of memory


class Layer(msgspec.Struct, frozen=True):
    """One tensor: the root mean square of its numbers, and how many of them are none."""

    weights: Weights
    rms: float
    nans: int
    infinities: int

    @property
    def name(self) -> str:
        """What the tensor is called."""
        return self.weights.name


class _Sums:
    """What is kept while a tensor is read: one number an output."""

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.squares: Floats = np.zeros(weights.outputs)
        self.nans = 0
        self.infinities = 0

    def numbers(self, piece: memoryview) -> Floats:
        """The numbers of `piece`; those that are none are counted, and 0."""
        kind = self.weights.dtype
        if kind[1:] == "bf16":
            wide = np.frombuffer(piece, dtype=kind[0] + "u2").astype(np.uint32) << np.uint32(16)
            values = wide.view(np.float32).astype(np.float64)
        else:
            values = np.frombuffer(piece, dtype=kind).astype(np.float64)
        finite = np.isfinite(values)
        if not finite.all():
            nans = int(np.isnan(values).sum())
            self.nans += nans
            self.infinities += int(values.size - finite.sum()) - nans
            values[~finite] = 0.0
        return values


def measure(blob: Blob, weights: Weights) -> tuple[Layer, list[float]]:
    """The layer as a whole, and the root mean square of what each output weighs its inputs by. Raises `Missing`."""
    sums = _Sums(weights)
    with np.errstate(all="ignore"):
        for outputs, values in _pieces(blob, sums):
            squares = values * values
            if weights.is_inner:  # a column an output
                sums.squares[outputs] += squares.sum(axis=0)
            else:
                sums.squares[outputs] += squares.sum(axis=1)
        inputs = max(1, weights.count // weights.outputs)
        rms = np.sqrt(np.minimum(sums.squares / inputs, np.finfo(np.float64).max))
        whole = float(np.sqrt(np.mean(np.minimum(rms, 1e150) ** 2)))
    return Layer(weights, whole, sums.nans, sums.infinities), rms.tolist()


def _pieces(blob: Blob, sums: _Sums) -> Iterator[tuple[slice, Floats]]:
    """The numbers in bounded pieces of two dimensions, each with the outputs that it is part of.

    In memory the tensor is a matrix of which each row, or with `is_inner` each column, belongs to one output.
    """
    weights = sums.weights
    wide = weights.outputs if weights.is_inner else weights.count // weights.outputs
    high = weights.count // wide
    width = weights.item_bytes
    columns = min(wide, max(1, _PIECE_BYTES // width))
    rows = max(1, _PIECE_BYTES // (wide * width)) if columns == wide else 1
    for top in range(0, high, rows):
        tall = min(rows, high - top)
        for left in range(0, wide, columns):
            across = min(columns, wide - left)
            piece = blob.view(weights.offset + (top * wide + left) * width, tall * across * width)
            if len(piece) < tall * across * width:
                return  # packed bytes that end before they should; the scan has said so
            values = sums.numbers(piece).reshape(tall, across)
            yield (slice(left, left + across) if weights.is_inner else slice(top, top + tall)), values
