"""What a path names in a bucket: that object or that folder, lazily, each object once, every failure a record."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources import paging
from modelaudit.sources.s3 import S3, session
from modelaudit.sources.s3.connection import _moment
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, s3_error, slow_down
from tests.servers.seaweed import LISTLESS_ACCESS, LISTLESS_SECRET, Seaweed
from tests.sources.s3.conftest import Folder, opened

pytestmark = pytest.mark.anyio


@pytest.fixture
async def source(aws: FaultProxy) -> object:
    async with opened() as running:
        yield running


async def listed(source: S3, path: str) -> list[Target]:
    return [target for page in [page async for page in source.list(path)] for target in page]


async def names(source: S3, folder: Folder, path: str) -> list[str]:
    found = await listed(source, path)
    assert [target.skip for target in found] == [None] * len(found)
    return [target.key.removeprefix(f"models/{folder.name}/") for target in found]


async def failure(source: S3, path: str) -> tuple[str, str]:
    """The reason and message of the one failed target that `path` gives."""
    (target,) = await listed(source, path)
    assert target.failed
    assert target.skip is not None
    return target.skip


def page(*entries: str, more: str = "") -> bytes:
    """A page of a listing, as S3 writes it."""
    contents = "".join(f"<Contents>{entry}</Contents>" for entry in entries)
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>models</Name><EncodingType>url</EncodingType>{more or '<IsTruncated>false</IsTruncated>'}"
        f"{contents}</ListBucketResult>"
    ).encode()


def entry(key: str, size: int = 1, more: str = "") -> str:
    return f"<Key>{key}</Key><Size>{size}</Size><ETag>&quot;e&quot;</ETag>{more}"


def answer(body: bytes, times: int = 1) -> Fault:
    return Fault("answer", "list-type=2", times, status=200, headers={"Content-Type": "application/xml"}, body=body)


# --- what a path names --------------------------------------------------------------------------------------


async def test_a_folder_is_what_lies_below_it_and_never_its_siblings(source: S3, folder: Folder) -> None:
    """`key` is that object if there is one, else the folder `key/`; `key2` begins like it and is another."""
    for key in ("m/a", "m/b/c", "m-2/x", "m.bin", "mm", "n"):
        folder.put(key, key.encode())
    assert await names(source, folder, f"{folder.url}/m") == ["m/a", "m/b/c"]
    assert await names(source, folder, f"{folder.url}/m/") == ["m/a", "m/b/c"]
    assert await names(source, folder, f"{folder.url}/m.bin") == ["m.bin"]
    assert await names(source, folder, f"{folder.url}/n") == ["n"]
    assert (await failure(source, f"{folder.url}/m."))[0] == "not_found"
    assert (await failure(source, f"{folder.url}/n/"))[0] == "not_found"


async def test_targets_have_size_and_version_and_can_be_read(source: S3, folder: Folder) -> None:
    """What the listing gives is all that reading needs."""
    etag = folder.server.put(f"{folder.name}/a", b"0123")
    (target,) = await listed(source, folder.url)
    assert target.modified is not None
    assert replace(target, modified=None) == Target(f"{folder.url}/a", f"models/{folder.name}/a", 4, etag)
    assert (await source.read(target, 1, 2, target.version)).data == b"12"


async def test_a_whole_bucket(source: S3, s3_server: Seaweed) -> None:
    """With and without the closing slash; an empty one holds nothing; a missing one is a record."""
    s3_server.make_bucket("whole-bucket")
    assert await listed(source, "s3://whole-bucket") == []
    for key in ("a", "b/c"):
        s3_server.put(key, b"x", "whole-bucket")
    for path in ("s3://whole-bucket", "s3://whole-bucket/"):
        assert [target.uri for target in await listed(source, path)] == ["s3://whole-bucket/a", "s3://whole-bucket/b/c"]
    assert (await failure(source, "s3://no-such-bucket"))[0] == "not_found"
    assert "no such bucket" in (await failure(source, "s3://no-such-bucket/key"))[1]


async def test_r2_is_the_same_under_its_own_name(aws: FaultProxy, folder: Folder) -> None:
    """The scheme stays in the URI."""
    folder.put("a", b"x")
    async with S3(Limits(), "r2") as source:
        (target,) = await listed(source, f"r2://models/{folder.name}")
        assert target.uri == f"r2://models/{folder.name}/a"
        assert (await source.read(target, 0, 1, target.version)).data == b"x"


@pytest.mark.parametrize("path", ["s3://", "s3:///key", "s3://AKIA:SECRET@bucket/key", "s3://a", "s3://b%20c/k"])
async def test_what_is_no_bucket_is_not_asked_for_nor_repeated(source: S3, aws: FaultProxy, path: str) -> None:
    """A key written into the URL does not come out again."""
    (target,) = await listed(source, path)
    assert target.skip is not None
    assert (target.skip[0], target.failed) == ("bad_address", True)
    assert "SECRET" not in repr(target)
    assert not aws.counts.requests


@pytest.mark.parametrize("key", ["sp ace", "ü", "a+b", "%41", "a&b=c", "x'\"<>", "#?", "tab\there", "日本/語"])
async def test_any_key_is_listed_and_read(source: S3, folder: Folder, key: str) -> None:
    """As a member of a folder, and as the very object that was named."""
    folder.put(key, key.encode())
    for path in (folder.url, f"{folder.url}/{key}"):
        (target,) = await listed(source, path)
        assert target.key == f"models/{folder.name}/{key}"
        assert (await source.read(target, 0, 100, target.version)).data == key.encode()


async def test_keys_are_shown_without_control_characters(source: S3, aws: FaultProxy) -> None:
    """The key keeps them, what people see does not; + and %41 in a page are the server's encoding."""
    aws.faults.append(answer(page(entry("f/a%0Ab%1B%5Bm"), entry("f/c+d%2Be%2541"))))
    found = await listed(source, "s3://models/f/")
    assert [target.key for target in found] == ["models/f/a\nb\x1b[m", "models/f/c d+e%41"]
    assert [target.uri for target in found] == ["s3://models/f/a\\x0ab\\x1b[m", "s3://models/f/c d+e%41"]


