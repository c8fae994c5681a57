"""The other way to read a zip: from one local header to the next, without a directory.

Streaming readers do it, and so do repair tools. It finds members that no directory lists.
"""

import re
from collections.abc import Iterator
from itertools import islice

import msgspec

from modelaudit.blob import Blob
from modelaudit.parsers.zip.entries import DESCRIPTOR, Local, local

WALK_BYTES = 16 << 20  # looked through for the end of a member of unknown length, and walked in all
_TRIES = 64  # signatures inside one member that may be its end; more would make a hostile walk quadratic

_SIGNATURE = re.compile(rb"PK(?:\x07\x08|\x03\x04|\x01\x02|\x06\x06|\x05\x06)")


class Found(msgspec.Struct, frozen=True):
    """A member met on the walk: its header, the length of its data as stored, and where the next thing starts.

    `guessed` is set when the length is not declared and no data descriptor confirms it.
    """

    local: Local
    packed: int
    end: int
    guessed: bool = False


def walk(blob: Blob, start: int, end: int) -> Iterator[Found]:
    """Members whose local headers follow each other from `start`; ends at the first other thing, or at `end`."""
    place = start
    while place < min(end, start + WALK_BYTES):
        header = local(blob, place)
        if header is None or header.data > end:
            return
        found = _measured(blob, header, end)
        yield found
        place = found.end


def _measured(blob: Blob, header: Local, end: int) -> Found:
    """`header` with the length of its data: declared, or found by the descriptor that follows it."""
    if header.packed or not header.flags & DESCRIPTOR:
        packed = min(header.packed, end - header.data)
        return Found(header, packed, header.data + packed + _trailer(blob, header, header.data + packed, end))
    most = min(WALK_BYTES, end - header.data)
    data = blob.view(header.data, most)
    guess: int | None = None
    for match in islice(_SIGNATURE.finditer(data), _TRIES):
        at = match.start()
        if match[0] != b"PK\7\10":
            guess = at if guess is None else guess
        elif int.from_bytes(data[at + 8 : at + 12], "little") == at:
            wide = int.from_bytes(data[at + 8 : at + 16], "little") == at
            return Found(header, at, header.data + min(at + (24 if wide else 16), most))
    packed = most if guess is None else guess
    return Found(header, packed, header.data + packed, guessed=True)


def _trailer(blob: Blob, header: Local, place: int, end: int) -> int:
    """Length of a data descriptor with a signature at `place`; other ones are left to be a gap."""
    here = bytes(blob.view(place, min(24, max(0, end - place))))
    if not header.flags & DESCRIPTOR or here[:4] != b"PK\7\10":
        return 0
    wide = len(here) == 24 and int.from_bytes(here[8:16], "little") == header.packed
    return 24 if wide and int.from_bytes(here[8:12], "little") == int.from_bytes(here[16:20], "little") else 16
