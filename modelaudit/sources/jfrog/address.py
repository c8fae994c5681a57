"""What the URL of a file or folder in Artifactory names."""

from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from modelaudit.errors import SourceError
from modelaudit.sources.interface import shown

_CONTEXT: Final = "/artifactory"  # the path below which each server is
_CLOUD: Final = ".jfrog.io"
_API: Final = ("api", "storage")
_HOW: Final = "write https://host/artifactory/repository/path"


class Place(msgspec.Struct, frozen=True):
    """A file or folder. `base` is the URL of the server, `path` begins with the repository's name."""

    base: str
    path: str

    @property
    def uri(self) -> str:
        """The address as people see it."""
        return f"{self.base}/{shown(self.path)}"

    def at(self, path: str) -> "Place":
        """Another place on this server."""
        return Place(self.base, path)


def is_artifactory(url: str) -> bool:
    """Whether the http(s) URL `url` is of an Artifactory: as far as the address tells."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = (parts.hostname or "").rstrip(".")
    return f"{_CONTEXT}/" in f"{parts.path}/" or host.endswith(_CLOUD)


def place(url: str) -> Place:
    """What `url` names. Raises `SourceError`, without the URL, if it is no such address."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or parts.username is not None or parts.password is not None:
        raise SourceError("bad_address", f"the URL of an Artifactory holds a password, or no host; {_HOW}")
    named = f"[{host}]" if ":" in host else host
    before, context, rest = f"{parts.path}/".partition(f"{_CONTEXT}/")
    if not context:
        before, rest = "", parts.path
    base = f"{parts.scheme.lower()}://{named}{'' if port is None else f':{port}'}{before}{_CONTEXT}"
    names = [part for part in unquote(rest).split("/") if part]
    if not context and names[:1] == ["ui"]:  # a page of the web interface: /ui/native/…, /ui/repos/tree/General/…
        names = names[4:] if names[1:3] == ["repos", "tree"] else names[2:]
    if tuple(names[:2]) == _API:
        names = names[2:]
    if not names or not is_path("/".join(names)):
        raise SourceError("bad_address", f"the URL of an Artifactory names no repository; {_HOW}")
    return Place(base, "/".join(names))


def is_path(path: str) -> bool:
    """Whether a file or folder can lie there."""
    return all(part not in ("", ".", "..") for part in path.split("/"))
