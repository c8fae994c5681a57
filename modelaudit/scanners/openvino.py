"""OpenVINO IR, the XML side: layers that run code, paths, weights that do not add up, and XML's own dangers.

The weights beside it (`x.bin`) are an object of their own; here only its name and size are looked at.
Sources: OpenVINO's IR v10 and v11 documentation, and its frontend's checks on offset, size and shape.
"""

import re
from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.errors import ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Hit, Severity
from modelaudit.parsers import telltale, xml, xml_danger
from modelaudit.parsers.xml_danger import Danger

_DIGITS = late(r"\s*[0-9]{1,20}\s*")
_ADDRESSES = 1 << 63
_SHORTEST = 6  # characters; no path and no code is shorter
_PAYLOAD_CHARS = 40  # text that is shorter holds no pickle that calls
_PYTHON = late(
    r"(?:.*[_:.])?py(?:thon|func|op|call)\w*|\w*python\w*|(?:exec|eval|shell|script|system|command)\w{0,8}", re.I
)
_EXTENSION = late(r"custom\w*|extension\w*|external\w*|plugin\w*|\w*(?:native|userdefined)\w*", re.I)
_OPERATIONS = late(r"opset\d+|experimental|ie_internal_opset|util|ops_math|type_relaxed_opset|", re.I)
_LIBRARY = late(r"(?:.*[_-])?(?:library|lib|dll|plugin|extension|so)(?:[_-]?(?:path|file|name))?", re.I)
_PROGRAM = late(r"[^\s\"'<>]*\.(?:so(?:\.\d+)*|dll|dylib|pyd|pyc?|sh|exe|bat|cmd|ps1|jar|elf)", re.I)
_OUTSIDE = late(r"(?:https?|ftp|file|smb|s3|gs)://|\\\\\w|/(?:\w|\.)|(?:\.\.[/\\])|[A-Za-z]:[\\/]", re.I)
_FREE = late(r"(?:.*_)?(?:id|name|names|equation)", re.I)  # attributes in which any text may stand
_TEMPLATE = late(r".*chat_template", re.I)
_BITS = {
    **dict.fromkeys(("f64", "i64", "u64"), 64),
    **dict.fromkeys(("f32", "i32", "u32"), 32),
    **dict.fromkeys(("f16", "bf16", "i16", "u16"), 16),
    **dict.fromkeys(("i8", "u8", "boolean", "f8e4m3", "f8e5m2", "f8e8m0"), 8),
    **dict.fromkeys(("i4", "u4", "nf4", "f4e2m1"), 4),
    **dict.fromkeys(("u1",), 1),
}  # fmt: skip
_INCLUSION = {"xinclude": "other files", "xslt": "a transformation", "stylesheet": "a style sheet"}
_DOCTYPE = {"entity": "an entity", "dtd": "attributes of its own", "outside-dtd": "an outside DTD"}


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the root is `net` with a version, as the frontend asks for; or `net` that cannot be read."""
    root = xml.root(blob, limits)
    return root is not None and root.name == "net" and ("version" in root.attributes or not root.attributes)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset]:
    """Go over the graph once, then hold what its constants want against the size of the file beside it."""
    yield Asset("", "openvino", blob.size)
    graph = _Graph()
    entities: list[xml.Entity] = []
    try:
        for event in xml.events(blob, limits):
            if isinstance(event, xml.Start):
                yield from graph.start(event)
            elif isinstance(event, xml.Text):
                yield from _code("text", event.text, event.offset)
            elif isinstance(event, xml.End):
                graph.end(event)
            elif isinstance(event, xml.Entity):
                entities.append(event)
            elif isinstance(event, xml.Doctype):
                yield from map(_danger, xml_danger.of_doctype(event, entities))
            elif isinstance(event, xml.Junk):
                yield Hit("openvino-trailing", event.offset, {"length": blob.size - event.offset})
                yield Child("trailing bytes", event.offset, blob.size - event.offset)
            danger = xml_danger.of_event(event)
            if danger is not None:
                yield _danger(danger)
    except ParseError as error:
        yield Hit("openvino-malformed", error.offset, {"what": error.message, "at": error.offset})
        raise
    yield from graph.operations()
    yield from _weights(blob, graph.needed)


def _danger(danger: Danger) -> Hit:
    evidence = {"name": danger.name, "target": danger.target}
    if danger.kind in _DOCTYPE:
        return Hit("openvino-doctype", danger.offset, {**evidence, "what": _DOCTYPE[danger.kind]})
    if danger.kind in _INCLUSION:
        severity = Severity.WARNING if danger.kind == "stylesheet" else None
        return Hit("openvino-inclusion", danger.offset, {**evidence, "what": _INCLUSION[danger.kind]}, severity)
    return Hit(f"openvino-{danger.kind}", danger.offset, evidence)


def _code(name: str, text: str, offset: int) -> Iterator[Hit]:
    found = telltale.code(text) if len(text) >= _SHORTEST else None
    if found is not None:
        yield Hit("openvino-code", offset, {"name": name, "what": found[0], "excerpt": found[1]})


def _weights(blob: Blob, needed: int) -> Iterator[Hit]:
    """Whether the `.bin` beside the file has what the constants want; silent where that cannot be known."""
    stem, dot, ending = blob.place.name.rpartition(".")
    names = blob.place.names() if needed and dot and ending.lower() == "xml" else None
    if names is None:
        return
    file = f"{stem}.bin"
    if file not in names:
        yield Hit("openvino-weights-missing", None, {"file": file, "needed": needed})
        return
    if blob.place.leads_elsewhere(file):
        yield Hit("openvino-weights-link", None, {"file": file})
    size = names[file]
    if size is not None and size != needed:
        rule = "openvino-weights-short" if size < needed else "openvino-weights-extra"
        yield Hit(rule, None, {"file": file, "size": size, "needed": needed})


class _Graph:
    """Where in the graph the reader stands. Graphs nest: a loop's body has layers and numbers of its own."""

    def __init__(self) -> None:
        self.needed = 0  # bytes of the .bin that constants reach into
        self._layer = ("", "")  # name and type of the layer that is open
        self._numbers: list[dict[str, str]] = []  # of each open `layers`, by id
        self._custom: dict[str, tuple[int, str]] = {}

    def start(self, event: xml.Start) -> Iterator[Hit | Child]:
        """Look at one tag."""
        attributes = event.attributes
        in_graph = bool(self._numbers)
        if event.name == "layers":
            self._numbers.append({})
        elif event.name == "layer" and in_graph:
            yield from self._open(event)
        elif event.name in ("data", "weights", "biases") and {"offset", "size"} <= attributes.keys():
            yield from self._extent(event)
        template = any(_TEMPLATE.fullmatch(text) for text in (event.name, attributes.get("name", "")))
        for key, value in attributes.items():
            if not value:
                continue
            named = f"{self._layer[0]}.{key}" if in_graph else f"{event.name}.{key}"
            if template and key in ("value", "template"):
                yield Child(named, data=value.encode("utf-8", "surrogatepass"), format="jinja")
                continue
            yield from _code(named, value, event.offset)
            if in_graph and event.name in ("layer", "data", "attribute", "port"):
                yield from _paths(named, event.name, key, value, event.offset)
            if len(value) >= _PAYLOAD_CHARS:
                yield from (Child(named, data=data) for data in telltale.payloads(value))

    def end(self, event: xml.End) -> None:
        """Leave a tag."""
        if event.name == "layers" and self._numbers:
            self._numbers.pop()

    def operations(self) -> Iterator[Hit]:
        """Layers of other operation sets than OpenVINO's own, a hit for each set."""
        for version, (count, first) in list(self._custom.items())[:20]:
            yield Hit("openvino-custom-operation", None, {"version": version, "count": count, "type": first})

    def _open(self, event: xml.Start) -> Iterator[Hit]:
        name, kind = event.attributes.get("name", ""), event.attributes.get("type", "")
        self._layer = (name, kind)
        evidence = {"layer": name, "type": kind}
        version = event.attributes.get("version", "")
        if _PYTHON.fullmatch(kind):
            yield Hit("openvino-code-layer", event.offset, evidence)
        elif _EXTENSION.fullmatch(kind):
            yield Hit("openvino-extension-layer", event.offset, evidence)
        elif not _OPERATIONS.fullmatch(version):
            count, first = self._custom.get(version, (0, kind))
            if count or len(self._custom) < 100:
                self._custom[version] = (count + 1, first)
        number = event.attributes.get("id")
        if number is not None:
            numbers, number = self._numbers[-1], number.strip()
            if number in numbers:
                evidence = {"id": number, "layer": name, "other": numbers[number]}
                yield Hit("openvino-duplicate-layer", event.offset, evidence)
            numbers[number] = name

    def _extent(self, event: xml.Start) -> Iterator[Hit]:
        """Hold a constant's offset, size, type and shape against each other."""
        attributes, name = event.attributes, self._layer[0]
        begin, size = attributes["offset"], attributes["size"]
        if not (_DIGITS.fullmatch(begin) and _DIGITS.fullmatch(size)) or int(begin) + int(size) >= _ADDRESSES:
            yield Hit("openvino-data-bounds", event.offset, {"name": name, "starts": begin, "takes": size})
            return
        self.needed = max(self.needed, int(begin) + int(size))
        bits, count = _BITS.get(attributes.get("element_type", "").strip().lower()), 1
        for part in filter(str.strip, attributes.get("shape", "").split(",")):
            if not _DIGITS.fullmatch(part):
                return
            count = min(count * int(part), _ADDRESSES)
        needed = 0 if bits is None or "shape" not in attributes else (count * bits + 7) // 8
        if needed > int(size):
            yield Hit("openvino-data-size", event.offset, {"name": name, "size": int(size), "needed": needed})


def _paths(named: str, tag: str, key: str, value: str, offset: int) -> Iterator[Hit]:
    library = tag in ("layer", "data") and _LIBRARY.fullmatch(key)
    free = _FREE.fullmatch(key) or (tag == "attribute" and key == "value")  # names of layers and of tensors
    if library or (not free and _PROGRAM.fullmatch(value)):
        yield Hit("openvino-library", offset, {"name": named, "target": value})
    elif not free and _OUTSIDE.match(value):
        yield Hit("openvino-path", offset, {"name": named, "target": value})
