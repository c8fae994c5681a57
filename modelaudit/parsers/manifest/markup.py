"""XML as a tree of the same kind: an element is a mapping of its attributes (`@name`), its parts and its text.

Entities are told and never expanded; see `modelaudit.parsers.xml`.
"""

from modelaudit.blob import Blob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits
from modelaudit.parsers import xml
from modelaudit.parsers.manifest.tree import Document, Pairs

_TEXT = "#text"
_SHOWN = 80
_STANDARD = (
    "http://www.w3.org/",
    "https://www.w3.org/",
    "http://www.oasis-open.org/",
)  # parts of public document types


def parse(blob: Blob, limits: Limits) -> Document:
    """Read the document; what breaks it is in `Document.broken`, and what came before stays. Raises `Missing`."""
    document = Document("xml", [Pairs()])
    stack: list[Pairs] = [document.roots[0]]  # type: ignore[list-item]
    try:
        for event in xml.events(blob, limits):
            if isinstance(event, xml.Start):
                pairs = Pairs((f"@{name}", value) for name, value in event.attributes.items())
                stack[-1].append((event.name, pairs))
                stack.append(pairs)
                document.nodes += 1
            elif isinstance(event, xml.End):
                stack.pop()
            elif isinstance(event, xml.Text):
                if event.text.strip():
                    stack[-1].append((_TEXT, event.text))
            elif isinstance(event, xml.Entity):
                document.entities += _entity(event)
            elif isinstance(event, xml.Unread):
                document.broken = f"XML in the encoding {event.encoding}, which is not read"
            if document.nodes > limits.text_nodes:
                raise LimitExceeded("text_nodes", document.nodes, limits.text_nodes)
    except ParseError as error:
        document.broken = error.message
    except LimitExceeded as limit:
        document.broken = str(limit)
        if limit.limit == "text_depth":
            document.too_deep = limit.asked
    return document


def _entity(entity: xml.Entity) -> list[str]:
    """What is wrong with a declaration: it fetches something, or is made of other entities."""
    value = entity.value or ""
    if entity.system is not None:
        known = entity.parameter and entity.system.startswith(_STANDARD)
        return [] if known else [f"The entity {entity.name[:_SHOWN]} is fetched from {entity.system[:_SHOWN]}"]
    if value.count("&") - value.count("&#") > 1 or (entity.parameter and ("SYSTEM" in value or "%" in value)):
        return [f"The entity {entity.name[:_SHOWN]} is made of other entities"]
    return []
