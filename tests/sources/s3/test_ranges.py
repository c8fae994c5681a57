"""Reading ranges of real objects through a network that does everything wrong: the bytes are right or it is said."""

import random
from collections.abc import Callable

import anyio
import msgspec
import pytest

from modelaudit.errors import SourceError
from modelaudit.model import Target
from modelaudit.sources.s3 import S3
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, s3_error, slow_down
from tests.sources.s3.conftest import Folder, opened

pytestmark = pytest.mark.anyio
DATA = random.Random(7).randbytes(700_000)


async def refusal(source: S3, target: Target, offset: int = 0, length: int = 100) -> SourceError:
    with pytest.raises(SourceError) as error:
        await source.read(target, offset, length, target.version)
    return error.value


async def test_a_range_is_one_get_with_its_bytes_size_and_version(source: S3, folder: Folder, aws: FaultProxy) -> None:
    """No HEAD, no request for anything else, and the ETag stands without quotes."""
    target = folder.put("a.bin", DATA)
    chunk = await source.read(target, 1000, 2000, target.version)
    assert (chunk.data, chunk.size, chunk.version) == (DATA[1000:3000], len(DATA), target.version)
    assert '"' not in (chunk.version or "")
    assert aws.counts.lines == [("GET /models/" + folder.name + "/a.bin", "bytes=1000-2999")]


@pytest.mark.parametrize(
    ("offset", "length"), [(0, 1), (0, 700_000), (699_999, 1), (699_990, 500), (0, 10_000_000), (65_536, 65_536)]
)
async def test_ranges_end_where_the_object_ends(source: S3, folder: Folder, offset: int, length: int) -> None:
    """Asked for more than there is, what there is comes."""
    target = folder.put("a.bin", DATA)
    chunk = await source.read(target, offset, length, target.version)
    assert chunk.data == DATA[offset : offset + length]


async def test_a_range_larger_than_the_sockets_buffers_comes_whole(source: S3, folder: Folder) -> None:
    """Many pieces of one body."""
    data = random.Random(8).randbytes(9_000_001)
    target = folder.put("big.bin", data)
    chunk = await source.read(target, 3, len(data), target.version)
    assert chunk.data == data[3:]


async def test_size_and_version_can_be_learnt_by_reading(source: S3, folder: Folder) -> None:
    """A target that no listing gave tells its size and ETag with its first byte."""
    target = folder.put("a.bin", DATA)
    chunk = await source.read(Target(target.uri, target.key), 0, 1, None)
    assert (chunk.data, chunk.size, chunk.version) == (DATA[:1], len(DATA), target.version)


async def test_an_empty_object_has_no_byte_and_is_no_error(source: S3, folder: Folder) -> None:
    """Servers answer 416 to any range of it."""
    target = folder.put("empty", b"")
    chunk = await source.read(Target(target.uri, target.key), 0, 1, None)
    assert (chunk.data, chunk.size) == (b"", 0)


@pytest.mark.parametrize("key", ["sp ace/ü+%41&=.bin", "a//b", "plus+plus", "%2F%00", "q?x=1#y", "~'()!*;,:@$", "日本"])
async def test_any_key_can_be_read(source: S3, folder: Folder, key: str) -> None:
    """Keys are not paths and not URLs."""
    target = folder.put(key, key.encode())
    chunk = await source.read(target, 0, 100, target.version)
    assert chunk.data == key.encode()


# --- the network --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "after"),
    [*((act, after) for act in ("cut", "reset") for after in (0, 1, 50_000, 300_000)), ("stall", 0), ("stall", 50_000)],
)
async def test_a_body_that_breaks_off_is_continued_where_it_stopped(
    source: S3, folder: Folder, aws: FaultProxy, act: str, after: int
) -> None:
    """The second request asks for the rest only, if anything had come, and for the same version."""
    target = folder.put("a.bin", DATA)
    aws.faults.append(Fault(act, "GET", after_bytes=after))  # type: ignore[arg-type]
    chunk = await source.read(target, 100, 400_000, target.version)
    assert chunk.data == DATA[100:400_100]
    ranges = [asked for _, asked in aws.counts.lines]
    assert ranges[0] == "bytes=100-400099"
    assert len(ranges) == 2
    begin = int(ranges[1].removeprefix("bytes=").split("-")[0])
    assert 100 <= begin <= 100 + after
    assert begin == 100 + after or act == "reset"  # a reset may overtake what was sent before it


