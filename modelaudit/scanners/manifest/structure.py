"""What is wrong with how a configuration is written: keys twice, aliases that explode, nesting, entities."""

from collections.abc import Iterator

from modelaudit.limits import Limits
from modelaudit.model import Evidence, Hit, Severity
from modelaudit.parsers.manifest.tree import Document, Pairs, plain, shown, walk, words
from modelaudit.scanners.manifest import secrets

_BOMB_NODES = 1_000_000  # what a file expands to before anybody is harmed
_BOMB_RATIO = 100
# Of these keys it matters which of two values a reader takes.
_DECIDING = words(
    "auto_map _target_ class_path trust_remote_code chat_template class_name module registered_name"
    " architectures model_type loader_module"
    " custom_pipeline tokenizer_class weight_map safe_mode enable_unsafe_deserialization config dtype shape"
    " data_offsets"
)


def of(document: Document, limits: Limits) -> Iterator[Hit]:
    """Findings on the file as a whole."""
    if document.too_deep:
        yield Hit("manifest-deep", None, {"depth": document.too_deep, "allowed": limits.text_depth})
    if document.cyclic is not None:
        yield Hit("manifest-alias-bomb", None, {"what": f"the anchor {document.cyclic} contains itself"})
    if document.expanded > _BOMB_NODES and document.expanded > _BOMB_RATIO * document.nodes:
        what = f"{document.nodes} values that become {document.expanded:.2g} when aliases are followed"
        yield Hit("manifest-alias-bomb", None, {"what": what})
    if document.entities:
        yield Hit("manifest-entities", None, {"what": document.entities[0], "count": len(document.entities)})
    if document.syntax in ("json", "yaml"):
        yield from _twice(document)


def _twice(document: Document) -> Iterator[Hit]:
    """Keys that a mapping has twice with different values."""
    found: list[str] = []
    deciding = False
    for root in document.roots:
        for path, node in walk(root):
            if not isinstance(node, Pairs) or len(node.names()) == len(node):
                continue
            seen: dict[str, object] = {}
            for key, value in node:
                if key in seen and key not in ("<<", "?") and plain(seen[key]) != plain(value):
                    found.append(secrets.hide(shown(path, key)))
                    deciding = deciding or key in _DECIDING
                seen[key] = value
    if found:
        evidence: Evidence = {"key": found[0], "count": len(found)}
        yield Hit("manifest-duplicate-key", None, evidence, None if deciding else Severity.INFO)
