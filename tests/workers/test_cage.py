"""Code inside the cage tries to get out. Each attempt runs in its own process, caged as a worker is."""

import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modelaudit.limits import Limits
from modelaudit.workers.cage import abilities

PREAMBLE = """
import encodings.idna, ctypes, json, mmap, os, signal, socket, subprocess, sys, threading
from modelaudit.workers import cage
walls = cage.enter(512 << 20)
def attempt():
{body}
try:
    outcome = ["got out", repr(attempt())]
except BaseException as error:
    outcome = [type(error).__name__, str(getattr(error, "errno", None))]
os.write(1, json.dumps(outcome).encode())
os._exit(0)
"""


def caged(body: str, **options: object) -> list[str]:
    """Run `body` in a cage; gives the exception's name and errno, or "got out" and what it returned."""
    lines = "\n".join("    " + line for line in body.strip().splitlines())
    program = PREAMBLE.replace("{body}", lines)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=30, check=False, cwd="/", **options
    )
    assert done.stdout, f"the process ended with {done.returncode}: {done.stderr.decode()}"
    return json.loads(done.stdout)


DENIED = ("PermissionError", "OSError")

ESCAPES = {
    "open a file": "return open('/etc/hostname').read()",
    "list a folder": "return os.listdir('/')",
    "write a file": "return os.open('/tmp/modelaudit-escape', os.O_CREAT | os.O_WRONLY)",
    "make a folder": "return os.mkdir('/tmp/modelaudit-escape-dir')",
    "remove a file": "return os.unlink('/tmp/modelaudit-no-such')",
    "rename a file": "return os.rename('/tmp/a', '/tmp/b')",
    "make a link": "return os.symlink('/etc/passwd', '/tmp/modelaudit-escape-link')",
    "read another process's environment": "return open('/proc/1/environ', 'rb').read()",
    "read its own environment file": "return open('/proc/self/environ', 'rb').read()",
    "write its own memory": "return open('/proc/self/mem', 'r+b')",
    "TCP socket": "return socket.create_connection(('127.0.0.1', 9), timeout=1)",
    "UDP socket": "return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    "Unix socket": "return socket.socket(socket.AF_UNIX)",
    "netlink socket": "return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "socket pair": "return socket.socketpair()",
    "exec": "return os.execv('/bin/true', ['true'])",
    "fork": "return os.fork()",
    "subprocess": "return subprocess.run(['/bin/true'])",
    "signal the parent": "return os.kill(os.getppid(), signal.SIGTERM)",
    "signal itself": "return os.kill(os.getpid(), signal.SIGTERM)",
    "raise its limits": (
        "import resource\n"
        "try: return resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))\n"
        "except ValueError as error: raise OSError(1, str(error))"
    ),
    "change its root": "return os.chroot('/')",
    "become root": "return os.setuid(0)",
    "memory file": "return os.memfd_create('x')",
    "trace": (
        "if ctypes.CDLL(None, use_errno=True).ptrace(16, os.getppid(), 0, 0) == 0: return 'traced'\n"
        "raise OSError(ctypes.get_errno(), 'ptrace')"
    ),
    "executable memory": "return mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)",
    "unshare again": (
        "if ctypes.CDLL(None, use_errno=True).unshare(0x10000000) == 0: return 'unshared'\n"
        "raise OSError(ctypes.get_errno(), 'unshare')"
    ),
    "system": "status = os.system('true')\nif status == 0: return 'ran'\nraise OSError(1, 'system')",
}


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_way_out(escape: str) -> None:
    """Each attempt to reach past the cage is refused by the kernel."""
    outcome = caged(ESCAPES[escape])
    assert outcome[0] in DENIED, outcome


def test_no_new_thread() -> None:
    """A thread is a clone, and clone is refused."""
    assert caged("t = threading.Thread(target=print)\nt.start()\nreturn 'started'")[0] == "RuntimeError"


def test_memory_is_bounded() -> None:
    """Private memory beyond the bound is a MemoryError, not a swapping host."""
    assert caged("return len(bytearray(1 << 30))")[0] == "MemoryError"


def test_memory_within_bounds_is_given() -> None:
    """The bound is not so tight that ordinary work fails."""
    assert caged("return len(bytearray(100 << 20))") == ["got out", str(100 << 20)]


def test_a_mapped_file_does_not_count_as_memory(tmp_path: Path) -> None:
    """A sparse file larger than the memory bound can be mapped and read."""
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(4 << 30)
    with path.open("rb") as file:
        number = file.fileno()
        body = f"return mmap.mmap({number}, 4 << 30, prot=mmap.PROT_READ)[(4 << 30) - 1]"
        assert caged(body, pass_fds=[number]) == ["got out", "0"]


def test_a_descriptor_that_was_given_can_be_read(tmp_path: Path) -> None:
    """What the parent hands over stays readable: that is how jobs arrive."""
    path = tmp_path / "given"
    path.write_bytes(b"bytes of a model")
    with path.open("rb") as file:
        assert caged(f"return os.pread({file.fileno()}, 5, 0)", pass_fds=[file.fileno()]) == ["got out", "b'bytes'"]


def test_a_descriptor_that_was_given_cannot_grow_a_file(tmp_path: Path) -> None:
    """Even a writable descriptor gives no room on the disk."""
    with (tmp_path / "log").open("wb") as file:
        body = f"signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nreturn os.write({file.fileno()}, b'x')"
        assert caged(body, pass_fds=[file.fileno()])[0] == "OSError"


def test_the_parent_is_not_signalled() -> None:
    """The refusal of kill is real: a handler in this process would have heard it."""
    heard = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.set())
    try:
        caged("return os.kill(os.getppid(), signal.SIGUSR1)")
        assert not heard.wait(0.2)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_listening_server_hears_nothing() -> None:
    """The refusal of TCP is real: nobody knocks at a server that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        port = server.getsockname()[1]
        assert caged(f"return socket.create_connection(('127.0.0.1', {port}), timeout=1)")[0] in DENIED
        with pytest.raises(TimeoutError):
            server.accept()


def test_every_wall_stands_or_says_why_not() -> None:
    """`abilities` names each wall; on this kernel those that need no privilege must stand."""
    walls = {wall.name: wall for wall in abilities()}
    assert set(walls) == {
        "namespaces", "unprivileged", "dies_with_parent", "no_new_privileges", "rlimits", "landlock", "seccomp",
    }  # fmt: skip
    assert all(wall.detail for wall in walls.values())
    for name in ("no_new_privileges", "rlimits", "seccomp"):
        assert walls[name].ready, walls[name]
    assert f"{Limits().worker_memory_bytes >> 20} MiB" in walls["rlimits"].detail  # the bound that workers really get


def test_a_caged_root_is_nobody() -> None:
    """Started as root, the worker runs as nobody; started as anyone else, root is out of reach."""
    outcome = caged("return os.geteuid()")
    assert outcome[0] == "got out"
    assert int(outcome[1]) != 0