async def test_a_body_that_is_cut_again_and_again_comes_whole(source: S3, folder: Folder, aws: FaultProxy) -> None:
    """Each attempt brings some; none is thrown away."""
    target = folder.put("a.bin", DATA)
    aws.faults.append(Fault("cut", "GET", times=9, after_bytes=70_000))
    assert (await source.read(target, 0, len(DATA), target.version)).data == DATA
    assert aws.counts.body_bytes["GET"] == len(DATA)


@pytest.mark.parametrize(
    "fault",
    [
        slow_down("GET", 2),
        s3_error(503, "ErrTooManyRequest", "GET", 2),
        s3_error(429, "TooManyRequests", "GET"),
        s3_error(500, "InternalError", "GET", 2),
        Fault("answer", "GET", status=502, body=b"<html>bad gateway</html>"),
        Fault("answer", "GET", status=504),
        s3_error(400, "RequestTimeout", "GET"),
        Fault("refuse", "GET", times=2),
        Fault("stall", "GET", after_bytes=0),
        Fault("answer", "GET", status=206, headers={"Content-Range": "bytes 5-9/100"}, body=b"12345"),
        Fault("answer", "GET", status=206, headers={"Content-Range": "nonsense", "Transfer-Encoding": "chunked"}),
    ],
    ids=lambda fault: f"{fault.act}-{fault.status}-{fault.body[60:80]!r}",
)
async def test_what_passes_is_waited_out(source: S3, folder: Folder, aws: FaultProxy, fault: Fault) -> None:
    """Throttling, errors of the server's own, broken connections and nonsense: tried again, then right."""
    target = folder.put("a.bin", DATA)
    aws.faults.append(fault)
    assert (await source.read(target, 10, 100, target.version)).data == DATA[10:110]
    assert fault.done == (fault.times or 0)


async def test_retry_after_is_obeyed(folder: Folder, aws: FaultProxy) -> None:
    """The server's wait is longer than the deadline: told at once, after one request."""
    target = folder.put("a.bin", DATA)
    aws.faults.append(s3_error(429, "TooManyRequests", "GET", None, headers={"Retry-After": "60"}))
    async with opened(read_deadline_seconds=20) as source:
        error = await refusal(source, target)
    assert error.reason == "throttled"
    assert aws.counts.requests["GET"] == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda: slow_down("GET", None), "throttled"),
        (lambda: s3_error(500, "InternalError", "GET", None), "server_error"),
        (lambda: Fault("stall", "GET", None, after_bytes=10), "stalled"),
        (lambda: Fault("cut", "GET", None, after_bytes=0), "unreachable"),
        (lambda: Fault("refuse", "GET", None), "unreachable"),
        (lambda: Fault("answer", "GET", None, status=206, body=b"x" * 100), "bad_answer"),
    ],
    ids=["503", "500", "stall", "cut", "reset", "nonsense"],
)
async def test_what_does_not_pass_is_one_clear_error(
    folder: Folder, aws: FaultProxy, fault: Callable[[], Fault], reason: str
) -> None:
    """Within the deadline, with the object's name; the next object is read as ever."""
    target, other = folder.put("a.bin", DATA), folder.put("b.bin", DATA)
    async with opened(read_deadline_seconds=1.5, stall_timeout_seconds=0.4) as source:
        aws.faults.append(fault())
        asked = msgspec.structs.replace(target, size=None)  # so that only the answer can tell how long it is
        error = await refusal(source, asked, 1)
        assert (error.reason, target.uri in error.message) == (reason, True)
        assert "tried" in error.message
        aws.faults.clear()
        assert (await source.read(other, 0, 5, other.version)).data == DATA[:5]


