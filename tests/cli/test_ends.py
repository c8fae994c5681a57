"""However a run ends: whole lines, a summary where one can still be written, an honest exit code, no traceback."""

import json
import os
import pty
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import anyio
import pytest

from modelaudit.cli import audit, trouble
from modelaudit.errors import SinkClosed, UsageError
from modelaudit.model import Ended, FileReport
from modelaudit.settings import Settings
from tests.cli.program import ENVIRONMENT, PROGRAM, models, run, start
from tests.sinks.records import EVIL, report

MANY = 3000  # some seconds of work, and far more output than a pipe holds


def until(true: Callable[[], bool]) -> None:
    """Wait, at most a minute."""
    for _ in range(1200):
        if true():
            return
        time.sleep(0.05)
    pytest.fail("it did not happen")


def lines_of(data: bytes) -> list[dict[str, object]]:
    """All of `data` as whole lines of JSON."""
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """The processes that `process` has started, whichever of its threads did."""
    return [
        int(pid) for task in Path(f"/proc/{process.pid}/task").glob("*/children") for pid in task.read_text().split()
    ]


def begun(process: subprocess.Popen[bytes]) -> IO[bytes]:
    """The standard output of a run that has written its first records and is held up by nobody reading more."""
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), True)
    return process.stdout


@pytest.mark.parametrize(
    ("number", "ended"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGHUP, "terminated")]
)
def test_a_signal_ends_the_run_with_a_summary(tmp_path: Path, number: int, ended: str) -> None:
    """What was listed has its record, the summary says how it ended, and the exit code is 2 without findings."""
    models(tmp_path, MANY)
    process = start("scan", "models", cwd=tmp_path)
    out = begun(process)
    first = out.readline() + out.readline()
    process.send_signal(number)
    records = lines_of(first + out.read())
    assert process.wait(60) == 2
    assert [record["type"] for record in records] == ["run", *["file"] * (len(records) - 2), "summary"]
    uris = [record["uri"] for record in records[1:-1]]
    assert len(set(uris)) == len(uris) < MANY
    assert (records[-1]["ended"], records[-1]["exit_code"], records[-1]["objects"]) == (ended, 2, len(uris))
    reasons = [record["reason"] for record in records[1:-1] if record["status"] != "scanned"]
    assert set(reasons) == {"interrupted"}
    assert b"Traceback" not in process.communicate()[1]


def test_a_signal_after_a_finding(tmp_path: Path) -> None:
    """Interrupted or not, findings make the exit code 1."""
    models(tmp_path, MANY)
    process = start("scan", "models", "--blacklist", "0.pkl", cwd=tmp_path)
    out = begun(process)
    first = b""
    while b"shared-blacklisted" not in first:
        first += out.readline()
    process.send_signal(signal.SIGINT)
    records = lines_of(first + out.read())
    assert process.wait(60) == 1
    assert (records[-1]["ended"], records[-1]["exit_code"]) == ("interrupted", 1)
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_at_the_very_beginning(tmp_path: Path, number: int) -> None:
    """Before there is an output: a word, exit code 2, and no half a module. Later: a summary."""
    models(tmp_path, 500)
    for delay in (0.06, 0.1, 0.14, 0.18):
        process = start("scan", "models", "--output", "out", cwd=tmp_path)
        until(lambda pid=process.pid: caught(pid, number))  # type: ignore[misc]  the interpreter is up
        time.sleep(delay)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode in (0, 2)  # 0: it was over
        assert b"unexpected" not in errors
        assert b"Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_after_the_last_record(tmp_path: Path, number: int) -> None:
    """While the run is closed down: the summary is written all the same."""
    models(tmp_path, 5)
    for milliseconds in range(8):
        process = start("scan", "models", cwd=tmp_path)
        out = begun(process)
        first = b"".join(out.readline() for _ in range(6))
        time.sleep(milliseconds / 1000)
        process.send_signal(number)
        records = lines_of(first + out.read())
        assert process.wait(60) in (0, 2)  # 0: it was over
        assert records[-1]["type"] == "summary"
        errors = process.communicate()[1]
        assert b"unexpected" not in errors
        assert b"Traceback" not in errors


def caught(pid: int, number: int) -> bool:
    """Whether the process `pid` has a handler for the signal."""
    mask = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt"))
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)


