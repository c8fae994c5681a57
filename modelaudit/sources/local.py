"""Files and folders of this machine.

A target's `key` is the file's canonical path: no part of it is a symbolic link. Opening it checks that this
is still so, so that nothing swapped in after the listing can lead the scan to another file.
"""

import errno
import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

import anyio.to_thread

from modelaudit.errors import SourceError, UsageError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.interface import Chunk, LocalSource, failed, shown

_SORTED_NAMES = 32_768  # names of one folder given in one go, and half of what is held
_PATH_BYTES = 4095  # the longest path that the kernel takes
_KERNEL = ("/proc", "/sys")  # what the kernel shows of itself as files; endless, and nobody's models
_OPEN_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
_REASONS = {
    errno.ENOENT: "not_found",
    errno.ENOTDIR: "not_found",
    errno.EACCES: "access_denied",
    errno.EPERM: "access_denied",
    errno.ENAMETOOLONG: "path_too_long",
    errno.ENXIO: "special_file",
    errno.ELOOP: "changed",
}


class Files(LocalSource):
    """The local source: `path` is a file, a folder (gone through recursively), or a `file://` URL of one."""

    scheme = "file"

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    async def list(self, path: str) -> AsyncIterator[Sequence[Target]]:
        """Pages of the files at `path`: those of a folder by name, then those of its folders by name.

        Links to files inside `path` are followed; all others, and special files, are targets with `skip`.
        """
        targets = _targets(local_path(path))
        while page := await anyio.to_thread.run_sync(self._page, targets, abandon_on_cancel=True):
            yield page

    def _page(self, targets: Iterator[Target]) -> Sequence[Target]:
        return [*islice(targets, self._limits.page_objects)]

    def open(self, target: Target) -> int:
        """A descriptor of the very file that was listed. See `LocalSource.open`."""
        descriptor = _open(target.key, _OPEN_FILE, target.uri)
        try:
            status = os.fstat(descriptor)
            kind = stat.S_IFMT(status.st_mode)
            if kind != stat.S_IFREG:
                raise SourceError("special_file", f"{target.uri} is now {_SPECIAL.get(kind, 'a folder')}, not a file")
            if target.version is not None and target.version != _version(status):
                raise SourceError("changed", f"{target.uri} was changed after it was listed")
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    async def names(self, target: Target, folder: str) -> Mapping[str, int | None] | None:
        """See `Source.names`."""
        path = os.path.join(os.path.dirname(target.key), folder)
        return await anyio.to_thread.run_sync(_names_in, path, self._limits.names)

    async def read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        """One range, for callers that treat all sources alike. See `Source.read`."""
        return await anyio.to_thread.run_sync(self._read, target, offset, length, version)

    def _read(self, target: Target, offset: int, length: int, version: str | None) -> Chunk:
        descriptor = self.open(target)
        try:
            status = os.fstat(descriptor)
            if version is not None and version != _version(status):
                raise SourceError("changed", f"{target.uri} was changed while it was read")
            data = os.pread(descriptor, length, offset)
        except OSError as error:
            raise _refused(error, target.uri) from error
        finally:
            os.close(descriptor)
        return Chunk(data, status.st_size, _version(status))


def _names_in(folder: str, most: int) -> Mapping[str, int | None] | None:
    """The names in `folder`, at most `most`; see `Source.names`."""
    names: dict[str, int | None] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(names) >= most:
                    return None
                if entry.is_dir():
                    names[shown(entry.name) + "/"] = None
                elif entry.is_file():
                    names[shown(entry.name)] = entry.stat().st_size
                if entry.is_symlink():
                    names[shown(entry.name) + "//"] = None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return {}
        raise _refused(error, shown(folder)) from error
    return names


def local_path(path: str) -> str:
    """The path that `path`, a plain path or a `file://` URL, means. Raises `UsageError` for another host."""
    if not path.startswith("file://"):
        return path
    parts = urlsplit(path)
    if parts.netloc not in ("", "localhost"):
        raise UsageError(f"{shown(path)}: a file:// URL has no host; write file:///the/path")
    return unquote(path.removeprefix("file://").removeprefix("localhost"), errors="surrogateescape")


def _version(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}"


def _refused(error: OSError, uri: str) -> SourceError:
    reason = _REASONS.get(error.errno or 0, "unreadable")
    return SourceError(reason, f"{uri}: {os.strerror(error.errno or errno.EIO)}")


