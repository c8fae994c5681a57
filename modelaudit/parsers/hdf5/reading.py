"""Reading scattered structures together: generators that say which bytes they need, driven in lockstep.

A reader is a generator: `piece = yield from file.at(address, length)` suspends it until the bytes are here. All
readers of a level are asked for what they need before any of them goes on, so that one round fetches for all.
"""

from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

from modelaudit.blob import Blob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits

T = TypeVar("T")
Ranges = list[tuple[int, int]]
Reader = Generator[Ranges, None, T]

_TOGETHER = 4096  # readers at work at once; bounds memory where a group has a million members


class File:
    """The bytes of one file: its addresses count from `base`, and have `offset_bytes`; lengths `length_bytes`."""

    def __init__(self, blob: Blob, base: int, offset_bytes: int, length_bytes: int, limits: Limits) -> None:
        self.blob = blob
        self.base = base
        self.offset_bytes = offset_bytes
        self.length_bytes = length_bytes
        self.leaf_entries = 8  # symbols of one node; the superblock may say otherwise
        self.node_entries = 32  # children of one node of a group's B-tree
        self.limits = limits
        self.undefined = (1 << 8 * offset_bytes) - 1
        self._left = 8 * limits.members
        self._bytes_left = 16 * limits.header_bytes

    def at(self, address: int, length: int, least: int | None = None) -> Reader[bytes]:
        """`length` bytes at `address`, at least `least` of them. Raises `ParseError` where the file has fewer."""
        least = length if least is None else least
        start = self.base + address
        length = min(length, max(0, self.blob.size - start))
        if address == self.undefined or length < least:
            raise ParseError("an address leads out of the file", min(start, self.blob.size))
        yield [(start, length)]
        self._bytes_left -= length  # structures may share what they refer to, so this may be more than the file has
        if self._bytes_left < 0:
            raise LimitExceeded("header_bytes", 16 * self.limits.header_bytes + 1, 16 * self.limits.header_bytes)
        return bytes(self.blob.view(start, length))

    def spend(self, count: int = 1) -> None:
        """Count messages, links and nodes; a file of overlapping structures has no end of them."""
        self._left -= count
        if self._left < 0:
            raise LimitExceeded("members", 8 * self.limits.members + 1, 8 * self.limits.members)

    def offset(self, data: bytes, at: int) -> int:
        """The address that stands at `at`."""
        return number(data, at, self.offset_bytes)

    def length(self, data: bytes, at: int) -> int:
        """The length that stands at `at`."""
        return number(data, at, self.length_bytes)


def number(data: bytes, at: int, size: int) -> int:
    """An unsigned number of `size` bytes. Raises `ParseError` where there are fewer."""
    piece = data[at : at + size]
    if len(piece) < size:
        raise ParseError("a structure is cut off", at)
    return int.from_bytes(piece, "little")


def expect(data: bytes, signature: bytes, address: int) -> None:
    """Raise `ParseError` unless `data` begin with `signature`."""
    if data[: len(signature)] != signature:
        raise ParseError(f"no {signature.decode()} where one should be", address)


def run(file: File, readers: Iterable[Reader[T]]) -> Iterator[T | ParseError]:
    """What each reader returns, or the error that ended it, in their order. Raises `Missing` and `LimitExceeded`."""
    batch: list[Reader[T]] = []
    for reader in readers:
        batch.append(reader)
        if len(batch) == _TOGETHER:
            yield from _lockstep(file.blob, batch)
            batch = []
    yield from _lockstep(file.blob, batch)


def _lockstep(blob: Blob, readers: list[Reader[T]]) -> list[T | ParseError]:
    results: dict[int, T | ParseError] = {}
    active = dict(enumerate(readers))
    while active:
        needs: Ranges = []
        for index, reader in list(active.items()):
            try:
                needs += next(reader)
            except StopIteration as done:
                results[index] = done.value
                del active[index]
            except ParseError as error:
                results[index] = error
                del active[index]
        blob.require(needs)
    return [results[index] for index in range(len(readers))]


def together(readers: list[Reader[T]]) -> Reader[list[T]]:
    """Several readers as one, in lockstep. Raises `ParseError` when one of them does."""
    results: dict[int, T] = {}
    active = dict(enumerate(readers))
    while active:
        needs: Ranges = []
        for index, reader in list(active.items()):
            try:
                needs += next(reader)
            except StopIteration as done:
                results[index] = done.value
                del active[index]
        if needs:
            yield needs
    return [results[index] for index in range(len(readers))]
