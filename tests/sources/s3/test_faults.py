"""Each thing that can be wrong is one clear line: what, where, what to do; and no line holds a secret."""

import socket
import traceback
from pathlib import Path

import pytest

from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.s3 import S3
from modelaudit.sources.s3.faults import refusal
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, s3_error
from tests.servers.seaweed import Seaweed
from tests.sources.s3.conftest import opened

pytestmark = pytest.mark.anyio
SECRET, TOKEN, ACCESS = "wJalrXUtnFEMI/PLANTED", "FwoGZXIvPLANTEDTOKEN", "AKIAPLANTEDKEY"


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that are recognised wherever they come out."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)


async def both(source: S3) -> tuple[str, str]:
    """The reason and message of a listing that fails, after checking that reading fails alike, with no secret."""
    found = [target async for page in source.list("s3://models/some/key") for target in page]
    assert [target.failed for target in found] == [True]
    assert found[0].skip is not None
    reason, message = found[0].skip
    with pytest.raises(SourceError) as error:
        await source.read(Target("s3://models/some/key", "models/some/key", 10, "e"), 0, 10, "e")
    assert error.value.reason == reason
    said = repr(found) + "".join(traceback.format_exception(error.value)) + repr(error.value.args)
    for secret in (SECRET, "PLANTED", "Signature=", "X-Amz-Signature", "testtest"):
        assert secret not in said
    assert "\n" not in message
    assert "s3://models/some/key" in message
    return reason, message


async def test_no_credentials_at_all(no_aws: None, aws: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names what was looked for and how to give it; nothing is sent."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    async with opened() as source:
        reason, message = await both(source)
    assert reason == "credentials"
    for word in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "role"):
        assert word in message
    assert not aws.counts.requests


async def test_half_of_the_credentials(aws: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key without its secret."""
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    async with opened() as source:
        reason, message = await both(source)
    assert (reason, "incomplete" in message) == ("credentials", True)


async def test_a_profile_that_is_not_there(aws: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of the profile may be private; where to look is not."""
    monkeypatch.setenv("AWS_PROFILE", "PLANTED")
    async with opened() as source:
        reason, message = await both(source)
    assert (reason, "AWS_PROFILE" in message) == ("credentials", True)


async def test_a_shared_file_that_is_broken(aws: FaultProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its lines are not repeated."""
    (tmp_path / "config").write_text("[default\naws_secret_access_key = PLANTED\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    async with opened() as source:
        reason, message = await both(source)
    assert (reason, "~/.aws/config" in message) == ("credentials", True)


@pytest.mark.parametrize(
    ("access", "hint"), [("test", "does not belong to the access key"), (ACCESS, "does not know the access key")]
)
async def test_wrong_credentials(
    aws: FaultProxy, planted: None, monkeypatch: pytest.MonkeyPatch, access: str, hint: str
) -> None:
    """The real server refuses them: which half is wrong is said."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", access)
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    async with opened() as source:
        reason, message = await both(source)
    assert (reason, hint in message) == ("credentials", True)


@pytest.mark.parametrize(
    ("fault", "reason", "hint"),
    [
        (s3_error(400, "ExpiredToken", "", None), "credentials", "expired"),
        (s3_error(403, "RequestTimeTooSkewed", "", None), "credentials", "clock"),
        (s3_error(401, "Whatever", "", None), "credentials", "not valid"),
        (s3_error(403, "AccessDenied", "", None), "access_denied", "access denied"),
        (s3_error(501, "NotImplemented", "", None), "refused", "NotImplemented, HTTP 501"),
        (
            Fault("answer", "", None, status=403, body=f"<Error><Code>{SECRET}</Code></Error>".encode()),
            "access_denied",
            "access denied",
        ),
        (
            Fault("answer", "", None, status=403, body=f"<Error><Message>{SECRET} {TOKEN}</Message></Error>".encode()),
            "access_denied",
            "access denied",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_a_server_says_is_put_in_our_words(
    aws: FaultProxy, planted: None, fault: Fault, reason: str, hint: str
) -> None:
    """Only an error's code is passed on, and only if it looks like one: messages may hold anything."""
    aws.faults.append(fault)
    async with opened() as source:
        said, message = await both(source)
    assert (said, hint in message) == (reason, True)


async def test_nobody_listens(aws: FaultProxy, planted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong endpoint is told after three tries; what may be in its URL is not repeated."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    async with opened(listing_deadline_seconds=60, read_deadline_seconds=60) as source:
        reason, message = await both(source)
    assert reason == "unreachable"
    assert "AWS_ENDPOINT_URL" in message
    assert "(tried 3 times" in message


@pytest.mark.parametrize("url", ["no url PLANTED", "ftp//PLANTED", "http://"])
async def test_an_endpoint_that_is_no_url(
    aws: FaultProxy, planted: None, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """It may be a secret pasted into the wrong variable."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    async with opened() as source:
        reason, message = await both(source)
    assert (reason, "AWS_ENDPOINT_URL" in message) == ("bad_address", True)


async def test_a_server_that_does_not_speak_http(aws: FaultProxy, planted: None, s3_server: Seaweed) -> None:
    """Nonsense instead of an answer."""
    aws.upstream = ("127.0.0.1", s3_server.port + 1 + 10_000)  # speaks grpc
    async with opened(listing_deadline_seconds=1, read_deadline_seconds=1) as source:
        reason, _ = await both(source)
    assert reason in ("unreachable", "bad_answer", "stalled")


async def test_r2_without_an_endpoint(no_aws: None, planted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent to Amazon."""
    async with S3(Limits(), "r2") as source:
        (target,) = [target async for page in source.list("r2://models/key") for target in page]
    assert target.skip is not None
    assert target.skip[0] == "credentials"
    assert "AWS_ENDPOINT_URL" in target.skip[1]
    assert "r2.cloudflarestorage.com" in target.skip[1]


async def test_an_archived_object_says_so(aws: FaultProxy) -> None:
    """The listing of an intelligent tier does not tell; the object does."""
    aws.faults.append(s3_error(403, "InvalidObjectState", "", None))
    async with opened() as source:
        with pytest.raises(SourceError) as error:
            await source.read(Target("s3://models/k", "models/k", 10, "e"), 0, 10, "e")
    assert (error.value.reason, "restore it first" in error.value.message) == ("archived", True)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7),
        ("0.5", 0.5),
        ("-3", 0),
        ("", 0),
        ("soon", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("nan", 0),
        ("inf", 0),
    ],
)
def test_retry_after_is_a_number_or_a_date(said: str, seconds: float) -> None:
    """Anything else, and a time that has passed, asks for no wait."""
    assert refusal("x", "SlowDown", 503, {"retry-after": said}).pause_seconds == seconds


def test_retry_after_may_be_a_date_to_come() -> None:
    """In the form that HTTP dates have."""
    assert refusal("x", "", 429, {"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}).pause_seconds > 1_000_000
