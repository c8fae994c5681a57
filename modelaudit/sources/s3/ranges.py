"""One range of one object, whatever the server makes of it: cut short, too long, or the whole object."""

import re

from modelaudit.limits import Limits
from modelaudit.sources.interface import Chunk
from modelaudit.sources.retry import AttemptError
from modelaudit.sources.s3.connection import Answer, Connection, Place
from modelaudit.sources.s3.faults import bad_answer

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_NUMBER = re.compile(r"\d{1,19}")
_ETAG = re.compile(r"[!#-~]{1,200}")  # what can be sent back in a header
_PIECE_BYTES = 1 << 20  # of a body, taken from the connection at a time
_WORTH_BYTES = 16 << 10  # an attempt that brought this much has moved on


def etag(said: str | None) -> str | None:
    """An ETag without its quotes, as servers disagree on them; a weak one keeps its `W/`. None if it is unusable."""
    bare = said.replace('"', "") if said else ""
    return bare if _ETAG.fullmatch(bare) else None


class RangeRead:
    """`length` bytes at `offset`, over as many attempts as it takes; each goes on where the last one stopped."""

    def __init__(self, connection: Connection, limits: Limits, place: Place, offset: int, length: int) -> None:
        self._connection = connection
        self._place = place
        self._offset = offset
        self._end = offset + length
        self._version = place.version
        self._size = place.size
        self._most_skipped_bytes = limits.read_ahead_max_bytes
        self._pieces: list[bytes] = []
        self._got = 0

    async def attempt(self) -> Chunk:
        """Ask for what is still missing. Raises `AttemptError`, after keeping what came."""
        place, before, first = self._place, self._got, self._offset + self._got
        try:
            answer = await self._connection.get(place, first, self._end - 1, self._version)
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
        raise AttemptError("changed", f"{self._place.uri} has become shorter since it was listed")

    def _extent(self, answer: Answer, first: int) -> tuple[int, int]:
        """Where in the object the body begins, and how long the object is.

        Some servers answer 200 to a range and send it, some send the whole object: Content-Range tells.
        """
        uri = self._place.uri
        said = _CONTENT_RANGE.fullmatch(answer.headers.get("content-range", ""))
        length = answer.headers.get("content-length", "")
        begin, size = first if answer.status == 206 else 0, self._size
        if said:
            begin = int(said[1])
            size = self._size if said[3] == "*" else int(said[3])
        elif answer.status != 206 and _NUMBER.fullmatch(length):
            size = int(length)
        if size is None:
            raise bad_answer(uri, "it does not say how long the object is")
        if begin > first:
            raise bad_answer(uri, f"it begins at byte {begin} instead of {first}")
        if first - begin > self._most_skipped_bytes:
            raise AttemptError(
                "no_ranges", f"{uri}: the server sends whole objects only; this one is too large for that"
            )
        return begin, size

    def _same(self, answer: Answer, size: int) -> None:
        """Check that this is still the object that was asked for; some servers ignore If-Match."""
        said = etag(answer.headers.get("etag"))
        known = self._version
        if known is not None and said is not None and said.removeprefix("W/") != known.removeprefix("W/"):
            raise AttemptError("changed", f"{self._place.uri} was changed while it was read")
        if self._got and size != self._size:
            raise AttemptError("changed", f"{self._place.uri} was {self._size} bytes long and is now {size}")
        self._version, self._size = known or said, size

    async def _take(self, answer: Answer, skip: int, want: int) -> None:
        """Keep `want` bytes of the body after the first `skip`, and read no more than these."""
        while want > 0:
            data = await answer.read(min(_PIECE_BYTES, skip + want))
            if not data:
                raise AttemptError("unreachable", f"{self._place.uri}: the body was cut short", again=True)
            if skip:
                skip, data = skip - min(skip, len(data)), data[skip:]
            want -= len(data)
            self._got += len(data)
            self._pieces.append(data)
