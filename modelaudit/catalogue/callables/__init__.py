"""What is known about the callables that a pickle may name: which are safe, which are attacks, which depend.

A pickle says `module` and `name`; `Callables.judge` answers with a `Verdict`. The order is *allow first, then
deny, then suspect*:

1. an entry of its own, in the data files beside this module (`allow`, `conditional` or `deny`), decides;
2. a dotted name is walked: a segment that leads out of an object (`__globals__`, `gi_frame`) or into a module
   that the first one merely imported (`('pathlib', 'os.system')`) is judged as what it reaches;
3. the longest prefix with a tree decides: `deny` of a whole module with its submodules, or `classes` of a
   package that models are made of, where every name that looks like a class is safe, and nothing else is;
4. the rest is unknown.

Four levels: `safe` (say nothing), `conditional` (what it does is decided by its arguments: `role` says how to
follow them), `unknown` (not in the catalogue), `dangerous` (no model needs it).

Sources of the facts: the documentation and source of CPython 3.8 to 3.14 and of the libraries named, the
advisories of picklescan, fickling, modelscan and PyTorch, and arXiv:2508.19774.
"""

import enum
import os
import re
import unicodedata

import msgspec

from modelaudit.catalogue.tables import Place, tables_in
from modelaudit.late import late

_FOLDER = os.path.dirname(__file__)


class Level(enum.StrEnum):
    """How a callable is judged; `conditional` ones are as good as their arguments."""

    SAFE = "safe"
    CONDITIONAL = "conditional"
    UNKNOWN = "unknown"
    DANGEROUS = "dangerous"


class Verdict(msgspec.Struct, frozen=True):
    """The judgement on one callable.

    `module` and `name` are canonical: `os.system` is `posix.system`, `__builtin__` is `builtins`, and a
    re-export is what it reaches. `category` is one word; `why` one sentence for people, "" when safe.
    """

    level: Level
    category: str
    why: str
    module: str
    name: str


