"""Configuration of any syntax and name: what it runs, what it gives away, what it refers to.

JSON, YAML, TOML, INI, `.env` and XML become one kind of tree, of which nothing is ever constructed or rendered.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from modelaudit.blob import Blob
from modelaudit.catalogue.callables.shipped import shipped
from modelaudit.errors import ParseError
from modelaudit.limits import Limits
from modelaudit.model import Child, Evidence, Hit, License, Note, Severity
from modelaudit.parsers.manifest import ini, json, markup, text, toml, yaml
from modelaudit.parsers.manifest.tree import Document, Pairs, Path, Tagged, shown, text_of, walk
from modelaudit.scanners.manifest import callables, large, licenses, remote, secrets, structure
from modelaudit.scanners.manifest.shape import is_program
from modelaudit.scanners.manifest.values import Values

_WEAK = {
    "md5": 32,
    "sha1": 40,
    "sha-1": 40,
    "md5sum": 32,
    "sha1sum": 40,
    "md5_hash": 32,
    "sha1_hash": 40,
    "checksum_md5": 32,
}
_STRONG = ("sha256", "sha512", "sha384", "sha-256", "sha-512", "blake", "sha3", "digest", "integrity", "sha224")
_ALIKE = 100
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")


def warm() -> None:
    """Load the verdicts on callables before the cage closes."""
    shipped()


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the head of the blob is written in a syntax of configuration."""
    return text.syntax(blob, limits) is not None


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | License | Note]:
    """Findings of every value, chat templates as children, and licences."""
    if blob.size > limits.text_bytes:
        pieces = large.trees(blob, limits)
        yield from _bounded(chain.from_iterable(_findings(piece, blob, limits) for piece in pieces))
        return
    document = read(blob, limits)
    if document is None:
        return
    yield from structure.of(document, limits)
    yield from _bounded(_findings(document, blob, limits))
    for root in document.roots:
        yield from licenses.of(root, blob.place.name)
    if document.broken is not None:
        yield Note("broken", document.broken)


def _bounded(items: Iterable[Hit | Child | Note]) -> Iterator[Hit | Child | Note]:
    """The items without more than `_ALIKE` hits of one rule and severity: a file of nothing else says no more."""
    counts: Counter[tuple[str, str | None]] = Counter()
    for item in items:
        if isinstance(item, Hit):
            counts[item.rule, item.severity] += 1
            if counts[item.rule, item.severity] > _ALIKE:
                continue
        yield item


def _findings(document: Document, blob: Blob, limits: Limits) -> Iterator[Hit | Child | Note]:
    """What the rules say about the values of a document."""
    values = Values(limits, is_program(document.roots))
    mapped, trusted, weak = False, False, []
    for root in document.roots:
        if isinstance(root, str):
            yield from values.whole(root)
        for path, node in walk(root):
            if isinstance(node, Tagged):
                yield from callables.in_tag(path, node)
            elif isinstance(node, Pairs):
                yield from callables.in_pairs(path, node, root)
                yield from remote.in_pairs(path, node, blob)
                mapped = mapped or any(key == "auto_map" for key, _ in node)
                trusted = trusted or remote.trusts(node)
                weak += _weak_hashes(path, node)
            yield from values.of(path, node)
        unknown = callables.unknown_targets(root)
        if unknown:
            evidence: Evidence = {"callable": unknown[0], "count": len(unknown), "callables": unknown}
            yield Hit("manifest-unknown-targets", None, evidence)
    if trusted:
        how = "and names that code" if mapped else "and names none"
        yield Hit("manifest-trust-switch", None, {"mapped": how}, None if mapped else Severity.INFO)
    if weak:
        yield Hit("manifest-weak-hash", None, {"key": weak[0], "count": len(weak)})


def texts(blob: Blob, limits: Limits, /) -> Iterator[str]:
    """Keys and values as text, for the patterns of --blacklist; credentials in them are hidden."""
    document = read(blob, limits) if blob.size <= limits.text_bytes else None
    for root in document.roots if document is not None else ():
        for _, node in walk(root):
            items: Sequence[tuple[str, object]] = ()
            if isinstance(node, Tagged):
                yield secrets.hide(node.tag)
            if isinstance(node, Pairs):
                items = node
            elif isinstance(node, list):
                items = [("", item) for item in node]
            for key, value in items:
                written = text_of(value)
                if key or written:
                    yield secrets.hide(f"{key}: {written}" if key and written else written or key)


def read(blob: Blob, limits: Limits) -> Document | None:
    """The blob as a tree; None when it is no configuration after all."""
    syntax = text.syntax(blob, limits)
    if syntax is None or (written := text.decode(bytes(blob.view(0, blob.size)))) is None:
        return None
    written = written.lstrip("\ufeff")
    if syntax == "json":
        try:
            return json.parse(written, limits)
        except ParseError:
            document = yaml.parse(written, limits)
            return document if document.broken is None or _tagged(document) else None
    if syntax == "yaml":
        document = yaml.parse(written, limits)
        if not text.is_yaml_by_name(blob.place.name) and not document.too_deep:
            document.syntax = "lines"  # text that may only look like YAML: what can be read of it is looked at
            document.broken = None
        return document
    if syntax == "xml":
        return markup.parse(blob, limits)
    if syntax == "lines":
        return Document("lines", [written])
    if syntax == "ini":
        try:
            return toml.parse(written, limits)
        except ParseError:
            return ini.parse(written)
    return None


def _tagged(document: Document) -> bool:
    return any(isinstance(node, Tagged) for root in document.roots for _, node in walk(root))


def _weak_hashes(path: Path, pairs: Pairs) -> list[str]:
    """Keys of digests that collide, where no better one stands beside them."""
    found = []
    for key, value in pairs:
        length = _WEAK.get(key.casefold())
        digest = text_of(value) if length else None
        if digest is not None and len(digest) == length and _HEXADECIMAL.issuperset(digest):
            found.append(shown(path, key))
    if found and any(word in key.casefold() for key, _ in pairs for word in _STRONG):
        return []
    return found
