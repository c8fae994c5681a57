"""What compiled Python names: dotted paths from globals, imports and attributes, by one pass over the opcodes.

Branches are not followed and no value is computed: a path is a name with the attributes that are taken of it at
once (`os.system`), looked through variables that hold it (`import os as o; o.system`).
Source: Lib/opcode.py, Include/opcode_ids.h of CPython 2.7 to 3.14.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from modelaudit.parsers.marshal import Code, nested

UNKNOWN: Final = "?"  # the head of a path that begins with a value that nobody knows: an argument, a result
_RESUME_BYTES: Final = 8  # before RESUME there are only instructions that set up cells and generators
_PATH_PARTS: Final = 24  # parts of one path; longer ones are cut, or one loop of attributes would be quadratic


class Use(msgspec.Struct, frozen=True):
    """A path that the code `within` names, at byte `offset` of what was read.

    `imported` says that an import statement names it. `argument` is the last text constant before the next use:
    most often what a call is given.
    """

    path: str
    within: str
    offset: int
    imported: bool = False
    argument: str | bytes = ""


class _Machine(msgspec.Struct, frozen=True):
    """The opcodes of some versions of CPython that matter here, by number.

    `word` is set where each instruction has two bytes; `global_shift` and `attribute_shift` are the flag bits below
    the index of a name. `caches` says how many words of opcode 0 follow an opcode;
    a negative number that there is no such opcode.
    """

    word: bool
    extended: int
    names: dict[int, str]  # opcode: load, attribute, import, from, store
    fast: dict[int, str]  # opcode: load, store, load-load, store-load, store-store
    cells: dict[int, str]  # opcode: load, store
    constant: int
    transparent: frozenset[int]
    global_op: int = -1
    global_shift: int = 0
    attribute_shift: int = 0
    super_op: int = -1
    resume: int = -1
    caches: dict[int, int] = {}


_OLD_NAMES: Final = {116: "load", 101: "load", 106: "attribute", 160: "attribute", 108: "import", 109: "from",
                     90: "store", 97: "store"}  # fmt: skip
_OLD_FAST: Final = {124: "load", 125: "store"}
_PY2: Final = _Machine(False, 145, _OLD_NAMES, _OLD_FAST, {136: "load", 135: "load", 137: "store"}, 100,
                       frozenset((4, 9)))  # fmt: skip
_PY30: Final = _Machine(False, 144, _OLD_NAMES, _OLD_FAST, {136: "load", 135: "load", 148: "load", 137: "store"}, 100,
                        frozenset((4, 9)))  # fmt: skip
_PY36: Final = _Machine(True, 144, _OLD_NAMES, _OLD_FAST, {136: "load", 135: "load", 148: "load", 137: "store"}, 100,
                        frozenset((4, 9)))  # fmt: skip
_MERGED_CELLS: Final = {137: "load", 136: "load", 148: "load", 176: "load", 138: "store"}
_PY311: Final = _Machine(
    True,
    144,
    _OLD_NAMES,
    _OLD_FAST,
    _MERGED_CELLS,
    100,
    frozenset((0, 2, 9, 120, 151)),
    116,
    1,
    resume=151,
    caches={116: 5, 106: 4, 160: 10},
)
_PY312: Final = _Machine(True, 144, {**_OLD_NAMES, 175: "load", 141: "attribute"},
                         {**_OLD_FAST, 127: "load", 143: "load"}, _MERGED_CELLS, 100,
                         frozenset((0, 2, 9, 120, 151)), 116, 1, 1, 141, 151, {116: 4, 106: 9, 160: -1})  # fmt: skip
_PY313: Final = _Machine(
    True, 71,
    {91: "load", 92: "load", 90: "load", 82: "attribute", 93: "attribute", 75: "import", 74: "from", 114: "store",
     113: "store"},
    {85: "load", 87: "load", 86: "load", 110: "store", 88: "load-load", 111: "store-load", 112: "store-store"},
    {84: "load", 89: "load", 109: "store"}, 83, frozenset((0, 30, 34, 61, 149)), 91, 1, 1, 93, 149, {91: 4, 82: 9},
)  # fmt: skip
_PY314: Final = _Machine(
    True, 69,
    {92: "load", 93: "load", 91: "load", 80: "attribute", 96: "attribute", 73: "import", 72: "from", 116: "store",
     115: "store"},
    {84: "load", 88: "load", 85: "load", 86: "load", 112: "store", 89: "load-load", 87: "load-load",
     113: "store-load", 114: "store-store"},
    {83: "load", 90: "load", 111: "store"}, 82, frozenset((0, 27, 33, 59, 128)), 92, 1, 1, 96, 128, {92: 4, 80: 9},
)  # fmt: skip
# Whatever of these fits a layout is tried: the bytes do not say which version wrote them.
_MACHINES: Final = {"2.7": (_PY2,), "3.0": (_PY30, _PY36), "3.8": (_PY36,), "3.11": (_PY311, _PY312, _PY313, _PY314)}


def uses(code: Code, magic: int = 0) -> Iterator[Use]:
    """What `code` and the code in it name, under every version of the opcodes that fits; outer code first.

    Where no version fits, all of the layout's are tried. `magic` is that of a `.pyc`, or 0.
    """
    codes = list(nested(code))
    machines = _machines(code.layout, magic)
    fitting = [one for one in machines if all(_fits(each, one) for each in codes)]
    told: set[tuple[str, str, bool]] = set()
    for machine in fitting or machines:
        shared: dict[str, str] = {}
        for each in codes:
            for use in _Trace(each, machine, shared).uses():
                if (use.path, use.within, use.imported) not in told:
                    told.add((use.path, use.within, use.imported))
                    yield use


def _machines(layout: str, magic: int) -> tuple[_Machine, ...]:
    if not magic or layout != "3.11":
        return _MACHINES[layout]
    return (_PY311,) if magic < 3500 else (_PY312,) if magic < 3550 else (_PY313,) if magic < 3600 else (_PY314,)


def instructions(bytecode: bytes, machine: _Machine) -> Iterator[tuple[int, int, int]]:
    """Offset, opcode and argument (extended ones put together) of each instruction."""
    at, high, size = 0, 0, len(bytecode)
    while at < size:
        opcode, start = bytecode[at], at
        if machine.word:
            argument = bytecode[at + 1] if at + 1 < size else 0
            at += 2
        elif opcode >= 90:
            argument = int.from_bytes(bytecode[at + 1 : at + 3], "little")
            at += 3
        else:
            argument = 0
            at += 1
        argument |= high
        if opcode == machine.extended:
            high = (argument << (8 if machine.word else 16)) & 0xFFFFFFFF
            continue
        high = 0
        yield start, opcode, argument


def _name_index(machine: _Machine, opcode: int, argument: int) -> int:
    if opcode == machine.global_op:
        return argument >> machine.global_shift
    if opcode == machine.super_op:
        return argument >> 2
    return argument >> machine.attribute_shift if machine.names[opcode] == "attribute" else argument


def _fits(code: Code, machine: _Machine) -> bool:
    """Whether the bytecode begins as that version's does, and all that it asks for is there."""
    if machine.word and len(code.bytecode) % 2:
        return False
    resumed = machine.resume < 0
    for at, opcode, argument in instructions(code.bytecode, machine):
        if opcode in machine.caches and not _has_caches(code.bytecode, at + 2, machine.caches[opcode]):
            return False
        resumed = resumed or (opcode == machine.resume and at < _RESUME_BYTES + 2 * len(code.cells))
        if opcode in machine.names and _name_index(machine, opcode, argument) >= len(code.names):
            return False
        if opcode == machine.constant and argument >= len(code.constants):
            return False
    return resumed


