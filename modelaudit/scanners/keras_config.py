"""A Keras model's configuration: what building it would import and call, and the code and paths in it."""

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from modelaudit.blob import Blob
from modelaudit.catalogue.callables import Level
from modelaudit.catalogue.callables.shipped import shipped
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Child, Evidence, Hit, Note, Severity
from modelaudit.parsers import keras_config as parser
from modelaudit.parsers import telltale
from modelaudit.parsers.keras_config import Named, Text
from modelaudit.parsers.manifest.tree import Pairs, Path, shown

_OBJECT: Final = late(rb"\{\s*(?:[\"}]|$)")
_LOOKED_AT_BYTES: Final = 256 * 1024  # of a blob that begins as JSON: objects up to this size are here anyway
_ESCAPED: Final = late(rb"\\u00(?:6[13cC]|73|5[fF])")  # letters of `class_` that no writer escapes
_CLASS: Final = late(rb"\"class_name\"\s*:")
_KERAS: Final = frozenset(
    ("keras", "tf_keras", "keras_core", "keras_hub", "keras_nlp", "keras_cv", "tensorflow", "tensorflow_addons",
     "keras_contrib", "keras_applications", "keras_preprocessing", "keras_tuner", "keras_rs", "kerastuner")
)  # fmt: skip
_OWN: Final = frozenset(("", "builtins", "__main__", "__builtin__"))  # what Keras looks up among its own objects
_OF_SYSTEM: Final = frozenset(("os", "posix", "nt", "subprocess", "sys", "ctypes", "pickle", "marshal", "importlib"))
_SWITCHES: Final = frozenset(("enable_unsafe_deserialization", "disable_safe_mode", "SafeModeScope"))
# Functions of Keras in these places are tools, not parts of a model.
_TOOLS: Final = late(
    r"(?:tensorflow\.)?(?:python\.)?(?:tf_)?keras\.(?:api\.)?(?:src\.)?(?:_tf_keras\.keras\.)?"
    r"(?:utils|config|saving|models|export|datasets|applications|preprocessing|callbacks|backend|tree|distribution"
    r"|visualization|wrappers|trainers|distillation|testing)(?:\..*)?"
)
_MODELS: Final = frozenset(("Functional", "Sequential", "Model"))
_LOADERS: Final = frozenset(("TFSMLayer",))
_PICKLED: Final = frozenset(("TorchModuleWrapper",))
# What Keras writes for values that JSON has not.
_SPECIAL: Final = late(r"__(?:keras_tensor|tensor|numpy|bytes|ellipsis|slice|lambda|typespec|tuple)__|__super_type__")
_ROLE: Final = late(r"\w*(?:initializer|regularizer|constraint|activation|loss|optimizer|metrics?|fn|func)\Z")
_DOTTED: Final = late(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*){1,12}", re.ASCII)
_AWAY: Final = late(r"[a-zA-Z][a-zA-Z0-9+.-]*:|[\\/~]|(?:.*[\\/])?\.\.(?:[\\/]|\Z)")
_TEXT_LEAST: Final = 28  # characters; shorter ones hold neither code nor a stream
_CHILDREN: Final = 1000
_EACH: Final = 100  # hits of one rule
_SHOWN: Final = 160


