"""`python -m tests.fuzz.guided FORMAT [options of libFuzzer]`: the same contract under atheris, if installed."""

import importlib
import sys

from tests.fuzz.entries import target
from tests.fuzz.seeds import seeds


def main() -> None:
    """Does not come back: libFuzzer ends the process."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["modelaudit"]):
        importlib.import_module("modelaudit.engine")
    check = target(sys.argv[1])
    for seed in seeds(sys.argv[1]):
        check(seed)
    atheris.Setup(sys.argv[:1] + sys.argv[2:], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