async def test_many_readers_of_a_throttling_server_all_get_their_bytes(folder: Folder, aws: FaultProxy) -> None:
    """A fifth of all requests is refused: everybody slows down, nobody fails."""
    target = folder.put("a.bin", DATA)
    aws.faults.append(slow_down("GET", None, share=0.2))
    done: list[bool] = []

    async def read(number: int) -> None:
        chunk = await source.read(target, number * 1000, 1000, target.version)
        done.append(chunk.data == DATA[number * 1000 : number * 1000 + 1000])

    async with opened(concurrency=16, read_deadline_seconds=60) as source, anyio.create_task_group() as group:
        for number in range(150):
            group.start_soon(read, number)
    assert done == [True] * 150
    assert aws.counts.most_in_flight["GET"] <= 16


async def test_connections_are_used_again_and_bounded(folder: Folder, aws: FaultProxy) -> None:
    """As many as there may be requests, whatever the number of objects."""
    target = folder.put("a.bin", DATA)
    async with opened(concurrency=4) as source:
        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(source.read, target, number, 1000, target.version)
        for number in range(10):
            await source.read(target, number, 10, target.version)
    assert aws.counts.requests["GET"] == 70
    assert aws.counts.connections <= 4


async def test_a_run_that_is_stopped_leaves_nothing_behind(folder: Folder, aws: FaultProxy) -> None:
    """Reads in hand are given up at once; the source closes and no connection stays open."""
    target = folder.put("a.bin", DATA)
    aws.faults.append(Fault("stall", "GET", None, after_bytes=50_000))
    async with opened(stall_timeout_seconds=60, read_deadline_seconds=60) as source:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(source.read, target, number, 100_000, target.version)
                while aws.counts.in_flight["GET"] < 8:  # noqa: ASYNC110  the proxy runs in another thread
                    await anyio.sleep(0.01)
                group.cancel_scope.cancel()
        with anyio.fail_after(10):
            while aws.clients:  # noqa: ASYNC110
                await anyio.sleep(0.01)
        aws.faults.clear()
        assert (await source.read(target, 0, 5, target.version)).data == DATA[:5]


# --- servers that do as they like ---------------------------------------------------------------------------


async def test_a_server_without_ranges_is_read_as_far_as_needed(source: S3, folder: Folder, aws: FaultProxy) -> None:
    """It answers 200 with the whole object: the range is cut out, and the rest is not read."""
    data = random.Random(9).randbytes(12_000_000)
    target = folder.put("a.bin", data)
    aws.faults.append(Fault("strip", "GET", None, names=("range",)))
    assert (await source.read(target, 0, 500, target.version)).data == data[:500]
    assert (await source.read(target, 70_000, 500, target.version)).data == data[70_000:70_500]
    assert (await source.read(target, 11_999_990, 500, target.version)).data == data[11_999_990:]
    assert aws.counts.requests["GET"] == 3
    assert aws.counts.body_bytes["GET"] < 24_000_000


async def test_a_large_object_of_a_server_without_ranges_is_given_up(folder: Folder, aws: FaultProxy) -> None:
    """Bytes that nobody needs are not read by the gigabyte."""
    target = folder.put("a.bin", DATA)
    aws.faults.append(Fault("strip", "GET", None, names=("range",)))
    async with opened(read_ahead_max_bytes=100_000) as source:
        assert (await source.read(target, 90_000, 10, target.version)).data == DATA[90_000:90_010]
        assert (await refusal(source, target, 600_000)).reason == "no_ranges"


async def test_an_endless_body_is_not_read_to_its_end(source: S3, folder: Folder, aws: FaultProxy) -> None:
    """What was needed has come: the connection is closed, whatever more was promised."""
    target = Target("s3://models/x", "models/x", 10_000, "e")
    promised = {"ETag": '"e"', "Content-Length": str(1 << 40), "Content-Range": "bytes 0-9/10000"}
    aws.faults.append(Fault("answer", "GET", status=206, headers=promised, body=b"0123456789" * 5))
    with anyio.fail_after(5):
        assert (await source.read(target, 0, 10, "e")).data == b"0123456789"
        real = folder.put("a.bin", DATA)
        assert (await source.read(real, 0, 10, real.version)).data == DATA[:10]  # on a clean connection