def warm() -> None:
    """Load the verdicts before the cage closes: afterwards no file can be opened."""
    shipped()


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the blob is a JSON object with a key `class_name`, and in which `config` stands."""
    first = bytes(blob.view(0, 64)).lstrip(b"\xef\xbb\xbf\xff\xfe\0 \t\r\n")
    named = blob.place.name.endswith("config.json")  # of a .keras archive: small, and worth reading to the end
    if _OBJECT.match(first.replace(b"\0", b"")) is None and (first or not named):
        return False
    looked_at = min(blob.size, 8 * limits.text_bytes) if named else _LOOKED_AT_BYTES
    head = bytes(blob.view(0, looked_at))  # all of it: an answer must not depend on what happens to be here
    if 0 in head[:8]:  # UTF-16 or UTF-32
        head = head.replace(b"\0", b"")
    return (_CLASS.search(head) is not None and b"config" in head) or _ESCAPED.search(head) is not None


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Note]:
    """Hits on what the configuration names; its code and other payloads as children. Raises `ParseError`."""
    document = parser.parse(bytes(blob.view(0, blob.size)), limits)
    if document.broken is not None:
        yield Note("broken", document.broken)
    report = _Report()
    for root in document.roots:
        yield from report.items(root)
    yield from report.summary()


class _Report:
    """One configuration. What occurs often and is ordinary is told once, at the end."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._lambdas: list[Path] = []
        self._foreign: dict[str, Path] = {}
        self._children: set[bytes] = set()

    def items(self, root: object) -> Iterator[Hit | Child]:
        for path, pairs, inside in parser.walk(root):
            for item in chain(self._object(path, pairs), self._texts(path, pairs, inside)):
                if isinstance(item, Hit):
                    count = self._told[item.rule] = self._told.get(item.rule, 0) + 1
                    if count > _EACH:
                        continue
                yield item

    def summary(self) -> Iterator[Hit]:
        if self._lambdas:
            yield Hit("keras-config-lambda", None, {"count": len(self._lambdas), "key": shown(self._lambdas[0])})
        if self._foreign:
            names = list(self._foreign)
            evidence: Evidence = {"count": len(names), "callable": names[0], "callables": names[:50]}
            yield Hit("keras-config-custom-class", None, {**evidence, "key": shown(self._foreign[names[0]])})

    # --- what is named ------------------------------------------------------------------------------------

    def _object(self, path: Path, pairs: Pairs) -> Iterator[Hit]:
        for key in parser.duplicates(pairs):
            count = sum(name == key for name, _ in pairs)
            yield Hit("keras-config-duplicate-key", None, {"key": shown(path, key), "count": count})
        told: set[tuple[str, str]] = set()
        for one in parser.named(path, pairs):
            if (one.module, one.name) not in told:
                told.add((one.module, one.name))
                yield from self._named(one)
        name, config = parser.class_name(pairs), pairs.first("config")
        inner = config if isinstance(config, Pairs) else Pairs()
        if name in _PICKLED:
            yield Hit("keras-config-torch-module", None, {"key": shown(path)})
        elif name in _LOADERS:
            yield Hit("keras-config-saved-model", None, {"key": shown(path), "path": str(inner.first("filepath"))})
        for key, value in inner if name else ():
            if key == "vocabulary" and isinstance(value, str) and value:
                grade = None if _AWAY.match(value) else Severity.INFO
                yield Hit("keras-config-vocabulary", None, {"key": shown(path, "config", key), "path": value}, grade)

    def _named(self, one: Named) -> Iterator[Hit]:
        top = one.module.partition(".")[0]
        where: Evidence = {"key": shown(one.path), "callable": f"{one.module}.{one.name}".strip("."), "why": ""}
        if one.name in _SWITCHES:
            yield Hit("keras-config-unsafe-switch", None, where)
        elif top in _KERAS:
            yield from self._of_keras(one, where)
        elif one.name:
            yield from self._outside(one, where)

    def _of_keras(self, one: Named, where: Evidence) -> Iterator[Hit]:
        verdict = shipped().judge(one.module, one.name)
        is_class = one.name[:1].isupper() and not one.is_function
        if verdict.level is Level.DANGEROUS and not (is_class and verdict.category != "attribute"):
            yield Hit("keras-config-gadget", None, {**where, "why": verdict.why})
        elif not is_class and _TOOLS.fullmatch(one.module) and not _is_part(one):
            yield Hit("keras-config-gadget", None, where, Severity.WARNING)

    def _outside(self, one: Named, where: Evidence) -> Iterator[Hit]:
        known = shipped()
        verdict = known.judge(one.module or "builtins", one.name)
        if one.module in _OWN:
            by_name = not one.module and not one.is_function  # Keras looks among its own classes and registered ones
            if (
                verdict.level is Level.DANGEROUS
                and not _SPECIAL.fullmatch(one.name)
                and (not by_name or _runs(one.name))
            ):
                yield Hit("keras-config-callable", None, {**where, "why": verdict.why})
            return
        if one.packaged and one.module not in _OF_SYSTEM:
            return  # a package that somebody registers classes for: any word will do, `code` and `test` too
        module = known.judge(one.module, "")
        if Level.DANGEROUS in (verdict.level, module.level):
            why = verdict.why if verdict.level is Level.DANGEROUS else module.why
            yield Hit("keras-config-callable", None, {**where, "why": why}, Severity.WARNING if one.packaged else None)
        elif verdict.level is Level.CONDITIONAL:
            yield Hit("keras-config-callable", None, {**where, "why": verdict.why}, Severity.WARNING)
        elif verdict.level is Level.UNKNOWN:
            self._foreign.setdefault(str(where["callable"]), one.path)

    # --- texts --------------------------------------------------------------------------------------------

    def _texts(self, path: Path, pairs: Pairs, inside: bool) -> Iterator[Hit | Child]:
        is_lambda = parser.class_name(pairs) in ("Lambda", "__lambda__") and "config" in pairs.names()
        if is_lambda and not (self._lambdas and _is_within(path, self._lambdas[-1])):
            self._lambdas.append(path)
        for one in parser.texts(path, pairs, inside):
            if len(one.value) >= _TEXT_LEAST or one.in_code:
                yield from self._text(one)
            elif _DOTTED.fullmatch(one.value) and _ROLE.match(str(one.path[1])):
                module, _, name = one.value.rpartition(".")
                verdict = shipped().judge(module, name)
                if verdict.level is Level.DANGEROUS and module.partition(".")[0] not in _KERAS:
                    where: Evidence = {"key": shown(one.path), "callable": one.value, "why": verdict.why}
                    yield Hit("keras-config-callable", None, where)

    def _text(self, one: Text) -> Iterator[Hit | Child]:
        marshalled = parser.code(one.value, one.in_code)
        if marshalled is not None:
            yield from self._child(f"code of {shown(one.path)}", marshalled, "python_bytecode")
            return
        found = telltale.code(one.value)
        if found is not None:
            grade = Severity.CRITICAL if one.in_code else None
            evidence: Evidence = {"key": shown(one.path), "what": found[0], "text": found[1][:_SHOWN]}
            yield Hit("keras-config-code-text", None, evidence, grade)
        for data in telltale.payloads(one.value):
            if telltale.is_payload(data[:16]):
                yield from self._child(f"data of {shown(one.path)}", data, None)

    def _child(self, name: str, data: bytes, format: str | None) -> Iterator[Child]:
        if data not in self._children and len(self._children) < _CHILDREN:
            self._children.add(data)
            yield Child(name, data=data, format=format)


def _is_part(one: Named) -> bool:
    """Whether a function of those places is one that models name all the same."""
    return "keras_export" in one.name or one.module.endswith((".applications", ".activations")) or one.name in _MODELS


def _runs(name: str) -> bool:
    """Whether a class without a module has the name of a builtin that runs something."""
    return name in ("exec", "eval", "compile", "__import__", "open", "breakpoint", "input")


def _is_within(path: Path, outer: Path) -> bool:
    while path:
        if path == outer:
            return True
        path = path[0]  # type: ignore[assignment]
    return False