def _where(descriptor: int) -> str:
    """The canonical path of what is open."""
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _open(path: str, flags: int, uri: str) -> int:
    """Open the canonical `path`. Raises `SourceError`, `changed` if a link has come to lie on the way."""
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise _refused(error, uri) from error
    try:
        place = _where(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise _refused(error, uri) from error
    if place != path:
        os.close(descriptor)
        raise SourceError("changed", f"{uri} was moved or became a symbolic link after it was listed")
    return descriptor


def _targets(path: str) -> Iterator[Target]:
    """Everything at `path`, lazily. Blocks."""
    uri = shown(path)
    try:
        if "\0" in path or not path:
            raise FileNotFoundError(errno.ENOENT, "no such path")
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            real, status = _where(descriptor), os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        refused = _refused(error, uri)
        yield failed(uri, path, refused.reason, refused.message)
        return
    if stat.S_ISDIR(status.st_mode):
        yield from _folders(path, real)
    else:
        yield _target(uri, real, status)


def _target(uri: str, key: str, status: os.stat_result) -> Target:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFREG:
        # Whoever may write a file may also set its mtime, but not its ctime.
        return Target(uri, key, status.st_size, _version(status), modified=str(status.st_ctime_ns))
    return Target(uri, key, skip=("special_file", f"{_SPECIAL.get(kind, 'a special file')}, not a file"))


def _folders(path: str, root: str) -> Iterator[Target]:
    """The files of the folder `path`, whose canonical path is `root`, then those of its folders."""
    waiting: list[tuple[str, str, Iterator[str]]] = []  # folders being gone through, and what is still to do in each
    here, real = path, root
    while True:
        inner: list[str] = []
        yield from _folder(here, real, root, inner)
        waiting.append((here, real, iter(inner)))
        while (name := next(waiting[-1][2], None)) is None:
            waiting.pop()
            if not waiting:
                return
        here, real = os.path.join(waiting[-1][0], name), os.path.join(waiting[-1][1], name)


def _folder(path: str, real: str, root: str, inner: list[str]) -> Iterator[Target]:
    """The files right in one folder; the names of the folders in it are put into `inner`."""
    try:
        descriptor = _open(real, _OPEN_FOLDER, shown(path))
    except SourceError as error:
        yield failed(shown(path), real, error.reason, error.message)
        return
    shown_prefix, prefix = shown(os.path.join(path, "")), os.path.join(real, "")
    room = _PATH_BYTES - len(os.fsencode(prefix))
    try:
        for name in _names(descriptor):
            uri = shown_prefix + shown(name)
            if len(name) > room or len(os.fsencode(name)) > room:
                yield failed(uri, prefix + name, "path_too_long", f"{uri}: {os.strerror(errno.ENAMETOOLONG)}")
                continue
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                kind = stat.S_IFMT(status.st_mode)
                if kind == stat.S_IFDIR and prefix + name in _KERNEL:
                    yield Target(
                        uri, prefix + name, skip=("special_file", "a view of the kernel, not a folder of files")
                    )
                elif kind == stat.S_IFDIR:
                    inner.append(name)
                elif kind == stat.S_IFLNK:
                    yield _link(uri, name, descriptor, root)
                else:
                    yield _target(uri, prefix + name, status)
            except OSError as error:
                refused = _refused(error, uri)
                yield failed(uri, prefix + name, refused.reason, refused.message)
    except OSError as error:  # the folder itself cannot be read to its end
        refused = _refused(error, shown(path))
        yield failed(shown(path), real, refused.reason, refused.message)
    finally:
        os.close(descriptor)


def _names(folder: int) -> Iterator[str]:
    """The names in `folder`, sorted. One with very many is gone through several times, for bounded memory."""
    last = ""
    while True:
        names = _least(folder, last)
        yield from names
        if len(names) < _SORTED_NAMES:
            return
        last = names[-1]


def _least(folder: int, after: str) -> list[str]:
    """The first `_SORTED_NAMES` of the sorted names in `folder` that come after `after`."""
    names: list[str] = []
    bound = ""
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name > after and (not bound or name < bound):
                names.append(name)
                if len(names) == 2 * _SORTED_NAMES:
                    names.sort()
                    del names[_SORTED_NAMES:]
                    bound = names[-1]
    names.sort()
    return names[:_SORTED_NAMES]


def _link(uri: str, name: str, folder: int, root: str) -> Target:
    """The target of a symbolic link; links that lead to folders or out of `root` are not followed."""
    try:
        descriptor = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            return Target(uri, "", skip=("symlink_broken", "a symbolic link that leads nowhere"))
        raise
    try:
        real, status = _where(descriptor), os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if real != root and not real.startswith(os.path.join(root, "")):
        message = f"a symbolic link out of the folder being scanned, to {shown(real)}: name that to have it scanned"
        return Target(uri, real, skip=("symlink_outside", message))
    if stat.S_ISDIR(status.st_mode):
        message = f"a symbolic link to a folder that is scanned under its own name, {shown(real)}"
        return Target(uri, real, skip=("symlink_folder", message))
    return _target(uri, real, status)
