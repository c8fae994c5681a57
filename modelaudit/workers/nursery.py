"""The process that workers are copied from: it loads what they need once, and forks.

A worker that dies is replaced within a millisecond or two, and a worker may have modules loaded that are too slow
to load for everyone. The nursery never sees a byte of an object: it gets sockets from the parent, hands each to a
copy of itself, and tells how the copies end.
"""

import array
import codecs
import contextlib
import ctypes
import gc
import importlib
import os
import select
import signal
import socket
import sys
from typing import Final, NoReturn

from modelaudit import catalogue
from modelaudit.engine import Engine
from modelaudit.weights import NEEDS
from modelaudit.workers import child
from modelaudit.workers.wire import Born, Died, Fork, FromNursery, Unborn, decode_to_nursery, packet

_PACKET_BYTES: Final = 1 << 16
_PR_SET_PDEATHSIG: Final = 1
# Loaded before a cage closes; what a scan decodes with must be among them.
_CODECS: Final = (
    "ascii", "base64", "bz2", "cp1252", "cp437", "hex", "idna", "latin-1", "punycode", "quopri", "raw-unicode-escape",
    "rot13", "unicode-escape", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-7", "utf-8-sig", "uu", "zlib",
)  # fmt: skip


class _Nursery:
    """The socket to the parent, the engine that every worker starts with, and the workers that live."""

    def __init__(self, number: int) -> None:
        self._control = socket.socket(fileno=number)
        known = catalogue.load()
        self._loadable = frozenset((*NEEDS, *(name for format in known.formats.values() for name in format.needs)))
        self._engine = Engine(known, imports=False)
        self._engine.warm()
        for name in _CODECS:
            codecs.lookup(name)
        gc.freeze()
        self._living: dict[int, tuple[int, int]] = {}  # descriptor of the process: worker's id, process id

    def run(self) -> None:
        """Fork when asked, until the parent is gone."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor in self._living:
                    poll.unregister(descriptor)
                    self._bury(descriptor)
                elif (born := self._asked()) is None:
                    self._end_all()
                    return
                elif born >= 0:
                    poll.register(born, select.POLLIN)

    def _asked(self) -> int | None:
        """Do what the parent asks for; gives a descriptor of the new process, -1 without one, None at the end."""
        body, descriptors, _flags, _address = socket.recv_fds(self._control, _PACKET_BYTES, 1)
        if not body:
            return None
        asked = decode_to_nursery(body)
        self._load(asked)
        try:
            pid = os.fork()
        except OSError as error:
            os.close(descriptors[0])
            self._tell(Unborn(asked.id, f"{type(error).__name__}: {error}"))
            return -1
        if pid == 0:
            self._live(descriptors[0])
        os.close(descriptors[0])
        process = os.pidfd_open(pid)
        self._living[process] = (asked.id, pid)
        self._tell(Born(asked.id), process)
        return process

    def _load(self, asked: Fork) -> None:
        """Load what the catalogue says that formats need, and nothing else, whoever asks."""
        absent = [name for name in asked.modules if name in self._loadable and name not in sys.modules]
        for name in absent:
            with contextlib.suppress(ImportError):  # whoever asked for it finds it missing, and says so
                importlib.import_module(name)
        if absent:
            gc.freeze()

    def _live(self, number: int) -> NoReturn:
        """In the copy: nothing of the nursery stays open, and nothing of it runs on."""
        code = 1
        try:
            kept = os.dup2(number, 3)
            os.closerange(4, 1 << 16)
            self._control.detach()
            gc.enable()
            child.serve(kept, self._engine)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:  # noqa: BLE001  nothing may go on in the copy as if it were the nursery
            sys.excepthook(*sys.exc_info())  # what a worker cannot load any more is not needed for it
        finally:
            os._exit(code)

    def _bury(self, descriptor: int) -> None:
        worker, pid = self._living.pop(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        self._tell(Died(worker, os.waitstatus_to_exitcode(status)))

    def _end_all(self) -> None:
        for process in self._living:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, signal.SIGKILL)
        for _, pid in self._living.values():
            os.waitpid(pid, 0)

    def _tell(self, message: FromNursery, descriptor: int | None = None) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))] if descriptor else []
            self._control.sendmsg([packet(message)], rights)


def main(number: int) -> None:
    """Serve the parent on socket `number` until it goes away."""
    os.chdir("/")
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    _Nursery(number).run()
    os._exit(0)  # taking apart all that was loaded would keep the parent waiting
