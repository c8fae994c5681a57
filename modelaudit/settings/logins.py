"""Logins for OCI registries, where Docker, Podman and Skopeo keep them: base64 of `user:password`, by registry."""

import os
from collections.abc import Mapping

import msgspec

_FILE_BYTES = 1 << 20


class _Entry(msgspec.Struct, frozen=True):
    auth: str = ""


class _File(msgspec.Struct, frozen=True):
    auths: dict[str, _Entry] = {}


def registry_logins(variables: Mapping[str, str]) -> dict[str, str]:
    """All logins that there are; the first file that has one for a registry wins. Files that cannot be read have none.

    Logins that only a helper program of Docker's gives are not had: no program is started.
    """
    found: dict[str, str] = {}
    for path in _places(variables):
        try:
            with open(path, "rb") as file:
                logins = msgspec.json.decode(file.read(_FILE_BYTES), type=_File).auths
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            continue
        for server, entry in logins.items():
            if entry.auth:
                found.setdefault(_host(server), entry.auth)
    return found


def _places(variables: Mapping[str, str]) -> list[str]:
    """The order of containers-auth.json(5), and Docker's own file."""
    home = variables.get("HOME", "/")
    named = [variables[name] for name in ("REGISTRY_AUTH_FILE",) if name in variables]
    if "XDG_RUNTIME_DIR" in variables:
        named.append(os.path.join(variables["XDG_RUNTIME_DIR"], "containers", "auth.json"))
    named.append(os.path.join(variables.get("XDG_CONFIG_HOME", os.path.join(home, ".config")), "containers/auth.json"))
    return [*named, os.path.join(variables.get("DOCKER_CONFIG", os.path.join(home, ".docker")), "config.json")]


def _host(server: str) -> str:
    host = server.partition("://")[2] or server
    host = host.partition("/")[0]
    return "docker.io" if host == "index.docker.io" else host
