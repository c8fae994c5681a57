"""Which of many numbers stand out. The bounds are set so that ordinary training hardly ever crosses them.

Heavy tails are ordinary: a z-score alone fires on most trained layers. What stands out must also be many times the
median, be few, and have a gap below it.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Protocol, TypeVar

import msgspec

OUTPUTS_LEAST = 8  # fewer have no distribution
LAYERS_LEAST = 6
_RATIO = 20.0  # to the median
_GAP = 3.0  # to the next smaller one
_Z = 12.0
_Z_RATIOS = 6.0
_SHARE = 0.01  # of the outputs; what is more is no outlier but another kind
_NORMAL = 1.4826  # the median absolute deviation of a normal distribution, as a share of its standard deviation
_SPREAD_LEAST = 0.05  # of the median: normalised layers have hardly any spread, and no outliers for it
_BINS = 16


class Outliers(msgspec.Struct, frozen=True):
    """The `places` that stand out, worst first; `z` and `ratio` are those of the mildest of them.

    `histogram` counts in bins of equal ratio from `histogram_from` to `histogram_to`; zeros are in the first.
    """

    places: tuple[int, ...]
    median: float
    mad: float
    z: float
    ratio: float
    largest: float
    histogram: tuple[int, ...]
    histogram_from: float
    histogram_to: float


class Measured(Protocol):
    """A layer of `modelaudit.weights.reading`."""

    @property
    def rms(self) -> float:
        """Root mean square."""

    @property
    def name(self) -> str:
        """What the tensor is called."""


M = TypeVar("M", bound=Measured)


def neurons(rms: Sequence[float]) -> Outliers | None:
    """The outputs that weigh many times what the others do."""
    if len(rms) < OUTPUTS_LEAST:
        return None
    return _outliers(rms, max(1, int(len(rms) * _SHARE)))


def layers(measured: Sequence[M]) -> list[tuple[M, str, Outliers]]:
    """The layers that weigh many times what layers of the same kind do: those whose names differ in numbers only."""
    groups: dict[str, list[M]] = defaultdict(list)
    for layer in measured:
        groups[re.sub(r"\d+", "#", layer.name)].append(layer)
    found = []
    for kind, group in groups.items():
        if len(group) >= LAYERS_LEAST:
            outliers = _outliers([layer.rms for layer in group], 1)
            if outliers is not None:
                found += [(group[place], kind, outliers) for place in outliers.places]
    return found


def _median(values: Iterable[float]) -> float:
    """As `statistics.median`, a module that takes longer to load than most scans take."""
    order = sorted(values)
    half = len(order) // 2
    return order[half] if len(order) % 2 else (order[half - 1] + order[half]) / 2


def _outliers(values: Sequence[float], most: int) -> Outliers | None:
    middle = _median(values)
    largest = max(values)
    if middle <= 0 or largest < _RATIO * middle:
        return None
    mad = _median(abs(value - middle) for value in values)
    spread = max(_NORMAL * mad, _SPREAD_LEAST * middle)
    # The same in ratios: where outputs differ by factors from the start, a larger factor is no wonder.
    usual = _NORMAL * _median(abs(math.log(value / middle)) for value in values if value > 0)
    least = max(_RATIO * middle, middle + _Z * spread, middle * math.exp(min(_Z_RATIOS * usual, 700)))
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)[: most + 1]
    count = 0
    for number, (above, below) in enumerate(pairwise(order), 1):
        if values[above] < least:
            break
        if values[above] >= _GAP * values[below]:
            count = number
    if not count:
        return None
    mildest = values[order[count - 1]]
    low, histogram = _histogram(values, largest)
    return Outliers(
        places=tuple(order[:count]),
        median=middle,
        mad=mad,
        z=(mildest - middle) / spread,
        ratio=mildest / middle,
        largest=largest,
        histogram=histogram,
        histogram_from=low,
        histogram_to=largest,
    )


def _histogram(values: Sequence[float], high: float) -> tuple[float, tuple[int, ...]]:
    """The lower end, and how many of `values` are in each bin up to `high`."""
    low = max(min(values), high / 1e6)
    step = math.log(high / low) / _BINS
    counts = [0] * _BINS
    for value in values:
        counts[min(_BINS - 1, int(math.log(max(value, low) / low) / step))] += 1
    return low, tuple(counts)
