"""What a hub says of repositories and their files: the fields that lead to bytes."""

import re

import msgspec

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SIZES_END = 1 << 63


class Info(msgspec.Struct, frozen=True):
    """A repository. `sha` is the commit that was asked for; in a list, that of the main branch, or nothing."""

    id: str = ""
    sha: str | None = None

    @property
    def commit(self) -> str | None:
        """The commit; None where the hub does not say a usable one."""
        return self.sha if self.sha and _COMMIT.fullmatch(self.sha) else None


class Large(msgspec.Struct, frozen=True):
    """What git-lfs knows of a file: the SHA-256 of its bytes, its size in bytes."""

    oid: str = ""
    size: int = -1


class Entry(msgspec.Struct, frozen=True):
    """A file or a folder. For a file in the large store, `oid` is that of the pointer in git and `lfs` tells of it."""

    path: str = ""
    type: str = ""
    oid: str = ""
    size: int = -1
    lfs: Large | None = None

    @property
    def is_folder(self) -> bool:
        """Whether it has entries instead of bytes."""
        return self.type == "directory"

    @property
    def length(self) -> int | None:
        """Size of the file in bytes; None where the hub does not say a usable one."""
        size = self.size if self.lfs is None or self.lfs.size < 0 else self.lfs.size
        return size if 0 <= size < _SIZES_END else None

    @property
    def sha256(self) -> str | None:
        """Of the file's bytes; only for those in the large store."""
        digest = self.lfs.oid.removeprefix("sha256:") if self.lfs else ""
        return digest if _SHA256.fullmatch(digest) else None

    @property
    def version(self) -> str | None:
        """What stays as long as the bytes stay."""
        if self.sha256:
            return f"sha256:{self.sha256}"
        return self.oid if self.lfs is None and _COMMIT.fullmatch(self.oid) else None
