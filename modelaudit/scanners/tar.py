"""tar archives: each member is looked at, and where it would be written. Old PyTorch checkpoints are tars."""

import posixpath
from collections.abc import Iterator

from modelaudit.blob import Blob, read
from modelaudit.limits import Limits
from modelaudit.model import Child, Hit
from modelaudit.parsers.tar import (
    BLOCK_BYTES,
    FOLDER,
    HARD_LINK,
    REGULAR,
    SYMBOLIC_LINK,
    Member,
    end,
    is_header,
    members,
)

_SPECIAL = {b"3": "a character device", b"4": "a block device", b"6": "a named pipe"}


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the file begins with a header whose checksum is right."""
    return is_header(read(blob, 0, BLOCK_BYTES))


def _escapes(path: str) -> bool:
    path = path.replace("\\", "/")
    return path.startswith("/") or path[1:2] == ":" or posixpath.normpath(path).split("/")[0] == ".."


def _dangers(member: Member) -> Iterator[Hit]:
    at = member.offset - BLOCK_BYTES
    if _escapes(member.name):
        yield Hit("tar-traversal", at, {"name": member.name})
    if member.kind in (HARD_LINK, SYMBOLIC_LINK):
        # A symbolic link starts from its own folder, a hard link from the root of the archive.
        base = posixpath.dirname(member.name) if member.kind == SYMBOLIC_LINK else ""
        if _escapes(posixpath.join(base, member.link)):
            yield Hit("tar-link-escape", at, {"name": member.name, "target": member.link})
    if member.kind in _SPECIAL:
        yield Hit("tar-special", at, {"name": member.name, "what": _SPECIAL[member.kind]})


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child]:
    """Every member as a child, and what follows the archive."""
    last = 0
    for member in members(blob):
        yield from _dangers(member)
        last = max(last, member.offset + member.size)
        if member.size and member.kind not in (*_SPECIAL, FOLDER) and (member.kind in REGULAR or member.kind.isalpha()):
            yield Child(member.name, member.offset, min(member.size, max(0, blob.size - member.offset)))
    after = end(blob, last)
    if after < blob.size:
        yield Child("trailing bytes", after, blob.size - after)
