"""Signing ranged GETs ourselves (AWS Signature Version 4), ten times cheaper than the AWS library does.

Nothing here finds out where a bucket lives or who we are: the library sends the first GET of a bucket, and a
`Way` is what can be learnt from that request. A request that is signed in any way but the ordinary one teaches
nothing, and the library then sends all others too.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from hmac import digest
from typing import Protocol
from urllib.parse import quote

import msgspec

_EMPTY = sha256(b"").hexdigest()
_CREDENTIAL = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/,]+)/\d{8}/([a-z0-9-]+)/s3/aws4_request, ?SignedHeaders=.*")
_HOST = re.compile(r"https?://([A-Za-z0-9.:\[\]-]+)/")
_KNOWN = frozenset(("x-amz-content-sha256", "x-amz-date", "x-amz-security-token"))
_KNOWN_SILENT = frozenset(("x-amz-user-agent", "x-amz-checksum-mode"))


class Keys(Protocol):
    """Credentials at one moment."""

    access_key: str
    secret_key: str
    token: str | None


class Way(msgspec.Struct, frozen=True):
    """How the objects of one bucket are reached: their URLs begin with `base`; `region` is signed for."""

    base: str
    host: str
    region: str

    def url(self, key: str) -> str:
        """The URL of the object `key`."""
        return self.base + quote(key, safe="/~")


def learn(url: str, headers: Mapping[str, str], key: str, access_key: str) -> Way | None:
    """The way to the bucket of the object `key`, from a request for it that was answered well.

    None if the request was not signed with `access_key` in the ordinary way, or holds more than we would send.
    """
    path = quote(key, safe="/~")
    host = _HOST.match(url)
    signed = _CREDENTIAL.fullmatch(headers.get("Authorization", ""))
    more = {name.lower() for name in headers if name.lower().startswith("x-amz-")} - _KNOWN - _KNOWN_SILENT
    if host is None or signed is None or more or signed[1] != access_key or not url.endswith("/" + path):
        return None
    return Way(url.removesuffix(path), host[1], signed[2])


class Signer:
    """Signs for one account; keeps the key that was derived last (it holds for a day and a region)."""

    def __init__(self) -> None:
        self._derived: tuple[tuple[str, str, str], bytes] | None = None

    def headers(self, way: Way, url: str, keys: Keys, asked: Mapping[str, str], now: datetime) -> dict[str, str]:
        """The headers of a GET of `url` (one that `way` gave) with the headers `asked`, signed for `now` (UTC)."""
        stamp = now.strftime("%Y%m%dT%H%M%SZ")
        sent = {**asked, "host": way.host, "x-amz-content-sha256": _EMPTY, "x-amz-date": stamp}
        if keys.token:
            sent["x-amz-security-token"] = keys.token
        names = sorted(sent)
        signed = ";".join(names)
        path = url[url.index("/", 8) :]  # after https://
        lines = "".join(f"{name}:{sent[name]}\n" for name in names)
        request = f"GET\n{path}\n\n{lines}\n{signed}\n{_EMPTY}"
        scope = f"{stamp[:8]}/{way.region}/s3/aws4_request"
        words = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = digest(self._key(keys.secret_key, stamp[:8], way.region), words.encode(), "sha256").hex()
        sent["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope}, SignedHeaders={signed}, Signature={signature}"
        )
        return sent

    def _key(self, secret: str, day: str, region: str) -> bytes:
        of = (secret, day, region)
        if self._derived is None or self._derived[0] != of:
            key = f"AWS4{secret}".encode()
            for part in (day, region, "s3", "aws4_request"):
                key = digest(key, part.encode(), "sha256")
            self._derived = (of, key)
        return self._derived[1]


def utc_now() -> datetime:
    """The time that requests are signed for."""
    return datetime.now(UTC)