async def test_what_cannot_be_scanned_says_so(source: S3, aws: FaultProxy) -> None:
    """Archived objects and folder markers are records; an empty object with a file's name is one like any other."""
    aws.faults.append(
        answer(
            page(
                entry("f/"[:2], 0),
                entry("f/cold", 9, "<StorageClass>GLACIER</StorageClass>"),
                entry("f/colder", 9, "<StorageClass>DEEP_ARCHIVE</StorageClass>"),
                entry("f/cool", 9, "<StorageClass>GLACIER_IR</StorageClass>"),
                entry("f/empty", 0),
                "<Key>f/bare</Key>",
                entry("elsewhere"),
            )
        )
    )
    found = await listed(source, "s3://models/f/")
    assert [(target.key, target.skip and target.skip[0], target.size, target.version) for target in found] == [
        ("models/f/", "folder_marker", 0, "e"),
        ("models/f/cold", "archived", 9, "e"),
        ("models/f/colder", "archived", 9, "e"),
        ("models/f/cool", None, 9, "e"),
        ("models/f/empty", None, 0, "e"),
        ("models/f/bare", None, None, None),
    ]
    assert not any(target.failed for target in found)


# --- pages --------------------------------------------------------------------------------------------------


def listings(aws: FaultProxy) -> int:
    return sum("list-type=2" in line for line, _ in aws.counts.lines)


async def test_pages_are_asked_for_when_they_are_wanted(aws: FaultProxy, folder: Folder) -> None:
    """A bucket of any size costs one request until the first page is used up; and never a HEAD."""
    for number in range(25):
        folder.put(f"{number:02}", b"x")
    async with opened(page_objects=10) as source:
        listing = source.list(f"{folder.url}/")
        first: Sequence[Target] = await anext(listing)
        for target in first:
            await source.read(target, 0, 1, target.version)
        assert (len(first), listings(aws)) == (10, 1)
        second = await anext(listing)
        assert (len(second), listings(aws)) == (10, 2)
        rest = [target async for more in listing for target in more]
        assert (len(rest), listings(aws)) == (5, 3)
    keys = [target.key for target in [*first, *second, *rest]]
    assert keys == sorted(set(keys))
    assert len(keys) == 25
    assert set(aws.counts.requests) == {"GET"}


async def test_a_page_that_fails_ends_the_place_with_a_record(aws: FaultProxy, folder: Folder) -> None:
    """What was listed before stays; the rest is not silently left out."""
    for number in range(25):
        folder.put(f"{number:02}", b"x")
    aws.faults.append(s3_error(403, "AccessDenied", "list-type=2", skip=1))
    async with opened(page_objects=10) as source:
        found = await listed(source, f"{folder.url}/")
    assert [target.failed for target in found] == [False] * 10 + [True]
    assert found[-1].skip == ("access_denied", f"listing {folder.url}/: access denied (AccessDenied)")


