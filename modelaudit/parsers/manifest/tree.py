"""What a configuration file says, whatever its syntax: mappings with every pair, lists, tags and scalars."""

from collections.abc import Iterator

import msgspec

Path = tuple[object, ...]  # nested pairs (path of the parent, key or index); () is the root
ROOT: Path = ()


class Pairs(list[tuple[str, object]]):
    """A mapping in the order of the file, with every key that was written, those written twice included."""

    __slots__ = ()

    def first(self, key: str) -> object:
        """The value that most readers take for `key`: the last one. None when there is none."""
        found = None
        for name, value in self:
            if name == key:
                found = value
        return found

    def names(self) -> set[str]:
        """The keys, each once."""
        return {name for name, _ in self}


class Tagged(msgspec.Struct, frozen=True):
    """A value with an explicit YAML tag, written out in full. `line` counts from 1."""

    tag: str
    value: object
    line: int


class Alias(msgspec.Struct, frozen=True):
    """A YAML alias, not followed."""

    name: str


class Document(msgspec.Struct):
    """One file. `roots` are its documents (YAML may have several).

    `broken` says what ended the reading early. `expanded` is how many nodes the file has when its aliases are
    followed, `nodes` how many are written; `cyclic` names an anchor that contains itself. `entities` are
    declarations of an XML document type.
    """

    syntax: str
    roots: list[object] = msgspec.field(default_factory=list)
    broken: str | None = None
    too_deep: int = 0
    nodes: int = 0
    expanded: int = 0
    cyclic: str | None = None
    entities: list[str] = msgspec.field(default_factory=list)


def walk(root: object, path: Path = ROOT) -> Iterator[tuple[Path, object]]:
    """Every mapping, list and tagged value below `root`, itself included, in the order of the file."""
    stack: list[tuple[Path, object]] = [(path, root)]
    while stack:
        place, node = stack.pop()
        if isinstance(node, Pairs):
            yield place, node
            stack.extend(((place, key), value) for key, value in reversed(node) if _holds(value))
        elif isinstance(node, list):
            yield place, node
            stack.extend(((place, index), node[index]) for index in range(len(node) - 1, -1, -1) if _holds(node[index]))
        elif isinstance(node, Tagged):
            yield place, node
            if _holds(node.value):
                stack.append((place, node.value))


def _holds(value: object) -> bool:
    return isinstance(value, list | Tagged)


def shown(path: Path, *more: str | int) -> str:
    """The path as people write it: `model.layers[3].name`."""
    parts: list[object] = list(reversed(more))
    while path:
        parts.append(path[1])
        path = path[0]  # type: ignore[assignment]
    text = ""
    for part in reversed(parts):
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text


def keys(path: Path) -> Iterator[str]:
    """The keys on the way to `path`, the innermost first; indices are left out."""
    while path:
        if isinstance(path[1], str):
            yield path[1]
        path = path[0]  # type: ignore[assignment]


def plain(value: object) -> object:
    """The value without its tags."""
    while isinstance(value, Tagged):
        value = value.value
    return value


def text_of(value: object) -> str | None:
    """The value, if it is text; a tag around it does not count."""
    value = plain(value)
    return value if isinstance(value, str) else None


def truth(value: object) -> bool:
    """Whether a reader of the syntax takes the value for true."""
    value = plain(value)
    return value is True or (isinstance(value, str) and value.strip().casefold() in ("true", "yes", "on", "1"))


def words(text: str) -> frozenset[str]:
    """A table of words, written as text."""
    return frozenset(text.split())
