"""Bytes arrive whole or not at all, and every way in which they cannot arrive has its own clear end."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modelaudit.errors import SinkClosed, SinkFailed, UsageError
from modelaudit.sinks.output import Output


def test_a_file_is_made_anew(tmp_path: Path) -> None:
    """What an earlier run left in the file is gone."""
    path = tmp_path / "out"
    path.write_bytes(b"x" * 1000)
    output = Output.file(str(path))
    output.write(b"one\n")
    output.close()
    output.close()
    assert path.read_bytes() == b"one\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no/such/folder", "No such file or directory"),
        ("", "No such file or directory"),
        (".", "Is a directory"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_a_file_that_cannot_be_made_is_refused(tmp_path: Path, name: str, said: str) -> None:
    """The message names the option, the file, the cause, and what to do."""
    path = os.path.join(tmp_path, name) if name else ""
    with pytest.raises(UsageError) as error:
        Output.file(path)
    assert str(error.value) == f"--output {path}: {said}; name a file in a folder that you may write to"


def test_a_reader_that_went_away() -> None:
    """A closed pipe is its own error: no fault, and no message."""
    reading, writing = os.pipe()
    os.close(reading)
    output = Output(writing, "standard output", owned=True)
    with pytest.raises(SinkClosed):
        output.write(b"line\n")
    output.close()


def test_a_slow_reader_gets_everything() -> None:
    """More than a pipe holds is written in several calls, also where the pipe does not block."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    output = Output(writing, "pipe", owned=True)
    sent = b"x" * 1_000_000 + b"\n"
    got = bytearray()

    def read() -> None:
        while piece := os.read(reading, 65536):
            got.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    output.write(sent)
    output.close()
    reader.join(10)
    os.close(reading)
    assert bytes(got) == sent


def test_a_full_disk_is_said() -> None:
    """What, where, and what to do."""
    output = Output.file("/dev/full")
    with pytest.raises(SinkFailed) as error:
        output.write(b"line\n")
    output.close()
    assert str(error.value) == (
        "cannot write to /dev/full: No space left on device; free some room there, or write elsewhere with --output"
    )


WRITER = """
import resource, sys
from modelaudit.errors import SinkFailed
from modelaudit.sinks.output import Output
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
output = Output.file(sys.argv[1])
try:
    if sys.argv[2] == "lines":
        for number in range(100):
            output.write(b"%030d\\n" % number)
    else:
        with output.whole():
            for number in range(100):
                output.write(b"%030d\\n" % number)
except SinkFailed as error:
    print(error)
"""


@pytest.mark.parametrize(("how", "lines"), [("lines", 1000 // 31), ("whole", 0)])
def test_no_piece_is_left_torn(tmp_path: Path, how: str, lines: int) -> None:
    """When there is no room for a piece, the part of it that was written is taken back."""
    path = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(path), how], capture_output=True, text=True, check=True, timeout=60
    )
    assert path.read_bytes() == b"".join(b"%030d\n" % number for number in range(lines))
    assert done.stdout == (
        f"cannot write to {path}: File too large; raise the limit on file sizes (ulimit -f), "
        "or write elsewhere with --output\n"
    )


def test_what_others_wrote_behind_is_left_alone(tmp_path: Path) -> None:
    """In a log that several write to, only our own tail may be cut."""
    path = tmp_path / "log"
    ours = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    output = Output(ours, "log", owned=True)
    with pytest.raises(RuntimeError), output.whole():
        output.write(b"ours\n")
        with path.open("ab") as other:
            other.write(b"theirs\n")
        raise RuntimeError
    output.close()
    assert path.read_bytes() == b"ours\ntheirs\n"


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    """`whole` takes back its own bytes and no more; writing goes on behind them."""
    path = tmp_path / "out"
    output = Output.file(str(path))
    output.write(b"before\n")
    with pytest.raises(RuntimeError), output.whole():
        output.write(b"lost\n")
        raise RuntimeError
    output.write(b"after\n")
    output.close()
    assert path.read_bytes() == b"before\nafter\n"


def test_an_unforeseen_error_has_its_number(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any other refusal of the system is a failure too, never a traceback."""
    output = Output.file(str(tmp_path / "out"))

    def broken(descriptor: int, data: bytes) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", broken)
    with pytest.raises(SinkFailed, match="Input/output error; write elsewhere with --output"):
        output.write(b"x")
    monkeypatch.undo()
    output.close()
