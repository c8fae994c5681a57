"""modelaudit from Python."""

import pickle
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

import modelaudit
from modelaudit.errors import UsageError
from tests.scanners.streams import ATTACK, ORDINARY

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(20):
        (tmp_path / f"good{number}.pkl").write_bytes(ORDINARY)
    (tmp_path / "evil.bin").write_bytes(ATTACK)
    return tmp_path


async def test_scan_gives_a_report_for_each_file(folder: Path) -> None:
    """Reports come as values, one a file, the attack among them."""
    reports = [report async for report in modelaudit.scan(str(folder))]
    assert len(reports) == 21
    [evil] = [report for report in reports if report.severity]
    assert evil.uri.endswith("evil.bin")
    assert evil.severity == modelaudit.Severity.CRITICAL


async def test_leaving_early_ends_the_workers(folder: Path) -> None:
    """A loop that is left after the first report leaves nothing running."""
    async with aclosing(modelaudit.scan(str(folder))) as reports:
        async for _ in reports:
            break
    done = await anyio.to_thread.run_sync(
        lambda: subprocess.run(["pgrep", "-P", str(__import__("os").getpid()), "-f", "workers.child"], check=False)
    )
    assert done.returncode == 1


async def test_an_error_in_the_loop_comes_through(folder: Path) -> None:
    """What the caller raises is what the caller gets."""
    with pytest.raises(ZeroDivisionError):
        async with aclosing(modelaudit.scan(str(folder))) as reports:
            async for _ in reports:
                raise ZeroDivisionError


async def test_two_scans_side_by_side(folder: Path) -> None:
    """Scans share nothing."""
    counts = []

    async def count() -> None:
        counts.append(len([report async for report in modelaudit.scan(str(folder), workers=1)]))

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        group.start_soon(count)
    assert counts == [21, 21]


async def test_a_path_without_source_is_a_usage_error() -> None:
    """The error says what is supported."""
    with pytest.raises(UsageError, match="not supported"):
        _ = [report async for report in modelaudit.scan("gopher://somewhere/model")]


def test_inspect_scans_bytes() -> None:
    """Bytes in, findings out, in this process."""
    assert {finding.severity for finding in modelaudit.inspect(ATTACK, uri="x").findings} >= {"critical"}
    assert modelaudit.inspect(pickle.dumps([1, 2])).findings == ()


def test_importing_costs_nothing() -> None:
    """`import modelaudit` loads no library; scanning from Python loads no parser into the process."""
    program = (
        "import sys, modelaudit; before = set(sys.modules); assert 'msgspec' not in before, 'import is not free';"
        "modelaudit.scan; bad = [m for m in sys.modules if m.startswith(('modelaudit.parsers.', 'modelaudit.scanners.',"
        "'modelaudit.engine', 'botocore', 'aiobotocore', 'numpy'))]; assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_leaving_early_with_records_that_wait(tmp_path: Path) -> None:
    """Records full of findings that nobody takes any more hold nothing up."""
    for number in range(40):
        names = b"".join(b"cos\nf%d_%d\n0" % (number, n) for n in range(1000))
        (tmp_path / f"{number}.pkl").write_bytes(names + b"N.")
    with anyio.fail_after(60):
        async with aclosing(modelaudit.scan(str(tmp_path))) as reports:
            first = await anext(reports)
            await anyio.sleep(1.5)
    assert len(first.findings) == 1000