async def test_a_page_that_is_refused_for_now_is_asked_for_again(source: S3, aws: FaultProxy, folder: Folder) -> None:
    """Throttling, a broken connection and a broken document cost time, not objects."""
    folder.put("a", b"x")
    broken = answer(b"<ListBucketResult><Contents>")
    aws.faults += [slow_down("list-type=2", 2), Fault("cut", "list-type=2", after_bytes=20), broken]
    assert await names(source, folder, f"{folder.url}/") == ["a"]
    assert [fault.done for fault in aws.faults] == [2, 1, 1]


@pytest.mark.parametrize(
    "more",
    [
        "<IsTruncated>true</IsTruncated>",
        "<IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken>",
    ],
)
async def test_a_listing_that_leads_nowhere_ends(source: S3, aws: FaultProxy, more: str) -> None:
    """A server that promises more for ever is not believed."""
    aws.faults.append(answer(page(entry("f/a"), more=more), 9))
    found = await listed(source, "s3://models/f/")
    assert found[-1].failed
    assert found[-1].skip is not None
    assert found[-1].skip[0] == "bad_answer"
    assert len(found) <= 3


def onward(number: int, *keys: str) -> Fault:
    """A page with `keys` that goes on at the token `number`."""
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{number}</NextContinuationToken>"
    return answer(page(*(entry(key) for key in keys), more=more), 1)


@pytest.mark.parametrize(
    "answers",
    [
        [onward(number % 3, f"f/{number}") for number in range(40)],
        [onward(number, "f/a") for number in range(40)],
        [onward(number) for number in range(40)],
    ],
    ids=["a circle", "the same page", "nothing"],
)
async def test_a_listing_without_end_ends(
    source: S3, aws: FaultProxy, monkeypatch: pytest.MonkeyPatch, answers: list[Fault]
) -> None:
    """Neither tokens that come round, nor one page for ever, nor empty pages for ever keep a run going."""
    monkeypatch.setattr(paging, "_EMPTY_PAGES", 5)
    aws.faults += answers
    found = await listed(source, "s3://models/f/")
    assert found[-1].skip is not None
    assert found[-1].skip[0] == "bad_answer"
    assert len(found) <= 8
    assert sum(fault.done for fault in answers) <= 8


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 200), (b"<html><body><p>Hello</p></body></html>", 200), (b"", 204), (b"<Other/>", 200)],
)
async def test_an_answer_that_is_no_listing_is_no_empty_bucket(body: bytes, status: int, aws: FaultProxy) -> None:
    """A portal or a wrong endpoint that says 200 must not look as if there were nothing to scan."""
    aws.faults.append(Fault("answer", "list-type", None, status=status, body=body))
    async with opened(listing_deadline_seconds=1.5) as source:
        reason, message = await failure(source, "s3://models/f/")
    assert (reason, "AWS_ENDPOINT_URL" in message) == ("bad_answer", True)


