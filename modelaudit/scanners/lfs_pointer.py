"""Git LFS pointers: text in place of a file that is kept elsewhere (git-lfs docs/spec.md)."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Note

_MOST_BYTES = 1024  # by the specification a pointer is smaller


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether this is a whole pointer and not a file that begins like one."""
    if blob.size >= _MOST_BYTES:
        return False
    lines = bytes(blob.view(0, _MOST_BYTES)).split(b"\n")
    return any(line.startswith(b"oid ") for line in lines) and any(line.startswith(b"size ") for line in lines)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Note]:
    """Say that the bytes are elsewhere."""
    fields = dict(line.partition(b" ")[::2] for line in bytes(blob.view(0, _MOST_BYTES)).split(b"\n"))
    size = fields.get(b"size", b"?").decode("ascii", "replace")
    oid = fields.get(b"oid", b"?").decode("ascii", "replace")
    yield Note("lfs_pointer", f"a Git LFS pointer to {oid} of {size} bytes: git lfs pull fetches the file")
