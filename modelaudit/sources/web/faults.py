"""What went wrong between us and an HTTP server, as one reason and one sentence.

Nothing that a server said gets into the sentence: it may hold tokens and signed URLs.
"""

import aiohttp

from modelaudit.sources.ranges import Headers, bad_answer
from modelaudit.sources.retry import AttemptError, retry_after_seconds

# All that the library may raise for a request or its body.
ERRORS = (aiohttp.ClientError, OSError, ValueError, LookupError)  # TimeoutError is an OSError


def bad_url(what: str) -> AttemptError:
    """The URL cannot be asked: another scheme, no host, or a password in it."""
    return AttemptError("bad_address", f"{what} is not an address that can be asked")


def fault(error: BaseException, what: str) -> AttemptError:
    """What `error` means for the request about `what` (as people see it)."""
    if isinstance(error, aiohttp.ClientSSLError):
        message = f"{what}: no trusted TLS connection; for a private authority give --ca-bundle FILE"
        return AttemptError("unreachable", message, again=True, silent=True)
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        return AttemptError("unreachable", f"{what}: the HTTP proxy cannot be used", again=True, silent=True)
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return AttemptError("unreachable", f"{what}: the server cannot be reached", again=True, silent=True)
    if isinstance(error, TimeoutError):
        return AttemptError("stalled", f"{what}: the server stopped sending", again=True)
    if isinstance(error, aiohttp.InvalidURL):
        return bad_url(what)
    if isinstance(error, aiohttp.ClientError | OSError) and not isinstance(error, aiohttp.ClientResponseError):
        return AttemptError("unreachable", f"{what}: the connection broke", again=True)
    return bad_answer(what, "it does not follow the protocol")


def refusal(what: str, status: int, headers: Headers, advice: str) -> AttemptError:
    """What an answer with an error's `status` means; `advice` says how to give credentials."""
    if status in (429, 503):
        pause = retry_after_seconds(headers.get("retry-after", ""))
        return AttemptError(
            "throttled", f"{what}: the server is asked too much ({status})", again=True, busy=True, pause_seconds=pause
        )
    if status in (408, 500, 502, 504):
        return AttemptError("server_error", f"{what}: the server has an error of its own ({status})", again=True)
    if status == 401:
        return AttemptError("credentials", f"{what}: the server wants credentials, or others than these; {advice}")
    if status == 403:
        return AttemptError("access_denied", f"{what}: access denied; {advice}")
    if status in (404, 410):
        return AttemptError("not_found", f"{what}: there is no such object")
    if status == 412:
        return AttemptError("changed", f"{what} was changed while it was read")
    if status == 416:
        return AttemptError("range", f"{what} has no such byte")
    return AttemptError("refused", f"{what}: the server refused the request (HTTP {status})")
