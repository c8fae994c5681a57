"""Pickle streams of all protocols, joblib's and legacy PyTorch's among them: what loading one would import and call.

Allow first, then deny, then suspect: the catalogue of callables gives the verdict on each global. A dangerous
one is critical when it is merely named; an unknown one is a warning when it is called and a remark when it is
named; a conditional one (getattr, partial, …) is as good as what its arguments reach, which the parser follows.
"""

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Final, TypeAlias

import msgspec

from modelaudit.blob import Blob
from modelaudit.catalogue.callables import Level, Verdict
from modelaudit.catalogue.callables.shipped import shipped
from modelaudit.catalogue.callables.templates import is_argument_parser
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Evidence, Hit, Note, Severity
from modelaudit.parsers import pickle as parser
from modelaudit.parsers.pickle import Ended, Gap, Walk, compute
from modelaudit.parsers.pickle.values import (
    Broken,
    Called,
    Computed,
    Disguised,
    Executed,
    Extension,
    Global,
    Named,
    Nested,
    Unread,
    WrongFrame,
    Wrote,
)
from modelaudit.parsers.pickle.walk import Item

Found: TypeAlias = Hit | Child | Asset | Note

# Packages whose presence makes a stream look like a model. Informational: no verdict depends on it.
_MODELS: Final = frozenset({
    "catboost", "cloudpickle", "dill", "fastai", "flax", "gensim", "huggingface_hub", "jax", "joblib", "keras",
    "lightgbm", "lightning", "nltk", "numpy", "optuna", "pandas", "peft", "pytorch_lightning", "safetensors",
    "scipy", "sentence_transformers", "sklearn", "skops", "spacy", "statsmodels", "tensorflow", "tokenizers",
    "torch", "torchaudio", "torchvision", "transformers", "xgboost",
})  # fmt: skip
_WRITES: Final = {
    "global": "pickle-write",
    "unknown": "pickle-write",
    "tensor": "pickle-write-tensor",
    "data": "pickle-write-data",
    "setstate": "pickle-setstate",
}
_CODE_CHARS: Final = 400
_GROUPS: Final = 10_000  # findings of one stream; more would be cut by the engine
_PAYLOADS: Final = 100_000  # payloads of one stream
_BROKEN_NOTES: Final = 5  # breaks told of one by one