async def test_200_with_a_content_range_is_the_range(source: S3, aws: FaultProxy) -> None:
    """Some servers get the status wrong and the bytes right."""
    headers = {"ETag": "e", "Content-Range": "bytes 70-79/10000"}
    aws.faults.append(Fault("answer", "GET", status=200, headers=headers, body=b"0123456789"))
    chunk = await source.read(Target("s3://models/x", "models/x", 10_000, "e"), 70, 10, "e")
    assert (chunk.data, chunk.size, chunk.version) == (b"0123456789", 10_000, "e")


# --- objects that change ------------------------------------------------------------------------------------


async def test_a_changed_object_is_not_read_as_the_old_one(source: S3, folder: Folder) -> None:
    """If-Match fails: the reader is told, and decides."""
    target = folder.put("a.bin", DATA)
    folder.put("a.bin", b"other" * 1000)
    assert (await refusal(source, target)).reason == "changed"
    chunk = await source.read(target, 0, 5, None)
    assert (chunk.data, chunk.size) == (b"other", 5000)


async def test_a_change_is_seen_where_if_match_is_ignored(source: S3, folder: Folder, aws: FaultProxy) -> None:
    """The ETag that comes with the bytes tells."""
    target = folder.put("a.bin", DATA)
    folder.put("a.bin", DATA[::-1])
    aws.faults.append(Fault("strip", "GET", None, names=("if-match",)))
    assert (await refusal(source, target)).reason == "changed"


async def test_bytes_of_two_versions_are_never_put_together(source: S3, folder: Folder, aws: FaultProxy) -> None:
    """The body is cut and the object changes before the rest is asked for, with no version known beforehand."""
    target = folder.put("a.bin", DATA)
    aws.faults.append(Fault("cut", "GET", after_bytes=1000))
    aws.faults.append(Fault("call", "GET", call=lambda: folder.put("a.bin", DATA[::-1])))
    with pytest.raises(SourceError) as error:
        await source.read(Target(target.uri, target.key), 0, 5000, None)
    assert error.value.reason == "changed"
    assert [asked for _, asked in aws.counts.lines] == ["bytes=0-4999", "bytes=1000-4999"]


async def test_an_object_that_became_shorter_has_changed(source: S3, folder: Folder) -> None:
    """416 where there were bytes."""
    target = folder.put("a.bin", DATA)
    folder.put("a.bin", b"short")
    assert (await refusal(source, msgspec.structs.replace(target, version=None), 5000)).reason == "changed"


async def test_weak_etags_are_compared_and_not_demanded(source: S3, aws: FaultProxy) -> None:
    """If-Match with a weak ETag fails by definition."""
    headers = {"ETag": 'W/"e"', "Content-Range": "bytes 0-1/2"}
    aws.faults.append(Fault("answer", "GET", 2, status=206, headers=headers, body=b"ab"))
    target = Target("s3://models/x", "models/x", 2, "W/e")
    assert (await source.read(target, 0, 2, "W/e")).data == b"ab"
    assert (await refusal(source, msgspec.structs.replace(target, version="W/f"))).reason == "changed"


async def test_a_deleted_object_is_not_found(source: S3, folder: Folder) -> None:
    """It was there when it was listed."""
    target = folder.put("a.bin", DATA)
    folder.server.delete(f"{folder.name}/a.bin")
    error = await refusal(source, target)
    assert (error.reason, error.message) == ("not_found", f"{target.uri}: there is no such object")


async def test_keys_with_dots_and_slashes_are_sent_as_they_are(source: S3, folder: Folder, aws: FaultProxy) -> None:
    """No part of the way to the server takes them for a path."""
    aws.faults.append(s3_error(404, "NoSuchKey", "GET"))
    key = f"{folder.name}/a/../b/./c//d"
    await refusal(source, Target(f"s3://models/{key}", f"models/{key}"))
    assert [line for line, _ in aws.counts.lines] == [f"GET /models/{key}"]
