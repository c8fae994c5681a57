"""Git LFS pointers: text in place of a file that is kept elsewhere (git-lfs docs/spec.md)."""

import re
from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Note

_MOST_BYTES = 1024  # by the specification a pointer is smaller
# Every byte of it: what is not part of a pointer makes a file that only begins like one.
_POINTER = late(
    rb"version https://(?:git-lfs|hawser)\.github\.com/spec/v1\r?\n"
    rb"(?:ext-\d-[a-z0-9.-]+ sha256:[0-9a-f]{64}\r?\n)*"
    rb"oid (?P<oid>sha256:[0-9a-f]{64})\r?\n"
    rb"size (?P<size>\d{1,20})\s*"
)


def _pointer(blob: Blob) -> re.Match[bytes] | None:
    return _POINTER.fullmatch(bytes(blob.view(0, _MOST_BYTES))) if blob.size < _MOST_BYTES else None


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether this is a whole pointer and not a file that begins like one."""
    return _pointer(blob) is not None


def scan(blob: Blob, limits: Limits, /) -> Iterator[Note]:
    """Say that the bytes are elsewhere."""
    pointer = _pointer(blob)
    if pointer is not None:
        oid, size = pointer["oid"].decode(), pointer["size"].decode()
        yield Note("lfs_pointer", f"a Git LFS pointer to {oid} of {size} bytes: git lfs pull fetches the file")
