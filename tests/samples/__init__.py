"""Samples for the tests: what must be found, and what must not.

Everything is built by code, from bytes, when it is asked for; no hostile file lies in the repository, and
nothing here imports the scanner. The hostile samples are harmless in effect: they name `os.system` with
`echo modelaudit-sample`, and nobody loads them.
"""

from collections.abc import Iterator

from tests.samples import (
    besides,
    broken,
    camouflage,
    code,
    combinators,
    compressed,
    containers,
    exhaustion,
    flaxfiles,
    gadgets_code,
    gadgets_files,
    gadgets_process,
    gguffiles,
    kerasattacks,
    lazy,
    manifestfiles,
    memo,
    names,
    numpyfiles,
    onnxfiles,
    opcodes,
    orbaxfiles,
    ordinary_files,
    ordinary_pickles,
    ordinary_science,
    ordinary_torch,
    resolvers,
    safetensorfiles,
    state,
    tartricks,
    tensorflowfiles,
    tflitefiles,
    torchfiles,
    unpacking,
    walks,
    wrappers,
    ziptricks,
)
from tests.samples.sample import Sample

__all__ = ["Sample", "hostile", "ordinary"]

HOSTILE = (
    gadgets_process,
    gadgets_code,
    gadgets_files,
    resolvers,
    walks,
    combinators,
    lazy,
    opcodes,
    memo,
    state,
    broken,
    code,
    torchfiles,
    camouflage,
    names,
    compressed,
    wrappers,
    containers,
    ziptricks,
    unpacking,
    tartricks,
    numpyfiles,
    safetensorfiles,
    gguffiles,
    kerasattacks,
    onnxfiles,
    tensorflowfiles,
    tflitefiles,
    exhaustion,
    manifestfiles,
    flaxfiles,
    orbaxfiles,
    besides,
)


def hostile() -> Iterator[Sample]:
    """Every hostile sample, family by family; bytes are built when `data` is read."""
    for family in HOSTILE:
        yield from family.hostile()


ORDINARY = (
    ordinary_pickles,
    ordinary_science,
    ordinary_torch,
    ordinary_files,
    gguffiles,
    kerasattacks,
    tflitefiles,
    onnxfiles,
    tensorflowfiles,
)


def ordinary() -> Iterator[Sample]:
    """Every ordinary sample; those of numpy, joblib, dill and cloudpickle need these when `data` is read."""
    for family in ORDINARY:
        yield from family.ordinary()
