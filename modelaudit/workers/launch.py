"""Start the nursery: apart from the rest, because it can begin to load while the parent still loads itself."""

import fcntl
import json
import os
import select
import signal
import socket
import sys
from typing import Final

PROGRAM: Final = (
    "import gc; gc.disable();"  # what is loaded stays; looking through it again and again is a tenth of the start
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    # msgspec takes a name from here if it can and else from typing, which is there anyway
    "sys.modules['typing_extensions'] = None; import msgspec; del sys.modules['typing_extensions'];"
    "from modelaudit.workers.nursery import main; main(int(sys.argv[2]))"
)
# One thread a process: a process that has more cannot be copied safely, and a worker has one core.
_ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
SILENCE: Final = "it said nothing"
_ERRORS_BYTES: Final = 1 << 16
_HIGH: Final = 10  # whoever started us may have closed the standard streams: nothing may take their numbers


class Nursery:
    """A nursery process, seen from the parent: its process id, the socket to it, what it writes on standard error."""

    def __init__(self, program: str = PROGRAM) -> None:
        """Start it with nothing of ours but one socket. Raises `OSError`."""
        self._errors = _high(os.memfd_create("modelaudit-errors", os.MFD_CLOEXEC))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control = socket.socket(fileno=_high(ours.detach()))
        path = json.dumps([entry for entry in sys.path if entry])
        nothing = _high(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
        channel = _high(theirs.detach())
        given = (nothing, nothing, self._errors, channel)
        actions = [(os.POSIX_SPAWN_DUP2, descriptor, place) for place, descriptor in enumerate(given)]
        try:
            arguments = [sys.executable, "-I", "-S", "-c", program, path, "3"]
            self.pid = os.posix_spawn(
                sys.executable,
                arguments,
                _ENVIRONMENT,
                file_actions=actions,
                setsid=True,  # the terminal's Ctrl-C is for the parent to handle
                setsigmask=(),  # whatever the parent holds back just now
            )
        except OSError:
            self.control.close()
            os.close(self._errors)
            raise
        finally:
            os.close(channel)
            os.close(nothing)
        self._process = _high(os.pidfd_open(self.pid))
        self.control.setblocking(False)

    def said(self) -> str:
        """The last line of what it, or a worker before its cage closed, wrote on standard error."""
        text = os.pread(self._errors, _ERRORS_BYTES, max(0, os.fstat(self._errors).st_size - _ERRORS_BYTES))
        lines = text.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else SILENCE

    def close(self, grace_seconds: float = 0.0) -> None:
        """End the process, and with it every worker that it brought forth; with grace, let it bury them first.

        A second call does nothing.
        """
        if self._process < 0:
            return
        self.control.close()
        if grace_seconds:
            ended = select.poll()
            ended.register(self._process, select.POLLIN)
            ended.poll(grace_seconds * 1000)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self._process)
        os.close(self._errors)
        self._process = -1


def _high(descriptor: int) -> int:
    """The same file under a number of at least `_HIGH`."""
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    os.close(descriptor)
    return moved
