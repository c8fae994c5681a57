"""Programs that only Debian packages: found, or installed where this process may."""

import os
import shutil
import subprocess
from pathlib import Path

_PLACES = ("/usr/local/bin", "/usr/bin", "/usr/sbin")


def program(name: str, package: str) -> str:
    """The path of the program `name`. Installs `package` when it is not there and this is root on Debian."""
    found = _find(name)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
            command = ["apt-get", "-qq", *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        found = _find(name)
    assert found is not None, f"{name} is needed for this test: install the Debian package {package}"
    return found


def _find(name: str) -> str | None:
    return shutil.which(name) or next((f"{place}/{name}" for place in _PLACES if Path(place, name).exists()), None)
