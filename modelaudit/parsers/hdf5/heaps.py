"""Local heaps, with the names of old groups, and global ones, with texts of variable length."""

import msgspec

from modelaudit.errors import ParseError
from modelaudit.parsers.hdf5.reading import File, Reader, expect, number

_LOCAL_BYTES = 512  # asked for first: the heap's header, and its names, which most often follow
_GLOBAL_BYTES = 4096  # the least size of a collection


def local_names(file: File, address: int) -> Reader[bytes]:
    """The data segment of a local heap."""
    head = yield from file.at(address, _LOCAL_BYTES, 8 + 2 * file.length_bytes + file.offset_bytes)
    expect(head, b"HEAP", file.base + address)
    size = file.length(head, 8)
    place = file.offset(head, 8 + 2 * file.length_bytes)
    if address <= place and place + size <= address + len(head):
        return head[place - address : place - address + size]
    return (yield from file.at(place, size))


def text_at(heap: bytes, at: int) -> bytes:
    """The text that begins at `at` and ends with NUL. Raises `ParseError` where there is none."""
    if at > len(heap):
        raise ParseError("a name lies outside its heap", at)
    return heap[at:].partition(b"\0")[0] if len(heap) - at < 1 << 16 else heap[at : at + (1 << 16)].partition(b"\0")[0]


class Collection(msgspec.Struct, frozen=True):
    """One collection of a global heap: its objects by index, each as (start, length) in `data`."""

    data: bytes
    objects: dict[int, tuple[int, int]]

    def get(self, index: int) -> bytes:
        """The object `index`; nothing where there is none."""
        start, length = self.objects.get(index, (0, 0))
        return self.data[start : start + length]


def collection(file: File, address: int) -> Reader[Collection]:
    """The global heap collection at `address`."""
    head = yield from file.at(address, _GLOBAL_BYTES, 8 + file.length_bytes)
    expect(head, b"GCOL", file.base + address)
    size = file.length(head, 8)
    data = head[:size] if size <= len(head) else (yield from file.at(address, size))
    objects: dict[int, tuple[int, int]] = {}
    at = 8 + file.length_bytes
    step = 8 + file.length_bytes
    while at + step <= len(data):
        index, length = number(data, at, 2), file.length(data, at + 8)
        file.spend()
        if index == 0:
            break
        if length > len(data) - at - step:
            raise ParseError("an object is longer than its heap", file.base + address + at)
        objects[index] = (at + step, length)
        at += step + -(-length // 8) * 8
    return Collection(data, objects)


def enc_bytes(value: int) -> int:
    """Bytes that libhdf5 takes for numbers up to `value`."""
    return (value.bit_length() - 1) // 8 + 1 if value else 1
