"""A DVC repository on this machine: its root, what it is set to, where data may lie in it. All of it blocks."""

import os
from collections.abc import Iterator
from typing import Final

import msgspec

from modelaudit.errors import SourceError
from modelaudit.sources.dvc.pointer import Out, Settings, settings
from modelaudit.sources.interface import shown

_POINTER_BYTES: Final = 16 << 20  # a lock file of a very large pipeline has less
_PARENTS: Final = 64  # folders above the pointer in which a repository is looked for


class Repository(msgspec.Struct, frozen=True):
    """The repository that a pointer belongs to. `root` is a canonical path; empty when there is none."""

    root: str
    settings: Settings

    def here(self, pointer: str, out: Out) -> str | None:
        """The path of `out` in the working tree, if it is there and inside the repository."""
        folder = os.path.realpath(os.path.dirname(pointer))
        path = os.path.realpath(os.path.join(folder, out.path))
        within = os.path.join(self.root or folder, "")
        return path if path.startswith(within) and os.path.exists(path) else None

    def cached(self, out: Out) -> str | None:
        """The path of `out` in the cache, if it is there."""
        if not self.root:
            return None
        folder = os.path.join(self.root, ".dvc", self.settings.cache or "cache")
        path = os.path.join(folder, out.place)
        return path if os.path.isfile(path) else None

    def remote(self, out: Out) -> str | None:
        """The address of `out` on the default remote; None without one. A relative path is one below `.dvc`."""
        url = self.settings.url
        if url is None:
            return None
        base = url if "://" in url else os.path.join(self.root, ".dvc", url)
        return f"{base.rstrip('/')}/{out.place}"


def read(path: str) -> str:
    """The text of a pointer. Raises `SourceError`."""
    try:
        with open(path, "rb") as file:
            data = file.read(_POINTER_BYTES + 1)
    except OSError as error:
        raise SourceError("not_found", f"{shown(path)}: {os.strerror(error.errno or 5)}") from error
    if len(data) > _POINTER_BYTES:
        raise SourceError("too_large", f"{shown(path)}: no pointer of DVC is so large")
    return data.decode("utf-8", "replace")


def repository_of(path: str) -> Repository:
    """The repository in which `path` lies."""
    folder = os.path.dirname(os.path.realpath(path))
    for _ in range(_PARENTS):
        if os.path.isdir(os.path.join(folder, ".dvc")):
            return Repository(folder, settings([*_configured(folder)]))
        if folder == os.path.dirname(folder):
            break
        folder = os.path.dirname(folder)
    return Repository("", Settings())


def _configured(root: str) -> Iterator[str]:
    for name in ("config", "config.local"):
        try:
            yield read(os.path.join(root, ".dvc", name))
        except SourceError:
            continue


def pointers(folder: str) -> Iterator[str]:
    """Every `.dvc` file and `dvc.lock` below `folder`, by name; links are not followed."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in (".dvc", ".git"))
        for name in sorted(names):
            if name == "dvc.lock" or (name.endswith(".dvc") and name != ".dvc"):
                yield os.path.join(place, name)
