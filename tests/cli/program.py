"""Running the program as its users do: as a process, in a folder of its own, with an environment of its own."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

PROGRAM = [sys.executable, "-W", "error", "-m", "modelaudit"]
ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "TERM": "xterm"}


def run(*arguments: str, cwd: Path, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env={**ENVIRONMENT, **environ},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def start(*arguments: str, cwd: Path, **environ: str) -> subprocess.Popen[bytes]:
    """The same, to be ended by the caller; standard output and error are pipes."""
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=cwd,
        env={**ENVIRONMENT, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def models(folder: Path, count: int = 1) -> Path:
    """A folder `models` with harmless pickles `0.pkl`, `1.pkl` … in it."""
    where = folder / "models"
    where.mkdir()
    for number in range(count):
        (where / f"{number}.pkl").write_bytes(pickle.dumps(list(range(number % 50))))
    return where
