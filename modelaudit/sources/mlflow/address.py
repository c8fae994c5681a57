"""What a `models:/` address names, and where the registry is."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from modelaudit.access import Access
from modelaudit.errors import SourceError
from modelaudit.sources.interface import shown

STAGES: Final = ("none", "staging", "production", "archived")  # MLflow knows no others
LATEST: Final = "latest"
_HOW: Final = "give --registry-uri or set MLFLOW_TRACKING_URI to the URL of an MLflow server"


class Wanted(msgspec.Struct, frozen=True):
    """`models:/name/version`; without a version all of them, without a name all models."""

    name: str = ""
    version: str = ""  # a number, a stage, or `latest`
    alias: str = ""
    path: str = ""  # of one artifact, or a folder of them

    @property
    def uri(self) -> str:
        """The address as people see it, without the path."""
        return shown(f"models:/{self.name}" + (f"@{self.alias}" if self.alias else f"/{self.version}".rstrip("/")))


def wanted(path: str) -> Wanted:
    """Take `path` apart (MLflow, "Referencing models"). Raises `SourceError` for what is no such address."""
    name, _, rest = path.partition(":/")[2].strip("/").partition("/")
    name, _, alias = name.partition("@")
    version, _, rest = ("", "", rest) if alias else rest.partition("/")
    is_version = version.isdecimal() or version.lower() in (*STAGES, LATEST, "")
    if (not name and (alias or version)) or not is_version or ":" in name or (path.endswith("@") and not alias):
        raise SourceError(
            "bad_address", "models:/…: write models:/name/version, models:/name/stage, models:/name@alias or models:/"
        )
    return Wanted(name, version, alias, rest)


class Server(msgspec.Struct, frozen=True):
    """An MLflow server: its URL, and the headers that give access to it. Never shown."""

    url: str
    headers: Mapping[str, str]

    def __repr__(self) -> str:
        return "Server(…)"


def server(access: Access) -> Server:
    """Where the registry is, as options and environment say it. Raises `SourceError` when they do not."""
    said = access.registry_uri or access.variable("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI")
    if said is None:
        raise SourceError("no_registry", f"models:/ needs to know the registry: {_HOW}")
    try:
        parts = urlsplit(said)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in ("http", "https"):
        raise SourceError("bad_address", f"the address of the MLflow registry is no http:// or https:// URL: {_HOW}")
    named = f"[{host}]" if ":" in host else host
    place = named if port is None else f"{named}:{port}"
    url = f"{parts.scheme}://{place}{parts.path.rstrip('/')}"
    user = unquote(parts.username or "") or access.variable("MLFLOW_TRACKING_USERNAME")
    password = unquote(parts.password or "") or access.variable("MLFLOW_TRACKING_PASSWORD")
    token = access.variable("MLFLOW_TRACKING_TOKEN")
    if user is not None:
        import base64

        login = base64.b64encode(f"{user}:{password or ''}".encode()).decode()
        return Server(url, {"Authorization": f"Basic {login}"})
    return Server(url, {"Authorization": f"Bearer {token}"} if token else {})
