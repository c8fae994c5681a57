"""What must hold for every scanner and all bytes, whether or not they are of its format."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from modelaudit.blob import Blob, BytesBlob, RootBlob
from modelaudit.engine import Item, Scanner, default_engine, inspect
from modelaudit.errors import LimitExceeded, Missing, ParseError
from modelaudit.limits import MIB, Limits
from modelaudit.model import Child, Hit, Inspection, Note

# Bombs are cut early, so that a fuzzer spends its time on parsers; nothing else differs from a real run.
LIMITS = Limits(unpacked_bytes=4 * MIB, unpack_ratio_floor_bytes=1 * MIB, members=20_000)

_HEAD_BYTES = 512  # what is here at first, when the bytes come in pieces
_PIECES = 32  # in about how many pieces they come at most: each costs a scan from the start
_ITEMS_FLOOR = 2000  # items of one scan that are fine for any size
_ITEMS_PER_BYTE = 4

Result = TypeVar("Result")
End = tuple[str, str]


class Broken(AssertionError):
    """The contract does not hold; the message says which part of it, on what."""


class Pieces:
    """Bytes that arrive as they are asked for, as from a store that is far away."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._grain = max(256, len(data) // _PIECES)
        self._here = bytearray((len(data) + self._grain - 1) // self._grain)
        self._take(0, _HEAD_BYTES)

    def _take(self, offset: int, length: int) -> bool:
        """Whether any of it is new."""
        first, last = offset // self._grain, min(len(self._here), (offset + length - 1) // self._grain + 1)
        new = 0 in self._here[first:last]
        self._here[first:last] = b"\1" * max(0, last - first)
        return new

    def blob(self) -> RootBlob:
        """What has arrived; the rest is overwritten, so that nothing can be read by accident."""
        shown = bytearray(b"\xdb" * len(self._data))
        extents: list[tuple[int, int]] = []
        for index, here in enumerate(self._here):
            if here:
                start, end = index * self._grain, min(len(self._data), (index + 1) * self._grain)
                shown[start:end] = self._data[start:end]
                if extents and sum(extents[-1]) == start:
                    start = extents.pop()[0]
                extents.append((start, end - start))
        return RootBlob(bytes(shown), len(self._data), extents)

    def run(self, scan: Callable[[Blob], Result]) -> Result:
        """What `scan` says once all that it asks for is here. Raises `Broken` if it asks in circles."""
        while True:
            try:
                return scan(self.blob())
            except Missing as missing:
                if missing.folders or missing.modules:
                    raise Broken(f"asks for what no bytes can give: {missing}") from missing
                for offset, length in missing.ranges:
                    if offset < 0 or length <= 0 or offset + length > len(self._data):
                        raise Broken(f"asks for bytes that do not exist: {offset}+{length}") from missing
                # Each has to be taken, so no generator that ends at the first new one.
                if not any([self._take(offset, length) for offset, length in missing.ranges]):
                    raise Broken(f"asks for what is here already: {missing.ranges}") from missing


def _bounded(items: Iterator[Item], most: int) -> Iterator[Item]:
    for count, item in enumerate(items):
        if count >= most:
            raise Broken(f"more than {most} items")
        yield item


def _looked(scanner: Scanner, blob: Blob) -> tuple[list[Item], End]:
    """What the scanner says, and how it ends."""
    found: list[Item] = []
    end = ("ends", "")
    fits = getattr(scanner, "fits", None)
    if fits is not None and not isinstance(fits(blob, LIMITS), bool | int):
        raise Broken("fits says neither yes nor no")
    try:
        for item in _bounded(scanner.scan(blob, LIMITS), _ITEMS_FLOOR + _ITEMS_PER_BYTE * blob.size):
            found.append(item)
    except ParseError as error:
        _inside(error.offset, blob.size, "ParseError")
        end = ("ParseError", f"{error.message} at {error.offset}")
    except LimitExceeded as limit:
        end = ("LimitExceeded", str(limit))
    return found, end


def _inside(offset: int | None, size: int, what: str) -> None:
    if offset is not None and not 0 <= offset <= size:
        raise Broken(f"{what}: offset {offset} lies outside of {size} bytes")


def _check_item(item: Item, size: int) -> None:
    """Whether `item` can be reported at all: its rule is known, its place exists."""
    known = default_engine().catalogue
    if isinstance(item, Child):
        if item.data is None:
            _inside(item.offset, size, f"child {item.name!r}")
            if item.length < 0:
                raise Broken(f"child {item.name!r} has length {item.length}")
        if item.format is not None and item.format not in known.formats:
            raise Broken(f"child {item.name!r} has the unknown format {item.format}")
        return
    if isinstance(item, Hit | Note):
        _inside(item.offset, size, repr(item)[:200])
    if isinstance(item, Hit) and item.rule not in known.rules:
        raise Broken(f"no rule is called {item.rule}")


def _inspected(blob: Blob) -> Inspection:
    found = inspect(blob, LIMITS, uri="input")
    return msgspec.structs.replace(found, bytes_viewed=0)  # that one differs between whole and in pieces


def check(scanner: Scanner, data: bytes) -> None:
    """Hold `scanner`, and the engine over all scanners, to the contract on `data`.

    Only `Missing`, `ParseError` and `LimitExceeded` leave a scanner and nothing the engine; two runs say the same;
    bytes in pieces lead to what the whole leads to; every place that is named exists; the report can be written.
    Raises `Broken`, or whatever the scanner raised that it may not.
    """
    whole = BytesBlob(data)
    first = _looked(scanner, whole)
    for item in first[0]:
        _check_item(item, len(data))
    if _looked(scanner, whole) != first:
        raise Broken("two scans of the same bytes differ")
    if Pieces(data).run(lambda blob: _looked(scanner, blob)) != first:
        raise Broken("a scan of bytes that come in pieces differs")
    report = _inspected(whole)
    if _inspected(whole) != report:
        raise Broken("two inspections of the same bytes differ")
    if Pieces(data).run(_inspected) != report:
        raise Broken("an inspection of bytes that come in pieces differs")
    if msgspec.json.decode(msgspec.json.encode(report), type=Inspection) != report:
        raise Broken("the report does not survive being written")
