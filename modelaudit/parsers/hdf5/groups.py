"""Links of a group: hard ones to objects, soft ones to paths, external ones to other files."""

from typing import Literal

import msgspec

from modelaudit.errors import ParseError
from modelaudit.parsers.hdf5.fractal import fractal, object_of
from modelaudit.parsers.hdf5.headers import LINK, LINK_INFO, SYMBOLS, Message
from modelaudit.parsers.hdf5.heaps import local_names, text_at
from modelaudit.parsers.hdf5.reading import File, Ranges, Reader, expect, number, together
from modelaudit.parsers.hdf5.trees import node_bytes, records, symbol_nodes

Kind = Literal["hard", "soft", "external", "other"]
_ENTRY_TAIL_BYTES = 24
_STAB, _SOFT = 1, 2
_HEAP_BYTES = 512


class Link(msgspec.Struct, frozen=True):
    """One link. `address` is that of a hard link; `target` the path of a soft one; `file` another file's name.

    `near` are ranges that reading the object will most likely ask for.
    """

    kind: Kind
    name: str
    address: int = 0
    target: str = ""
    file: str = ""
    near: tuple[tuple[int, int], ...] = ()


def links(file: File, found: list[Message], stab: tuple[int, int] | None = None) -> Reader[list[Link]]:
    """The links of a group whose header has the messages `found`; `stab` is an index known from elsewhere."""
    tables = [(file.offset(m.data, 0), file.offset(m.data, file.offset_bytes)) for m in found if m.kind == SYMBOLS]
    if stab is not None and stab not in tables:
        tables.append(stab)
    gathered: list[Link] = []
    for tree, heap in tables:
        gathered += yield from _symbols(file, tree, heap)
    for message in found:
        if message.kind == LINK and not message.is_shared:
            gathered.append(link(file, message.data))
        elif message.kind == LINK_INFO:
            gathered += yield from _dense(file, message.data)
    file.spend(len(gathered))
    return gathered


def _symbols(file: File, tree: int, heap: int) -> Reader[list[Link]]:
    names, nodes = yield from _tree_and_heap(file, tree, heap)
    size = 8 + file.leaf_entries * (2 * file.offset_bytes + _ENTRY_TAIL_BYTES)
    pieces = yield from together([_node(file, node, size) for node in nodes])
    return [one for piece in pieces for one in _entries(file, piece, names)]


def _tree_and_heap(file: File, tree: int, heap: int) -> Reader[tuple[bytes, list[int]]]:
    """Both at once: two readers that give different things."""
    held: list[bytes] = []
    found: list[list[int]] = []

    def names() -> Reader[None]:
        held.append((yield from local_names(file, heap)))

    def nodes() -> Reader[None]:
        found.append((yield from symbol_nodes(file, tree)))

    yield from together([names(), nodes()])
    return held[0], found[0]


def _node(file: File, address: int, size: int) -> Reader[bytes]:
    data = yield from file.at(address, size, 8)
    expect(data, b"SNOD", file.base + address)
    return data


def _entries(file: File, data: bytes, names: bytes) -> list[Link]:
    o = file.offset_bytes
    size = 2 * o + _ENTRY_TAIL_BYTES
    count = number(data, 6, 2)
    if 8 + count * size > len(data):
        raise ParseError("a symbol node with more entries than fit", 6)
    gathered: list[Link] = []
    for at in range(8, 8 + count * size, size):
        name = text_at(names, file.offset(data, at)).decode("utf-8", "replace")
        address, cached = file.offset(data, at + o), number(data, at + 2 * o, 4)
        scratch = at + 2 * o + 8
        if cached == _SOFT:
            target = text_at(names, number(data, scratch, 4)).decode("utf-8", "replace")
            gathered.append(Link("soft", name, target=target))
            continue
        near: Ranges = []
        if cached == _STAB and o == 8:
            tree, heap = file.offset(data, scratch), file.offset(data, scratch + o)
            near = [(file.base + tree, node_bytes(file)), (file.base + heap, _HEAP_BYTES)]
        gathered.append(Link("hard", name, address, near=tuple(near)))
    return gathered


def _dense(file: File, data: bytes) -> Reader[list[Link]]:
    """The links of a group that keeps them in a fractal heap."""
    at = 10 if number(data, 1, 1) & 1 else 2
    heap_address, tree = file.offset(data, at), file.offset(data, at + file.offset_bytes)
    if file.undefined in (heap_address, tree):
        return []
    pieces = yield from heap_objects(file, heap_address, tree, 4)
    return [link(file, piece) for piece in pieces]


def heap_objects(file: File, heap_address: int, tree: int, id_at: int) -> Reader[list[bytes]]:
    """The objects of a fractal heap whose IDs stand `id_at` bytes into the records of an index."""
    heap = yield from fractal(file, heap_address)
    kind, found = yield from records(file, tree)
    if kind not in (5, 8):
        raise ParseError("an index of another kind than it should be", file.base + tree)
    return (yield from together([object_of(file, heap, one[id_at : id_at + heap.id_bytes]) for one in found]))


def link(file: File, data: bytes) -> Link:
    """The link that a message, or an object of a heap, describes."""
    if number(data, 0, 1) != 1:
        raise ParseError("a link of unknown version")
    flags, at = number(data, 1, 1), 2
    kind = 0
    if flags & 8:
        kind, at = number(data, at, 1), at + 1
    at += 8 if flags & 4 else 0
    at += 1 if flags & 16 else 0
    width = 1 << (flags & 3)
    length = number(data, at, width)
    at += width
    name = data[at : at + length].decode("utf-8", "replace")
    at += length
    if kind == 0:
        return Link("hard", name, file.offset(data, at))
    size = number(data, at, 2)
    value = data[at + 2 : at + 2 + size]
    if kind == 1:
        return Link("soft", name, target=value.decode("utf-8", "replace"))
    if kind == 64:
        other, _, path = value[1:].partition(b"\0")
        return Link("external", name, target=_text(path), file=_text(other))
    return Link("other", name, target=str(kind))


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode("utf-8", "replace")
