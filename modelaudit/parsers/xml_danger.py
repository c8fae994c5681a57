"""What of an XML document is a danger whatever its vocabulary: entities, outside DTDs, inclusions, style sheets.

Sources: OWASP's XML External Entity Prevention; CVE-2003-1564 (billion laughs); XInclude 1.1; XSLT 1.0.
"""

from collections.abc import Iterator, Sequence

import msgspec

from modelaudit.late import late
from modelaudit.parsers.xml import Doctype, Entity, Event, Instruction, Start, Unread

BOMB_RATIO = 100  # characters that an entity becomes, for each one written; what expat and libxml2 put up with
BOMB_CHARS = 64 * 1024  # below this nothing is a bomb
_BIGGEST = 1 << 62  # counting goes no further
_REFERENCE = late(r"&([^\s;&#][^\s;&]*);")
_SPACES = {
    "http://www.w3.org/2001/xinclude": "xinclude",
    "http://www.w3.org/2003/xinclude": "xinclude",
    "http://www.w3.org/1999/xsl/transform": "xslt",
    "http://xml.apache.org/xalan": "xslt",
    "http://xml.apache.org/xslt": "xslt",
    "urn:schemas-microsoft-com:xslt": "xslt",
}


class Danger(msgspec.Struct, frozen=True):
    """One danger: `kind` is `external-entity`, `entity-bomb`, `entity`, `dtd`, `outside-dtd`, `xinclude`, `xslt`,
    `stylesheet` or `encoding`; `name` whose, `target` where it leads."""

    kind: str
    name: str
    target: str
    offset: int


def of_event(event: Event) -> Danger | None:
    """What is dangerous about `event` alone; entities are judged together by `of_doctype`."""
    if isinstance(event, Start):
        for name, value in event.attributes.items():
            if name.startswith("xmlns"):
                for space, kind in _SPACES.items():
                    if value.strip().lower().startswith(space):
                        return Danger(kind, event.name, value, event.offset)
        return None
    if isinstance(event, Instruction) and event.target.lower() == "xml-stylesheet":
        return Danger("stylesheet", event.target, event.text, event.offset)
    if isinstance(event, Unread):
        return Danger("encoding", event.encoding, "", 0)
    return None


def of_doctype(doctype: Doctype, entities: Sequence[Entity]) -> Iterator[Danger]:
    """What is dangerous about a DOCTYPE and the entities that it declares, worst first."""
    outside = [entity for entity in entities if entity.system is not None or entity.public is not None]
    for entity in outside:
        yield Danger("external-entity", entity.name, entity.system or entity.public or "", entity.offset)
    inside = [entity for entity in entities if entity.value is not None]
    for entity, chars in zip(inside, _grown(inside), strict=True):
        if chars > BOMB_CHARS and chars > BOMB_RATIO * sum(len(other.value or "") for other in inside):
            yield Danger("entity-bomb", entity.name, str(chars), entity.offset)
            return
    if inside:
        yield Danger("entity", inside[0].name, inside[0].value or "", inside[0].offset)
    elif doctype.subset is not None and doctype.subset.strip():
        yield Danger("dtd", doctype.name, doctype.subset.strip(), doctype.offset)
    if doctype.system is not None:
        yield Danger("outside-dtd", doctype.name, doctype.system, doctype.offset)


def _grown(entities: Sequence[Entity]) -> list[int]:
    """How many characters each entity becomes; one that leads to itself grows without end."""
    by_name: dict[str, int] = {}
    for index, entity in enumerate(entities):
        by_name.setdefault(entity.name, index)  # of two declarations the first counts
    uses = [
        [by_name[name] for name in _REFERENCE.findall(entity.value or "") if name in by_name] for entity in entities
    ]
    sizes: list[int | None] = [None] * len(entities)
    for first in range(len(entities)):
        stack, open_ = [(first, 0)], {first}
        while stack:
            index, step = stack.pop()
            if sizes[index] is not None:
                open_.discard(index)
                continue
            if step < len(uses[index]):
                stack.append((index, step + 1))
                inner = uses[index][step]
                if inner in open_:
                    sizes[inner] = _BIGGEST
                elif sizes[inner] is None:
                    stack.append((inner, 0))
                    open_.add(inner)
                continue
            total = len(entities[index].value or "") + sum(sizes[inner] or 0 for inner in uses[index])
            sizes[index] = min(total, _BIGGEST)
            open_.discard(index)
    return [size or 0 for size in sizes]
