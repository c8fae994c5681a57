"""Our signatures are those of the AWS library, byte for byte; what we cannot sign we leave to it."""

from datetime import UTC, datetime
from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from modelaudit.sources.s3.signing import Signer, Way, learn
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, s3_error
from tests.sources.s3.conftest import Folder, opened

pytestmark = pytest.mark.anyio
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), min_size=1, max_size=40)


@given(
    key=st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=50),
    base=st.sampled_from(["https://b.s3.eu-west-1.amazonaws.com/", "http://127.0.0.1:8333/b/", "https://h/x/b/"]),
    region=st.sampled_from(["us-east-1", "eu-west-1", "auto"]),
    keys=st.builds(ReadOnlyCredentials, WORDS, WORDS, st.none() | WORDS),
    asked=st.fixed_dictionaries({"range": st.just("bytes=0-99")}, optional={"if-match": st.just('"e-2"')}),
    now=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),
)
def test_signatures_are_those_of_the_library(
    key: str, base: str, region: str, keys: ReadOnlyCredentials, asked: dict[str, str], now: datetime
) -> None:
    """For any key, account, region and time."""
    way = Way(base, base.split("/")[2], region)
    url = way.url(key)
    request = AWSRequest("GET", url, headers=asked)
    with mock.patch("botocore.auth.get_current_datetime", lambda: now):
        S3SigV4Auth(keys, "s3", region).add_auth(request)
    signer = Signer()
    for _ in range(2):  # the second time with the kept key
        ours = signer.headers(way, url, keys, asked, now)
        assert ours["authorization"] == request.headers["Authorization"]
    sent = {name.lower(): value for name, value in request.headers.items()}
    assert {name: value for name, value in ours.items() if name != "host"} == sent


def headers(**more: str) -> dict[str, str]:
    credential = "Credential=AKID/20260101/eu-west-1/s3/aws4_request"
    signed = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders=host;x-amz-date, Signature=00"
    return {"Authorization": signed, "X-Amz-Date": "20260101T000000Z", "X-Amz-Content-SHA256": "e3"} | more


def test_the_way_to_a_bucket_is_learnt_from_a_request() -> None:
    """Whether the bucket stands in the host or in the path."""
    way = learn("https://b.s3.eu-west-1.amazonaws.com/k%20/x", headers(), "k /x", "AKID")
    assert way == Way("https://b.s3.eu-west-1.amazonaws.com/", "b.s3.eu-west-1.amazonaws.com", "eu-west-1")
    assert way.url("ü+") == "https://b.s3.eu-west-1.amazonaws.com/%C3%BC%2B"
    assert learn("http://h:1/b/x", headers(), "x", "AKID") == Way("http://h:1/b/", "h:1", "eu-west-1")


@pytest.mark.parametrize(
    ("url", "sent", "access_key"),
    [
        ("https://h/b/k", headers(Authorization="Bearer x"), "AKID"),
        ("https://h/b/k", headers(Authorization="AWS AKID:sig"), "AKID"),
        ("https://h/b/k", headers(Authorization=headers()["Authorization"].replace("/s3/", "/s3express/")), "AKID"),
        ("https://h/b/k", headers(Authorization="AWS4-ECDSA-P256-SHA256 Credential=AKID"), "AKID"),
        ("https://h/b/k", {"Range": "bytes=0-1"}, "AKID"),
        ("https://h/b/k", headers(), "OTHER"),
        ("https://h/b/k", headers(**{"x-amz-request-payer": "requester"}), "AKID"),
        ("https://h/b/k?X-Amz-Signature=0", headers(), "AKID"),
        ("https://user:word@h/b/k", headers(), "AKID"),
    ],
)
def test_other_ways_of_signing_teach_nothing(url: str, sent: dict[str, str], access_key: str) -> None:
    """Presigned, anonymous, another algorithm, another service, more headers: the library goes on."""
    assert learn(url, sent, "k", access_key) is None


async def test_a_bucket_that_refuses_our_signature_is_read_through_the_library(folder: Folder, aws: FaultProxy) -> None:
    """Once found out, it costs no second request."""
    target = folder.put("a.bin", b"0123456789")
    async with opened() as source:
        await source.read(target, 0, 1, target.version)  # from which the way is learnt
        aws.faults.append(s3_error(403, "SignatureDoesNotMatch", "GET"))
        for offset in range(3):
            assert (await source.read(target, offset, 2, target.version)).data == b"0123456789"[offset : offset + 2]
    assert [asked for _, asked in aws.counts.lines] == ["bytes=0-0", "bytes=0-1", "bytes=0-1", "bytes=1-2", "bytes=2-3"]


async def test_a_redirect_is_left_to_the_library(folder: Folder, aws: FaultProxy) -> None:
    """A bucket that has moved: bytes from elsewhere than the bucket are not taken."""
    target = folder.put("a.bin", b"0123456789")
    other = folder.put("b.bin", b"abcdefghij")
    async with opened() as source:
        await source.read(target, 0, 1, target.version)
        elsewhere = {"Location": f"{aws.url}/models/{folder.name}/b.bin"}
        aws.faults.append(Fault("answer", "a.bin", status=307, headers=elsewhere))
        assert (await source.read(target, 0, 4, target.version)).data == b"0123"
    assert other.size == 10
