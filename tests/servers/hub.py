"""A hub like Hugging Face, on loopback: repositories of git commits, a large store on another host, tokens, limits.

It keeps to what huggingface_hub sends and expects: paths, parameters, JSON fields, headers, redirects, status codes.
"""

import base64
import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from aiohttp import web

from tests.servers.serving import ranged, serving

_LARGE = (".bin", ".pt", ".pkl", ".safetensors", ".h5", ".onnx", ".gguf", ".zip")  # as .gitattributes has them
_KINDS = ("models", "datasets", "spaces")


def blob_id(data: bytes) -> str:
    """As git names a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Repository:
    """A repository: its commits, and the names for them."""

    kind: str
    id: str
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False

    def commit(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.refs.get(revision)


@dataclass
class Quota:
    """So many requests until `resets` (time.monotonic), then no limit."""

    left: int
    resets: float

    @property
    def seconds(self) -> int:
        return max(0, round(self.resets - time.monotonic()))


class Hub:
    """A running hub at 127.0.0.1, whose store of large files is at localhost: another host to every client.

    `members` are the tokens that are let in: to private and gated repositories only those in `insiders`.
    """

    def __init__(self) -> None:
        self.port = self.store_port = 0
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.renamed: dict[tuple[str, str], str] = {}
        self.members: set[str] = set()
        self.insiders: set[str] = set()
        self.page = 1000
        self.quotas: dict[str, Quota] = {}
        self.asked: list[str] = []  # "METHOD /path?query" of every request to the hub
        self.authorizations: Counter[str | None] = Counter()
        self.store_asked: list[tuple[str, str | None]] = []  # the path and Authorization of every request to the store
        self.signature = "first"  # that the store takes
        self.stored: dict[str, bytes] = {}
        self.has_paths_info = True
        self.large = _LARGE  # how the names of the files end that are in the store

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def push(
        self, id: str, files: Mapping[str, bytes], kind: str = "models", ref: str = "main", **more: bool
    ) -> Repository:
        """Make `files` the contents of a branch or tag."""
        repository = self.repositories.setdefault((kind, id), Repository(kind, id))
        seed = json.dumps([id, len(repository.commits), sorted((name, blob_id(data)) for name, data in files.items())])
        commit = hashlib.sha1(seed.encode()).hexdigest()
        repository.commits[commit] = dict(files)
        repository.refs[ref] = commit
        for name, value in more.items():
            setattr(repository, name, value)
        for data in files.values():
            self.stored[hashlib.sha256(data).hexdigest()] = data
        return repository

    # --- who asks ---------------------------------------------------------------------------------------

    def _refusal(self, status: int, code: str | None, message: str) -> web.Response:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        return web.json_response({"error": message}, status=status, headers=headers)

    def _token(self, request: web.Request) -> str | None:
        said = request.headers.get("Authorization")
        return said.removeprefix("Bearer ") if said else None

    def _found(self, request: web.Request, kind: str, id: str) -> "Repository | web.Response":
        token = self._token(request)
        repository = self.repositories.get((kind, id))
        if repository is None or (repository.private and token not in self.insiders):
            status = 401 if token is None else 404
            return self._refusal(status, "RepoNotFound", "Repository not found")
        return repository

    @web.middleware
    async def _around(self, request: web.Request, handler: web.RequestHandler) -> web.StreamResponse:  # type: ignore
        self.asked.append(f"{request.method} {request.raw_path}")
        self.authorizations[request.headers.get("Authorization")] += 1
        token = self._token(request)
        if token is not None and token not in self.members | self.insiders:
            return self._refusal(401, None, "Invalid credentials in Authorization header")
        limit = "resolvers" if "/resolve/" in request.path else "api"
        quota = self.quotas.get(limit)
        if quota is not None and time.monotonic() >= quota.resets:
            quota = None
        headers = {"RateLimit-Policy": f'"fixed window";"{limit}";q=500;w=300'}
        headers["RateLimit"] = f'"{limit}";r={quota.left if quota else 500};t={quota.seconds if quota else 300}'
        if quota is not None and quota.left <= 0:
            return web.json_response({"error": "Too Many Requests"}, status=429, headers=headers)
        if quota is not None:
            quota.left -= 1
        answer: web.StreamResponse = await handler(request)  # type: ignore[operator]
        if not answer.prepared:
            answer.headers.update(headers)
        return answer

    # --- the API ----------------------------------------------------------------------------------------

    async def _api(self, request: web.Request) -> web.Response:
        parts = request.match_info["rest"].split("/")
        kind = parts[0]
        if kind not in _KINDS:
            return web.json_response({"error": "Not Found"}, status=404)
        if len(parts) == 1:
            return self._list(request, kind)
        verbs = ("tree", "revision", "paths-info", "refs", "commits")
        at = next((index for index in (2, 3) if parts[index : index + 1] and parts[index] in verbs), len(parts))
        id = "/".join(parts[1:at])
        new = self.renamed.get((kind, id))
        if new is not None:
            onward = request.raw_path.replace(f"/api/{kind}/{id}", f"/api/{kind}/{new}")
            return web.Response(status=307, headers={"Location": onward})
        repository = self._found(request, kind, id)
        if isinstance(repository, web.Response):
            return repository
        verb, *rest = parts[at:] or ["revision", "main"]
        return self._about(request, repository, verb, rest)

    def _about(self, request: web.Request, repository: Repository, verb: str, rest: list[str]) -> web.Response:
        if verb == "refs":
            branches = [
                {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit}
                for name, commit in repository.refs.items()
            ]
            return web.json_response({"branches": branches, "converts": [], "tags": []})
        raw = request.raw_path.partition("?")[0].split(f"/{verb}/", 1)
        revision = rest[0] if rest else "main"
        if len(raw) == 2 and "%2f" in raw[1].partition("/")[0].lower():
            revision = raw[1].partition("/")[0].replace("%2F", "/").replace("%2f", "/")
            rest = ["", *rest[1 + revision.count("/") :]]
        commit = repository.commit(revision)
        if commit is None:
            return self._refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if verb == "revision":
            return web.json_response(self._info(request, repository, commit))
        if verb == "commits":
            return web.json_response([{"id": commit, "title": "commit", "message": "", "authors": [], "date": _DATE}])
        if verb == "tree":
            return self._tree(request, repository, commit, "/".join(rest[1:]))
        return web.json_response({"error": "Not Found"}, status=404)

    def _info(self, request: web.Request, repository: Repository, commit: str) -> dict[str, object]:
        expand = request.query.getall("expand", []) + request.query.getall("expand[]", [])
        said: dict[str, object] = {"_id": "6" * 24, "id": repository.id}
        if repository.kind == "models":
            said["modelId"] = repository.id
        if expand:
            return said | ({"sha": commit} if "sha" in expand else {})
        files = repository.commits[commit]
        more = {"author": repository.id.partition("/")[0], "gated": "auto" if repository.gated else False}
        counts = {"downloads": 1, "likes": 1, "tags": [], "createdAt": _DATE, "lastModified": _DATE, "disabled": False}
        siblings: list[dict[str, object]] = [{"rfilename": name} for name in sorted(files)]
        if request.query.get("blobs", "").lower() == "true":
            entries = [_entry(name, files[name], self.large) for name in sorted(files)]
            siblings = [
                {"rfilename": entry["path"], "size": entry["size"], "blobId": entry["oid"]} | _blob_lfs(entry)
                for entry in entries
            ]
        return said | more | counts | {"private": repository.private, "sha": commit, "siblings": siblings}

    def _list(self, request: web.Request, wanted: str) -> web.Response:
        author, search = request.query.get("author", "").lower(), request.query.get("search", "").lower()
        token = self._token(request)
        found = [
            repository
            for (kind, id), repository in sorted(self.repositories.items())
            if kind == wanted
            and (not author or id.lower().startswith(f"{author}/"))
            and search in id.lower()
            and (not repository.private or token in self.insiders)
        ]
        most = min(int(request.query.get("limit", self.page)), self.page)
        page, headers = self._paged(request, found, most)
        return web.json_response([self._listed(request, each) for each in page], headers=headers)

    def _listed(self, request: web.Request, repository: Repository) -> dict[str, object]:
        info = self._info(request, repository, repository.refs["main"])
        info.pop("siblings", None)
        return info

    def _paged(self, request: web.Request, found: list, most: int) -> tuple[list, dict[str, str]]:  # type: ignore
        """A page, and the header that says where the next one is."""
        first = int(base64.b64decode(request.query.get("cursor", "MA==")))
        if first + most >= len(found):
            return found[first:], {}
        cursor = base64.b64encode(str(first + most).encode()).decode()
        url = request.url.with_host("127.0.0.1").with_port(request.url.port).update_query(cursor=cursor)
        return found[first : first + most], {"Link": f'<{url}>; rel="next"'}

    def _tree(self, request: web.Request, repository: Repository, commit: str, folder: str) -> web.Response:
        files = repository.commits[commit]
        start = f"{folder}/" if folder else ""
        inside = {name: data for name, data in files.items() if name.startswith(start)}
        if folder and not inside:
            return self._refusal(404, "EntryNotFound", f"{folder} does not exist on {commit}")
        is_deep = request.query.get("recursive", "false").lower() in ("true", "1")
        entries: dict[str, dict[str, object]] = {}
        for name, data in sorted(inside.items()):
            parts = name[len(start) :].split("/")
            for depth in range(1, len(parts) if is_deep else min(2, len(parts))):
                path = start + "/".join(parts[:depth])
                entries[path] = {"type": "directory", "oid": blob_id(path.encode()), "size": 0, "path": path}
            if is_deep or len(parts) == 1:
                entries[name] = _entry(name, data, self.large)
        page, headers = self._paged(request, list(entries.values()), self.page)
        return web.json_response(page, headers=headers)

    async def _paths_info(self, request: web.Request) -> web.Response:
        """POST: what lies at each of some paths; those where nothing does are left out."""
        if not self.has_paths_info:
            return web.json_response({"error": "Not Found"}, status=404)
        head, _, revision = request.match_info["rest"].partition("/paths-info/")
        kind, _, id = head.partition("/")
        repository = self._found(request, kind, id)
        if isinstance(repository, web.Response):
            return repository
        commit = repository.commit(revision)
        if commit is None:
            return self._refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = repository.commits[commit]
        if request.content_type == "application/json":
            paths = (await request.json())["paths"]
        else:
            paths = [str(path) for path in (await request.post()).getall("paths", [])]
        found: list[dict[str, object]] = []
        for path in paths:
            if path in files:
                found.append(_entry(path, files[path], self.large))
            elif any(name.startswith(f"{path}/") for name in files):
                found.append({"type": "directory", "oid": blob_id(path.encode()), "size": 0, "path": path})
        return web.json_response(found)

    # --- files ------------------------------------------------------------------------------------------

    async def _resolve(self, request: web.Request) -> web.Response:
        head, _, tail = request.match_info["rest"].partition("/resolve/")
        parts = head.split("/")
        kind = parts.pop(0) if parts[0] in _KINDS else "models"
        repository = self._found(request, kind, "/".join(parts))
        if isinstance(repository, web.Response):
            return repository
        revision, _, path = tail.partition("/")
        commit = repository.commit(revision)
        if commit is None:
            return self._refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if repository.gated and self._token(request) not in self.insiders:
            status = 401 if self._token(request) is None else 403
            return self._refusal(status, "GatedRepo", f"Access to model {repository.id} is restricted.")
        data = repository.commits[commit].get(path)
        if data is None:
            return self._refusal(404, "EntryNotFound", "Entry not found")
        headers = {"X-Repo-Commit": commit}
        if not path.endswith(self.large):
            return ranged(request, data, headers | {"ETag": f'"{blob_id(data)}"'})
        digest = hashlib.sha256(data).hexdigest()
        headers |= {"X-Linked-Size": str(len(data)), "X-Linked-Etag": f'"{digest}"', "Accept-Ranges": "bytes"}
        name = quote(path.rpartition("/")[2])
        headers["Location"] = f"http://localhost:{self.store_port}/xet/{digest}?name={name}&Signature={self.signature}"
        return web.Response(status=302, headers=headers)

    async def _store(self, request: web.Request) -> web.Response:
        """The store of large files: signed URLs only."""
        self.store_asked.append((request.raw_path, request.headers.get("Authorization")))
        if request.query.get("Signature") != self.signature:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
        digest = request.match_info["digest"]
        return ranged(request, self.stored[digest], {"ETag": f'"{digest}"'})

    async def _whoami(self, request: web.Request) -> web.Response:
        if self._token(request) is None:
            return self._refusal(401, None, "Invalid username or password.")
        return web.json_response({"type": "user", "name": "auditor", "orgs": []})

    def app(self) -> web.Application:
        """The hub itself."""
        app = web.Application(middlewares=[self._around])
        app.router.add_get("/api/whoami-v2", self._whoami)
        app.router.add_post("/api/{rest:.*/paths-info/.*}", self._paths_info)
        app.router.add_get("/api/{rest:.*}", self._api)
        app.router.add_get("/{rest:.*/resolve/.*}", self._resolve)
        return app

    def store(self) -> web.Application:
        """The store of large files."""
        app = web.Application()
        app.router.add_get("/xet/{digest}", self._store)
        return app


_DATE = "2025-01-01T00:00:00.000Z"


def _entry(path: str, data: bytes, large: tuple[str, ...]) -> dict[str, object]:
    """A file as a tree has it; in the large store if its name ends so."""
    if not path.endswith(large):
        return {"type": "file", "oid": blob_id(data), "size": len(data), "path": path}
    digest = hashlib.sha256(data).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(data)}\n".encode()
    lfs = {"oid": digest, "size": len(data), "pointerSize": len(pointer)}
    return {"type": "file", "oid": blob_id(pointer), "size": len(data), "lfs": lfs, "xetHash": digest, "path": path}


def _blob_lfs(entry: Mapping[str, object]) -> dict[str, object]:
    lfs = entry.get("lfs")
    if not isinstance(lfs, dict):
        return {}
    return {"lfs": {"sha256": lfs["oid"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}}


@contextmanager
def hub() -> Iterator[Hub]:
    """Start a hub without repositories."""
    running = Hub()
    with serving(running.app()) as running.port, serving(running.store(), "localhost") as running.store_port:
        yield running
