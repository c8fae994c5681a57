"""What a template reaches for: attributes, calls, files, loops that never end, text that is code.

Facts only; the scanner says which of them matter.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

import msgspec

from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.parsers.jinja.tree import Tree
from modelaudit.parsers.jinja.values import Folder

Node = Any  # jinja2's nodes have no declared fields
Kind = Literal[
    "attribute", "computed", "call", "name", "file", "text", "assembled", "loop", "growth", "width", "trigger"
]

LOOPS: Final = 10_000_000  # rounds; an hour of rendering, and no chat template counts beyond a thousand
_WIDTH: Final = late(r"%[-+ #0]*(?:\d{5,}|\*)|\{[^{}]*:[^{}]*\d{5,}")
_FIELD: Final = late(r"\{\w*((?:\.\w+|\[\w+\])+)")
_PIECE: Final = late(r"\w+")
# Filters that take the name of an attribute: as the first argument or as `attribute=`.
_BY_ATTRIBUTE: Final = frozenset(
    ("attr", "groupby", "map", "max", "min", "rejectattr", "selectattr", "sort", "sum", "unique", "join")
)
_FIRST_IS_ATTRIBUTE: Final = frozenset(("attr", "groupby", "rejectattr", "selectattr"))
_WORDS: Final = late(r"[^\W\d_][\w ,.'?-]+")  # of people: no tag, no mark of a format
_TRIGGERS: Final = 8  # words of one condition
_PRINTED_CHARS: Final = 16_384
_WIDE_FILTERS: Final = frozenset(("center", "indent", "batch", "slice"))


class Use(msgspec.Struct, frozen=True):
    """One thing that the template does, at byte `offset`.

    `name` is the attribute, the callable, the file, the text. `of` is the name of the value it is taken from, where
    it is a plain name; for a trigger, what is printed where the conversation holds the words. `hidden` says that
    the name does not stand in the template as such. `count` is the number of rounds or characters of a loop or a
    width.
    """

    kind: Kind
    name: str
    offset: int
    of: str = ""
    hidden: bool = False
    count: int = 0


def uses(tree: Tree, limits: Limits) -> Iterator[Use]:
    """Every use, outermost statements first. Raises `LimitExceeded`."""
    folder = Folder(tree.root, limits.template_folded_chars)
    stack: list[tuple[Node, int, bool]] = [(tree.root, 1, False)]
    while stack:
        node, rounds, argument = stack.pop()
        kind = type(node).__name__
        if kind == "For":
            rounds *= _rounds(folder, node.iter)
            if rounds >= LOOPS:
                yield Use("loop", "", tree.offset(node.lineno), count=rounds)
        elif kind in ("Assign", "Const", "TemplateData", "Concat", "Add", "Mod"):
            yield from _text(node, kind, folder, tree, argument)
        function = _USES.get(kind)
        if function is not None:
            for use in function(node, folder):
                yield msgspec.structs.replace(use, offset=tree.offset(node.lineno))
        inner = argument or kind in (
            "Concat",
            "Add",
            "Filter",
            "Mod",
        )  # only the whole of a text counts, not its pieces
        stack.extend((child, rounds, inner) for child in reversed(list(node.iter_child_nodes())))
    folder.check()


def _rounds(folder: Folder, iterated: Node) -> int:
    sizes = [len(value) for value in folder.of(iterated) if isinstance(value, range | list | tuple | str | dict)]
    return max(1, min(max(sizes, default=1), 1 << 62))


def _text(node: Node, kind: str, folder: Folder, tree: Tree, inner: bool) -> Iterator[Use]:
    offset = tree.offset(node.lineno)
    if kind == "Assign":
        if _doubles(node):
            yield Use("growth", _plain(node.target), offset)
    elif kind == "TemplateData":
        if "{{" in node.data or "{%" in node.data:
            yield Use("text", node.data, offset)
    elif not (inner and kind != "Const"):
        for value in folder.of(node):
            if isinstance(value, str) and value:
                yield Use("text" if kind == "Const" else "assembled", value, offset, hidden=kind != "Const")


def _doubles(node: Node) -> bool:
    """Whether `node` sets a value to one that holds it twice: doubled forty times it fills any memory."""
    own = _plain(node.target)
    kind = type(node.node).__name__
    parts = node.node.nodes if kind == "Concat" else []
    if kind == "Add":
        parts = [node.node.left, node.node.right]
    return bool(own) and sum(_plain(part) == own for part in parts) > 1


def _plain(node: Node) -> str:
    """`a` or `a.b`, where the node is no more than that."""
    kind = type(node).__name__
    if kind == "Name":
        return str(node.name)
    if kind == "NSRef":
        return f"{node.name}.{node.attr}"
    if kind == "Getattr" and type(node.node).__name__ == "Name":
        return f"{node.node.name}.{node.attr}"
    return ""


def _owner(node: Node, folder: Folder) -> str:
    """The name that `node` is, if the template does not define it itself."""
    return str(node.name) if type(node).__name__ == "Name" and node.name not in folder.assigned else ""


def _getattr(node: Node, folder: Folder) -> Iterator[Use]:
    yield Use("attribute", str(node.attr), 0, _owner(node.node, folder))


def _getitem(node: Node, folder: Folder) -> Iterator[Use]:
    literal = type(node.arg).__name__ == "Const"
    for value in folder.of(node.arg):
        if isinstance(value, str):
            yield Use("attribute", value, 0, _owner(node.node, folder), hidden=not literal)


def _filter(node: Node, folder: Folder) -> Iterator[Use]:
    if node.name in _WIDE_FILTERS or node.name == "format":
        yield from _widths(node, folder)
    if node.name not in _BY_ATTRIBUTE:
        return
    owner = _owner(node.node, folder) if node.node is not None else ""
    for argument in _attributes(node, folder):
        literal = type(argument).__name__ == "Const"
        values = [value for value in folder.of(argument) if isinstance(value, str | int)]
        if not values and type(argument).__name__ not in ("Const", "Compare"):
            yield Use("computed", str(node.name), 0, owner)
        for value in values:
            for part in str(value).split("."):
                yield Use("attribute", part, 0, owner, hidden=not literal)


def _attributes(node: Node, folder: Folder) -> Iterator[Node]:
    """The arguments that name an attribute."""
    yield from (keyword.value for keyword in node.kwargs if keyword.key == "attribute")
    if not node.args:
        return
    if node.name in _FIRST_IS_ATTRIBUTE:
        yield node.args[0]
    elif (node.name == "map" and "attr" in folder.of(node.args[0])) or node.name == "join":
        yield from node.args[1:2]


def _widths(node: Node, folder: Folder) -> Iterator[Use]:
    if node.name == "format":
        values = folder.of(node.node) if node.node is not None else ()
        yield from (Use("width", value[:80], 0) for value in values if isinstance(value, str) and _WIDTH.search(value))
        return
    for argument in (*node.args[:1], *(keyword.value for keyword in node.kwargs if keyword.key == "width")):
        for value in folder.of(argument):
            if isinstance(value, int) and value >= LOOPS:
                yield Use("width", str(node.name), 0, count=value)


def _call(node: Node, folder: Folder) -> Iterator[Use]:
    callee = node.node
    kind = type(callee).__name__
    if kind == "Name":
        if callee.name not in folder.assigned:
            yield Use("call", str(callee.name), 0)
        if callee.name == "range":
            for value in folder.of(node):
                if isinstance(value, range) and len(value) >= LOOPS:
                    yield Use("loop", "range", 0, count=len(value))
        return
    if kind == "Getitem":
        for value in folder.of(callee.arg):
            if isinstance(value, str):
                yield Use("call", value, 0, ".", hidden=type(callee.arg).__name__ != "Const")
    elif kind == "Filter" and callee.name == "attr" and callee.args:
        for value in folder.of(callee.args[0]):
            if isinstance(value, str):
                yield Use("call", value, 0, ".", hidden=True)
    elif kind == "Getattr":
        yield Use("call", str(callee.attr), 0, ".")
        if callee.attr in ("format", "format_map"):
            yield from _format_fields(folder.of(callee.node))


def _format_fields(templates: tuple[object, ...]) -> Iterator[Use]:
    """`'{0.__class__}'.format(x)` reads attributes as the dot does."""
    for template in templates:
        if isinstance(template, str):
            if _WIDTH.search(template):
                yield Use("width", template[:80], 0)
            for match in _FIELD.finditer(template):
                for piece in _PIECE.findall(match[1]):
                    yield Use("attribute", piece, 0, hidden=True)


def _name(node: Node, folder: Folder) -> Iterator[Use]:
    if node.ctx == "load" and node.name not in folder.assigned:
        yield Use("name", str(node.name), 0)


def _file(node: Node, folder: Folder) -> Iterator[Use]:
    names = [value for value in folder.of(node.template) if isinstance(value, str)]
    if not names:
        items = [value for value in folder.of(node.template) if isinstance(value, list)]
        names = [name for value in items for name in value if isinstance(name, str)]
    yield from (Use("file", name, 0) for name in names or [""])


def _remainder(node: Node, folder: Folder) -> Iterator[Use]:
    values = folder.of(node.left)
    yield from (Use("width", value[:80], 0) for value in values if isinstance(value, str) and _WIDTH.search(value))


def _if(node: Node, folder: Folder) -> Iterator[Use]:
    """`{% if 'invoice' in message.content %}text{% endif %}`: words that bring a text."""
    words: list[str] = []
    stack = [node.test]
    while stack and len(words) < _TRIGGERS:
        part = stack.pop()
        if type(part).__name__ == "Compare" and [operand.op for operand in part.ops] == ["in"]:
            words += [value for value in folder.of(part.expr) if isinstance(value, str) and _WORDS.fullmatch(value)]
        stack.extend(part.iter_child_nodes())
    if words:
        printed = [data.data for output in node.body for data in output.find_all(_text_node())]
        for word in words:
            yield Use("trigger", word, 0, "".join(printed)[:_PRINTED_CHARS])


def _text_node() -> Any:
    from jinja2.nodes import TemplateData

    return TemplateData


def _power(node: Node, folder: Folder) -> Iterator[Use]:
    """`9 ** 9 ** 9` and a text times a billion."""
    for base in folder.of(node.left):
        for times in folder.of(node.right):
            if isinstance(base, int) and isinstance(times, int) and base.bit_length() * times > 8 * LOOPS:
                yield Use("width", "**", 0, count=times)


def _times(node: Node, folder: Folder) -> Iterator[Use]:
    pairs = [(node.left, node.right), (node.right, node.left)]
    for text, number in pairs:
        textual = type(text).__name__ in ("List", "Tuple", "TemplateData") or any(
            isinstance(value, str | list) for value in folder.of(text)
        )
        for times in folder.of(number):
            if textual and isinstance(times, int) and times >= LOOPS:
                yield Use("width", "*", 0, count=times)


_USES: Final[Mapping[str, Callable[[Node, Folder], Iterator[Use]]]] = {
    "Getattr": _getattr,
    "Getitem": _getitem,
    "Filter": _filter,
    "Call": _call,
    "Name": _name,
    "If": _if,
    "Include": _file,
    "Import": _file,
    "FromImport": _file,
    "Extends": _file,
    "Pow": _power,
    "Mul": _times,
    "Mod": _remainder,
}
