"""Which operators does ONNX define? Those of the `onnx` package, and of `onnxruntime` where that is installed.

    python benchmarks/collect_onnx_operators.py modelaudit/catalogue/operators/onnx.txt

Every version of every schema counts: old models use old operators. An existing list is added to, never cut, so that
several environments (old and new versions) make one list.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

HEAD = "# Domain and operator; collected by benchmarks/collect_onnx_operators.py, do not edit.\n"


def operators() -> Iterator[tuple[str, str]]:
    """(domain, name) of every operator that the installed packages define; the standard domain is `ai.onnx`."""
    onnx = importlib.import_module("onnx.defs")
    for schema in onnx.get_all_schemas_with_history():
        yield schema.domain or "ai.onnx", schema.name
    try:
        runtime = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    except ImportError:
        print("onnxruntime is not installed: its own operators are left as they are")
        return
    for schema in runtime.get_all_operator_schema():
        yield schema.domain or "ai.onnx", schema.name


def main(path: Path) -> None:
    """Add what is installed to the list at `path`."""
    known = set()
    if path.exists():
        known = {tuple(line.split()) for line in path.read_text("utf-8").splitlines() if not line.startswith("#")}
    found = sorted(known | set(operators()))
    path.write_text(HEAD + "".join(f"{domain} {name}\n" for domain, name in found), "utf-8")
    print(f"{len(found)} operators, {len(found) - len(known)} of them new")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
