"""Flax's states in MessagePack: arrays that lie, names that reach into Python, code, and what else is carried.

The bodies of arrays are not read. Sources: `flax.serialization`; the MessagePack specification.
"""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.catalogue.callables import Level
from modelaudit.catalogue.callables.shipped import shipped
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Evidence, Hit
from modelaudit.parsers import flax_arrays, msgpack, restore, telltale
from modelaudit.parsers.msgpack_head import is_state

_ADDRESSES = 1 << 63
_CHUNKED = "__msgpack_chunked_array__"
_INTERNAL = late(
    r"__(?:reduce|reduce_ex|setstate|getstate|class|bases|base|mro|subclasses|globals|builtins|import|code|init|new|call"
    r"|getattr|getattribute|setattr|dict|del|module|wrapped|closure|self|func|loader|spec|main)__"
)
_SHOWN_BYTES = 16  # of a body, to see what it is


def warm() -> None:
    """Load the verdicts on callables before the cage closes."""
    shipped()


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the first bytes are those of a map with names for keys, or of one of Flax's arrays."""
    return is_state(blob, limits)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset]:
    """Go from header to header, and look at what is no array."""
    state = _State(blob, limits)
    try:
        for event in msgpack.events(blob, limits):
            if isinstance(event, msgpack.End):
                if event.offset < blob.size:
                    yield Hit("flax-msgpack-trailing", event.offset, {"length": blob.size - event.offset})
                    yield Child("trailing bytes", event.offset, blob.size - event.offset)
            else:
                yield from state.take(event)
    except ParseError as error:
        yield Hit("flax-msgpack-malformed", error.offset, {"what": error.message, "at": error.offset})
        yield from state.end()
        raise
    except LimitExceeded:
        yield from state.end()
        raise
    yield from state.end()


def _shown(path: tuple[str, ...]) -> str:
    return "/".join(path) or "the state"


class _State:
    """What has been seen: names, and how many arrays of each kind of flaw."""

    def __init__(self, blob: Blob, limits: Limits) -> None:
        self._blob = blob
        self._limits = limits
        self._keys: list[set[str] | None] = []  # of each map that is open; None for an array
        self._names: list[str] = []
        self._arrays = 0
        self._flaws: dict[str, tuple[int, Evidence, int]] = {}

    def take(self, event: msgpack.Event) -> Iterator[Hit | Child]:
        """Look at one event."""
        if isinstance(event, msgpack.Opened):
            self._keys.append(set() if event.kind == "map" else None)
        elif isinstance(event, msgpack.Closed):
            self._keys.pop()
        elif isinstance(event, msgpack.Key):
            yield from self._key(event)
        elif isinstance(event, msgpack.Body):
            if event.kind == "text":
                yield from self._text(event)
            elif event.kind == "extension" and event.code in (flax_arrays.NDARRAY, flax_arrays.SCALAR):
                yield from self._array(event)
            else:
                yield from self._bytes(event)

    def end(self) -> Iterator[Hit | Asset]:
        """What was counted."""
        for rule, (offset, evidence, count) in self._flaws.items():
            yield Hit(rule.partition(":")[0], offset, {**evidence, "count": count})
        yield Asset("", "flax_msgpack", self._blob.size, tuple(self._names), self._arrays)

    def _count(self, rule: str, offset: int, evidence: Evidence) -> None:
        before = self._flaws.get(rule)
        if before is not None:
            self._flaws[rule] = (before[0], before[1], before[2] + 1)
        elif len(self._flaws) < 300:  # extension types are 256 at most
            self._flaws[rule] = (offset, evidence, 1)

    def _key(self, event: msgpack.Key) -> Iterator[Hit]:
        text, seen = event.text, self._keys[-1]
        if text is None or seen is None:
            return
        if text in seen:
            yield Hit("flax-msgpack-duplicate-key", event.offset, {"name": _shown((*event.path, text))})
        seen.add(text)
        if _INTERNAL.fullmatch(text):
            yield Hit("flax-msgpack-key", event.offset, {"key": _shown((*event.path, text))})
        else:
            yield from self._code(text, (*event.path, text), event.offset)

    def _code(self, text: str, path: tuple[str, ...], offset: int) -> Iterator[Hit]:
        found = telltale.code(text) if len(text) > 5 else None
        if found is not None:
            evidence: Evidence = {"name": _shown(path), "what": found[0], "excerpt": found[1]}
            yield Hit("flax-msgpack-code", offset, evidence)

    def _text(self, body: msgpack.Body) -> Iterator[Hit | Child]:
        if body.length < 3:
            return
        data = bytes(self._blob.view(body.start, min(body.length, self._limits.text_bytes)))
        text = data.decode("utf-8", "surrogateescape")
        yield from self._code(text, body.path, body.offset)
        if body.path and restore.is_key(body.path[-1]):
            yield from _restore(text, body)
        if len(text) >= 20:
            yield from (Child(_shown(body.path), data=payload) for payload in telltale.payloads(text))

    def _bytes(self, body: msgpack.Body) -> Iterator[Hit | Child]:
        """A binary or an extension that is no array."""
        if body.kind == "extension" and body.code not in (flax_arrays.COMPLEX, flax_arrays.TIMESTAMP):
            evidence: Evidence = {"name": _shown(body.path), "extension": body.code}
            self._count(f"flax-msgpack-extension:{body.code}", body.offset, evidence)
        yield from self._payload(body.path, body.start, body.length)

    def _payload(self, path: tuple[str, ...], start: int, length: int) -> Iterator[Child]:
        if length and telltale.is_payload(self._blob.view(start, min(length, _SHOWN_BYTES))):
            yield Child(_shown(path), start, length)

    def _array(self, body: msgpack.Body) -> Iterator[Hit | Child]:
        name = _shown(body.path)
        try:
            array = flax_arrays.read(self._blob, body)
        except ParseError as error:
            self._count("flax-msgpack-malformed", body.offset, {"what": f"{name}: {error.message}", "at": error.offset})
            yield from self._payload(body.path, body.start, body.length)
            return
        if body.code == flax_arrays.NDARRAY:
            self._arrays += 1
            if len(self._names) < self._limits.tensors_named:
                self._names.append(name)
        if flax_arrays.is_object(array.dtype):
            yield Hit("flax-msgpack-object-array", body.offset, {"name": name, "dtype": array.dtype})
        inside = body.start + body.length - array.start
        if array.count >= _ADDRESSES or (array.count == 0 and max(array.shape) >= _ADDRESSES):
            shape = "x".join(map(str, array.shape))
            yield Hit("flax-msgpack-shape", body.offset, {"name": name, "shape": shape})
        elif array.length != inside or array.needed not in (None, array.length):
            needed = array.needed if array.length == inside else array.length
            evidence: Evidence = {"name": name, "length": inside, "needed": needed}
            self._count("flax-msgpack-size-mismatch", body.offset, evidence)
        elif array.needed is None:
            self._count("flax-msgpack-unknown-dtype", body.offset, {"name": name, "dtype": array.dtype})
        if array.needed is None or array.dtype in ("uint8", "int8") or array.dtype.startswith(("bytes", "void")):
            yield from self._payload(body.path, array.start, min(array.length, inside))


def _restore(text: str, body: msgpack.Body) -> Iterator[Hit]:
    verdict = restore.judge(text)
    if verdict is not None:
        evidence: Evidence = {"name": _shown(body.path), "function": text, "why": verdict.why}
        dangerous = verdict.level is Level.DANGEROUS
        yield Hit(f"flax-msgpack-{'restore-function' if dangerous else 'custom-restore'}", body.offset, evidence)
