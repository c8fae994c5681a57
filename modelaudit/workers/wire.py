"""How parent and worker speak: length-prefixed msgspec messages over a Unix stream socket.

A frame is four bytes, little-endian length, and a msgpack body. Every body is decoded into one of the types
below or refused; nothing a worker says is ever unpickled.
"""

import struct
from collections.abc import Iterator

import msgspec

from modelaudit.errors import ModelauditError
from modelaudit.limits import Limits
from modelaudit.model import Finding, Inspection


class WireError(ModelauditError):
    """The other side broke the protocol: too long a frame, or a body that is no known message."""


class Ability(msgspec.Struct, frozen=True):
    """One wall of the cage: whether it stands in this worker, and why not if it does not."""

    name: str
    ready: bool
    detail: str


class Setup(msgspec.Struct, frozen=True, tag="setup"):
    """Parent to worker, once: the bounds and patterns of the run."""

    limits: Limits
    blacklist: tuple[str, ...] = ()


class Job(msgspec.Struct, frozen=True, tag="job"):
    """Parent to worker, with one file descriptor: scan these `extents` of an object of `size` bytes."""

    id: int
    uri: str
    size: int
    extents: tuple[tuple[int, int], ...]


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Worker to parent, once: the cage is closed and jobs may come."""

    cage: tuple[Ability, ...]


class Need(msgspec.Struct, frozen=True, tag="need"):
    """Worker to parent: the scan of job `id` cannot go on without these `(offset, length)` ranges."""

    id: int
    ranges: tuple[tuple[int, int], ...]


class Found(msgspec.Struct, frozen=True, tag="found"):
    """Worker to parent: findings so far of a job that takes long, kept should the worker die."""

    id: int
    findings: tuple[Finding, ...]


class Done(msgspec.Struct, frozen=True, tag="done"):
    """Worker to parent: job `id` is finished."""

    id: int
    inspection: Inspection


class Broken(msgspec.Struct, frozen=True, tag="broken"):
    """Worker to parent: job `id` ended in a fault of ours (`internal`) or out of `memory`."""

    id: int
    reason: str
    message: str
    findings: tuple[Finding, ...] = ()


ToWorker = Setup | Job
FromWorker = Ready | Need | Found | Done | Broken

_PREFIX = struct.Struct("<I")


def encode(message: ToWorker | FromWorker) -> bytes:
    """One whole frame."""
    body = msgspec.msgpack.encode(message)
    return _PREFIX.pack(len(body)) + body


class Frames:
    """Bytes in, whole frame bodies out, whatever pieces they arrive in."""

    def __init__(self, frame_bytes: int) -> None:
        self._most = frame_bytes
        self._buffer = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Give every body that is complete after `piece`. Raises `WireError` on a frame that is too long."""
        self._buffer += piece
        while len(self._buffer) >= _PREFIX.size:
            (length,) = _PREFIX.unpack_from(self._buffer)
            if length > self._most:
                raise WireError(f"frame of {length} bytes, at most {self._most} allowed")
            end = _PREFIX.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_PREFIX.size : end])
            del self._buffer[:end]
            yield body


_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def decode_to_worker(body: bytes) -> ToWorker:
    """A message from the parent. Raises `WireError`."""
    try:
        return _to_worker.decode(body)
    except msgspec.MsgspecError as error:
        raise WireError(str(error)) from error


def decode_from_worker(body: bytes) -> FromWorker:
    """A message from a worker, which may be in hostile hands. Raises `WireError`."""
    try:
        return _from_worker.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(str(error)) from error