def test_a_hangup_that_is_to_be_ignored(tmp_path: Path) -> None:
    """`nohup modelaudit scan …` goes on when the terminal goes away."""
    models(tmp_path, MANY)
    done = subprocess.run(
        ["/bin/sh", "-c", 'trap "" HUP; "$@" & sleep 1; kill -HUP $!; wait $!', "sh", *PROGRAM, "scan", "models"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert lines_of(done.stdout)[-1]["ended"] == "complete"


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """Also when the output is stuck because nobody reads it."""
    models(tmp_path, MANY)
    process = start("scan", "models", cwd=tmp_path)
    out = begun(process)
    out.readline()
    out.readline()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    process.communicate()


@pytest.mark.parametrize("form", ["text", "json"])
def test_other_formats_end_as_well(tmp_path: Path, form: str) -> None:
    """After Ctrl-C the text and the document are written with what is known."""
    models(tmp_path, MANY)
    process = start("scan", "models", "--format", form, "--workers", "1", cwd=tmp_path)
    assert process.stdout is not None
    until(lambda: bool(children(process)))  # the workers are starting, so the run has begun
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert b"Traceback" not in errors
    if form == "json":
        assert json.loads(out)["ended"] == "interrupted"
    else:
        assert out.decode().splitlines()[-1].startswith("✗ Scan interrupted")


def test_a_killed_run_leaves_whole_lines(tmp_path: Path) -> None:
    """After kill -9 everything that was reported can be read; the workers are gone too."""
    models(tmp_path, MANY)
    process = start("scan", "models", "--output", "out", cwd=tmp_path)
    path = tmp_path / "out"
    until(lambda: path.exists() and path.read_bytes().count(b"\n") > 20)
    workers = children(process)
    process.kill()
    process.communicate(timeout=60)
    assert {record["type"] for record in lines_of(path.read_bytes())} == {"run", "file"}
    assert workers
    until(lambda: not any(Path(f"/proc/{pid}/cwd").exists() for pid in workers))


@pytest.mark.parametrize("form", ["ndjson", "text"])
def test_a_reader_that_goes_away(tmp_path: Path, form: str) -> None:
    """`modelaudit scan … | head -1`: the run ends early, quietly, and not as a success."""
    models(tmp_path, MANY)
    process = start("scan", "models", "--format", form, "--verbose", cwd=tmp_path)
    out = begun(process)
    out.readline()
    out.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == 2


def test_a_full_disk(tmp_path: Path) -> None:
    """The run ends with a sentence that says what to do; the file ends with a whole line."""
    models(tmp_path, MANY)

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    done = subprocess.run(
        [*PROGRAM, "scan", "models", "--output", "out", "--blacklist", "/1.pkl"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        preexec_fn=small,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stderr == (
        "modelaudit: cannot write to out: File too large; raise the limit on file sizes (ulimit -f), "
        "or write elsewhere with --output\n"
    )
    data = (tmp_path / "out").read_bytes()
    found = any(record.get("severity") == "critical" for record in lines_of(data))
    assert 45_000 < len(data) <= 50_000
    assert done.returncode == (1 if found else 2)


def test_a_device_that_is_full(tmp_path: Path) -> None:
    """Nothing could be written at all."""
    models(tmp_path)
    for form in ("ndjson", "text", "json"):
        process = start("scan", "models", "--output", "/dev/full", "--format", form, cwd=tmp_path)
        out, errors = process.communicate(timeout=60)
        assert (process.returncode, out) == (2, b"")
        assert errors.decode() == (
            "modelaudit: cannot write to /dev/full: No space left on device; "
            "free some room there, or write elsewhere with --output\n"
        )


def test_closed_streams(tmp_path: Path) -> None:
    """Without standard output there is a sentence; without standard error there is still an exit code."""
    models(tmp_path)
    for close, errors in ((">&-", "modelaudit: standard output is closed; name a file with --output\n"), ("2>&-", "")):
        command = f'exec "$@" {close}'
        done = subprocess.run(
            ["/bin/sh", "-c", command, "sh", *PROGRAM, "scan", "models", "gone"],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (2, errors)


def test_a_working_directory_that_was_deleted(tmp_path: Path) -> None:
    """Absolute paths are scanned all the same; a relative one, of an input or an output, is refused in a sentence."""
    models(tmp_path)
    there = str(tmp_path / "models")
    for number, (arguments, named) in enumerate([(["."], "."), ([there, "-o", "x"], "x"), ([there], "")]):
        gone = tmp_path / f"gone-{number}"
        gone.mkdir()
        done = subprocess.run(
            ["/bin/sh", "-c", 'rmdir "$0" && exec "$@"', str(gone), *PROGRAM, "scan", *arguments],
            cwd=gone,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if named:
            said = f"modelaudit: {named}: the working directory was deleted; change to another one\n"
            assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
        else:
            assert (done.returncode, done.stdout.count('"type":"file"')) == (0, 1)


@pytest.mark.parametrize("arguments", [["scan", "gone"], ["scan", "--bogus"], ["scan", "--timeout", "x", "models"]])
def test_standard_error_that_is_full(tmp_path: Path, arguments: list[str]) -> None:
    """What cannot be said is not said; the exit code never becomes that of a finding."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=full,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["scan", "--help"], ["rules"], ["schema"]])
def test_a_listing_that_nobody_reads(tmp_path: Path, arguments: list[str]) -> None:
    """`modelaudit --help | head -1` is no finding and no fault."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*PROGRAM, *arguments],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("output", ["0.pkl", "../models/0.pkl", "link", "settings.toml"])
def test_what_is_to_be_read_is_never_written_over(tmp_path: Path, output: str) -> None:
    """`modelaudit scan model.pkl --output model.pkl` leaves the model as it is."""
    folder = models(tmp_path)
    (folder / "link").symlink_to("0.pkl")
    (folder / "settings.toml").write_text("workers = 1\n")
    before = (folder / output).read_bytes()
    done = run("scan", "0.pkl", "--config", "settings.toml", "--output", output, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"modelaudit: --output {output}: that is a file to be read; name another one\n"
    assert (folder / output).read_bytes() == before


@pytest.mark.parametrize("format", ["ndjson", "json", "text"])
def test_a_model_in_a_scanned_folder_is_never_written_over(tmp_path: Path, format: str) -> None:
    """Last night's own output is: it may lie there."""
    folder = models(tmp_path)
    before = (folder / "0.pkl").read_bytes()
    done = run("scan", ".", "--format", format, "--output", "0.pkl", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "modelaudit: --output 0.pkl: that is a file to be read; name another one\n"
    assert (folder / "0.pkl").read_bytes() == before
    for _ in range(2):
        done = run("scan", ".", "--format", format, "--output", "audit", cwd=folder)
        assert (done.returncode, done.stderr) == (0, "")


# --- faults of our own ------------------------------------------------------------------------------------------


def faulty(ended: Ended | BaseException) -> Callable[..., object]:
    """A pipeline that delivers two records, one with a finding, and then ends in its own way."""

    async def run(
        settings: Settings, deliver: Callable[[Sequence[FileReport]], object], *_: object, **__: object
    ) -> Ended:
        await deliver([report(), EVIL])  # type: ignore[misc]  it is a coroutine
        if isinstance(ended, BaseException):
            raise ended
        return ended

    return run


@pytest.mark.parametrize("verbose", [False, True])
def test_a_fault_of_ours_keeps_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verbose: bool
) -> None:
    """The summary is written, the exit code tells of the finding, and a traceback is there for who asks."""
    monkeypatch.setattr(audit, "run_pipeline", faulty(RuntimeError("boom https://u:pw@host/?token=abc")))
    path = tmp_path / "out"
    assert audit.execute(Settings(paths=("x",), output=str(path), verbose=verbose)) == 1
    records = lines_of(path.read_bytes())
    assert (records[-1]["ended"], records[-1]["objects"], records[-1]["findings_total"]) == ("failed", 2, 2)
    errors = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("{")]
    assert "pw@" not in "".join(errors)
    assert "abc" not in "".join(errors)
    told = "modelaudit: unexpected RuntimeError: boom https://…@host/?…"
    if verbose:
        assert errors[0] == "Traceback (most recent call last):"
        assert errors[-1] == told
    else:
        assert errors == [f"{told}; run with --verbose for the traceback, and please report it"]


@pytest.mark.parametrize(
    ("ending", "ended"),
    [(KeyboardInterrupt(), "interrupted"), (UsageError("it is wrong"), "failed"), ("budget", "budget")],
)
def test_other_endings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: Ended | BaseException, ended: str
) -> None:
    """Ctrl-C before the signals are heeded, a mistake that is found late, a budget."""
    monkeypatch.setattr(audit, "run_pipeline", faulty(ending))
    path = tmp_path / "out"
    assert audit.execute(Settings(paths=("x",), output=str(path))) == 1
    assert lines_of(path.read_bytes())[-1]["ended"] == ended


def test_a_slow_reader_does_not_stop_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a record waits for its reader, the event loop that watches the workers goes on."""
    reading, writing = os.pipe()
    ticks = 0

    async def run(settings: Settings, deliver: Callable[..., object], *_: object, **__: object) -> Ended:
        nonlocal ticks
        async with anyio.create_task_group() as group:
            group.start_soon(deliver, [report("u" * 300_000)])  # type: ignore[arg-type]  it is a coroutine function
            while ticks < 10:
                await anyio.sleep(0.01)
                ticks += 1
            await anyio.to_thread.run_sync(os.read, reading, 1 << 20)
            while len(await anyio.to_thread.run_sync(os.read, reading, 1 << 20)) == 1 << 16:
                pass
        return "complete"

    monkeypatch.setattr(audit, "run_pipeline", run)
    assert audit.execute(Settings(paths=("x",), output=f"/proc/self/fd/{writing}")) == 0
    os.close(reading)
    os.close(writing)
    assert ticks == 10


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("--x: y is not z"), 2, "modelaudit: --x: y is not z\n"),
        (
            RuntimeError("boom\n  \x1b[2J more"),
            2,
            "modelaudit: unexpected RuntimeError: boom \\x1b[2J more; run with --verbose for the traceback, "
            "and please report it\n",
        ),
        (KeyboardInterrupt(), 2, "modelaudit: interrupted\n"),
        (SinkClosed("gone"), 0, ""),
        (SystemExit(1), 1, ""),
    ],
)
def test_the_top(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
) -> None:
    """Nothing leaves the command line but an exit code and one line."""

    def app(**_: object) -> None:
        raise error

    monkeypatch.setattr("modelaudit.cli.app.app", app)
    assert trouble.guarded(["rules"]) == code
    assert capsys.readouterr().err == said


def test_the_top_with_verbose(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Who asks for more gets the traceback, before the line that sums it up."""

    def app(**_: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("modelaudit.cli.app.app", app)
    assert trouble.guarded(["rules", "-v"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[0] == "Traceback (most recent call last):"
    assert errors[-1] == "modelaudit: unexpected RuntimeError: boom"


# --- at a terminal ----------------------------------------------------------------------------------------------


def at_a_terminal(*arguments: str, cwd: Path, **environ: str) -> tuple[int, str]:
    """Exit code and everything that a terminal of 200 columns showed."""
    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "COLUMNS": "200", **environ}
    with subprocess.Popen(
        [*PROGRAM, *arguments], cwd=cwd, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(ours, 1 << 16)
            except OSError:  # the other side is closed
                break
            shown += piece
        os.close(ours)
        return process.wait(60), shown.decode()


def test_text_in_colour_at_a_terminal(tmp_path: Path) -> None:
    """Text is the default there, with colours unless NO_COLOR is set."""
    models(tmp_path)
    code, shown = at_a_terminal("scan", "models", "--blacklist", "0.pk", cwd=tmp_path)
    assert code == 1
    assert "\x1b[1;31m[CRITICAL]\x1b[0m" in shown
    code, shown = at_a_terminal("scan", "models", "--blacklist", "0.pk", cwd=tmp_path, NO_COLOR="1")
    assert code == 1
    assert "[CRITICAL]" in shown
    assert "\x1b[" not in shown.replace("\x1b[?25h", "").replace("\x1b[?25l", "").replace("\x1b[2K", "").replace(
        "\x1b[1A", ""
    )


def test_the_bar_is_for_terminals_only(tmp_path: Path) -> None:
    """It is drawn on standard error when that is a terminal; the records on standard output stay clean."""
    models(tmp_path, MANY)
    ours, theirs = pty.openpty()
    environment = {**ENVIRONMENT, "COLUMNS": "200"}
    with subprocess.Popen(
        [*PROGRAM, "scan", "models"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while b"objects" not in shown:  # nobody reads the records yet: the run waits, the bar does not
            shown += os.read(ours, 1 << 16)
        assert process.stdout is not None
        records = lines_of(process.stdout.read())
        os.close(ours)
        assert process.wait(60) == 0
    assert len(records) == MANY + 2
    assert b" of " in shown
    assert b" read, " in shown


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_while_nobody_reads_the_last_of_the_output(tmp_path: Path, number: int, signals: int) -> None:
    """A report that is written at the end fills the pipe: one signal ends the run after a second, two at once."""
    models(tmp_path, 2000)
    process = start("scan", "models", "--format", "json", cwd=tmp_path)
    assert process.stdout is not None
    assert process.stdout.read(1) == b"{"  # the report has begun
    time.sleep(0.3)  # and the pipe is full
    for _ in range(signals):
        process.send_signal(number)
        time.sleep(0.1)
    assert process.wait(30) == 2
    assert b"Traceback" not in process.communicate()[1]
