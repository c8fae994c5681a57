"""GGUF: a header that lies about its data, values that break loaders, templates, what stands beside the tensors.

The tensors' bytes are never read. What the values of known keys do to loaders is in `loaders`, where the tensors
lie in `layout`.
"""

from collections.abc import Iterator, Sequence

from modelaudit import licensing
from modelaudit.blob import Blob, read
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Hit, License, Note
from modelaudit.parsers import gguf
from modelaudit.parsers.gguf import ARRAY, INT8, STRING, UINT8, Entry, Header
from modelaudit.scanners.gguf.layout import layout, shapes
from modelaudit.scanners.gguf.loaders import loaders

_PATH = late(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:[/\\]|[\x00-\x1f\x7f]")
_TEMPLATE = late(rb"\{[{%]")
_TEMPLATE_KEY = "template"
_TEMPLATES = 64  # strings of one array of templates; real ones have one or two
_HELD = late(rb"\x80[\x02-\x05]|[c(\]}]|\x1f\x8b|x[\x01\x5e\x9c\xda]|PK\x03\x04|\x7fELF|MZ|BZh|\xfd7zXZ")
_HELD_BYTES = 16  # shorter values hold nothing
_CHILDREN = 64  # values that are looked at by themselves
_AHEAD_BYTES = 4096
_LICENSE_KEYS = ("general.license", "general.license.name")


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether a version that makes sense stands behind the magic, in either byte order."""
    return gguf.byte_order(blob) is not None


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset | License | Note]:
    """Hold the header against the file's size and against itself."""
    header = gguf.parse(blob, limits)
    names = tuple(tensor.name for tensor in header.tensors[: limits.tensors_named])
    yield Asset("", "gguf", blob.size, names, len(header.tensors))
    yield from _stopped(blob, header)
    yield from _names(header)
    yield from loaders(header)
    yield from shapes(header)
    if header.stop is None:
        yield from layout(blob, header)
    yield from _values(blob, header, limits)
    yield from licensing.in_metadata(_said(blob, header, limits))


def _stopped(blob: Blob, header: Header) -> Iterator[Hit | Child | Note]:
    """A header that cannot be read to its end: say why, and have the rest looked at as something else."""
    stop = header.stop
    if stop is None:
        return
    if stop.what in ("length", "truncated", "malformed"):
        yield Hit(f"gguf-{stop.what}", stop.offset, {"what": stop.message})
    reasons = {"version": "unsupported_version", "limit": "header_bytes", "truncated": "truncated"}
    yield Note(reasons.get(stop.what, "broken"), f"GGUF header: {stop.message}", stop.offset)
    if stop.offset < blob.size:
        yield Child("rest", stop.offset, blob.size - stop.offset)


def _names(header: Header) -> Iterator[Hit]:
    for kind, names in (
        ("key", [entry.key for entry in header.entries]),
        ("tensor name", [tensor.name for tensor in header.tensors]),
    ):
        odd = [name for name in names if _PATH.search(name)]
        if odd:
            yield Hit("gguf-name", None, {"kind": kind, "name": odd[0], "count": len(odd)})
        twice = _twice(names)
        if twice:
            rule = "gguf-duplicate-key" if kind == "key" else "gguf-duplicate-tensor"
            yield Hit(rule, None, {"name": twice[0], "count": len(twice)})


def _twice(names: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    found: dict[str, None] = {}
    for name in names:
        if name in seen:
            found[name] = None
        seen.add(name)
    return list(found)


def _values(blob: Blob, header: Header, limits: Limits) -> Iterator[Child | Note]:
    """Templates, and values that may be files of their own, to be looked at as such."""
    texts = [entry for entry in header.entries if entry.kind == STRING and entry.length]
    blob.require([(entry.offset, min(entry.length, _AHEAD_BYTES)) for entry in texts])
    templates = [entry for entry in texts if _TEMPLATE_KEY in entry.key]
    blob.require([(entry.offset, min(entry.length, limits.text_bytes)) for entry in templates])
    children = 0
    for entry in header.entries:
        if children >= _CHILDREN:
            yield Note("members", f"GGUF header: more than {_CHILDREN} values are templates or files")
            return
        for child in _value(blob, header, entry, limits):
            children += 1
            yield child


def _said(blob: Blob, header: Header, limits: Limits) -> Iterator[tuple[str, str]]:
    """What the header says of the model's licence, by key."""
    for entry in header.entries:
        if entry.kind == STRING and 0 < entry.length <= limits.license_bytes and entry.key in _LICENSE_KEYS:
            yield entry.key, read(blob, entry.offset, entry.length).decode("utf-8", "replace")


def _value(blob: Blob, header: Header, entry: Entry, limits: Limits) -> Iterator[Child]:
    if entry.kind == STRING and entry.length:
        if entry.length <= limits.text_bytes:
            text = read(blob, entry.offset, entry.length)
            if _TEMPLATE_KEY in entry.key or _TEMPLATE.search(text):
                yield Child(entry.key, data=text, format="jinja")
                return
        if entry.length >= _HELD_BYTES and _HELD.match(blob.view(entry.offset, _HELD_BYTES)):
            yield Child(entry.key, entry.offset, entry.length)
    elif entry.kind == ARRAY and entry.element == STRING and _TEMPLATE_KEY in entry.key:
        for number, text in enumerate(gguf.strings(blob, header, entry, _TEMPLATES, limits.text_bytes)):
            yield Child(f"{entry.key}[{number}]", data=text, format="jinja")
    elif _is_bytes(entry) and _HELD.match(blob.view(entry.offset, _HELD_BYTES)):
        yield Child(entry.key, entry.offset, entry.length)


def _is_bytes(entry: Entry) -> bool:
    return entry.kind == ARRAY and entry.element in (UINT8, INT8) and entry.length >= _HELD_BYTES