def warm() -> None:
    """Load verdicts and codecs before the cage closes: afterwards no file can be opened."""
    shipped()
    compute.warm()


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the blob begins with a pickle, whatever its name. Text and other formats do not."""
    return parser.is_pickle(blob)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Found]:
    """Findings of every pickle of the stream, and what stands inside and between them as children."""
    # What is known is read when the first global is named; most pickles of a stream name none.
    walk = Walk(
        blob,
        lambda module, name: shipped().role(module, name),
        limits.nested_depth,
        lambda module, name: shipped().executed_state(module, name),
    )
    yield from _Report(walk).items()


class _Report:
    """Turns the events of a walk into findings: one for each rule and global, however often it occurs."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._verdicts: dict[int, Verdict] = {}
        self._named: dict[int, Named] = {}
        self._of_models = 0
        self._called: dict[int, Called] = {}
        self._told: set[tuple[str, object]] = set()
        self._nested: dict[tuple[int, int] | bytes, _Payload] = {}
        # What the pickle that is read now has added: a stream may have a million pickles.
        self._fresh: dict[int, Named] = {}
        self._untold: dict[tuple[int, int] | bytes, _Payload] = {}
        self._breaks = 0
        self._format = ""

    def items(self) -> Iterator[Found]:
        for item in self._walk.items():
            if isinstance(item, Named):
                self._named[id(item.what)] = self._fresh[id(item.what)] = item
                self._of_models += item.what.module.partition(".")[0] in _MODELS
            elif isinstance(item, Called):
                if item.decoded:
                    yield from self._decoded(item)
                self._called.setdefault(id(item.what), item)
                if id(item.what) in self._named:
                    self._fresh[id(item.what)] = self._named[id(item.what)]
            elif isinstance(item, Ended):
                if item.legacy:
                    self._format = "pytorch-legacy"
                yield from self._globals(Level.DANGEROUS, self._fresh)
                self._fresh = {key: named for key, named in self._fresh.items() if named.what.role == "literal"}
                yield from self._payloads()
            else:
                yield from self._other(item)
        yield from self._globals(Level.UNKNOWN, self._named)
        if self._format:
            yield Asset("", self._format)

    # --- globals ------------------------------------------------------------------------------------------

    def _verdict(self, what: Global) -> Verdict:
        verdict = self._verdicts.get(id(what))
        if verdict is None:
            verdict = self._verdicts[id(what)] = _judge(what)
        return verdict

    def _globals(self, level: Level, among: Mapping[int, Named]) -> Iterator[Found]:
        """Findings on the globals of that level which have not been told of yet."""
        for key, named in among.items():
            what = named.what
            verdict = self._verdict(what)
            called = self._called.get(key)
            built = what.role == "new" and called is not None and level is Level.UNKNOWN
            if (verdict.level is not level and not built) or len(self._told) >= _GROUPS:
                continue
            if what.role == "literal" and what.named == what.harmless:
                continue  # each use of it was a call, and each call evaluates a literal
            if level is Level.DANGEROUS:
                yield from self._once("pickle-import", named.offset, what, self._evidence(what, verdict, named))
                if called is not None and not called.decoded:
                    evidence = self._evidence(what, verdict, called)
                    yield from self._once("pickle-call", called.offset, what, evidence)
            elif called is not None:
                evidence = self._evidence(what, verdict, called)
                yield from self._once("pickle-unknown-call", called.offset, what, evidence)
            else:
                evidence = self._evidence(what, verdict, named)
                yield from self._once("pickle-unknown-import", named.offset, what, evidence)

    def _once(self, rule: str, offset: int, what: Global, evidence: Evidence) -> Iterator[Hit]:
        if (rule, id(what)) not in self._told:
            self._told.add((rule, id(what)))
            yield Hit(rule, offset, evidence)

    def _evidence(self, what: Global, verdict: Verdict, event: Named | Called) -> Evidence:
        evidence: Evidence = {
            "position": event.offset,
            "opcode": event.opcode,
            "module": verdict.module or what.module,
            "function": verdict.name or what.name,
            "reference": ".".join(part for part in (verdict.module or what.module, verdict.name or what.name) if part),
            "category": verdict.category,
            "why": verdict.why,
            "ml_context_confidence": self._confidence(),
        }
        if what.via:
            evidence["via"] = what.via
        count = what.named if isinstance(event, Named) else what.called
        if count > 1:
            evidence["count"] = count
        if isinstance(event, Called):
            evidence["call"] = event.shown
            if event.code:
                evidence["code"] = event.code
        return evidence

    def _confidence(self) -> float:
        """The share of the stream's globals that are of packages which models are made of."""
        return round(self._of_models / len(self._named), 2) if self._named else 0.0

    def _decoded(self, event: Called) -> Iterator[Found]:
        evidence = self._evidence(event.what, self._verdict(event.what), event)
        yield from self._once("pickle-decode-exec", event.offset, event.what, evidence)

    # --- everything else ----------------------------------------------------------------------------------

    def _other(self, item: Item) -> Iterator[Found]:
        if isinstance(item, Computed):
            severity = Severity.CRITICAL if item.called else None
            yield Hit("pickle-computed", item.offset, {"opcode": item.opcode, "call": item.shown}, severity)
        elif isinstance(item, Wrote):
            evidence: Evidence = {"opcode": item.opcode, "target": item.target, "position": item.offset}
            if (item.kind, item.target) not in self._told and len(self._told) < _GROUPS:
                self._told.add((item.kind, item.target))
                yield Hit(_WRITES[item.kind], item.offset, evidence)
        elif isinstance(item, Executed):
            yield from self._executed(item)
        elif isinstance(item, Extension):
            if (item.opcode, item.code) not in self._told:
                self._told.add((item.opcode, item.code))
                yield Hit("pickle-extension", item.offset, {"opcode": item.opcode, "extension": item.code})
        elif isinstance(item, Nested):
            yield from self._payload(item)
        elif isinstance(item, WrongFrame | Disguised):
            yield from self._misleading(item)
        elif isinstance(item, Broken):
            self._breaks += 1
            if self._breaks <= _BROKEN_NOTES:
                yield Note("broken", f"the pickle breaks at byte {item.offset}: {item.why}", item.offset)
        elif isinstance(item, Unread):
            yield Note("payloads", f"{item.why} (at byte {item.offset})", item.offset)
        elif isinstance(item, Gap) and item.kind != "raw":
            name = "trailing bytes" if item.kind == "trailing" else f"bytes at {item.offset}"
            yield Hit("pickle-trailing", item.offset, {"offset": item.offset, "length": item.length})
            yield Child(name, item.offset, item.length)

    def _misleading(self, item: WrongFrame | Disguised) -> Iterator[Found]:
        """What makes readers go on at different places."""
        why = item.why if isinstance(item, Disguised) else ""
        if ("misleading", why) in self._told:
            return
        self._told.add(("misleading", why))
        if isinstance(item, Disguised):
            yield Hit("pickle-joblib-array", item.offset, {"offset": item.offset, "what": why})
        else:
            yield Hit("pickle-frame", item.offset, {"offset": item.offset})

    def _executed(self, item: Executed) -> Iterator[Found]:
        if item.text is not None and is_argument_parser(item.text):
            return
        if ("executed", item.target) not in self._told and len(self._told) < _GROUPS:
            self._told.add(("executed", item.target))
            code = "what the file computes" if item.text is None else item.text[:_CODE_CHARS]
            evidence: Evidence = {"opcode": item.opcode, "target": item.target, "code": code, "position": item.offset}
            yield Hit("pickle-state-code", item.offset, evidence)

    def _payload(self, item: Nested) -> Iterator[Found]:
        """A payload inside the pickle becomes a child at once; that it is there is told of at the pickle's end."""
        key = (item.offset, item.length) if item.data is None else blake2b(item.data, digest_size=16).digest()
        known = self._nested.get(key)
        if known is None and len(self._nested) < _PAYLOADS:
            name = f"{item.what} at {item.offset}"
            if item.data is None:
                yield Child(name, item.offset, item.length)
            else:
                yield Child(name, data=item.data, size=len(item.data))
        if len(self._nested) < _PAYLOADS and (known is None or known.loader is None):
            payload = _Payload(item.offset, item.what, item.encoding or "raw", item.length, item.loader)
            self._nested[key] = self._untold[key] = payload

    def _payloads(self) -> Iterator[Found]:
        """One finding for each kind of payload and way of loading it; none for what a harmless loader loads."""
        groups: dict[tuple[str, str, int], list[_Payload]] = {}
        for payload in self._untold.values():
            groups.setdefault((payload.what, payload.encoding, id(payload.loader)), []).append(payload)
        self._untold = {}
        for members in groups.values():
            first = members[0]
            evidence: Evidence = {"what": first.what, "encoding": first.encoding, "length": first.length}
            severity = None
            if len(members) > 1:
                evidence["count"] = len(members)
            if first.loader is not None:
                if self._verdict(first.loader).level is not Level.DANGEROUS:
                    continue
                evidence["loader"] = first.loader.path
                severity = Severity.WARNING
            yield Hit("pickle-nested", first.offset, evidence, severity)


class _Payload(msgspec.Struct):
    offset: int
    what: str
    encoding: str
    length: int
    loader: Global | None


def _judge(what: Global) -> Verdict:
    """The verdict on a global, on a module, or on an attribute that was reached through an instance or a class."""
    known = shipped()
    verdict = known.judge(what.module, what.name)
    if verdict.level is not Level.UNKNOWN or what.owner is None:
        return verdict
    owner = _judge(what.owner)
    if owner.level is not Level.SAFE:
        return verdict
    attribute = known.attribute(what.attribute)
    return Verdict(attribute.level, attribute.category, attribute.why, what.module, what.name)
