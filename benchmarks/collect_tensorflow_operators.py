"""Which operators does TensorFlow define? Those that the installed package registers.

    python benchmarks/collect_tensorflow_operators.py modelaudit/catalogue/operators/tensorflow.txt

An existing list is added to, never cut, so that several environments (old and new versions, add-ons) make one list.
Modules named behind the list are imported first: they register operators of their own.
"""

import importlib
import sys
from pathlib import Path

HEAD = "# Operators; collected by benchmarks/collect_tensorflow_operators.py, do not edit.\n"


def operators() -> set[str]:
    """The names of all operators that are registered."""
    session = importlib.import_module("tensorflow.python.client.pywrap_tf_session")
    definitions = importlib.import_module("tensorflow.core.framework.op_def_pb2").OpList()
    definitions.ParseFromString(session.TF_GetBuffer(session.TF_GetAllOpList()))
    return {definition.name for definition in definitions.op}


def main(path: Path, modules: list[str]) -> None:
    """Add what is installed to the list at `path`."""
    for module in ["tensorflow", *modules]:
        importlib.import_module(module)
    known = set()
    if path.exists():
        known = {line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")}
    found = sorted(known | operators())
    path.write_text(HEAD + "".join(f"{name}\n" for name in found), "utf-8")
    print(f"{len(found)} operators, {len(found) - len(known)} of them new")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
