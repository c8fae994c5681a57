"""What every source can do: list a place page by page, and read ranges of what it listed."""

import re
import unicodedata
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Protocol, Self

import msgspec

from modelaudit.model import Target

_ESCAPED = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, invisible marks and bidi, broken UTF-8, line breaks
_LOOKS_ESCAPED = re.compile(r"\\(?=x[0-9a-f]{2})")


class Chunk(msgspec.Struct, frozen=True):
    """One range as it was read. `data` is shorter than asked only where the object ends.

    `size` is the length of the whole object in bytes, `version` its ETag, generation, or size and mtime.
    """

    data: bytes
    size: int
    version: str | None = None


class Source(Protocol):
    """A place that holds objects. Opened once for a run with `async with`; cheap until it is used."""

    scheme: str

    async def __aenter__(self) -> Self:
        """Ready for use; connections and credentials come with the first call that needs them."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""

    def list(self, path: str) -> AsyncIterator[Sequence[Target]]:
        """The objects at `path`, as lazy pages in a stable order.

        The next page is asked for when the consumer asks. What cannot be listed (a folder, a page, `path`
        itself) is a `Target` with `failed` and `skip=(reason, message)`; nothing is raised for it.
        """

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        """`length` bytes at `offset` of `target`; with `version`, of that version only.

        Raises `SourceError`, among others with the reasons `changed`, `not_found`, `access_denied`,
        `archived`, `credentials`, `throttled`, `unreachable`, `stalled`.
        """

    async def names(self, target: Target, folder: str) -> Mapping[str, int | None] | None:
        """What lies in `folder`, relative to the one that holds `target`: names as `shown`, with sizes in bytes.

        Names of folders end in `/` and have none; those of symbolic links stand once more with `//`. None where it is
        not known, or is more than `Limits.names`. `folder` has no part that leads up. Raises `SourceError`.
        """
        return None


class LocalSource(Source):
    """A source whose objects are files of this machine: they are opened instead of read by ranges."""

    @abstractmethod
    def open(self, target: Target) -> int:
        """A read-only descriptor of the file, to be closed by the caller. Blocks.

        Raises `SourceError`: `changed` when the file is not the one that was listed, `not_found`,
        `access_denied`, `special_file`, `unreadable`.
        """


def shown(name: str) -> str:
    r"""`name` as people and JSON may see it: what is not a visible character stands as `\xNN`, by UTF-8 byte.

    Ordinary names come back as they are, and no two names become the same: a backslash that would read as
    such an escape is written as one (`\x5c`).
    """
    if name.isprintable() and "\\" not in name:
        return name
    return "".join(
        "".join(f"\\x{byte:02x}" for byte in mark.encode("utf-8", "surrogateescape"))
        if unicodedata.category(mark) in _ESCAPED
        else mark
        for mark in _LOOKS_ESCAPED.sub(r"\\x5c", name)
    )


def failed(uri: str, key: str, reason: str, message: str) -> Target:
    """The target that stands for something that could not be listed. `uri` is shown as it is."""
    return Target(uri=uri, key=key, skip=(reason, message), failed=True)
