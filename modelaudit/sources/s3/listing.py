"""What a place in a bucket holds, page by page: one object, everything below a prefix, or the whole bucket."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.interface import failed, shown
from modelaudit.sources.paging import Way
from modelaudit.sources.ranges import etag
from modelaudit.sources.s3.connection import Connection, Place

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")
_UNDECIDED = ("access_denied", "refused")  # the listing may be closed and the object open


class Address(msgspec.Struct, frozen=True):
    """`scheme://bucket/key`; the key may be empty, an object's, or a prefix."""

    scheme: str
    bucket: str
    key: str

    def uri(self, key: str | None = None) -> str:
        """The address of `key` (default: of this) as people see it."""
        return f"{self.scheme}://{self.bucket}/{shown(self.key if key is None else key)}"


def address(path: str) -> Address:
    """Take `path` apart. Raises `SourceError`, without the path, if its bucket has no bucket's name."""
    scheme, _, rest = path.partition("://")
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise SourceError("bad_address", f"{scheme}: what follows {scheme}:// is not the name of a bucket")
    return Address(scheme.lower(), bucket, key)


class Listing:
    """The listing of one path of the user's."""

    def __init__(self, connection: Connection, limits: Limits, place: Address) -> None:
        self._connection = connection
        self._limits = limits
        self._place = place

    async def pages(self) -> AsyncIterator[Sequence[Target]]:
        """The targets at the place. What cannot be listed is a failed target, never an exception."""
        place = self._place
        prefix = place.key
        denied: SourceError | None = None
        if prefix and not prefix.endswith("/"):
            try:
                exact = await self._exactly()
                if exact is not None:
                    yield [exact]
                    return
            except SourceError as error:
                if error.reason not in _UNDECIDED:
                    yield [self._failed(error)]
                    return
                denied = error
            prefix += "/"
        found = False
        try:
            async for page in self._below(prefix):
                found = True
                yield page
        except SourceError as error:
            yield [self._failed(_both(place, denied, error) if denied and not found else error)]
            return
        if place.key and not found:
            yield [self._failed(SourceError("not_found", f"{place.uri()}: no object of this name and none below it"))]

    async def _exactly(self) -> Target | None:
        """The object whose key is the whole of the place's key, if there is one: it sorts before all others."""
        place = self._place
        try:
            page = await self._page(place.key, 1, None)
        except SourceError as error:
            if error.reason not in _UNDECIDED:
                raise
            return await self._by_reading(error)
        named = f"{place.bucket}/{place.key}"
        return next((target for target in self._targets(page, place.key) if target.key == named), None)

    async def _by_reading(self, denied: SourceError) -> Target:
        """The object, if it can be read though nothing may be listed. Raises `denied` if not."""
        place = self._place
        read = self._connection.range_read(Place(place.bucket, place.key, place.uri()), 0, 1)
        try:
            chunk = await self._connection.host.ask(read.attempt, self._limits.listing_deadline_seconds, place.uri())
        except SourceError as error:
            raise (denied if error.reason in ("not_found", *_UNDECIDED) else error) from None
        return Target(place.uri(), f"{place.bucket}/{place.key}", chunk.size, chunk.version)

    async def _below(self, prefix: str) -> AsyncIterator[Sequence[Target]]:
        way = Way(f"listing {self._place.uri()}")
        while True:
            page = await self._page(prefix, self._limits.page_objects, way.token)
            targets = self._targets(page, prefix)
            way.check(targets)
            if targets:
                yield targets
            if not page.get("IsTruncated"):
                return
            way.go_on(page.get("NextContinuationToken"))

    async def _page(self, prefix: str, most: int, token: str | None) -> Mapping[str, Any]:
        what = f"listing {self._place.uri()}"

        async def attempt() -> Mapping[str, Any]:
            return await self._connection.page(self._place.bucket, prefix, most, token, what)

        return await self._connection.host.ask(attempt, self._limits.listing_deadline_seconds, what)

    def _targets(self, page: Mapping[str, Any], prefix: str) -> Sequence[Target]:
        entries = [entry for entry in page.get("Contents", ()) if isinstance(entry, dict) and entry.get("Key")]
        return [self._target(entry) for entry in entries if entry["Key"].startswith(prefix)]

    def _target(self, entry: Mapping[str, Any]) -> Target:
        key, size = entry["Key"], entry.get("Size", -1)
        skip = None
        if entry.get("StorageClass") in _ARCHIVED:
            skip = ("archived", f"in storage class {entry['StorageClass']}: restore it first")
        elif size == 0 and key.endswith("/"):
            skip = ("folder_marker", "an empty object that stands for a folder")
        named, known = f"{self._place.bucket}/{key}", size if 0 <= size < 1 << 63 else None
        when = entry.get("LastModified")
        modified = None if when is None else str(when)
        return Target(self._place.uri(key), named, known, etag(entry.get("ETag")), None, skip, modified=modified)

    def _failed(self, error: SourceError) -> Target:
        return failed(self._place.uri(), f"{self._place.bucket}/{self._place.key}", error.reason, error.message)


def _both(place: Address, unread: SourceError, unlisted: SourceError) -> SourceError:
    """The error for what can be neither read nor listed."""
    if {unread.reason, unlisted.reason} != {"access_denied"}:
        return unlisted
    needed = "s3:GetObject on it or s3:ListBucket on the bucket is needed"
    return SourceError("access_denied", f"{place.uri()}: access denied to read and to list it; {needed}")
