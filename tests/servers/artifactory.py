"""A JFrog Artifactory on loopback: storage API, listings, downloads with checksums, redirects to signed storage.

It keeps to the REST API's reference: paths, parameters, JSON fields, headers, status codes.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote

from aiohttp import web

from tests.servers.serving import ranged, serving

_DATE = "2025-01-01T00:00:00.000Z"


class Artifactory:
    """A running server at 127.0.0.1, below /artifactory; its storage, if it sends there, is at localhost.

    Without `tokens` and `keys` it is open to everybody. `has_listings` is whether it has the licence for them.
    """

    def __init__(self) -> None:
        self.port = self.store_port = 0
        self.files: dict[str, bytes] = {}  # by repository and path
        self.denied: set[str] = set()  # paths that nobody may see
        self.tokens: set[str] = set()
        self.keys: set[str] = set()
        self.has_listings = True
        self.has_sha256 = True  # in listings; older servers have none there
        self.sends_to_storage = False
        self.signature = "first"
        self.asked: list[str] = []
        self.seen: Counter[tuple[str | None, str | None]] = Counter()  # Authorization, X-JFrog-Art-Api
        self.store_seen: list[tuple[str | None, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/artifactory"

    def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Store files below a folder, which begins with the repository."""
        self.files |= {f"{folder}/{name}": data for name, data in files.items()}

    # --- who asks ---------------------------------------------------------------------------------------

    @web.middleware
    async def _around(self, request: web.Request, handler: web.RequestHandler) -> web.StreamResponse:  # type: ignore
        token, key = request.headers.get("Authorization"), request.headers.get("X-JFrog-Art-Api")
        self.asked.append(f"{request.method} {request.raw_path}")
        self.seen[token, key] += 1
        is_open = not self.tokens and not self.keys
        is_known = (token or "").removeprefix("Bearer ") in self.tokens or key in self.keys
        if not is_known and (not is_open or token or key):
            return _error(401, "Bad props auth token" if token or key else "Authentication is required")
        answer: web.StreamResponse = await handler(request)  # type: ignore[operator]
        return answer

    def _is_denied(self, path: str) -> bool:
        return any(path == denied or path.startswith(f"{denied}/") for denied in self.denied)

    def _is_folder(self, path: str) -> bool:
        return any(name.startswith(f"{path}/") for name in self.files)

    # --- the API ----------------------------------------------------------------------------------------

    async def _storage(self, request: web.Request) -> web.Response:
        path = request.match_info["path"].strip("/")
        if self._is_denied(path):
            return _error(403, "Forbidden")
        if path not in self.files and not self._is_folder(path):
            return _error(404, "Unable to find item")
        if "list" in request.query:
            return self._list(request, path)
        repository, _, rest = path.partition("/")
        said: dict[str, object] = {
            "repo": repository, "path": f"/{rest}", "created": _DATE, "createdBy": "ci", "lastModified": _DATE,
            "modifiedBy": "ci", "lastUpdated": _DATE, "uri": f"{self.url}/api/storage/{quote(path)}",
        }  # fmt: skip
        data = self.files.get(path)
        if data is None:
            said["children"] = self._children(path)
        else:
            sums = _sums(data)
            said |= {"downloadUri": f"{self.url}/{quote(path)}", "mimeType": "application/octet-stream"}
            said |= {"size": str(len(data)), "checksums": sums, "originalChecksums": {"sha256": sums["sha256"]}}
        return web.Response(
            text=json.dumps(said), content_type="application/vnd.org.jfrog.artifactory.storage.FolderInfo+json"
        )

    def _children(self, path: str) -> list[dict[str, object]]:
        names: dict[str, bool] = {}
        for name in sorted(self.files):
            if name.startswith(f"{path}/"):
                first, slash, _ = name[len(path) + 1 :].partition("/")
                names[first] = bool(slash)
        return [{"uri": f"/{name}", "folder": is_folder} for name, is_folder in names.items()]

    def _list(self, request: web.Request, path: str) -> web.Response:
        if not self.has_listings:
            return _error(400, "This REST API is available only in Artifactory Pro (see: jfrog.com/artifactory).")
        if path in self.files:
            return _error(400, "Expected a folder but found a file")
        is_deep = request.query.get("deep", "0") == "1"
        files: list[dict[str, object]] = []
        if request.query.get("listFolders", "0") == "1":
            folders = self._folders(path, is_deep)
            files += [{"uri": f"/{name}", "size": -1, "lastModified": _DATE, "folder": True} for name in folders]
        for name, data in sorted(self.files.items()):
            inside = name[len(path) + 1 :]
            if name.startswith(f"{path}/") and (is_deep or "/" not in inside) and not self._is_denied(name):
                line: dict[str, object] = {
                    "uri": f"/{inside}",
                    "size": len(data),
                    "lastModified": _DATE,
                    "folder": False,
                }
                sums = _sums(data)
                files.append(line | {"sha1": sums["sha1"]} | ({"sha2": sums["sha256"]} if self.has_sha256 else {}))
        said = {"uri": f"{self.url}/api/storage/{quote(path)}", "created": _DATE, "files": files}
        return web.Response(
            text=json.dumps(said), content_type="application/vnd.org.jfrog.artifactory.storage.FileList+json"
        )

    def _folders(self, path: str, is_deep: bool) -> list[str]:
        found = set()
        for name in self.files:
            if name.startswith(f"{path}/"):
                parts = name[len(path) + 1 :].split("/")[:-1]
                found |= {
                    "/".join(parts[:depth]) for depth in range(1, len(parts) + 1 if is_deep else min(2, len(parts) + 1))
                }
        return sorted(found)

    # --- files ------------------------------------------------------------------------------------------

    async def _download(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if self._is_denied(path):
            return _error(403, "Forbidden")
        data = self.files.get(path)
        if data is None:
            return _error(404, "File not found.")
        if self.sends_to_storage:
            where = f"http://localhost:{self.store_port}/filestore/{quote(path)}?X-Amz-Signature={self.signature}"
            return web.Response(status=302, headers={"Location": where})
        sums = _sums(data)
        headers = {f"X-Checksum-{name.capitalize()}": value for name, value in sums.items()}
        name = quote(path.rpartition("/")[2])
        headers |= {
            "ETag": sums["sha1"],
            "X-Artifactory-Filename": name,
            "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT",
        }
        if request.headers.get("If-Match", f'"{sums["sha1"]}"').strip('"') != sums["sha1"]:
            return web.Response(status=412)
        return ranged(request, data, headers)

    async def _store(self, request: web.Request) -> web.Response:
        """The storage behind: signed URLs only."""
        self.store_seen.append((request.headers.get("Authorization"), request.headers.get("X-JFrog-Art-Api")))
        if request.query.get("X-Amz-Signature") != self.signature:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
        return ranged(request, self.files[request.match_info["path"]], {"ETag": '"0123456789abcdef0123456789abcdef-2"'})

    async def _ping(self, request: web.Request) -> web.Response:
        return web.Response(text="OK")

    def app(self) -> web.Application:
        """The server itself."""
        app = web.Application(middlewares=[self._around])
        app.router.add_get("/artifactory/api/system/ping", self._ping)
        app.router.add_get("/artifactory/api/storage/{path:.*}", self._storage)
        app.router.add_get("/artifactory/{path:.*}", self._download)
        return app

    def store(self) -> web.Application:
        """The storage behind it."""
        app = web.Application()
        app.router.add_get("/filestore/{path:.*}", self._store)
        return app


def _sums(data: bytes) -> dict[str, str]:
    return {name: hashlib.new(name, data).hexdigest() for name in ("sha1", "md5", "sha256")}


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"errors": [{"status": status, "message": message}]}, status=status)


@contextmanager
def artifactory() -> Iterator[Artifactory]:
    """Start a server without files."""
    running = Artifactory()
    with serving(running.app()) as running.port, serving(running.store(), "localhost") as running.store_port:
        yield running
