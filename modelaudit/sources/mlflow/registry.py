"""Requests to an MLflow server: its models, their versions, the artifacts that it hands through (MLflow REST 2.0)."""

from collections.abc import AsyncIterator, Sequence
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.sources.interface import Chunk, shown
from modelaudit.sources.mlflow.address import LATEST, Server, Wanted
from modelaudit.sources.paging import Way
from modelaudit.sources.ranges import Headers, Place
from modelaudit.sources.retry import AttemptError
from modelaudit.sources.web import Fixed, Service, Web

_ADVICE: Final = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_PAGE: Final = 200  # models or versions asked for at a time
_PROXIED: Final = "mlflow-artifacts"


class Version(msgspec.Struct, frozen=True):
    """A version of a registered model."""

    name: str = ""
    version: str = ""


class _Model(msgspec.Struct, frozen=True):
    name: str = ""


class _Models(msgspec.Struct, frozen=True):
    registered_models: tuple[_Model, ...] = ()
    next_page_token: str = ""


class _Versions(msgspec.Struct, frozen=True):
    model_versions: tuple[Version, ...] = ()
    next_page_token: str = ""


class _One(msgspec.Struct, frozen=True):
    model_version: Version = Version()


class _Where(msgspec.Struct, frozen=True):
    artifact_uri: str = ""


class File(msgspec.Struct, frozen=True):
    """A file or folder among artifacts; `path` is relative to the folder that was listed, `file_size` in bytes."""

    path: str = ""
    is_dir: bool = False
    file_size: int | str | None = None

    @property
    def size(self) -> int | None:
        """Its size; None where the server does not say it."""
        try:
            size = int(self.file_size or 0) if self.file_size is not None else -1
        except ValueError:
            return None
        return size if 0 <= size < 1 << 63 else None


class _Files(msgspec.Struct, frozen=True):
    files: tuple[File, ...] = ()


class Registry:
    """One MLflow server."""

    def __init__(self, web: Web, limits: Limits, server: Server) -> None:
        self._url = server.url
        self._service = Service(web, limits, server.url, Fixed(server.headers), _ADVICE, _explain)

    async def versions(self, wanted: Wanted) -> AsyncIterator[Sequence[Version]]:
        """The versions that `wanted` means, page by page. Raises `SourceError`."""
        what = wanted.uri
        if wanted.alias:
            query = urlencode({"name": wanted.name, "alias": wanted.alias})
            found, _ = await self._service.json(self._api(f"registered-models/alias?{query}"), _One, what)
            yield [found.model_version]
        elif wanted.version.isdecimal():
            query = urlencode({"name": wanted.name, "version": wanted.version})
            found, _ = await self._service.json(self._api(f"model-versions/get?{query}"), _One, what)
            yield [found.model_version]
        elif wanted.version:
            yield await self._latest(wanted, what)
        elif wanted.name:
            async for versions in self._all_versions(wanted.name, what):
                yield versions
        else:
            async for names in self._names():
                for name in names:
                    async for versions in self._all_versions(name, f"models:/{shown(name)}"):
                        yield versions

    async def _latest(self, wanted: Wanted, what: str) -> Sequence[Version]:
        is_latest = wanted.version.lower() == LATEST
        asked = {"name": wanted.name} | ({} if is_latest else {"stages": [wanted.version.capitalize()]})
        url = self._api("registered-models/get-latest-versions")
        headers = {"Content-Type": "application/json"}
        body = msgspec.json.encode(asked)
        found, _ = await self._service.json(url, _Versions, what, headers=headers, body=body)
        versions = [version for version in found.model_versions if version.version.isdecimal()]
        if not versions:
            raise SourceError("not_found", f"{what}: no version of the model is in this stage")
        return [max(versions, key=lambda version: int(version.version))]

    async def _all_versions(self, name: str, what: str) -> AsyncIterator[Sequence[Version]]:
        mark = '"' if "'" in name else "'"
        if mark in name:
            raise SourceError("bad_address", f"{what}: the server cannot be asked for a name with both kinds of quotes")
        way = Way(f"the versions of {what}")
        while True:
            query = {"filter": f"name={mark}{name}{mark}", "max_results": str(_PAGE)}
            query |= {"page_token": way.token} if way.token else {}
            page, _ = await self._service.json(self._api(f"model-versions/search?{urlencode(query)}"), _Versions, what)
            yield [version for version in page.model_versions if version.name == name]
            if not page.next_page_token:
                return
            way.go_on(page.next_page_token)

    async def _names(self) -> AsyncIterator[Sequence[str]]:
        way = Way("the models of the registry")
        while True:
            query = {"max_results": str(_PAGE)} | ({"page_token": way.token} if way.token else {})
            url = self._api(f"registered-models/search?{urlencode(query)}")
            page, _ = await self._service.json(url, _Models, "the models of the registry")
            yield [model.name for model in page.registered_models if model.name]
            if not page.next_page_token:
                return
            way.go_on(page.next_page_token)

    async def place(self, version: Version, what: str) -> str:
        """The address of a version's artifacts. Raises `SourceError`."""
        query = urlencode({"name": version.name, "version": version.version})
        found, _ = await self._service.json(self._api(f"model-versions/get-download-uri?{query}"), _Where, what)
        return found.artifact_uri

    def proxied(self, place: str) -> str | None:
        """The path of artifacts that this server hands through itself; None for those that lie elsewhere."""
        parts = urlsplit(place)
        if parts.scheme != _PROXIED or parts.netloc not in ("", urlsplit(self._url).netloc):
            return None
        return parts.path.strip("/")

    async def files(self, path: str, what: str) -> Sequence[File]:
        """What lies right below `path`. Raises `SourceError`."""
        url = f"{self._url}/api/2.0/mlflow-artifacts/artifacts?{urlencode({'path': path})}"
        found, _ = await self._service.json(url, _Files, what)
        return found.files

    async def read(self, path: str, place: Place, offset: int, length: int) -> Chunk:
        """A range of an artifact. Raises `SourceError`; see `Source.read`."""
        url = f"{self._url}/api/2.0/mlflow-artifacts/artifacts/{quote(path)}"
        return await self._service.read(url, place, offset, length, _unversioned)

    def _api(self, method: str) -> str:
        return f"{self._url}/api/2.0/mlflow/{method}"


def _unversioned(headers: Headers) -> None:
    """The ETag of an artifact is that of the server's own copy of it: the next answer has another."""


def _explain(what: str, status: int, headers: Headers, body: bytes) -> AttemptError | None:
    if b'"RESOURCE_DOES_NOT_EXIST"' in body:
        return AttemptError("not_found", f"{what}: the registry has no such model, version or artifact")
    if b'"INVALID_PARAMETER_VALUE"' in body and status == 400:
        return AttemptError("not_found", f"{what}: the registry knows no such version, stage or alias")
    return None
