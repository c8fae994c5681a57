"""Which callables do ordinary models name? Make many, and list every (module, name) their pickles import.

    python benchmarks/collect_globals.py tests/catalogue/benign_globals.txt [MAKER ...]

Run it in an environment that holds the libraries of interest; those that are missing are left out and said.
An existing list is added to, never cut, so that several environments (old and new versions) make one list.
"""

import importlib
import importlib.metadata
import io
import pickle
import pickletools
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

Global = tuple[str, str]
FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, OSError, RuntimeError)
FAILURES += (TypeError, ValueError, ImportError, pickle.PickleError)
STRINGS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"}
GETS = {"BINGET", "LONG_BINGET", "GET"}
PUTS = {"BINPUT", "LONG_BINPUT", "PUT"}


def imports(data: bytes) -> Iterator[Global]:
    """Every global of an honest pickle (memo games need not be understood here)."""
    pushed: list[str] = []
    memo: dict[int, str] = {}
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in STRINGS:
            pushed.append(argument)
        elif opcode.name in GETS:
            pushed.append(memo.get(argument, ""))
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = pushed[-1] if pushed else ""
        elif opcode.name in PUTS:
            memo[argument] = pushed[-1] if pushed else ""
        elif opcode.name in {"GLOBAL", "INST"}:
            module, _, name = argument.partition(" ")
            yield module, name
            pushed.append("")
        elif opcode.name == "STACK_GLOBAL":
            yield pushed[-2], pushed[-1]
            pushed.append("")
        elif opcode.name not in {"FRAME", "PROTO"}:
            pushed.append("")


def globals_of(thing: object) -> set[Global]:
    """The globals of `thing` in every protocol that can hold it, and in a torch file if it has tensors."""
    found: set[Global] = set()
    for protocol in (0, 2, 4, 5):
        try:
            found.update(imports(pickle.dumps(thing, protocol)))
        except (*FAILURES, NotImplementedError):
            continue
    torch = sys.modules.get("torch")
    if torch is not None:
        buffer = io.BytesIO()
        try:
            torch.save(thing, buffer)
        except (*FAILURES, NotImplementedError):
            return found
        with zipfile.ZipFile(buffer) as archive:
            for name in archive.namelist():
                if name.endswith("data.pkl"):
                    found.update(imports(archive.read(name)))
    return found


def collect(makers: Iterable[Callable[[], Iterator[object]]]) -> tuple[set[Global], list[str]]:
    """Run every maker; the names of those whose library is missing come second."""
    found: set[Global] = set()
    missing: list[str] = []
    for maker in makers:
        before, things = len(found), 0
        try:
            for thing in maker():
                found |= globals_of(thing)
                things += 1
        except FAILURES as error:
            missing.append(f"{maker.__name__}: {type(error).__name__}: {error}")
        print(f"{maker.__name__}: {things} things, {len(found) - before} new names", file=sys.stderr)
    return found, missing


def versions(found: set[Global]) -> str:
    """`name==version` of each library that was named."""
    owners = importlib.metadata.packages_distributions()
    roots = {module.partition(".")[0] for module, _ in found}
    names = sorted({owners[root][0] for root in roots if root in owners})
    python = ".".join(map(str, sys.version_info[:3]))
    return " ".join([f"python=={python}", *(f"{name}=={importlib.metadata.version(name)}" for name in names)])


def main() -> None:
    """Add what this environment's models name to the list given as the first argument."""
    warnings.simplefilter("ignore")
    makers = [m for m in importlib.import_module("model_zoo").MAKERS if m.__name__ in sys.argv[2:] or not sys.argv[2:]]
    found, missing = collect(makers)
    # PyTorch's memory formats are named through whichever loaded module holds `torch`: chance, not knowledge.
    found = {("torch", name[6:]) if name.startswith("torch.") else (module, name) for module, name in found}
    found = {(module, name) for module, name in found if not module.startswith(("__main__", "model_zoo"))}
    path = Path(sys.argv[1])
    old = path.read_text("utf-8").splitlines() if path.exists() else []
    header = [line for line in old if line.startswith("#")] or [
        "# Callables that ordinary models name, one `module name` a line; made by benchmarks/collect_globals.py with:"
    ]
    line = f"# {versions(found)}"
    header += [] if line in header else [line]
    lines = {entry for entry in old if entry and not entry.startswith("#")} | {f"{m} {n}" for m, n in found}
    path.write_text("\n".join([*header, *sorted(lines)]) + "\n", "utf-8")
    print(f"{len(lines)} names", *missing, sep="\n", file=sys.stderr)


if __name__ == "__main__":
    main()
