"""What an `hf://` address or a URL of a hub's page names, and where the hub is."""

import re
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.sources.interface import shown

HOSTS: Final = ("huggingface.co", "www.huggingface.co", "hf.co")
KINDS: Final = ("models", "datasets", "spaces")
_DEFAULT: Final = "https://huggingface.co"
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?")
_REFS = re.compile(r"(refs/(?:pr/\d{1,9}|convert/[A-Za-z0-9_.-]{1,64}))(?:/|$)")  # revisions with a slash in them
_PAGES: Final = ("tree", "blob", "resolve", "raw")  # the pages of a repository that lead to its files
_HOW: Final = "write hf://owner/repo, hf://owner/repo@revision/path, hf://datasets/owner/repo or hf://owner"


class Repository(msgspec.Struct, frozen=True):
    """A repository of a hub. `id` is `owner/name`, or `name` alone for the oldest ones."""

    kind: str
    id: str

    @property
    def uri(self) -> str:
        """The address as people see it."""
        return "hf://" + ("" if self.kind == "models" else f"{self.kind}/") + shown(self.id)

    @property
    def page(self) -> str:
        """The path of its page."""
        return self.id if self.kind == "models" else f"{self.kind}/{self.id}"


class Wanted(msgspec.Struct, frozen=True):
    """Files of a repository: all, or those at `path`. Without a `revision`, of its main branch.

    Where the repository has no owner it may be the owner of many.
    """

    repository: Repository
    revision: str = ""
    path: str = ""

    @property
    def root(self) -> str:
        """The address of the repository at the revision, as people see it: what files' paths are put behind."""
        return self.repository.uri + (f"@{shown(self.revision).replace('/', '%2F')}" if self.revision else "")

    @property
    def uri(self) -> str:
        """The address as people see it."""
        return self.root + (f"/{shown(self.path)}" if self.path else "")

    @property
    def may_be_owner(self) -> bool:
        """Whether it may be all repositories of somebody that are meant."""
        return "/" not in self.repository.id and not self.revision and not self.path

    def without_owner(self) -> "Wanted | None":
        """What it means if the first name is not the owner's but the repository's."""
        name, slash, first = self.repository.id.partition("/")
        if not slash or self.revision:
            return None
        path = f"{first}/{self.path}" if self.path else first
        return msgspec.structs.replace(self, repository=Repository(self.repository.kind, name), path=path)


def endpoint(access: Access) -> str:
    """The URL of the hub, without a slash at its end. Raises `SourceError` where HF_ENDPOINT is none."""
    said = access.variable("HF_ENDPOINT")
    if said is None:
        return _DEFAULT
    try:
        parts = urlsplit(said)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https") or parts.username is not None:
        raise SourceError("bad_address", "HF_ENDPOINT is no http:// or https:// URL without a password")
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


def is_page(url: str, access: Access) -> bool:
    """Whether the http(s) URL `url` is of the hub: of Hugging Face's own, or of the one that HF_ENDPOINT says."""
    return _below(url, access) is not None


def wanted(path: str, access: Access) -> Wanted:
    """What `path` names. Raises `SourceError`, without the path, if it is no such address."""
    scheme, _, rest = path.partition("://")
    if scheme.lower() == "hf":
        return _of_address(rest)
    rest = _below(path, access) or ""
    return _of_page(unquote(rest.partition("?")[0].partition("#")[0]))


def _below(url: str, access: Access) -> str | None:
    """What follows the hub's own address in `url`."""
    try:
        parts = urlsplit(url)
        if parts.hostname in HOSTS:
            return parts.path
        hub = endpoint(access)
        base = urlsplit(hub)
        is_same = (parts.scheme.lower(), parts.hostname, parts.port) == (base.scheme, base.hostname, base.port)
    except (ValueError, SourceError):
        return None
    path = f"{parts.path}/"
    return path.removeprefix(base.path)[:-1] if is_same and path.startswith(f"{base.path}/") else None


def _of_address(rest: str) -> Wanted:
    before, at, after = rest.partition("@")
    if not at:
        kind, parts = _kind(before)
        return _checked(kind, parts[:2], "", "/".join(parts[2:]))
    kind, parts = _kind(before)
    after = after.rstrip("/")
    special = _REFS.match(after)
    revision = special[1] if special else after.partition("/")[0]
    return _checked(kind, parts, unquote(revision), after[len(revision) :].strip("/"), needs_revision=True)


def _of_page(path: str) -> Wanted:
    kind, parts = _kind(path)
    at = next((index for index in (1, 2) if parts[index : index + 1] and parts[index] in _PAGES), len(parts))
    after = "/".join(parts[at + 1 :])
    special = _REFS.match(f"{after}/")
    revision = special[1] if special else after.partition("/")[0]
    if not parts or parts[0] in ("api", "docs", "blog", "papers", "collections", "settings") or at > 2:
        raise SourceError("bad_address", f"the URL is not that of a repository, folder or file of the hub; {_HOW}")
    return _checked(kind, parts[:at], revision, after[len(revision) :].strip("/"), needs_revision=at < len(parts))


def _kind(rest: str) -> tuple[str, list[str]]:
    parts = [part for part in rest.split("/") if part]
    if parts and parts[0] in KINDS:
        return parts[0], parts[1:]
    return KINDS[0], parts


def _checked(kind: str, names: list[str], revision: str, path: str, needs_revision: bool = False) -> Wanted:
    id = "/".join(names)
    is_good = is_id(id) and (bool(revision) or not needs_revision) and len(revision) <= 255
    if not is_good or not is_path(path or "x"):
        raise SourceError("bad_address", f"hf: {_HOW}")
    return Wanted(Repository(kind, id), revision, path)


def is_id(id: str) -> bool:
    """Whether a repository may be called this, with its owner or without."""
    names = id.split("/")
    return len(names) <= 2 and all(_NAME.fullmatch(name) and ".." not in name and "--" not in name for name in names)


def is_path(path: str) -> bool:
    """Whether a file or folder of a repository can lie there."""
    return all(part not in ("", ".", "..") for part in path.split("/"))
