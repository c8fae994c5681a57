"""Getting into a registry: anonymously, by password, or by a token that another server gives.

The way is the Docker Registry's: a 401 says what is wanted in `WWW-Authenticate`, a `Bearer` one also where to ask for
a token and for what (Distribution, "Token Authentication Specification"). Docker's own logins are used; helper programs
for them are not started.
"""

import base64
import re
from collections.abc import Mapping
from urllib.parse import urlencode, urljoin

import anyio
import msgspec

from modelaudit.sources.ranges import Headers, bad_answer
from modelaudit.sources.retry import AttemptError
from modelaudit.sources.web import Page, Web, send_whole

ADVICE = "log in with docker login, podman login or skopeo login"

_PARAMETER = re.compile(r'([a-zA-Z_]{1,32})="([^"]{0,2000})"')
_REPOSITORY = re.compile(r"/v2/(.+)/(?:manifests|blobs|tags)/")
_MOST_TOKENS = 256  # kept; a repository that is asked for again gets a new one


class _Token(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""


class Login:
    """The credentials for one registry. `password` is `user:password`, should there be a login. See `Credentials`."""

    def __init__(self, web: Web, server: str, password: str | None) -> None:
        self._web = web
        self._server = server
        self._password = password
        self._basic = False
        self._tokens: dict[str, str] = {}  # by what they are for
        self._asking = anyio.Lock()

    async def headers(self, url: str) -> Mapping[str, str]:
        """What gives access, as far as the registry has said what it wants."""
        token = self._tokens.get(_subject(url))
        if token is not None:
            return {"Authorization": f"Bearer {token}"}
        return self._by_password() if self._basic else {}

    async def challenged(self, url: str, headers: Headers) -> bool:
        """Get a token, or use the password from now on. Raises `AttemptError` when no token is given."""
        said = headers.get("www-authenticate", "")
        kind = said.partition(" ")[0].lower()
        if kind == "basic":
            is_new = not self._basic and self._password is not None
            self._basic = self._basic or is_new
            return is_new
        if kind != "bearer":
            return False
        wanted = {name.lower(): value for name, value in _PARAMETER.findall(said)}
        async with self._asking:
            token = await self._new_token(url, wanted)
        if len(self._tokens) >= _MOST_TOKENS:
            self._tokens.clear()
        self._tokens[_subject(url)] = token
        return True

    async def _new_token(self, url: str, wanted: Mapping[str, str]) -> str:
        try:
            realm = urljoin(self._server, wanted.get("realm", ""))
        except ValueError:
            raise bad_answer(f"{self._server}", "it sends to what is no address for a token") from None
        if self._server.startswith("https:") and not realm.startswith("https:"):
            raise AttemptError("refused", f"{self._server}: its tokens are to be asked for where nothing is encrypted")
        scope = wanted.get("scope") or f"repository:{_subject(url)}:pull"
        asked = urlencode({"service": wanted.get("service", ""), "scope": scope})
        what = f"the token for {self._server}"
        page: Page = await send_whole(
            self._web, f"{realm}{'&' if '?' in realm else '?'}{asked}", what, self._by_password(), ADVICE
        )
        answer = page.decoded(_Token, what)
        token = answer.token or answer.access_token
        if not token or not token.isascii() or not token.isprintable():
            raise bad_answer(what, "there is none in it")
        return token

    def _by_password(self) -> dict[str, str]:
        if self._password is None:
            return {}
        return {"Authorization": "Basic " + base64.b64encode(self._password.encode()).decode()}


def _subject(url: str) -> str:
    """The repository that `url` belongs to; empty for the registry itself."""
    found = _REPOSITORY.search(url)
    return found[1] if found else ""
