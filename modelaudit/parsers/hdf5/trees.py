"""B-trees: version 1 under old groups, version 2 as the index of links and attributes."""

from modelaudit.errors import ParseError
from modelaudit.parsers.hdf5.heaps import enc_bytes
from modelaudit.parsers.hdf5.reading import File, Reader, expect, number, together

_DEPTH = 32  # levels; each holds many times the one above
_NODES = 1_000_000  # of one tree


def symbol_nodes(file: File, address: int) -> Reader[list[int]]:
    """The addresses of the symbol nodes below the group's B-tree (version 1) at `address`."""
    level, seen = [address], {address}
    for _ in range(_DEPTH):
        found = yield from together([_node(file, one) for one in level])
        children = [child for _, below in found for child in below]
        if all(depth == 0 for depth, _ in found):
            return list(dict.fromkeys(children))
        if len({depth for depth, _ in found}) > 1:
            raise ParseError("a B-tree with leaves at different depths", file.base + address)
        level = [child for child in dict.fromkeys(children) if child not in seen]
        seen.update(level)
        if len(seen) > _NODES:
            raise ParseError("a B-tree without end", file.base + address)
    raise ParseError("a B-tree too deep", file.base + address)


def node_bytes(file: File) -> int:
    """The size of a group's B-tree node."""
    o, n = file.offset_bytes, file.length_bytes
    return 8 + 2 * o + file.node_entries * (o + n) + n


def _node(file: File, address: int) -> Reader[tuple[int, list[int]]]:
    o, n = file.offset_bytes, file.length_bytes
    data = yield from file.at(address, node_bytes(file), 8 + 2 * o)
    expect(data, b"TREE", file.base + address)
    if data[4] != 0:
        raise ParseError("a B-tree of chunks where one of groups should be", file.base + address)
    count = number(data, 6, 2)
    file.spend(1 + count)
    first = 8 + 2 * o + n
    if first + count * (o + n) - n > len(data):
        data = yield from file.at(address, first + count * (o + n))
    return data[5], [file.offset(data, first + index * (o + n)) for index in range(count)]


def records(file: File, address: int) -> Reader[tuple[int, list[bytes]]]:
    """The type and all records of the B-tree (version 2) at `address`."""
    o, n = file.offset_bytes, file.length_bytes
    head = yield from file.at(address, 16 + o + 2 + n + 4)
    expect(head, b"BTHD", file.base + address)
    kind, size, record, depth = head[5], number(head, 6, 4), number(head, 10, 2), number(head, 12, 2)
    root, count = file.offset(head, 16), number(head, 16 + o, 2)
    if depth > _DEPTH or record == 0 or size < 10 + record:
        raise ParseError("a B-tree with impossible nodes", file.base + address)
    found: list[bytes] = []
    level, widths = [(root, count)], _widths(file, size, record, depth)
    if root == file.undefined or count == 0:
        return kind, found
    for above in range(depth, -1, -1):
        nodes = yield from together([_records_of(file, place, many, size) for place, many in level])
        level = [
            child for (place, many), data in zip(level, nodes, strict=True)
            for child in _split(file, data, many, record, above, widths, found)
        ]  # fmt: skip
        if len(level) > _NODES:
            raise ParseError("a B-tree without end", file.base + address)
    return kind, found


def _records_of(file: File, address: int, count: int, size: int) -> Reader[bytes]:
    file.spend(1 + count)
    return (yield from file.at(address, size))


def _widths(file: File, size: int, record: int, depth: int) -> list[tuple[int, int]]:
    """For each depth the bytes of a child's number of records, and of all records below it."""
    leaf = (size - 10) // record
    many, total, total_bytes = enc_bytes(leaf), leaf, 0
    widths = [(many, 0)]
    for _ in range(depth):
        widths.append((many, total_bytes))
        pointer = file.offset_bytes + many + total_bytes
        most = max(1, (size - 10 - pointer) // (record + pointer))
        total = (most + 1) * total + most
        total_bytes = enc_bytes(total)
    return widths


def _split(
    file: File, data: bytes, count: int, record: int, depth: int, widths: list[tuple[int, int]], found: list[bytes]
) -> list[tuple[int, int]]:
    """Put the records of a node into `found`; gives the children with how many records each has."""
    expect(data, b"BTIN" if depth else b"BTLF", 0)
    if 6 + count * record > len(data):
        raise ParseError("a B-tree node with more records than fit", 6)
    found += [data[6 + index * record : 6 + (index + 1) * record] for index in range(count)]
    if not depth:
        return []
    many, total = widths[depth]
    step = file.offset_bytes + many + total
    first = 6 + count * record
    return [
        (file.offset(data, first + index * step), number(data, first + index * step + file.offset_bytes, many))
        for index in range(count + 1)
    ]
