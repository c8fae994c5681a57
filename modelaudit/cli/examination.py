"""What works on this machine: versions, scanners, sources and the walls of the workers' cage."""

import importlib
import importlib.metadata
import platform
import sys
from collections.abc import Iterator

import msgspec

from modelaudit import __version__, catalogue
from modelaudit.settings import default_workers
from modelaudit.sources import MODULES
from modelaudit.workers import cage

_PACKAGES = ("anyio", "msgspec", "aiobotocore", "aiohttp", "lz4", "zstandard")


class Check(msgspec.Struct, frozen=True):
    """One thing that was tried. `mend` is a command that would make it ready, where there is one."""

    kind: str
    name: str
    ready: bool
    detail: str
    mend: str | None = None


class Health(msgspec.Struct, frozen=True):
    """Everything that the doctor knows."""

    versions: dict[str, str]
    checks: tuple[Check, ...]


def examine() -> Health:
    """Try everything. Loads every scanner and starts one process to try the cage in."""
    return Health(_versions(), (*_scanners(), *_sources(), *_cage()))


def _versions() -> dict[str, str]:
    found = {"modelaudit": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def _tried(kind: str, name: str, module: str, detail: str) -> Check:
    try:
        importlib.import_module(module)
        return Check(kind, name, True, detail)
    except Exception as error:  # noqa: BLE001  whatever keeps a part from being loaded is what the user asked for
        mend = f"{sys.executable} -m pip install --force-reinstall modelaudit"
        return Check(kind, name, False, f"{type(error).__name__}: {error}", mend)


def _scanners() -> Iterator[Check]:
    for entry in catalogue.load().formats.values():
        if entry.scanned:
            yield _tried("scanner", entry.id, f"modelaudit.scanners.{entry.id}", entry.title)


def _sources() -> Iterator[Check]:
    for name, module in MODULES.items():
        yield _tried("source", name, f"modelaudit.sources.{module}", "can be used")


def _cage() -> Iterator[Check]:
    yield Check("cage", "workers", True, f"{default_workers()} by default, one a core")
    for wall in cage.abilities():
        yield Check("cage", wall.name, wall.ready, wall.detail)
