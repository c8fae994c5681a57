"""How the servers of a run are reached, as the user and the environment say it. Read once, in `settings`."""

from collections.abc import Mapping

import msgspec


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Never shown: it holds tokens and passwords.

    `variables` are the environment's (names as they are there); empty ones are left out. `proxies` maps `http`, `https`
    and `no` to what the proxy variables say. `ca_bundle` is a file of certificates to trust instead of the system's.
    `registry_uri` is the MLflow server, `registry_logins` maps OCI registries to
    `user:password` in base64; `jfrog_api_token` and `jfrog_access_token` go to Artifactory.
    `hub_token` is the one that `hf auth login` has stored.
    """

    variables: Mapping[str, str] = {}
    proxies: Mapping[str, str] = {}
    ca_bundle: str | None = None
    registry_uri: str | None = None
    registry_logins: Mapping[str, str] = {}
    jfrog_api_token: str | None = None
    jfrog_access_token: str | None = None
    hub_token: str | None = None

    def __repr__(self) -> str:
        return "Access(…)"

    def variable(self, *names: str) -> str | None:
        """The first of these environment variables that says something."""
        return next((value for name in names if (value := self.variables.get(name))), None)


NOTHING_SAID = Access()