async def test_a_page_without_end_is_not_taken_into_memory(aws: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages and errors longer than any of S3's are given up while they come."""
    monkeypatch.setattr(session, "_ANSWER_BYTES", 1 << 20)
    aws.faults.append(Fault("answer", "list-type", None, status=200, body=b"<a>" + b" " * (3 << 20)))
    aws.faults.append(Fault("answer", "long", None, status=400, body=b"<a>" + b" " * (3 << 20)))
    async with opened(listing_deadline_seconds=1.5, read_deadline_seconds=1.5) as source:
        assert (await failure(source, "s3://models/f/"))[0] == "bad_answer"
        with pytest.raises(SourceError) as error:
            await source.read(Target("s3://models/long", "models/long", 9, "e"), 0, 9, "e")
        assert error.value.reason == "bad_answer"


@pytest.mark.parametrize("status", [302, 303, 307, 308])
async def test_no_redirect_is_followed(source: S3, aws: FaultProxy, folder: Folder, status: int) -> None:
    """It could lead anywhere, with a session token in the request."""
    target = folder.put("a", b"x")
    away = Fault("answer", "", None, status=status, headers={"Location": "/elsewhere"})
    aws.faults.append(away)
    aws.keep_lines = True
    assert (await failure(source, f"{folder.url}/"))[0] == "refused"
    with pytest.raises(SourceError) as error:
        await source.read(target, 0, 1, target.version)
    assert (error.value.reason, "sends elsewhere" in error.value.message) == ("refused", True)
    assert not [line for line, _ in aws.counts.lines if "elsewhere" in line]


@pytest.mark.parametrize("status", [301, 400])
async def test_a_region_that_is_always_elsewhere(aws: FaultProxy, status: int) -> None:
    """A server that answers the question for the region as it answers all others is not asked for ever."""
    aws.faults += [s3_error(status, "PermanentRedirect", "GET", None), Fault("answer", "HEAD", None, status=status)]
    async with opened(listing_deadline_seconds=1.5) as source:
        assert (await failure(source, "s3://models/f/"))[0] == "refused"
    assert aws.counts.requests["HEAD"] < 20


async def test_a_size_beyond_all_numbers_is_unknown(source: S3, aws: FaultProxy) -> None:
    """The first read tells."""
    aws.faults.append(answer(page(entry("f/a", 10**30)), 1))
    assert [target.size for target in await listed(source, "s3://models/f/")] == [None]


# --- closed doors -------------------------------------------------------------------------------------------


async def test_an_object_that_may_be_read_and_not_listed_is_read(
    aws: FaultProxy, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size and version come with its first byte."""
    etag = folder.server.put(f"{folder.name}/a", b"0123")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", LISTLESS_ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", LISTLESS_SECRET)
    async with opened() as source:
        (target,) = await listed(source, f"{folder.url}/a")
        assert target == Target(f"{folder.url}/a", f"models/{folder.name}/a", 4, etag)
        assert (await source.read(target, 0, 9, etag)).data == b"0123"
        reason, message = await failure(source, f"{folder.url}/b")
        assert reason == "access_denied"
        assert "s3:GetObject" in message
        assert "s3:ListBucket" in message
        assert (await failure(source, f"{folder.url}/"))[0] == "access_denied"
        assert (await failure(source, "s3://models"))[0] == "access_denied"


async def test_a_folder_that_may_be_listed_only_with_its_slash_is_listed(
    source: S3, aws: FaultProxy, folder: Folder
) -> None:
    """Policies are written for prefixes such as `models/`; the bare name is then refused."""
    folder.put("m/a", b"x")
    aws.faults.append(s3_error(403, "AccessDenied", f"prefix={folder.name}/m&|prefix={folder.name}/m$", None))
    assert await names(source, folder, f"{folder.url}/m") == ["m/a"]


async def test_a_denied_prefix_is_a_record_and_the_next_path_goes_on(
    source: S3, aws: FaultProxy, folder: Folder
) -> None:
    """One closed door does not end the run."""
    folder.put("open/a", b"x")
    folder.put("closed/a", b"x")
    aws.faults.append(s3_error(403, "AccessDenied", f"{folder.name}/closed", None))
    assert (await failure(source, f"{folder.url}/closed/"))[0] == "access_denied"
    assert await names(source, folder, f"{folder.url}/open/") == ["open/a"]


@pytest.mark.parametrize(
    "redirect",
    [
        s3_error(301, "PermanentRedirect", "list-type", headers={"x-amz-bucket-region": "eu-central-1"}),
        Fault(
            "answer",
            "list-type",
            status=400,
            body=b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-central-1</Region></Error>",
        ),
    ],
    ids=["redirect", "malformed"],
)
async def test_a_bucket_in_another_region_is_found(
    source: S3, aws: FaultProxy, folder: Folder, redirect: Fault
) -> None:
    """The server says which; listing and reading go on there, with no request for the region."""
    folder.put("a", b"x")
    aws.faults.append(redirect)
    (target,) = await listed(source, f"{folder.url}/")
    for _ in range(2):
        assert (await source.read(target, 0, 1, target.version)).data == b"x"
    way = source._connection._ways["models"]
    assert way is not None
    assert way.region == "eu-central-1"
    assert set(aws.counts.requests) == {"GET"}


@pytest.mark.parametrize("said", ["2026-11-23T02:57:50.000Z", "Mon, 23 Nov 2026 02:57:50 GMT"])
async def test_times_are_understood_in_both_forms(said: str) -> None:
    """In listings they stand one way, in headers the other."""
    assert _moment(said) == datetime(2026, 11, 23, 2, 57, 50, tzinfo=UTC)
    with pytest.raises(ValueError, match="Invalid timestamp"):
        _moment("soon")
