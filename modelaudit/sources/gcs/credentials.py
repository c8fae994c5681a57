"""Google's credentials: found as Google's libraries find them, renewed in a thread, anonymous where there are none."""

import warnings
from typing import Any

import anyio.to_thread
import google.auth
import requests
from google.auth import exceptions
from google.auth.transport.requests import Request

from modelaudit.sources.retry import AttemptError

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
HOW_TO_GIVE = (
    "set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, run "
    "`gcloud auth application-default login`, or run where a service account is attached"
)


async def found(what: str, ca_bundle: str | None) -> Any:
    """The application default credentials; None where there are none at all.

    Raises `AttemptError` where there are some that cannot be used.
    """
    try:
        return await anyio.to_thread.run_sync(_default, ca_bundle, abandon_on_cancel=True)
    except exceptions.DefaultCredentialsError as error:
        if str(error).startswith("Your default credentials were not found"):
            return None
        raise _unusable(what) from None
    except (exceptions.GoogleAuthError, OSError, ValueError, LookupError):
        raise _unusable(what) from None


def _default(ca_bundle: str | None) -> Any:
    with requests.Session() as session, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about quotas of a developer's own account
        session.verify = ca_bundle or True
        credentials, _ = google.auth.default(scopes=[_SCOPE], request=Request(session))
        return credentials


async def renew(credentials: Any, what: str, ca_bundle: str | None) -> None:
    """Get a new token. Raises `AttemptError`."""
    try:
        await anyio.to_thread.run_sync(_refresh, credentials, ca_bundle, abandon_on_cancel=True)
    except exceptions.TransportError:
        message = f"{what}: the server that gives Google's tokens cannot be reached"
        raise AttemptError("unreachable", message, again=True) from None
    except (exceptions.GoogleAuthError, OSError, ValueError, LookupError):
        raise _unusable(what) from None


def _refresh(credentials: Any, ca_bundle: str | None) -> None:
    with requests.Session() as session:
        session.verify = ca_bundle or True
        credentials.refresh(Request(session))


def _unusable(what: str) -> AttemptError:
    return AttemptError("credentials", f"{what}: the Google credentials cannot be used; {HOW_TO_GIVE}")