class _Group(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Names that share a judgement. A line of `names` is a path, `package.*`, or `module … : name …`."""

    names: str
    category: str = ""
    why: str = ""
    role: str = ""


class _Classes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Packages whose classes are safe; `endings` are those of classes that are spelt like functions.

    `state` is the key of an object's state whose text its class executes when BUILD fills the object.
    """

    packages: str
    endings: tuple[str, ...] = ()
    state: str = ""


class _Spelling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How names are read: old names, and the ways out of an object. All are whitespace separated words.

    `modules` and `names` hold pairs, old and new. `escapes` are attributes that lead from a harmless object
    to code, frames or namespaces; `dunders` the harmless double-underscore names; `methods` those that run
    code or touch files whatever library the object is from. `standard` are the modules of the standard
    library; `exposed` those of them whose name means the module even where no dot follows. `leaves` are pairs
    of an unmistakable name and what it is. `never` are class-like names that no package makes safe; `values`
    are constants that pickle names through whichever module it finds them in first.
    """

    modules: str
    names: str
    os: str
    escapes: str
    dunders: str
    methods: str
    standard: str
    exposed: str
    leaves: str
    never: str
    values: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    allow: tuple[_Group, ...] = ()
    conditional: tuple[_Group, ...] = ()
    deny: tuple[_Group, ...] = ()
    classes: tuple[_Classes, ...] = ()
    role: tuple[_Group, ...] = ()
    spelling: _Spelling | None = None


class _Entry(msgspec.Struct, frozen=True):
    level: Level
    category: str
    why: str
    endings: tuple[str, ...] = ()
    state: str = ""


_PATH = late(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", re.ASCII)
_CLASS = late(r"_{0,2}[A-Z]\w*|__pyx_unpickle_\w+", re.ASCII)
_SEGMENTS = 16  # the deepest honest qualified name has five; the walk below is quadratic in them
_NAME_CHARS = 512  # longer names are nobody's; they are not even looked up

_ODD = "The name is not one that Python code can have: {what}. No saved model contains such a name."
_IMITATION = "The name only looks like '{path}': spaces, control or look-alike characters hide what it is meant to be."
_ESCAPE = "The attribute '{attribute}' leads from a harmless object to code, frames or namespaces, and so to anything."
_METHOD = "The method '{attribute}' runs code, loads objects or touches files whatever library its object is from."
_MODULE = "The name reaches the module '{module}' through another module that imports it: {why}"
_LEAF = "The name is that of '{path}', reached through another module that imports it: {why}"
_FUNCTION = "The function is not among those that models saved with '{package}' are known to name."
_MAIN = "The name is defined by whatever script loads the file, so what it runs cannot be known from the file."
_UNKNOWN = "The callable is not in the catalogue of those that ordinary models name."
_VALUE = "The name is that of a harmless constant, but importing the module it is found in runs that module's code."
_HANDED = "A whole module is handed to the pickle, and with it everything in it."
_MODULE_OBJECT = "a whole module is handed to the pickle, and with it everything in it."


class Callables:
    """The catalogue, immutable once loaded. Lookups cost a few dictionary accesses."""

    def __init__(self, files: list[_File]) -> None:
        """Index the groups of all files; raises `ValueError` where two of them judge the same path."""
        self._exact: dict[str, _Entry] = {}
        self._trees: dict[str, _Entry] = {}
        self._roles: dict[str, str] = {}
        spelling = None
        for file in files:
            self._read(file)
            spelling = file.spelling or spelling
        if spelling is None:
            raise ValueError("no file of the catalogue of callables has a [spelling] table")
        self._modules = _pairs(spelling.modules)
        self._renamed = frozenset(old.partition(".")[0] for old in self._modules)
        self._names = _pairs(spelling.names)
        self._os = frozenset(spelling.os.split())
        self._escapes = frozenset(spelling.escapes.split())
        self._dunders = frozenset(spelling.dunders.split())
        self._methods = frozenset(spelling.methods.split())
        self._standard = frozenset(spelling.standard.split())
        self._exposed = frozenset(spelling.exposed.split())
        self._leaves = _pairs(spelling.leaves)
        self._never = frozenset(spelling.never.split()) | self._leaves.keys()
        self._values = frozenset(spelling.values.split())
        self._roots = {path.partition(".")[0] for path in (*self._exact, *self._trees)}
        self._homes = {path.rpartition(".")[0] for path, entry in self._exact.items() if entry.level is Level.SAFE}

    def _read(self, file: _File) -> None:
        for level, groups in (
            (Level.SAFE, file.allow),
            (Level.CONDITIONAL, file.conditional),
            (Level.DANGEROUS, file.deny),
        ):
            for group in groups:
                entry = _Entry(level, group.category, group.why)
                for path in _paths(group.names):
                    self._add(path, entry)
                    if group.role:
                        self._roles[path] = group.role
        for package in file.classes:
            entry = _Entry(Level.SAFE, "", "", package.endings, package.state)
            for path in package.packages.split():
                self._add(f"{path}.*", entry)
        for group in file.role:
            self._roles.update(dict.fromkeys(_paths(group.names), group.role))

    def _add(self, path: str, entry: _Entry) -> None:
        table, key = (self._trees, path[:-2]) if path.endswith(".*") else (self._exact, path)
        if table.get(key, entry) != entry:
            raise ValueError(f"the catalogue of callables judges {path!r} in two ways")
        table[key] = entry

    def judge(self, module: str, name: str) -> Verdict:
        """The verdict on `name` of `module`, as an opcode of a pickle says them; any strings will do.

        An empty `name` asks about the module itself, as a value that the pickle holds.
        """
        if len(module) + len(name) > _NAME_CHARS:
            return Verdict(Level.UNKNOWN, "malformed", _ODD.format(what="it is too long"), module, name)
        module, name = self._canonical(module, name)
        entry = self._exact.get(f"{module}.{name}")
        if entry is not None:
            return Verdict(entry.level, entry.category, entry.why, module, name)
        if not name and _PATH.fullmatch(module) is not None:
            return self._module(module)
        if _PATH.fullmatch(f"{module}.{name}") is None:
            return self._odd(module, name)
        return self._walked(module, name.split(".")) or self._below(module, name)

    def attribute(self, name: str) -> Verdict:
        """The verdict on an attribute of an object that is itself safe (`getattr(array, name)`)."""
        for segment in name.split("."):
            if self._escapes_by(segment):
                return Verdict(Level.DANGEROUS, "attribute", _ESCAPE.format(attribute=segment), "", name)
            if segment in self._methods or segment in self._leaves:
                return Verdict(Level.DANGEROUS, "method", _METHOD.format(attribute=segment), "", name)
            module = self._public(segment)
            if module in self._exposed:
                why = _MODULE.format(module=module, why=_MODULE_OBJECT)
                return Verdict(Level.DANGEROUS, "import", why, module, "")
        return Verdict(Level.SAFE, "", "", "", name)

    def role(self, module: str, name: str) -> str | None:
        """How the arguments of a callable are to be followed, or None.

        `getattr` (object, attribute) or attribute names; `import` a module's name; `resolve` a dotted name, or
        a module's and an attribute's; `partial` a callable and its first arguments, or a method's name;
        `apply` a callable and what it is called with; `decode` data that is decoded; `text` text that is put
        together; `exec` source or code; `loads` bytes that are deserialised; `type` the name of a type in
        dill's table, to be judged as a name of the module `types`; `literal` an expression that is harmless where
        it is a literal; `new` a class that is harmless when its objects
        are only made (NEWOBJ) and filled (BUILD), not when it is called with arguments.
        """
        if len(module) + len(name) > _NAME_CHARS:
            return None
        module, name = self._canonical(module, name)
        return self._roles.get(f"{module}.{name}")

    def executed_state(self, module: str, name: str) -> str | None:
        """The key of the state whose text BUILD executes when it fills an object of this class, or None.

        `templates.is_argument_parser` tells the text that belongs there from another.
        """
        if len(module) + len(name) > _NAME_CHARS:
            return None
        module, name = self._canonical(module, name)
        prefix = f"{module}.{name}"
        while prefix and prefix not in self._trees:
            prefix = prefix.rpartition(".")[0]
        return self._trees[prefix].state or None if prefix else None

    def _canonical(self, module: str, name: str) -> tuple[str, str]:
        if module.partition(".")[0] in self._renamed:
            prefix, rest = module, ""
            while prefix:
                if prefix in self._modules:
                    module = self._modules[prefix] + rest
                    break
                prefix, _, last = prefix.rpartition(".")
                rest = f".{last}{rest}"
        path = self._names.get(f"{module}.{name}")
        if path is not None:
            module, _, name = path.rpartition(".")
        elif module == "os" and name.partition(".")[0] not in self._os:
            module = "posix"
        return module, name

    def _odd(self, module: str, name: str) -> Verdict:
        """Names that are not Python's: imitations of dangerous ones, or nonsense. Never safe."""
        plain_module, plain_name = _plain(module), _plain(name)
        if (plain_module, plain_name) != (module, name) and plain_module and plain_name:
            meant = self.judge(plain_module, plain_name)
            if meant.level in (Level.DANGEROUS, Level.CONDITIONAL):
                why = _IMITATION.format(path=f"{meant.module}.{meant.name}")
                return Verdict(Level.DANGEROUS, "disguise", why, module, name)
        if not module or not name:
            return Verdict(Level.UNKNOWN, "malformed", _ODD.format(what="it is empty"), module, name)
        if all(part.isidentifier() for part in f"{module}.{name}".split(".")):
            return Verdict(Level.UNKNOWN, "unknown", _UNKNOWN, module, name)
        return Verdict(Level.UNKNOWN, "malformed", _ODD.format(what="it has characters no name has"), module, name)

    def _escapes_by(self, segment: str) -> bool:
        if segment.startswith("__") and segment.endswith("__"):
            return segment not in self._dunders
        return segment in self._escapes

    def _walked(self, module: str, segments: list[str]) -> Verdict | None:
        """What a name reaches by its segments; None when they lead nowhere else than the module's own."""
        name = ".".join(segments)
        if len(segments) > _SEGMENTS:
            return Verdict(Level.UNKNOWN, "malformed", _ODD.format(what="it has too many parts"), module, name)
        for segment in segments:
            if self._escapes_by(segment):
                return Verdict(Level.DANGEROUS, "attribute", _ESCAPE.format(attribute=segment), module, name)
        if name in self._values:
            known = module.partition(".")[0] in self._roots and self._below(module, name).level is not Level.DANGEROUS
            return (
                Verdict(Level.SAFE, "", "", module, name)
                if known
                else Verdict(Level.UNKNOWN, "unknown", _VALUE, module, name)
            )
        for at in range(len(segments) - 1, -1, -1):
            reached = self._reached(module, segments, at)
            if reached is not None and reached.level in (Level.DANGEROUS, Level.CONDITIONAL):
                return reached
        if len(segments) > 1 and segments[-1] in self._methods:
            return Verdict(Level.DANGEROUS, "method", _METHOD.format(attribute=segments[-1]), module, name)
        return None

    def _reached(self, module: str, segments: list[str], at: int) -> Verdict | None:
        """The verdict on what segment `at` names: another module and what follows, or its best-known callable."""
        first, rest = segments[at], ".".join(segments[at + 1 :])
        first = self._public(first)
        if rest and first in self._standard:
            verdict = self._direct(*self._canonical(first, rest))
            if verdict.level is Level.UNKNOWN and first in self._exposed:
                why = _MODULE.format(module=first, why=_MODULE_OBJECT)
                return Verdict(Level.DANGEROUS, "import", why, verdict.module, verdict.name)
            why = _MODULE.format(module=first, why=verdict.why)
            return Verdict(verdict.level, verdict.category, why, verdict.module, verdict.name)
        owned = at > 0 and _CLASS.fullmatch(segments[at - 1]) is not None  # an attribute of a class
        if not rest and first in self._exposed and not owned:
            why = _MODULE.format(module=first, why=_MODULE_OBJECT)
            return Verdict(Level.DANGEROUS, "import", why, first, "")
        path = self._leaves.get(first)
        if path is None or path == f"{module}.{first}" or owned:
            return None
        verdict = self._direct(path[: -len(first) - 1], first)
        return Verdict(verdict.level, verdict.category, _LEAF.format(path=path, why=verdict.why), verdict.module, first)

    def _public(self, segment: str) -> str:
        """The module that other modules import under a private name, such as `collections._sys`; else the segment."""
        hidden = segment[:1] == "_" and segment not in self._standard and segment[1:] in self._standard
        return segment[1:] if hidden else segment

    def _module(self, module: str) -> Verdict:
        """The verdict on a module as a value: what is reached through it is judged by its own name."""
        if module in self._exposed:
            return Verdict(Level.DANGEROUS, "import", _HANDED, module, "")
        below = self._below(module, "")
        if below.level is Level.UNKNOWN and module in self._homes:
            return Verdict(Level.SAFE, "", "", module, "")
        return below

    def _direct(self, module: str, name: str) -> Verdict:
        """The verdict on canonical names by entries and trees alone."""
        entry = self._exact.get(f"{module}.{name}")
        if entry is not None:
            return Verdict(entry.level, entry.category, entry.why, module, name)
        return self._below(module, name)

    def _below(self, module: str, name: str) -> Verdict:
        """The verdict of the longest prefix with a tree, and else unknown."""
        prefix = f"{module}.{name}" if name else module
        while prefix:
            entry = self._trees.get(prefix)
            if entry is None:
                prefix = prefix.rpartition(".")[0]
            elif entry.level is Level.DANGEROUS:
                return Verdict(entry.level, entry.category, entry.why, module, name)
            elif not name or all(self._is_class(segment, entry.endings) for segment in name.split(".")):
                return Verdict(Level.SAFE, "", "", module, name)
            else:
                return Verdict(Level.UNKNOWN, "function", _FUNCTION.format(package=prefix), module, name)
        if module in ("__main__", "__mp_main__"):
            return Verdict(Level.UNKNOWN, "script", _MAIN, module, name)
        return Verdict(Level.UNKNOWN, "unknown", _UNKNOWN, module, name)

    def _is_class(self, segment: str, endings: tuple[str, ...]) -> bool:
        return segment not in self._never and (_CLASS.fullmatch(segment) is not None or segment.endswith(endings))


def _plain(text: str) -> str:
    """`text` as an eye reads it: compatibility characters folded, spaces and control characters gone."""
    folded = unicodedata.normalize("NFKC", text)
    return "".join(char for char in folded if unicodedata.category(char)[0] not in "CZ").strip(".")


def _pairs(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def _paths(text: str) -> list[str]:
    """The paths of a group: one a line, or the product of `module …` and `name …` around a colon."""
    paths: list[str] = []
    for line in text.splitlines():
        modules, colon, names = line.partition(" : ")
        if colon:
            leaves = names.split()
            paths.extend(f"{module}.{name}" for module in modules.split() for name in leaves)
        else:
            paths.extend(line.split())
    return paths


def load(folder: Place = _FOLDER) -> Callables:
    """Read every data file in `folder` (default: the ones that ship).

    Raises `ValueError` (msgspec's included) when a file breaks its form or two entries judge the same path.
    """
    return Callables([msgspec.convert(content, _File) for _, content in tables_in(folder)])
