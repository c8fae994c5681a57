"""How servers are reached: options, the environment's variables, and keys that other tools keep in files."""

import os
import re
from collections.abc import Mapping, Sequence

import msgspec

from modelaudit.access import Access
from modelaudit.settings.logins import registry_logins
from modelaudit.settings.values import ACCESS, Said, text

_DOTENV_BYTES = 1 << 20
_TOKEN_CHARS = 4096
_KEY = re.compile(r"""\s*(?:export\s+)?(JFROG_[A-Z_]{1,64})\s*=\s*(?:"([^"]*)"|'([^']*)'|([^#\s]*))""")


def access_of(said: Mapping[str, Said], variables: Mapping[str, str], paths: Sequence[str]) -> Access:
    """What the sources of `paths` get to know. Raises `UsageError` for an option that is no text."""
    access = msgspec.convert({name: text(said[name]) for name in ACCESS if name in said}, Access)
    if not any(":/" in path or path.endswith((".dvc", "dvc.lock")) for path in paths):
        return access
    from urllib.request import getproxies_environment  # takes longer to load than a small scan of files

    known = {**_from_dotenv(), **{name: value for name, value in variables.items() if value}}
    logins = registry_logins(known) if any(path.lower().startswith("oci:") for path in paths) else {}
    asks_hub = any(path.lower().startswith(("hf:", "http:", "https:")) for path in paths)
    return msgspec.structs.replace(
        access,
        variables=known,
        proxies=getproxies_environment(),
        registry_logins=logins,
        hub_token=_hub_token(known) if asks_hub else None,
    )


def access_by_environment(paths: Sequence[str]) -> Access:
    """What the environment alone says, for runs that have no options."""
    return access_of({}, os.environ, paths)


def _hub_token(variables: Mapping[str, str]) -> str | None:
    """The token that `hf auth login` has stored, where huggingface_hub looks for it."""
    home = variables.get("HOME", "/")
    cache = variables.get("XDG_CACHE_HOME", os.path.join(home, ".cache"))
    folder = os.path.expanduser(variables.get("HF_HOME", os.path.join(cache, "huggingface")))
    try:
        with open(variables.get("HF_TOKEN_PATH", os.path.join(folder, "token")), encoding="utf-8") as file:
            return file.read(_TOKEN_CHARS).strip() or None
    except (OSError, ValueError):
        return None


def _from_dotenv() -> dict[str, str]:
    """The `JFROG_` keys of `.env` in the working directory, and nothing else of it."""
    try:
        with open(".env", encoding="utf-8", errors="replace") as file:
            lines = file.read(_DOTENV_BYTES).splitlines()
    except OSError:
        return {}
    matches = [match for line in lines if (match := _KEY.match(line))]
    return {match[1]: match[2] or match[3] or match[4] or "" for match in matches}
