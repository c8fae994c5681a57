"""What a place in a bucket holds, page by page: one object, everything below a prefix, or the whole bucket."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.gcs.connection import Connection, Entry
from modelaudit.sources.interface import failed, shown
from modelaudit.sources.paging import Way

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_UNDECIDED = ("access_denied", "refused", "credentials", "not_found")  # there may be objects below the name


class Address(msgspec.Struct, frozen=True):
    """`gs://bucket/key`; the key may be empty, an object's, or a prefix."""

    bucket: str
    key: str

    def uri(self, key: str | None = None) -> str:
        """The address of `key` (default: of this) as people see it."""
        return f"gs://{self.bucket}/{shown(self.key if key is None else key)}"


def address(path: str) -> Address:
    """Take `path` apart. Raises `SourceError`, without the path, if its bucket has no bucket's name."""
    bucket, _, key = path.partition("://")[2].partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise SourceError("bad_address", "gs: what follows gs:// is not the name of a bucket")
    return Address(bucket, key)


class Listing:
    """The listing of one path of the user's."""

    def __init__(self, connection: Connection, limits: Limits, place: Address) -> None:
        self._connection = connection
        self._limits = limits
        self._place = place

    async def pages(self) -> AsyncIterator[Sequence[Target]]:
        """The targets at the place. What cannot be listed is a failed target, never an exception."""
        place, prefix = self._place, self._place.key
        denied: SourceError | None = None
        if prefix and not prefix.endswith("/"):
            try:
                yield [self._target(await self._connection.entry(place.bucket, place.key, place.uri()))]
                return
            except SourceError as error:
                if error.reason not in _UNDECIDED:
                    yield [self._failed(error)]
                    return
                denied = None if error.reason == "not_found" else error
            prefix += "/"
        is_found = False
        try:
            async for page in self._below(prefix):
                is_found = True
                yield page
        except SourceError as error:
            missing = SourceError("not_found", f"{place.uri()}: there is no such bucket")
            yield [self._failed(missing if error.reason == "not_found" else error)]
            return
        if place.key and not is_found:
            none = SourceError("not_found", f"{place.uri()}: no object of this name and none below it")
            yield [self._failed(denied or none)]

    async def _below(self, prefix: str) -> AsyncIterator[Sequence[Target]]:
        what = f"listing {self._place.uri()}"
        way = Way(what)
        while True:
            page = await self._connection.page(self._place.bucket, prefix, self._limits.page_objects, way.token, what)
            targets = [self._target(entry) for entry in page.items if entry.name and entry.name.startswith(prefix)]
            way.check(targets)
            if targets:
                yield targets
            if not page.next_page_token:
                return
            way.go_on(page.next_page_token)

    def _target(self, entry: Entry) -> Target:
        key, size = entry.name or self._place.key, _size(entry)
        skip = None
        if size == 0 and key.endswith("/"):
            skip = ("folder_marker", "an empty object that stands for a folder")
        generation = str(entry.generation) if entry.generation is not None else ""
        version = generation if generation.isascii() and generation.isdecimal() else None
        return Target(self._place.uri(key), f"{self._place.bucket}/{key}", size, version, None, skip)

    def _failed(self, error: SourceError) -> Target:
        return failed(self._place.uri(), f"{self._place.bucket}/{self._place.key}", error.reason, error.message)


async def names_in(connection: Connection, limits: Limits, bucket: str, prefix: str) -> Mapping[str, int | None] | None:
    """What lies right below `prefix`, which is empty or ends in `/`; see `Source.names`. Raises `SourceError`."""
    names: dict[str, int | None] = {}
    token: str | None = None
    what = f"listing {shown(bucket)}/{shown(prefix)}"
    for _ in range(limits.names // limits.page_objects + 1):
        page = await connection.page(bucket, prefix, limits.page_objects, token, what, delimiter="/")
        sizes = {**{entry.name: _size(entry) for entry in page.items}, **dict.fromkeys(page.prefixes)}
        names |= {
            shown(key[len(prefix) :]): size for key, size in sizes.items() if key.startswith(prefix) and key != prefix
        }
        if len(names) > limits.names:
            return None
        token = page.next_page_token
        if not token:
            return names
    return None


def _size(entry: Entry) -> int | None:
    said = str(entry.size)
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 19 else None
