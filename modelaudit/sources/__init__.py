"""From what the user names to the source that holds it. A source's library is imported when it is used."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from modelaudit.access import NOTHING_SAID, Access
from modelaudit.errors import UsageError
from modelaudit.limits import Limits
from modelaudit.sources.interface import Source
from modelaudit.sources.local import Files

if TYPE_CHECKING:
    from modelaudit.sources.web import Web

_SCHEME = re.compile(r"(?a:([A-Za-z][A-Za-z0-9+.-]*)://|(models):/)")
_POINTER = re.compile(r"(?:^|/)(?:dvc\.lock|[^/]+\.dvc)$")  # what DVC keeps of its data in a repository
MODULES = {
    "file": "local",
    "s3": "s3",
    "r2": "s3",
    "https": "https",
    "gcs": "gcs",
    "oci": "oci",
    "mlflow": "mlflow",
    "huggingface": "huggingface",
    "jfrog": "jfrog",
    "dvc": "dvc",
}  # the module of each source
_NAMES = {  # the source of each scheme
    "file": "file",
    "s3": "s3",
    "r2": "r2",
    "http": "https",
    "https": "https",
    "gs": "gcs",
    "oci": "oci",
    "models": "mlflow",
    "hf": "huggingface",
    "dvc": "dvc",
}
SCHEMES = (*_NAMES,)


def source_for(path: str, access: Access = NOTHING_SAID) -> str:
    """The name of the source that `path` belongs to; a plain path belongs to `file`.

    Raises `UsageError` for a scheme that there is no source for.
    """
    match = _SCHEME.match(path)
    if match is None:
        return "dvc" if _POINTER.search(path) else "file"
    scheme = (match[1] or match[2]).lower()
    if scheme in ("http", "https"):
        return _service_at(path, access)
    if scheme in _NAMES:
        return _NAMES[scheme]
    raise UsageError(
        f"{scheme}: is not supported yet; give a file, a folder, or a URL that begins with one of "
        f"{', '.join('models:/' if known == 'models' else f'{known}://' for known in SCHEMES)} "
        f"(for a file whose name begins with {scheme}: write ./{scheme}:…)"
    )


def _service_at(url: str, access: Access) -> str:
    """The source of an http(s) URL: some services are known by their addresses."""
    from modelaudit.sources.huggingface import address as hub
    from modelaudit.sources.jfrog import address as artifactory

    if hub.is_page(url, access):
        return "huggingface"
    return "jfrog" if artifactory.is_artifactory(url) else "https"


class Sources:
    """The sources of a run, each opened when it is first asked for, and closed at the end; one HTTP session for all."""

    def __init__(self, limits: Limits, access: Access) -> None:
        self._limits = limits
        self._access = access
        self._stack = AsyncExitStack()
        self._opening = anyio.Lock()
        self._open: dict[str, Source] = {}
        self._web: Web | None = None

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def named(self, name: str) -> Source:
        """The source of this name (see `source_for`)."""
        async with self._opening:
            if name not in self._open:
                self._open[name] = await self._stack.enter_async_context(self._make(name))
            return self._open[name]

    def _make(self, name: str) -> Source:
        match name:
            case "file":
                return Files(self._limits)
            case "s3" | "r2":
                from modelaudit.sources.s3 import S3

                return S3(self._limits, name)
            case "gcs":
                from modelaudit.sources.gcs import GCS

                return GCS(self._limits, self._access)
            case "https":
                from modelaudit.sources.https import Https

                return Https(self._limits, self._http())
            case "dvc":
                from modelaudit.sources.dvc import Dvc

                return Dvc(self._limits, self._access, self.named)
            case "oci":
                from modelaudit.sources.oci import Oci

                return Oci(self._limits, self._http(), self._access)
            case "mlflow":
                from modelaudit.sources.mlflow import MLflow

                return MLflow(self._limits, self._http(), self._access, self.named)
            case "huggingface":
                from modelaudit.sources.huggingface import HuggingFace

                return HuggingFace(self._limits, self._http(), self._access)
            case "jfrog":
                from modelaudit.sources.jfrog import JFrog

                return JFrog(self._limits, self._http(), self._access)
        raise ValueError(f"there is no source {name}")

    def _http(self) -> "Web":
        """The one HTTP session."""
        if self._web is None:
            from modelaudit.sources.web import Web

            self._web = Web(self._limits, self._access)
            self._stack.push_async_callback(self._web.close)
        return self._web


@asynccontextmanager
async def open_sources(
    paths: Sequence[str], limits: Limits, access: Access = NOTHING_SAID
) -> AsyncIterator[Sequence[tuple[Source, str]]]:
    """Each of `paths` with its source, in order.

    Raises `UsageError` before anything is opened when a path has no source.
    """
    names = [source_for(path, access) for path in paths]
    async with Sources(limits, access) as sources:
        yield [(await sources.named(name), path) for name, path in zip(names, paths, strict=True)]
