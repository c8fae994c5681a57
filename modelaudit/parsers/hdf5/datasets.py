"""Where the bytes of a dataset lie, as far as they may lie in other files; they are never read."""

import math
from typing import Literal

import msgspec

from modelaudit.errors import ParseError
from modelaudit.parsers.hdf5.attributes import Datatype, datatype, dimensions
from modelaudit.parsers.hdf5.headers import DATATYPE, EXTERNAL, LAYOUT, SPACE, Message
from modelaudit.parsers.hdf5.heaps import collection, local_names, text_at
from modelaudit.parsers.hdf5.reading import File, Reader, number

Storage = Literal["compact", "contiguous", "chunked", "virtual", "unknown"]
_STORAGES: dict[int, Storage] = {0: "compact", 1: "contiguous", 2: "chunked", 3: "virtual"}
_FILES = 1000  # names of other files of one dataset
_VIEWS = 100_000  # pieces that one virtual dataset is put together from
_NAME_ABOVE, _DATASET_ABOVE, _SAME_FILE = 1, 2, 4  # how a piece refers to a name that was written before


class Dataset(msgspec.Struct, frozen=True):
    """One dataset: how its bytes are kept, and where, in the blob. `length` is 0 where they are not in one piece.

    `sources` are names of other files: `external` says that the bytes are theirs, otherwise a view over them.
    `trouble` says what of this could not be read.
    """

    storage: Storage
    type: Datatype | None
    count: int
    offset: int
    length: int
    sources: tuple[str, ...] = ()
    external: bool = False
    trouble: str = ""
    shape: tuple[int, ...] = ()


def dataset(file: File, found: list[Message]) -> Reader[Dataset | None]:
    """The dataset whose header has the messages `found`; None where they are those of something else."""
    layout = next((m for m in found if m.kind == LAYOUT), None)
    if layout is None:
        return None
    kind, shape = None, None
    for message in found:
        if message.kind == DATATYPE and not message.is_shared:
            kind = datatype(message.data)
        elif message.kind == SPACE and not message.is_shared:
            shape = dimensions(file, message.data)
    storage, offset, length = _layout(file, layout)
    sources: tuple[str, ...] = ()
    trouble = ""
    external = next((m for m in found if m.kind == EXTERNAL), None)
    try:
        if external is not None:
            sources = yield from _external(file, external.data)
        elif storage == "virtual":
            sources = yield from _virtual(file, layout.data)
    except ParseError as error:
        trouble = error.message
    count = 0 if shape is None else math.prod(shape)
    return Dataset(storage, kind, count, offset, length, sources, external is not None, trouble, shape or ())


def _layout(file: File, message: Message) -> tuple[Storage, int, int]:
    data = message.data
    version = number(data, 0, 1)
    if version in (1, 2):
        storage = _STORAGES.get(number(data, 2, 1), "unknown")
        if storage == "contiguous":
            rank = number(data, 1, 1)
            at = 8 + file.offset_bytes
            length = 1
            for index in range(rank):
                length *= number(data, at + 4 * index, 4)
            return storage, file.base + file.offset(data, 8), length
        return storage, 0, 0
    storage = _STORAGES.get(number(data, 1, 1), "unknown") if version in (3, 4, 5) else "unknown"
    if storage == "compact":
        return storage, message.offset + 4, number(data, 2, 2)
    if storage == "contiguous":
        address = file.offset(data, 2)
        absent = address == file.undefined
        return storage, 0 if absent else file.base + address, 0 if absent else file.length(data, 2 + file.offset_bytes)
    return storage, 0, 0


def _external(file: File, data: bytes) -> Reader[tuple[str, ...]]:
    """The names of the files that hold the bytes."""
    used = number(data, 6, 2)
    heap = yield from local_names(file, file.offset(data, 8))
    first, step = 8 + file.offset_bytes, 3 * file.length_bytes
    names = [text_at(heap, file.length(data, first + index * step)) for index in range(min(used, _FILES))]
    return tuple(dict.fromkeys(name.decode("utf-8", "replace") for name in names))


def _virtual(file: File, data: bytes) -> Reader[tuple[str, ...]]:
    """The names of the files that a virtual dataset is a view over; `.` is the file itself."""
    address, index = file.offset(data, 2), number(data, 2 + file.offset_bytes, 4)
    if address == file.undefined:
        return ()
    heap = yield from collection(file, address)
    block = heap.get(index)
    version, count = number(block, 0, 1), file.length(block, 1)
    if version > 1:
        raise ParseError("a virtual dataset of a later version")
    at = 1 + file.length_bytes
    names: dict[str, None] = {}
    for _ in range(min(count, _VIEWS)):
        flags, at = (number(block, at, 1), at + 1) if version else (0, at)
        if not flags & _SAME_FILE:
            name, at = (None, at + file.length_bytes) if flags & _NAME_ABOVE else _name(block, at)
            if name is not None:
                names[name] = None
        at = at + file.length_bytes if flags & _DATASET_ABOVE else _name(block, at)[1]
        at = _after_selection(block, _after_selection(block, at))
        if len(names) > _FILES:
            break
    return tuple(names)


def _name(block: bytes, at: int) -> tuple[str, int]:
    """The name that begins at `at`, and where it ends."""
    end = block.find(b"\0", at)
    if end < 0:
        raise ParseError("a virtual dataset that is cut off")
    return block[at:end].decode("utf-8", "replace"), end + 1


def _after_selection(data: bytes, at: int) -> int:
    """Where a selection that begins at `at` ends."""
    kind, version = number(data, at, 4), number(data, at + 4, 4)
    if kind in (0, 3):
        return at + 16
    if version == 1:
        return at + 16 + number(data, at + 12, 4)
    if kind == 1 and version == 2:
        width, rank = number(data, at + 8, 1), number(data, at + 9, 4)
        return at + 13 + width + number(data, at + 13, width) * rank * width
    if kind == 2 and version == 2:
        return at + 13 + number(data, at + 9, 4)
    if kind == 2 and version == 3:
        flags, width, rank = number(data, at + 8, 1), number(data, at + 9, 1), number(data, at + 10, 4)
        if flags & 1:
            return at + 14 + 4 * rank * width
        return at + 14 + width + number(data, at + 14, width) * 2 * rank * width
    raise ParseError("a selection of unknown kind")
