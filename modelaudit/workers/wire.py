"""How parent and worker speak: length-prefixed msgspec messages over a Unix stream socket.

A frame is four bytes, little-endian length, and a msgpack body. Every body is decoded into one of the types
below or refused; nothing a worker says is ever unpickled.
"""

import struct
from collections.abc import Iterator, Mapping

import msgspec

from modelaudit.errors import ModelauditError
from modelaudit.limits import Limits
from modelaudit.model import Finding, Inspection, WeightsMode


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
    weights: WeightsMode = "off"


class Job(msgspec.Struct, frozen=True, tag="job"):
    """Parent to worker, with one file descriptor: scan these `extents` of an object of `size` bytes.

    `folders` holds the names around the object as far as they were asked for; see `modelaudit.blob.Place`.
    """

    id: int
    uri: str
    size: int
    extents: tuple[tuple[int, int], ...]
    folders: Mapping[str, Mapping[str, int | None] | None] = {}


class Fork(msgspec.Struct, frozen=True, tag="fork"):
    """Parent to nursery, with the worker's socket: load `modules`, then bring worker `id` into the world."""

    id: int
    modules: tuple[str, ...] = ()


class Born(msgspec.Struct, frozen=True, tag="born"):
    """Nursery to parent, with a descriptor of the process: worker `id` runs."""

    id: int


class Unborn(msgspec.Struct, frozen=True, tag="unborn"):
    """Nursery to parent: worker `id` could not be started, and why."""

    id: int
    message: str


class Died(msgspec.Struct, frozen=True, tag="died"):
    """Nursery to parent: worker `id` ended, with its exit code, or its signal as a negative number."""

    id: int
    code: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """Worker to parent, once: the cage is closed and jobs may come."""

    cage: tuple[Ability, ...]


class Need(msgspec.Struct, frozen=True, tag="need"):
    """Worker to parent: the scan of job `id` cannot go on without these.

    `ranges` are `(offset, length)` pairs, `folders` those whose names are asked for, `modules` what a fresh worker
    must have loaded.
    """

    id: int
    ranges: tuple[tuple[int, int], ...] = ()
    folders: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


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
FromNursery = Born | Unborn | Died

_PREFIX = struct.Struct("<I")


def encode(message: ToWorker | FromWorker) -> bytes:
    """One whole frame."""
    body = msgspec.msgpack.encode(message)
    return _PREFIX.pack(len(body)) + body


def packet(message: Fork | FromNursery) -> bytes:
    """One message between parent and nursery; their socket keeps messages apart."""
    return msgspec.msgpack.encode(message)


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


_to_nursery: msgspec.msgpack.Decoder[Fork] = msgspec.msgpack.Decoder(Fork)
_from_nursery: msgspec.msgpack.Decoder[FromNursery] = msgspec.msgpack.Decoder(FromNursery)


def decode_to_nursery(body: bytes) -> Fork:
    """A message from the parent. Raises `WireError`."""
    try:
        return _to_nursery.decode(body)
    except msgspec.MsgspecError as error:
        raise WireError(str(error)) from error


def decode_from_nursery(body: bytes) -> FromNursery:
    """A message from the nursery. Raises `WireError`."""
    try:
        return _from_nursery.decode(body)
    except msgspec.MsgspecError as error:
        raise WireError(str(error)) from error
