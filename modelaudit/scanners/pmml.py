"""PMML: entities, inclusions, scripts and references in what should be the description of a model."""

import re
from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Hit, Severity
from modelaudit.parsers import telltale, xml, xml_danger
from modelaudit.parsers.xml_danger import Danger

_DEPTH = 20_000  # every level of a decision tree is a level of XML
_SHORTEST = 8  # characters; no code and no reference is shorter
_TEXT_CHARS = 4 * 1024 * 1024  # of one element, gathered to be looked at as a whole
_SCRIPTS = late(
    r"script|scriptlet|javascript|jscript|vbscript|groovy|beanshell|python|exec|execute|eval|system|command|shell"
    r"|powershell|applet|iframe|embed|object",
    re.IGNORECASE,
)
_REFERENCES = late(r"(?:.*:)?(?:href|src|url|uri|systemid|file|filename|filepath|file_path|path|location)", re.I)
_OUTSIDE = late(
    r"(?:https?|ftps?|sftp|file|jar|ldaps?|rmi|jndi|gopher|data|php|expect|smb|s3|gs)://?|\\\\\w|/\w|\.\./", re.I
)
_FOLLOWED = late(r"\b(?:file|jar|ldaps?|rmi|jndi|gopher|expect):(?://?|\w)", re.I)
_SYSTEM_CLASS = late(
    r"(?:java\.lang\.(?:Runtime|Process|System|Class|Thread|reflect|invoke)|java\.(?:io|net|nio|rmi)\.|javax\.(?:script|naming|management)"
    r"|jdk\.|sun\.|com\.sun\.|groovy\.|bsh\.|javassist\.|ognl\.|org\.(?:codehaus\.groovy|mozilla\.javascript|python\.|springframework|mvel))"
)
_CLASS = late(r"(?:[a-z][\w$]*\.)+[A-Z][\w$]*(?:[.#][\w$]+)?")
_FAMOUS_DTD = late(r"https?://(?:www\.)?dmg\.org/", re.I)
_RULE = {"external-entity": "external-entity", "entity-bomb": "entity-bomb", "encoding": "encoding"}
_DOCTYPE = {"entity": "an entity", "dtd": "attributes of its own", "outside-dtd": "an outside DTD"}
_INCLUSION = {"xinclude": "other files", "xslt": "a transformation", "stylesheet": "a style sheet"}


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the root is `PMML`, under any prefix."""
    root = xml.root(blob, limits)
    return root is not None and _local(root.name) == "PMML"


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset]:
    """Go over the document once; what stands in extensions is gathered and looked at as a whole."""
    yield Asset("", "pmml", blob.size)
    entities: list[xml.Entity] = []
    held, inside = _Held(), 0
    for event in xml.events(blob, limits, depth=_DEPTH):
        if isinstance(event, xml.Start):
            name = _local(event.name)
            if name == "Extension" or _SCRIPTS.fullmatch(name):
                inside = inside or event.depth
            held.end()
            yield from _start(event, name, bool(inside))
        elif isinstance(event, xml.Text):
            if held.full:
                yield from held.look("text", bool(inside))
            held.add(event)
        elif isinstance(event, xml.End):
            yield from held.look(event.name, bool(inside))
            inside = 0 if event.depth == inside else inside
        elif isinstance(event, xml.Entity):
            entities.append(event)
        elif isinstance(event, xml.Doctype):
            yield from map(_danger, xml_danger.of_doctype(event, entities))
        elif isinstance(event, xml.Junk):
            yield Hit("pmml-trailing", event.offset, {"length": blob.size - event.offset})
            yield Child("trailing bytes", event.offset, blob.size - event.offset)
        danger = xml_danger.of_event(event)
        if danger is not None:
            yield _danger(danger)


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _danger(danger: Danger) -> Hit:
    evidence = {"name": danger.name, "target": danger.target}
    if danger.kind in _RULE:
        return Hit(f"pmml-{danger.kind}", danger.offset, evidence)
    if danger.kind in _DOCTYPE:
        famous = danger.kind == "outside-dtd" and _FAMOUS_DTD.match(danger.target)  # as PMML 1 and 2 asked for
        severity = Severity.INFO if famous else None
        return Hit("pmml-doctype", danger.offset, {**evidence, "what": _DOCTYPE[danger.kind]}, severity)
    severity = Severity.WARNING if danger.kind == "stylesheet" else None
    return Hit("pmml-inclusion", danger.offset, {**evidence, "what": _INCLUSION[danger.kind]}, severity)


def _start(event: xml.Start, name: str, inside: bool) -> Iterator[Hit | Child]:
    attributes = event.attributes
    if event.depth == 1 and not attributes.get("version"):
        yield Hit("pmml-version", event.offset)
    script = _SCRIPTS.fullmatch(attributes.get("name", "") if name == "Extension" else name)
    if script:
        yield Hit("pmml-script", event.offset, {"name": event.name})
    if name == "Apply":
        yield from _function(attributes.get("function", ""), event.offset)
    for key, value in attributes.items():
        if len(value) < _SHORTEST or key.startswith("xmlns") or _local(key) == "schemaLocation":
            continue
        named = f"{event.name}.{key}"
        yield from _code(named, value, event.offset)
        if _FOLLOWED.match(value) or (_REFERENCES.fullmatch(key) and _OUTSIDE.match(value)):
            yield Hit("pmml-reference", event.offset, {"name": named, "target": value})
        if inside:
            yield from (Child(named, data=data) for data in telltale.payloads(value))


def _function(function: str, offset: int) -> Iterator[Hit]:
    if _SYSTEM_CLASS.match(function):
        yield Hit("pmml-function", offset, {"function": function})
    elif _CLASS.fullmatch(function):
        yield Hit("pmml-outside-function", offset, {"function": function})


def _code(name: str, text: str, offset: int) -> Iterator[Hit]:
    found = telltale.code(text)
    if found is not None:
        yield Hit("pmml-code", offset, {"name": name, "what": found[0], "excerpt": found[1]})


class _Held:
    """The text of one element, as far as no other element interrupts it."""

    def __init__(self) -> None:
        self.end()

    def end(self) -> None:
        """Begin anew."""
        self._pieces: list[str] = []
        self._chars = 0
        self._offset = 0

    def add(self, text: xml.Text) -> None:
        """Keep `text`."""
        if not self._pieces:
            self._offset = text.offset
        self._pieces.append(text.text)
        self._chars += len(text.text)

    @property
    def full(self) -> bool:
        """Whether it is time to look, end of the element or not."""
        return self._chars >= _TEXT_CHARS

    def look(self, name: str, inside: bool) -> Iterator[Hit | Child]:
        """What is in the text of the element that closes, and begin anew."""
        text, offset = "".join(self._pieces).strip(), self._offset
        self.end()
        if len(text) >= _SHORTEST:
            yield from _code(name, text, offset)
            if inside:
                yield from (Child(name, data=data) for data in telltale.payloads(text))
