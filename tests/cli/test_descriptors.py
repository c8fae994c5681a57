"""A run fits into the descriptors that it may have."""

import resource
import subprocess
from pathlib import Path

import msgspec

from tests.cli.program import ENVIRONMENT, PROGRAM, models


def run(folder: Path, soft: int, hard: int, concurrency: int) -> subprocess.CompletedProcess[str]:
    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    command = [*PROGRAM, "scan", "models", "--concurrency", str(concurrency), "--format", "ndjson"]
    return subprocess.run(
        command,
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=bound,
    )


def statuses(done: subprocess.CompletedProcess[str]) -> list[str]:
    """How the objects ended."""
    records = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    return [record["status"] for record in records if record["type"] == "file"]


def test_the_soft_limit_is_raised(tmp_path: Path) -> None:
    """What the system allows is taken without a word."""
    models(tmp_path, 400)
    done = run(tmp_path, 64, 4096, 300)
    assert "file descriptors" not in done.stderr
    assert statuses(done) == ["scanned"] * 400


def test_few_descriptors_mean_fewer_objects_at_once(tmp_path: Path) -> None:
    """No object fails for want of descriptors, and the run says that it goes slower."""
    models(tmp_path, 400)
    done = run(tmp_path, 96, 96, 300)
    assert "96 file descriptors allow 8 objects at once, not 300" in done.stderr
    assert statuses(done) == ["scanned"] * 400


def test_too_few_descriptors_are_told(tmp_path: Path) -> None:
    """Where not even the event loop can be opened, it says what to do, and the summary is written."""
    models(tmp_path)
    done = run(tmp_path, 9, 9, 1)
    assert "raise the limit (ulimit -n)" in done.stderr
    assert "unexpected" not in done.stderr
    assert (done.returncode, msgspec.json.decode(done.stdout.splitlines()[-1])["ended"]) == (2, "failed")