def _has_caches(bytecode: bytes, start: int, count: int) -> bool:
    """Whether exactly `count` words of opcode 0 begin at `start`."""
    opcodes = bytecode[start : start + 2 * max(count, 0) + 2 : 2]
    return count >= 0 and opcodes[:count] == bytes(count) and opcodes[count:] != b"\0"


class _Trace:
    """One code object, its instructions in their order."""

    def __init__(self, code: Code, machine: _Machine, shared: dict[str, str]) -> None:
        self._code = code
        self._machine = machine
        self._shared = shared  # variables of enclosing code and globals, by name
        self._local: dict[str, str] = {}
        self._path = ""
        self._start = 0
        self._fresh = False  # whether the path is what an import has just given
        self._module = ""
        self._pending: Use | None = None

    def uses(self) -> Iterator[Use]:
        """The uses in order, each with the text that follows it."""
        machine = self._machine
        for at, opcode, argument in instructions(self._code.bytecode, machine):
            kind = machine.names.get(opcode)
            if kind is not None:
                yield from self._named(kind, _item(self._code.names, _name_index(machine, opcode, argument)), at)
            elif opcode in machine.fast:
                yield from self._fast(machine.fast[opcode], argument, at)
            elif opcode in machine.cells:
                yield from self._variable(machine.cells[opcode], _item(self._code.cells, argument), self._shared, at)
            elif opcode == machine.constant:
                yield from self._flush()
                value = self._code.constants[argument] if argument < len(self._code.constants) else None
                if self._pending is not None and isinstance(value, str | bytes) and value:
                    self._pending = msgspec.structs.replace(self._pending, argument=value)
            elif opcode not in machine.transparent:
                yield from self._flush()
                self._path, self._start = UNKNOWN, at
        yield from self._flush()
        if self._pending is not None:
            yield self._pending

    def _flush(self) -> Iterator[Use]:
        """The path so far is complete: it becomes the pending use, and the one before it goes out."""
        path, self._path = self._path, ""
        if path and path != UNKNOWN and not self._fresh:
            yield from self._add(path, imported=False)
        self._fresh = False

    def _add(self, path: str, imported: bool) -> Iterator[Use]:
        if self._pending is not None:
            yield self._pending
        self._pending = Use(path, self._code.name, self._code.offset + self._start, imported)

    def _named(self, kind: str, name: str, at: int) -> Iterator[Use]:
        if kind == "attribute":
            if self._path.count(".") < _PATH_PARTS:
                self._path = f"{self._path or UNKNOWN}.{name}"
            self._fresh = False
        elif kind == "load":
            yield from self._variable("load", name, self._shared, at, name)
        elif kind == "import":
            yield from self._flush()
            self._start = at
            yield from self._add(name, imported=True)
            self._path, self._module, self._fresh = name, name, True
        elif kind == "from":
            self._start = at
            yield from self._add(f"{self._module}.{name}", imported=True)
            self._path, self._fresh = f"{self._module}.{name}", True
        else:
            yield from self._store(name, self._shared)

    def _fast(self, kind: str, argument: int, at: int) -> Iterator[Use]:
        if kind in ("load", "store"):
            yield from self._variable(kind, _item(self._code.locals, argument), self._local, at)
            return
        first, second = kind.split("-")
        yield from self._variable(first, _item(self._code.locals, argument >> 4), self._local, at)
        yield from self._variable(second, _item(self._code.locals, argument & 15), self._local, at)

    def _variable(self, kind: str, name: str, scope: dict[str, str], at: int, other: str = UNKNOWN) -> Iterator[Use]:
        if kind == "store":
            yield from self._store(name, scope)
            return
        yield from self._flush()
        self._path, self._start = scope.get(name, other), at

    def _store(self, name: str, scope: dict[str, str]) -> Iterator[Use]:
        path = self._path
        yield from self._flush()
        if path and path != UNKNOWN:
            scope[name] = path
        else:
            scope.pop(name, None)


def _item(names: tuple[str, ...], index: int) -> str:
    return names[index] if index < len(names) else f"#{index}"
