"""What an `oci://` address names: a registry, a repository, a tag or a digest in it."""

import ipaddress
import re

import msgspec

from modelaudit.errors import SourceError

_HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DIGEST = re.compile(r"sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})")
_HUB = ("docker.io", "index.docker.io", "registry.hub.docker.com")
_HUB_SERVER = "registry-1.docker.io"


class Reference(msgspec.Struct, frozen=True):
    """`host/repository:tag` or `host/repository@digest`; an empty part means all of its kind."""

    host: str
    repository: str = ""
    tag: str = ""
    digest: str = ""

    @property
    def named(self) -> str:
        """The tag or digest, to ask the registry for."""
        return self.digest or self.tag

    @property
    def uri(self) -> str:
        """The address as people see it."""
        end = f"@{self.digest}" if self.digest else f":{self.tag}" if self.tag else ""
        return f"oci://{self.host}" + (f"/{self.repository}" if self.repository else "") + end

    @property
    def server(self) -> str:
        """The URL of the registry. Without TLS only on this machine, as all clients hold it."""
        host = _HUB_SERVER if self.host in _HUB else self.host
        return f"{'http' if _is_here(host) else 'https'}://{host}"


def reference(path: str) -> Reference:
    """Take `path` apart. Raises `SourceError`, without the path, if it is no such address (OCI Distribution 1.1)."""
    host, _, rest = path.partition("://")[2].partition("/")
    if not _HOST.fullmatch(host):
        raise SourceError("bad_address", "oci: what follows oci:// is not the name of a registry")
    rest = rest.strip("/")
    if not rest:
        return Reference(host)
    rest, _, digest = rest.partition("@")
    repository, colon, tag = rest.partition(":")
    if host in _HUB and "/" not in repository:
        repository = f"library/{repository}"
    is_good = _REPOSITORY.fullmatch(repository) and len(repository) <= 255
    if not is_good or (colon and not _TAG.fullmatch(tag)) or (digest and not DIGEST.fullmatch(digest)):
        raise SourceError("bad_address", f"oci://{host}/…: write oci://host/repository:tag or …/repository@sha256:…")
    return Reference(host, repository, tag, digest)


def is_repository(name: str) -> bool:
    """Whether a registry may give a repository this name."""
    return len(name) <= 255 and _REPOSITORY.fullmatch(name) is not None


def is_tag(name: str) -> bool:
    """Whether a tag may be called this."""
    return _TAG.fullmatch(name) is not None


def _is_here(host: str) -> bool:
    name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
