"""From what the user names to the source that holds it. A source's library is imported when it is used."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from modelaudit.errors import UsageError
from modelaudit.limits import Limits
from modelaudit.sources.interface import Source
from modelaudit.sources.local import Files

_SCHEME = re.compile(r"(?a:([A-Za-z][A-Za-z0-9+.-]*)://|(models):/)")
SCHEMES = ("file", "s3", "r2")


def source_for(path: str) -> str:
    """The scheme of the source that `path` belongs to: one of `SCHEMES`; a plain path belongs to `file`.

    Raises `UsageError` for a scheme that there is no source for.
    """
    match = _SCHEME.match(path)
    if match is None:
        return "file"
    scheme = (match[1] or match[2]).lower()
    if scheme in SCHEMES:
        return scheme
    raise UsageError(
        f"{scheme}: is not supported yet; give a file, a folder, s3://bucket/key or r2://bucket/key "
        f"(for a file whose name begins with {scheme}: write ./{scheme}:…)"
    )


def _source(scheme: str, limits: Limits) -> Source:
    if scheme == "file":
        return Files(limits)
    from modelaudit.sources.s3 import S3

    return S3(limits, scheme)


@asynccontextmanager
async def open_sources(paths: Sequence[str], limits: Limits) -> AsyncIterator[Sequence[tuple[Source, str]]]:
    """Each of `paths` with its source, in order; one source a scheme, closed at the end.

    Raises `UsageError` before anything is opened when a path has no source.
    """
    schemes = [source_for(path) for path in paths]
    async with AsyncExitStack() as stack:
        sources = {
            scheme: await stack.enter_async_context(_source(scheme, limits)) for scheme in dict.fromkeys(schemes)
        }
        yield [(sources[scheme], path) for scheme, path in zip(schemes, paths, strict=True)]
