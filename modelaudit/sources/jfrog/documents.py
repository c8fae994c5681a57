"""What Artifactory says of files and folders (REST API: File Info, Folder Info, File List)."""

import re

import msgspec

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_SIZES_END = 1 << 63


class Child(msgspec.Struct, frozen=True, gc=False):
    """What lies in a folder; `uri` is `/` and its name."""

    uri: str = ""
    folder: bool = False


class Checksums(msgspec.Struct, frozen=True, gc=False):
    """Of a file's bytes."""

    sha1: str | None = None
    sha256: str | None = None


class Info(msgspec.Struct, frozen=True):
    """A file, or with `children` a folder. `size` in bytes."""

    size: str | int | None = None
    lastModified: str | None = None
    checksums: Checksums | None = None
    children: tuple[Child, ...] | None = None

    @property
    def known(self) -> "Known":
        """What is known of the file."""
        sums = self.checksums or Checksums()
        return Known.of(self.size, sums.sha256, sums.sha1, self.lastModified)


class Listed(msgspec.Struct, frozen=True, gc=False):
    """A line of a listing; `uri` is `/` and the path below the folder that was listed. `sha2` is a SHA-256."""

    uri: str = ""
    size: str | int | None = None
    lastModified: str | None = None
    folder: bool = False
    sha1: str | None = None
    sha2: str | None = None

    @property
    def known(self) -> "Known":
        """What is known of the file."""
        return Known.of(self.size, self.sha2, self.sha1, self.lastModified)


class Listing(msgspec.Struct, frozen=True):
    """The files of a folder, and perhaps of all its folders."""

    files: tuple[Listed, ...] = ()


class Known(msgspec.Struct, frozen=True):
    """What a server knows of a file. `version` stays as long as the bytes stay."""

    size: int | None
    sha256: str | None
    version: str | None

    @classmethod
    def of(cls, size: str | int | None, sha256: str | None, sha1: str | None, modified: str | None) -> "Known":
        """What is usable of what was said."""
        length = int(size) if isinstance(size, int) or (size and size.isdecimal() and len(size) < 20) else None
        length = length if length is not None and 0 <= length < _SIZES_END else None
        digest = sha256 if sha256 and _SHA256.fullmatch(sha256) else None
        version: str | None
        if digest:
            version = f"sha256:{digest}"
        elif sha1 and _SHA1.fullmatch(sha1):
            version = f"sha1:{sha1}"
        else:
            version = f"{length}-{modified}"[:100] if length is not None and modified and modified.isascii() else None
        return cls(length, digest, version)
