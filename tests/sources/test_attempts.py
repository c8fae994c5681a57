"""Whatever a server does with the requests for one range, the bytes that come out are the object's, or none do."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.limits import Limits
from modelaudit.sources.interface import Chunk
from modelaudit.sources.ranges import Answer, Place, RangeRead, etag
from modelaudit.sources.retry import AttemptError

DATA = bytes(range(256)) * 2
BEHAVIOURS = st.tuples(
    st.sampled_from(["range", "range as 200", "whole", "more", "early", "error", "other", "unsized", "weak"]),
    st.integers(0, 600),  # bytes of the body that come before it ends
    st.integers(1, 50),  # bytes that come at a time
)


class Scripted:
    """A connection to one object, `DATA`, that behaves as it is told, one behaviour a request, then well."""

    def __init__(self, script: list[tuple[str, int, int]]) -> None:
        self._script = script
        self.firsts: list[int] = []
        self.closed = 0

    async def get(self, first: int, last: int, version: str | None) -> Answer:
        self.firsts.append(first)
        act, count, step = self._script.pop(0) if self._script else ("range", 10_000, 100)
        if act == "error":
            raise AttemptError("server_error", "it broke", again=True)
        begin = {"whole": 0, "more": 0, "early": max(0, first - 7)}.get(act, first)
        end = len(DATA) if act in ("whole", "more") else min(last + 1, len(DATA))
        headers = {"etag": {"other": '"o"', "weak": 'W/"e"'}.get(act, '"e"')}
        if act != "whole":
            headers["content-range"] = f"bytes {begin}-{end - 1}/{'*' if act == 'unsized' else len(DATA)}"
        headers["content-length"] = str(end - begin)
        body = (DATA[::-1] if act == "other" else DATA)[begin:end][:count]

        async def read(most: int) -> bytes:
            nonlocal body
            size = min(most, step)
            piece, body = body[:size], body[size:]
            return piece

        def close() -> None:
            self.closed += 1

        return Answer(200 if act in ("range as 200", "whole") else 206, headers, read, close)


@given(
    script=st.lists(BEHAVIOURS, max_size=8),
    offset=st.integers(0, 511),
    length=st.integers(1, 600),
    version=st.sampled_from(["e", None]),
    size=st.sampled_from([512, None]),
)
def test_the_bytes_are_the_objects_or_none(
    script: list[tuple[str, int, int]], offset: int, length: int, version: str | None, size: int | None
) -> None:
    """Over any mixture of cut, shifted, whole and wrong answers; each attempt goes on where the last one ended."""
    connection = Scripted(list(script))
    read = RangeRead(connection.get, Limits(), Place("s3://b/k", size, version), offset, length)

    async def go() -> Chunk | None:
        while True:
            try:
                return await read.attempt()
            except AttemptError as error:
                if not error.again:
                    assert error.reason == "changed"
                    assert "other" in {act for act, _, _ in script}
                    return None

    chunk = anyio.run(go)
    if chunk is not None:
        whole = DATA[::-1] if chunk.version == "o" else DATA
        assert chunk.version != "o" or version is None
        assert chunk.data == whole[offset : offset + length]
        assert chunk.size == 512
    assert connection.firsts == sorted(connection.firsts)
    answered = [act for act, _, _ in script[: len(connection.firsts)] if act != "error"]
    assert connection.closed == len(answered) + max(0, len(connection.firsts) - len(script))


def test_no_more_of_a_body_is_read_than_is_needed() -> None:
    """Of a whole object, what lies before the range is passed over and what lies behind it is left."""
    taken = 0

    class Endless(Scripted):
        async def get(self, first: int, last: int, version: str | None) -> Answer:
            async def read(most: int) -> bytes:
                nonlocal taken
                taken += most
                return bytes(most)

            return Answer(200, {"content-length": str(1 << 50)}, read, lambda: None)

    read = RangeRead(Endless([]).get, Limits(), Place("u"), 3_000_000, 10)
    chunk = anyio.run(read.attempt)
    assert (len(chunk.data), chunk.size, taken) == (10, 1 << 50, 3_000_010)


@pytest.mark.parametrize(
    ("said", "bare"),
    [
        ('"abc-2"', "abc-2"),
        ("abc", "abc"),
        ('W/"abc"', "W/abc"),
        ("", None),
        (None, None),
        ('"a\r\nb"', None),
        ('"é"', None),
    ],
)
def test_etags_lose_their_quotes(said: str | None, bare: str | None) -> None:
    """And what could not be sent back in a header is none."""
    assert etag(said) == bare
