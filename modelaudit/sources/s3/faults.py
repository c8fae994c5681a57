"""What went wrong, from the words of S3 and of the AWS library to one reason and one sentence of ours.

Nothing that a server or the library said gets into the sentence but an error's code: their messages can hold
keys, tokens and signed URLs.
"""

import re

import aiohttp
from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

from modelaudit.sources.ranges import bad_answer
from modelaudit.sources.retry import AttemptError, retry_after_seconds
from modelaudit.sources.s3.session import Elsewhere

# All that a call of the library may raise. What it makes of a nonsensical answer is a ValueError or the like.
ERRORS = (
    aws.BotoCoreError,
    aws.ClientError,
    ResponseParserError,
    aiohttp.ClientError,
    OSError,  # TimeoutError among them
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)

HOW_TO_GIVE = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary ones), or AWS_PROFILE "
    "with ~/.aws/credentials, or run under an instance, container or web identity role"
)
_CREDENTIALS = {
    "InvalidAccessKeyId": "it does not know the access key",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key",
    "ExpiredToken": "the session token has expired",
    "ExpiredTokenException": "the session token has expired",
    "TokenRefreshRequired": "the session token has expired",
    "InvalidToken": "the session token is not valid",
    "InvalidClientTokenId": "the session token is not valid",
    "UnrecognizedClientException": "the session token is not valid",
    "RequestTimeTooSkewed": "the clock of this machine is wrong",
    "RequestExpired": "the clock of this machine is wrong",
    "AuthorizationHeaderMalformed": "the region is wrong; set AWS_DEFAULT_REGION to that of the bucket",
    "InvalidSecurity": "they are not valid",
    "MissingAuthenticationToken": "there are none in the request",
    "MissingSecurityHeader": "there are none in the request",
    "Unauthorized": "they are not valid",
    "NotSignedUp": "the account may not use this service",
    "AccountProblem": "there is a problem with the account",
}
_BUSY = frozenset(
    (
        "SlowDown",
        "ErrTooManyRequest",
        "TooManyRequests",
        "TooManyRequestsException",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "ServiceUnavailable",
    )
)
_PASSING = frozenset(("InternalError", "InternalServerError", "RequestTimeout", "RequestTimeoutException"))
_NO_CREDENTIALS = (
    aws.NoCredentialsError,
    aws.PartialCredentialsError,
    aws.CredentialRetrievalError,
    aws.TokenRetrievalError,
    aws.SSOError,
    aws.ProfileNotFound,
    aws.ConfigNotFound,
    aws.ConfigParseError,
    aws.InvalidConfigError,
    aws.MetadataRetrievalError,
    aws.RefreshWithMFAUnsupportedError,
    aws.UnknownCredentialError,
    aws.InfiniteLoopConfigError,
)
_BAD_ADDRESS = (aws.ParamValidationError, aws.UnsupportedS3ArnError, aws.InvalidRegionError)
_ELSEWHERE = " sends elsewhere: is AWS_ENDPOINT_URL or the region right?"
_REDIRECTS = (301, 302, 303, 307, 308)  # none is followed
_CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")


def fault(error: BaseException, what: str) -> AttemptError:
    """What `error` means for the request about `what` (as people see it)."""
    if isinstance(error, aws.ClientError):
        return _refusal(error, what)
    if isinstance(error, _NO_CREDENTIALS):
        return AttemptError("credentials", f"{what}: {_no_credentials(error)}; {HOW_TO_GIVE}")
    if isinstance(error, Elsewhere):
        return AttemptError("refused", f"{what}: the server{_ELSEWHERE}")
    if isinstance(error, _BAD_ADDRESS):
        return AttemptError("bad_address", f"{what} is not the address of an S3 bucket or object")
    return _no_answer(error, what)


