"""One range of one object over HTTP, whatever the server makes of it: cut short, too long, or the whole object."""

import re
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from modelaudit.limits import Limits
from modelaudit.sources.interface import Chunk
from modelaudit.sources.retry import AttemptError

Headers = Mapping[str, str]  # names in lower case, or in any

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_NUMBER = re.compile(r"\d{1,19}")
_ETAG = re.compile(r"[!#-~]{1,200}")  # what can be sent back in a header
_PIECE_BYTES = 1 << 20  # of a body, taken from the connection at a time
_WORTH_BYTES = 16 << 10  # an attempt that brought this much has moved on


class Place(msgspec.Struct, frozen=True):
    """An object as people see it, and what is known of it (see `Target`)."""

    uri: str
    size: int | None = None
    version: str | None = None


class Answer(msgspec.Struct, frozen=True):
    """The answer to a GET, its body still to be read.

    `read(most)` gives the next bytes, at most `most`, and none at the end; it raises `AttemptError`. `close` is called
    once in the end: the connection is kept if the body was read to its end.
    """

    status: int
    headers: Headers
    read: Callable[[int], Awaitable[bytes]]
    close: Callable[[], None]


# Ask for the bytes from the first number to the second; with a version, only if that is the object's.
Get = Callable[[int, int, str | None], Awaitable[Answer]]


def etag(said: str | None) -> str | None:
    """An ETag without its quotes, as servers disagree on them; a weak one keeps its `W/`. None if it is unusable."""
    bare = said.replace('"', "") if said else ""
    return bare if _ETAG.fullmatch(bare) else None


def conditions(first: int, last: int, version: str | None) -> dict[str, str]:
    """The headers that ask for a range of one version."""
    asked = {"range": f"bytes={first}-{last}"}
    if version is not None and not version.startswith("W/"):  # a weak one never matches
        asked["if-match"] = f'"{version}"'
    return asked


def bad_answer(what: str, why: str) -> AttemptError:
    """The server said something that makes no sense; it may be a broken intermediary, so once more."""
    return AttemptError("bad_answer", f"{what}: the server's answer cannot be used: {why}", again=True)


class RangeRead:
    """`length` bytes at `offset`, over as many attempts as it takes; each goes on where the last one stopped.

    `version_of` takes the object's version from an answer's headers; its ETag, if nothing else is said.
    """

    def __init__(
        self,
        get: Get,
        limits: Limits,
        place: Place,
        offset: int,
        length: int,
        version_of: Callable[[Headers], str | None] = lambda headers: etag(headers.get("etag")),
    ) -> None:
        self._get = get
        self._uri = place.uri
        self._offset = offset
        self._end = offset + length
        self._version = place.version
        self._size = place.size
        self._version_of = version_of
        self._most_skipped_bytes = limits.read_ahead_max_bytes
        self._pieces: list[bytes] = []
        self._got = 0

    async def attempt(self) -> Chunk:
        """Ask for what is still missing. Raises `AttemptError`, after keeping what came."""
        before, first = self._got, self._offset + self._got
        try:
            answer = await self._get(first, self._end - 1, self._version)
        except AttemptError as error:
            if error.reason != "range":
                raise
            return self._beyond(first)
        try:
            begin, size = self._extent(answer, first)
            self._same(answer, size)
            await self._take(answer, first - begin, min(self._end, size) - first)
        except AttemptError as error:
            error.moved_on = self._got - before >= _WORTH_BYTES
            raise
        finally:
            answer.close()
        return Chunk(b"".join(self._pieces), size, self._version)

    def _beyond(self, first: int) -> Chunk:
        """The object has no byte at `first`: it is empty, or shorter than it was."""
        if first == 0 and not self._size:
            return Chunk(b"", 0, self._version)
        raise AttemptError("changed", f"{self._uri} has become shorter since it was listed")

    def _extent(self, answer: Answer, first: int) -> tuple[int, int]:
        """Where in the object the body begins, and how long the object is.

        Some servers answer 200 to a range and send it, some send the whole object: Content-Range tells.
        """
        said = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        length = answer.headers.get("content-length", "")
        begin, size = first if answer.status == 206 else 0, self._size
        if said:
            begin = int(said[1])
            size = self._size if said[3] == "*" else int(said[3])
        elif answer.status != 206 and _NUMBER.fullmatch(length):
            size = int(length)
        if size is None:
            raise bad_answer(self._uri, "it does not say how long the object is")
        if begin > first:
            raise bad_answer(self._uri, f"it begins at byte {begin} instead of {first}")
        if first - begin > self._most_skipped_bytes:
            raise AttemptError(
                "no_ranges", f"{self._uri}: the server sends whole objects only; this one is too large for that"
            )
        return begin, size

    def _same(self, answer: Answer, size: int) -> None:
        """Check that this is still the object that was asked for; some servers ignore If-Match."""
        said = self._version_of(answer.headers)
        known = self._version
        if known is not None and said is not None and said.removeprefix("W/") != known.removeprefix("W/"):
            raise AttemptError("changed", f"{self._uri} was changed while it was read")
        if self._got and size != self._size:
            raise AttemptError("changed", f"{self._uri} was {self._size} bytes long and is now {size}")
        self._version, self._size = known or said, size

    async def _take(self, answer: Answer, skip: int, want: int) -> None:
        """Keep `want` bytes of the body after the first `skip`, and read no more than these."""
        while want > 0:
            data = await answer.read(min(_PIECE_BYTES, skip + want))
            if not data:
                raise AttemptError("unreachable", f"{self._uri}: the body was cut short", again=True)
            if skip:
                skip, data = skip - min(skip, len(data)), data[skip:]
            want -= len(data)
            self._got += len(data)
            self._pieces.append(data)
