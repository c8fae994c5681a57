"""Every object of a file, level by level from the root group, each once."""

from collections.abc import Iterator

import msgspec

from modelaudit.errors import ParseError
from modelaudit.parsers.hdf5.attributes import Attribute, attribute
from modelaudit.parsers.hdf5.datasets import Dataset, dataset
from modelaudit.parsers.hdf5.groups import Link, heap_objects, links
from modelaudit.parsers.hdf5.headers import ATTRIBUTE, ATTRIBUTE_INFO, Message, messages
from modelaudit.parsers.hdf5.reading import File, Ranges, Reader, run
from modelaudit.parsers.hdf5.superblock import Superblock

_PATH_CHARS = 4096  # of an object's path as shown


class Object(msgspec.Struct, frozen=True):
    """One object: a dataset, or a group with its links. `broken` says what of it could not be read."""

    path: str
    offset: int
    attributes: tuple[Attribute, ...]
    links: tuple[Link, ...]
    dataset: Dataset | None
    broken: tuple[ParseError, ...] = ()


class _Place(msgspec.Struct, frozen=True):
    path: str
    address: int
    near: tuple[tuple[int, int], ...] = ()
    stab: tuple[int, int] | None = None


def objects(superblock: Superblock) -> Iterator[Object]:
    """The root group first. Raises `Missing`, `LimitExceeded`, and `ParseError` when there is no root."""
    file = superblock.file
    level = [_Place("/", superblock.root, (), superblock.stab)]
    seen = {superblock.root}
    while level:
        below: list[_Place] = []
        for place, found in zip(level, run(file, (_object(file, place) for place in level)), strict=True):
            if isinstance(found, ParseError):
                if place.path == "/":
                    raise found
                yield Object(place.path, file.base + place.address, (), (), None, (found,))
                continue
            yield found
            for link in found.links:
                if link.kind == "hard" and link.address not in seen:
                    seen.add(link.address)
                    path = f"{place.path.rstrip('/')}/{link.name}"[:_PATH_CHARS]
                    below.append(_Place(path, link.address, link.near))
        level = below


def _object(file: File, place: _Place) -> Reader[Object]:
    if place.near:
        yield _inside(file, [(file.base + place.address, 512), *place.near])
    found = yield from messages(file, place.address)
    broken: list[ParseError] = []
    data, held, gathered = None, [], []
    try:
        data = yield from dataset(file, found)
        if data is None:
            gathered = yield from links(file, found, place.stab)
    except ParseError as error:
        broken.append(error)
    for message in found:
        try:
            if message.kind == ATTRIBUTE:
                held.append((yield from attribute(file, message)))
            elif message.kind == ATTRIBUTE_INFO:
                held += yield from _dense(file, message)
        except ParseError as error:
            broken.append(error)
    return Object(place.path, file.base + place.address, tuple(held), tuple(gathered), data, tuple(broken))


def _dense(file: File, message: Message) -> Reader[list[Attribute]]:
    """The attributes of an object that keeps them in a fractal heap."""
    data = message.data
    at = 4 if data[1:2] and data[1] & 1 else 2
    heap, tree = file.offset(data, at), file.offset(data, at + file.offset_bytes)
    if file.undefined in (heap, tree):
        return []
    found: list[Attribute] = []
    for piece in (yield from heap_objects(file, heap, tree, 0)):
        found.append((yield from attribute(file, Message(ATTRIBUTE, 0, piece, message.offset))))
    return found


def _inside(file: File, ranges: Ranges) -> Ranges:
    return [(start, length) for start, length in ranges if start + length <= file.blob.size]
