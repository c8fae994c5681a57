"""The other scanners, each in a virtual environment of its own. `python -m benchmarks.peers` installs them."""

import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Command, environment
from benchmarks.places import VENVS

_QUIET = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True, slots=True)
class Peer:
    """A scanner on PyPI. `scans` and `tells` are the words after its command."""

    name: str
    requirement: str
    script: str
    scans: Sequence[str]
    tells: Sequence[str]

    @property
    def folder(self) -> Path:
        return VENVS / self.requirement.partition("==")[0]

    def _command(self, *words: str) -> Command:
        return Command([str(self.folder / "bin" / self.script), *words], environment(**_QUIET))

    def scan(self, path: Path) -> Command:
        """Scan one file or folder."""
        return self._command(*self.scans, str(path))

    def version(self) -> Command:
        """The least that it can be asked to do."""
        return self._command(*self.tells)

    def install(self) -> None:
        """Make the environment if it is not there."""
        if (self.folder / "bin" / self.script).exists():
            return
        venv.create(self.folder, with_pip=True, clear=True)
        pip = [str(self.folder / "bin" / "pip"), "install", "--quiet", self.requirement]
        subprocess.run(pip, check=True)


PICKLESCAN = Peer("picklescan 1.0.5", "picklescan==1.0.5", "picklescan", ("-p",), ("--help",))
MODELSCAN = Peer("modelscan 0.8.8", "modelscan==0.8.8", "modelscan", ("-p",), ("--help",))
PROMPTFOO = Peer(
    "promptfoo's modelaudit 0.2.54",
    "modelaudit==0.2.54",
    "modelaudit",
    ("scan", "--no-cache", "--format", "json"),
    ("--version",),
)
ALL = (PICKLESCAN, MODELSCAN, PROMPTFOO)


def main() -> int:
    """Install all of them."""
    for peer in ALL:
        print(f"{peer.requirement} in {peer.folder}", flush=True)
        peer.install()
    return 0


if __name__ == "__main__":
    sys.exit(main())