def _no_credentials(error: BaseException) -> str:
    if isinstance(error, aws.NoCredentialsError):
        return "no AWS credentials in the environment, the shared files or a role"
    if isinstance(error, aws.PartialCredentialsError):
        return "the AWS credentials are incomplete: one of the key and the secret is missing"
    if isinstance(error, aws.ProfileNotFound):
        return "the profile that AWS_PROFILE names is not in ~/.aws/config or ~/.aws/credentials"
    if isinstance(error, aws.ConfigNotFound | aws.ConfigParseError | aws.InvalidConfigError):
        return "~/.aws/config or ~/.aws/credentials cannot be read"
    return f"the AWS credentials could not be fetched or refreshed ({type(error).__name__})"


def _no_answer(error: BaseException, what: str) -> AttemptError:
    if isinstance(error, aws.ReadTimeoutError) or (
        isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientConnectorError)
    ):
        return AttemptError("stalled", f"{what}: the server stopped sending", again=True)
    if isinstance(error, aws.SSLError):
        message = f"{what}: no trusted TLS connection; for a private authority set AWS_CA_BUNDLE"
        return AttemptError("unreachable", message, again=True, silent=True)
    if isinstance(error, aws.ProxyConnectionError):
        return AttemptError("unreachable", f"{what}: the HTTP proxy cannot be reached", again=True, silent=True)
    if _unconnected(error):
        message = f"{what}: the server cannot be reached; is AWS_ENDPOINT_URL or the region right?"
        return AttemptError("unreachable", message, again=True, silent=True)
    if isinstance(error, aws.ConnectionError | aws.HTTPClientError | aiohttp.ClientError | OSError):
        return AttemptError("unreachable", f"{what}: the connection broke", again=True)
    if isinstance(error, aws.BotoCoreError):
        return AttemptError("refused", f"{what}: the request could not be made ({type(error).__name__})")
    return bad_answer(what, "it does not follow the protocol")


def _unconnected(error: BaseException) -> bool:
    """Whether there never was a connection. The library says the same of one that was reset."""
    if isinstance(error, aws.EndpointConnectionError):
        return isinstance(error.kwargs.get("error"), aiohttp.ClientConnectorError)
    return isinstance(error, aws.ConnectTimeoutError)


def _refusal(error: aws.ClientError, what: str) -> AttemptError:
    details = error.response.get("Error", {})
    meta = error.response.get("ResponseMetadata", {})
    return refusal(what, str(details.get("Code", "")), int(meta.get("HTTPStatusCode", 0)), meta.get("HTTPHeaders", {}))


def refusal(what: str, said: str, status: int, headers: dict[str, str]) -> AttemptError:
    """What an answer with an error's `status` and S3's code for it (may be empty) means."""
    code = said if _CODE.fullmatch(said) else str(status)
    if code in _BUSY or status in (429, 503):
        pause = retry_after_seconds(headers.get("retry-after", ""))
        return AttemptError(
            "throttled", f"{what}: the server is asked too much ({code})", again=True, busy=True, pause_seconds=pause
        )
    if code in _PASSING or status in (408, 500, 502, 504):
        return AttemptError("server_error", f"{what}: the server has an error of its own ({code})", again=True)
    if code in _CREDENTIALS or status == 401:
        why = _CREDENTIALS.get(code, "they are not valid")
        message = f"{what}: the server refuses the AWS credentials: {why} ({code}); {HOW_TO_GIVE}"
        return AttemptError("credentials", message)
    if code == "InvalidObjectState":
        return AttemptError("archived", f"{what} is archived; restore it first")
    if code == "NoSuchBucket":
        return AttemptError("not_found", f"{what}: there is no such bucket")
    if status == 404:
        return AttemptError("not_found", f"{what}: there is no such object")
    if status == 412 or code in ("PreconditionFailed", "ConditionalRequestConflict"):
        return AttemptError("changed", f"{what} was changed while it was read")
    if status == 416:
        return AttemptError("range", f"{what} has no such byte")
    if status == 403:
        return AttemptError("access_denied", f"{what}: access denied ({code})")
    elsewhere = f"; it{_ELSEWHERE}" if status in _REDIRECTS else ""
    return AttemptError("refused", f"{what}: the server refused the request ({code}, HTTP {status}){elsewhere}")
