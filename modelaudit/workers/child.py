"""The worker process: close the cage, then answer one job after another.

It begins as a copy of the nursery, in which everything is loaded, with a clean environment, no standard streams
worth having, and one socket. It knows no network; it reads the descriptors that come with the jobs, nothing else.
"""

import array
import contextlib
import gc
import mmap
import os
import socket
import sys
import time

from modelaudit.blob import Place, RootBlob
from modelaudit.engine import Engine
from modelaudit.errors import Missing
from modelaudit.limits import Limits
from modelaudit.model import Finding
from modelaudit.workers import cage
from modelaudit.workers.wire import (
    Broken,
    Done,
    Found,
    Frames,
    FromWorker,
    Job,
    Need,
    Ready,
    Setup,
    decode_to_worker,
    encode,
)

_FLUSH_SECONDS = 0.25  # a job that takes longer than this tells what it has found so far, at most this often

_COPIED_BYTES = 1 << 16  # up to here a copy costs less than a mapping


class _Channel:
    """The socket to the parent: whole messages, and the descriptors that came with them."""

    def __init__(self, number: int) -> None:
        self._socket = socket.socket(fileno=number)
        self._frames = Frames(Limits().frame_bytes)
        self._bodies: list[bytes] = []
        self._descriptors: list[int] = []

    def send(self, message: FromWorker) -> None:
        self._socket.sendall(encode(message))

    def receive(self) -> Setup | Job | None:
        """The next message, or None when the parent is gone."""
        while not self._bodies:
            piece, ancillary, _flags, _address = self._socket.recvmsg(1 << 16, socket.CMSG_SPACE(64))
            for level, kind, data in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    numbers = array.array("i")
                    numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
                    self._descriptors.extend(numbers)
            if not piece:
                return None
            self._bodies.extend(self._frames.feed(piece))
        return decode_to_worker(self._bodies.pop(0))

    def descriptor(self) -> int:
        """The descriptor of the job just received; jobs and descriptors come in the same order."""
        return self._descriptors.pop(0)


class _Told:
    """Findings of the job in hand, told to the parent now and then so that a kill does not lose them."""

    def __init__(self, channel: _Channel, job: Job) -> None:
        self._channel = channel
        self._job = job
        self._due = time.monotonic() + _FLUSH_SECONDS
        self.findings: list[Finding] = []

    def add(self, finding: Finding) -> None:
        if len(self.findings) < Limits().findings:
            self.findings.append(finding)
        if time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        self._channel.send(Found(self._job.id, tuple(self.findings)))
        self._due = time.monotonic() + _FLUSH_SECONDS


def _bytes(descriptor: int, job: Job) -> bytes | mmap.mmap | None:
    """What is here of the object; None when it has become shorter than it was."""
    if job.size <= _COPIED_BYTES and job.extents == ((0, job.size),):
        data = os.pread(descriptor, job.size, 0)
        return data if len(data) == job.size else None
    if os.fstat(descriptor).st_size < job.size:
        return None
    return mmap.mmap(descriptor, job.size, prot=mmap.PROT_READ) if job.size and job.extents else b""


def _scan(engine: Engine, setup: Setup, job: Job, descriptor: int, told: _Told) -> FromWorker:
    data = _bytes(descriptor, job)
    if data is None:
        return Broken(job.id, "changed", "the file became shorter before it was read")
    place = Place(job.uri.rpartition("/")[2], job.folders)
    blob = RootBlob(data, job.size, job.extents, place)
    try:
        found = engine.inspect(
            blob,
            setup.limits,
            uri=job.uri,
            blacklist=setup.blacklist,
            weights=setup.weights,
            on_finding=told.add,
        )
    except Missing as missing:
        return Need(job.id, missing.ranges, missing.folders, missing.modules)
    return Done(job.id, found)


def _answer(engine: Engine, setup: Setup, job: Job, descriptor: int, channel: _Channel) -> FromWorker:
    told = _Told(channel, job)
    try:
        return _scan(engine, setup, job, descriptor, told)
    except MemoryError:
        gc.collect()
        return Broken(job.id, "memory", "the scan asked for more memory than a worker may have", tuple(told.findings))
    except Exception as error:  # noqa: BLE001  the child's loop: a fault of ours costs this job, not the worker
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = "" if trace is None else f" ({os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno})"
        message = f"{type(error).__name__}: {error}"[:300] + place
        return Broken(job.id, "internal", message, tuple(told.findings))
    finally:
        os.close(descriptor)


def serve(number: int, engine: Engine) -> None:
    """Serve the parent on socket `number` until it goes away; whatever `engine` needs is loaded."""
    channel = _Channel(number)
    setup = channel.receive()
    if not isinstance(setup, Setup):
        sys.exit(3)
    channel.send(Ready(cage.enter(setup.limits.worker_memory_bytes)))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while isinstance(job := channel.receive(), Job):
            channel.send(_answer(engine, setup, job, channel.descriptor(), channel))
