"""Weights that stand out from the weights around them: planted neurons and layers, and numbers that are none.

A backdoor that is written into weights by hand, or tuned into a few of them, needs outputs that drown the others.
Ordinary training makes hardly any such; nothing here proves one, so all of it is information. Statistics are robust
(median and median absolute deviation): what is planted cannot move them. Tensors are read in pieces.

numpy is imported when the first tensor is read, never before.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from modelaudit.blob import Blob, RootBlob
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Evidence, Hit, License, Note, Weights, WeightsMode
from modelaudit.weights.judging import Outliers, layers, neurons
from modelaudit.weights.language import is_language_model

if TYPE_CHECKING:
    from modelaudit.weights.reading import Layer

NEEDS = ("numpy", "modelaudit.weights.reading")  # a cage lets nothing be imported later
Item = Asset | Child | Hit | License | Note
Mode = WeightsMode
Yielded = Item | Weights  # what scanners yield
_TOLD = 20  # hits of one rule and one file
_NAMED = 20  # neurons in one hit


class Ration:
    """What of one object, the blob `root`, may be read for its weights. `require` sees to it that modules are loaded.

    `off` is nothing, `on` everything up to `Limits.weights_bytes`. `auto` reads what is here and small, up to
    `Limits.weights_auto_bytes`, and no language model: theirs are large, and their outliers are ordinary.
    """

    def __init__(self, mode: WeightsMode, limits: Limits, root: Blob, require: Callable[[Sequence[str]], None]) -> None:
        whole = root.is_whole if isinstance(root, RootBlob) else True
        self._require = require
        self._mode: WeightsMode = "off" if mode == "auto" and not whole else mode
        self._left = limits.weights_bytes if mode == "on" else limits.weights_auto_bytes
        self._limits = limits

    def read(self, items: Iterator[Yielded], blob: Blob) -> Iterator[Item]:
        """`items` of a scanner, and in place of the weights among them what stands out in those.

        Weights that are not here are asked for in one round. Raises `Missing`.
        """
        found: list[Weights] = []
        for item in items:
            if not isinstance(item, Weights):
                yield item
            elif len(found) < self._limits.weights_tensors:
                found.append(item)
        wanted, note = self._wanted(found, blob.size) if found else ([], None)
        if note is not None:
            yield note
        if wanted:
            blob.require([(one.offset, one.length) for one in wanted])
            self._require(NEEDS)
            yield from analyse(blob, wanted)

    def _wanted(self, found: Sequence[Weights], size: int) -> tuple[list[Weights], Note | None]:
        """Those of `found`, in a blob of `size` bytes, that are to be read, and a note if some are left out.

        What is read counts from then on.
        """
        if self._mode == "off":
            return [], None
        if self._mode == "auto" and is_language_model(found):
            return [], None
        usable = [one for one in found if _is_usable(one, size, self._limits.weights_outputs)]
        total = sum(one.length for one in usable)
        if total <= self._left:
            self._left -= total
            return usable, None
        if self._mode == "auto":
            return [], None
        chosen: list[Weights] = []
        for one in usable:
            if one.length <= self._left:
                self._left -= one.length
                chosen.append(one)
        left_out = len(usable) - len(chosen)
        allowed = self._limits.weights_bytes
        message = f"the weights of {left_out} tensors were not read: {allowed} bytes allowed"
        return chosen, Note("weights_bytes", message)


def _is_usable(one: Weights, size: int, outputs_most: int) -> bool:
    inside = 0 <= one.offset <= size and one.length <= size - one.offset
    return inside and one.is_sane and one.outputs <= outputs_most


def analyse(blob: Blob, found: Sequence[Weights]) -> Iterator[Hit]:
    """What stands out among `found`. numpy must be loaded. Raises `Missing`."""
    from modelaudit.weights.reading import measure

    measured: list[Layer] = []
    told = 0
    odd: list[Layer] = []
    for one in found:
        layer, rms = measure(blob, one)
        measured.append(layer)
        if (layer.nans or layer.infinities) and not one.is_data:
            odd.append(layer)
        outliers = neurons(rms)
        if outliers is not None and told < _TOLD:
            told += 1
            yield Hit("weights-outlier-neurons", one.offset, _neurons(one, outliers))
    yield from _layers(measured)
    if odd:
        evidence: Evidence = {
            "tensor": odd[0].weights.name,
            "nans": sum(layer.nans for layer in odd),
            "infinities": sum(layer.infinities for layer in odd),
            "count": len(odd),
        }
        yield Hit("weights-not-finite", odd[0].weights.offset, evidence)


def _neurons(one: Weights, found: Outliers) -> Evidence:
    return {
        "tensor": one.name,
        "shape": "×".join(map(str, one.shape)),
        "outputs": one.outputs,
        "count": len(found.places),
        "first": found.places[0],
        "neurons": [str(place) for place in found.places[:_NAMED]],
        "share": short(len(found.places) / one.outputs),
        "median": short(found.median),
        "mad": short(found.mad),
        "z": short(found.z),
        "ratio": short(found.ratio),
        "largest": short(found.largest),
        "histogram": [str(count) for count in found.histogram],
        "histogram_from": short(found.histogram_from),
        "histogram_to": short(found.histogram_to),
    }


def _layers(measured: "Sequence[Layer]") -> Iterator[Hit]:
    for layer, group, found in layers(measured)[:_TOLD]:
        yield Hit(
            "weights-outlier-layer",
            layer.weights.offset,
            {
                "tensor": layer.weights.name,
                "kind": group,
                "layers": sum(found.histogram),
                "rms": short(layer.rms),
                "median": short(found.median),
                "mad": short(found.mad),
                "z": short(found.z),
                "ratio": short(layer.rms / found.median),
                "histogram": [str(count) for count in found.histogram],
                "histogram_from": short(found.histogram_from),
                "histogram_to": short(found.histogram_to),
            },
        )


def short(value: float) -> float:
    """`value` to four digits, so that the order of additions does not show."""
    return float(f"{value:.4g}")
