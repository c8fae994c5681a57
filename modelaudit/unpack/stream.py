"""Compressed bytes as a blob, unpacked on demand and under a budget."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from modelaudit.blob import Blob, BytesBlob, Place, SliceBlob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import MIB, Limits
from modelaudit.model import Child
from modelaudit.unpack.chains import Chain
from modelaudit.unpack.codecs import BROKEN, CODECS, Codec, Decoder

_STEPS = (256 * 1024, 4096, 1)  # unpacked bytes produced at a time: in general, then where a stream breaks
_LEAST_BYTES = 16 * 1024  # fewer packed bytes than that are only taken where they end
_HEAD_BYTES = 16  # what tells whether a frame begins
_PROOF_BYTES = 1024  # unpacked bytes that chance does not give
_TRIED_BYTES = 1 * MIB  # unpacked at most to find out
_HINT_BYTES = 16  # unpacked bytes that are enough where the stream is cut short behind them
_VALUES = 8  # different bytes among them; the shortest pickle that does harm has a dozen
_VERIFIED_BYTES = 1 * MIB  # declared sizes up to this are checked by unpacking; larger ones are believed
_SAMPLE_BYTES = 1 * MIB  # packed bytes of a stream that nobody reads that are unpacked to see whether it is a bomb


class Budget:
    """What one object may unfold to, over all depths. Raises `LimitExceeded` when it is spent."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._members = 0
        self._unpacked = 0
        self._templates = 0

    def add_member(self) -> None:
        """One more child."""
        self._members += 1
        if self._members > self._limits.members:
            raise LimitExceeded("members", self._members, self._limits.members)

    def add_unpacked(self, count: int) -> None:
        """`count` more decompressed bytes."""
        self._unpacked += count
        if self._unpacked > self._limits.unpacked_bytes:
            raise LimitExceeded("unpacked_bytes", self._unpacked, self._limits.unpacked_bytes)

    def add_template(self, count: int) -> None:
        """`count` more bytes of templates, which take long to judge."""
        self._templates += count
        if self._templates > self._limits.templates_bytes:
            raise LimitExceeded("templates_bytes", self._templates, self._limits.templates_bytes)


def open_child(blob: Blob, child: Child, budget: Budget, limits: Limits) -> Blob:
    """The bytes of `child`, which lies in `blob`. Raises `ParseError` for a codec that nobody knows."""
    place = Place(child.name.rpartition("/")[2])
    if child.data is not None:
        return BytesBlob(child.data, place)
    if child.codec == "stored":
        return SliceBlob(blob, child.offset, child.length, place)
    if child.codec not in CODECS and ":" not in child.codec:
        raise ParseError(f"no decoder for {child.codec!r}", child.offset)
    return UnpackedBlob(blob, child, budget, limits)


def _chain(child: Child) -> Codec:
    try:
        return Chain(child.codec)
    except ValueError as error:
        raise ParseError(f"{error}", child.offset) from None


def begins(blob: Blob, codec: str) -> bool:
    """Whether `blob` begins with a frame of `codec`, or with frames that its readers skip and then one."""
    found, place = CODECS[codec], 0
    head = bytes(blob.view(place, _HEAD_BYTES))
    while found.skippable and _skippable(head):
        place += 8 + int.from_bytes(head[4:8], "little")
        head = bytes(blob.view(place, _HEAD_BYTES))
    return found.begins(head)


def unpacks(
    blob: Blob,
    codec: str,
    limits: Limits,
    acts: Callable[[Blob], bool] = lambda inner: False,
    certain: bool = True,
) -> bool:
    """Whether `blob` really begins with a `codec` stream: its first bytes unpack. Reads no further.

    For codecs without a magic. Random bytes behind a header that checks by chance do not get so far, and small
    numbers that unpack to small numbers are no proof. Where there is none, `acts` says whether the contents do
    something when they are loaded, which they have done before a reader meets what is wrong with the stream. Where
    the header is not `certain`, nothing else counts.
    """
    limits = replace(limits, unpacked_bytes=_TRIED_BYTES, unpack_ratio_floor_bytes=_TRIED_BYTES)
    inner = UnpackedBlob(blob, Child("", length=blob.size, codec=codec), Budget(limits), limits)
    begun = bytes(inner.view(0, _PROOF_BYTES))
    zeros_prove = CODECS[codec].zeros_prove
    weak = not zeros_prove and (len(set(begun)) < _VALUES or 2 * begun.count(0) > len(begun))
    if begun and certain and not weak:
        if len(begun) == _PROOF_BYTES or (inner.broken is None and not inner.wrong_checksum):
            return True
        if zeros_prove and inner.cut_short and len(begun) >= _HINT_BYTES:
            return True
    return bool(begun) and acts(inner)


def _skippable(head: bytes) -> bool:
    return len(head) >= 8 and head[0] & 0xF0 == 0x50 and head[1:4] == b"\x2a\x4d\x18"


class _Pass(msgspec.Struct):
    """A decoder on its way through the frame at `frame`: its bytes begin at `start`, the next ones are at `place`."""

    decoder: Decoder
    frame: int
    start: int
    place: int
    trailer_bytes: int
    steps: int = 0
    kept: int = 0


class UnpackedBlob:
    """Compressed bytes as a blob: unpacked on demand, kept, never further than a read needs.

    A stream that breaks, or asks for more than the budget, ends there: what came before stays readable, to the
    last byte that any reader could get, and `broken` or `exceeded` says why. `cut_short` tells a stream that
    merely lacks its end from one whose bytes are wrong. `packed_end` is where the last frame ends in the parent,
    once that is known. `wrong_checksum` concerns gzip and zlib; in the other formats such a stream is broken.
    """

    def __init__(self, parent: Blob, child: Child, budget: Budget, limits: Limits) -> None:
        self.place = Place(child.name.rpartition("/")[2])
        self._parent = parent
        chained = ":" in child.codec
        self._name = "packed" if chained else child.codec
        self._codec: Codec = _chain(child) if chained else CODECS[child.codec]
        self._declared = child.size
        self._begin = self._next = child.offset
        self._stop = child.offset + child.length
        self._budget = budget
        self._limits = limits
        self._out = bytearray()
        self._pass: _Pass | None = None
        self._frames = 0
        self._finished = False
        self.broken: ParseError | None = None
        self.cut_short = False
        self.wrong_checksum = False
        self.exceeded: LimitExceeded | None = None
        self.packed_end: int | None = None

    @property
    def size(self) -> int:
        """The declared size where that is large, else what unpacking to the end gives."""
        declared = self._declared
        if not self._finished and declared is not None and declared > max(_VERIFIED_BYTES, len(self._out)):
            return declared
        while not self._finished:
            self._step()
        return len(self._out)

    def view(self, offset: int, length: int, least: int | None = None) -> memoryview:
        """See `Blob.view`. A copy, because what is kept still grows."""
        wanted = offset + (length if least is None else min(least, length))
        while len(self._out) < wanted and not self._finished:
            self._step()
        with memoryview(self._out) as out:
            return memoryview(bytes(out[offset : offset + max(0, length)]))

    def sample(self) -> None:
        """Unpack what the first mebibyte of packed bytes gives: contents that nobody reads may still be a bomb."""
        while not self._finished and self._next - self._begin < _SAMPLE_BYTES:
            self._step()

    def require(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Packed bytes are asked for when they are needed: which ones, only unpacking tells."""

    def _step(self) -> None:
        """Produce some bytes, or find out that there are no more. Raises `Missing`."""
        try:
            if self._pass is None and not self._open_frame():
                return
            assert self._pass is not None  # noqa: S101  just opened
            out = self._advance(self._pass, 0)
            self._next = self._pass.place
            if out is None:
                self.cut_short = True
                self._end(ParseError(f"the {self._name} stream ends in the middle", self._next))
                return
            self._keep(out)
            self._pass.kept += len(out)
            if self._pass.decoder.eof:
                self._close_frame(self._pass)
        except LimitExceeded as limit:
            self.exceeded = limit
            self._end(None)
        except BROKEN as error:
            self._salvage(ParseError(f"broken {self._name} stream: {error}", self._next))

    def _advance(self, over: _Pass, level: int) -> bytes | None:
        """One step of `over`; the higher the level, the smaller. None when the packed bytes have ended."""
        piece = b""
        if over.decoder.needs_input:
            # frames may be tiny and many: the first piece of each is small
            left = self._stop - over.place
            most = min(self._codec.pieces[level], _LEAST_BYTES << min(2 * over.steps, 16), left)
            if most <= 0:
                return None
            if level == 0:
                self._parent.require([(over.place, min(_LEAST_BYTES, left))])
            piece = bytes(self._parent.view(over.place, most, min(_LEAST_BYTES, most)))
            if not piece:
                return None
            over.place += len(piece)
        out = over.decoder.step(piece, _STEPS[level])
        over.steps += level == 0
        return out

    def _salvage(self, broken: ParseError) -> None:
        """The last step broke, and what it had unpacked is lost: go through the frame again, in ever smaller steps.

        A reader that reads less at a time gets those bytes, and has acted on them before it meets the error.
        """
        lost, self._pass = self._pass, None
        if lost is not None:
            counts = [lost.steps]
            for level in (1, 2):
                again = _Pass(lost.decoder.fresh(), lost.frame, lost.start, lost.start, 0)
                for known, count in enumerate(counts):
                    for _ in range(count):
                        self._advance(again, known)
                counts.append(self._keep_until_broken(again, level, lost))
        if self._frames > 1 and (lost is None or not lost.kept):
            self.packed_end = self._next if lost is None else lost.frame  # not a frame: it only begins like one
            self._end(None)
        elif self.exceeded is None:
            self._end(broken)

    def _keep_until_broken(self, again: _Pass, level: int, lost: _Pass) -> int:
        """Steps that went well."""
        count = 0
        try:
            while not again.decoder.eof and self.exceeded is None:
                out = self._advance(again, level)
                if out is None:
                    break
                count += 1
                lost.kept += len(out)
                self._keep(out)
        except LimitExceeded as limit:
            self.exceeded = limit
            self._end(None)
        except BROKEN:
            pass  # as expected
        return count

    def _open_frame(self) -> bool:
        """Begin the next frame; False when the stream has ended."""
        place = self._skip(self._next, self._codec.paddings if self._frames else ())
        if self._frames:
            if not self._codec.begins(self._head(place, _HEAD_BYTES)):
                self.packed_end = self._next
                self._end(None)
                return False
            self._budget.add_member()
        self._frames += 1
        opened = self._codec.open(lambda most: self._head(place, most))
        start = place + opened.skipped
        self._pass = _Pass(opened.decoder, place, start, start, opened.trailer_bytes)
        return True

    def _close_frame(self, done: _Pass) -> None:
        end = done.place - len(done.decoder.unused)
        self._next = min(end + done.trailer_bytes, self._stop)
        self._pass = None
        trailer = self._head(end, done.trailer_bytes)
        if len(trailer) == done.trailer_bytes and not self._codec.checks(trailer, done.decoder):
            self.wrong_checksum = True

    def _skip(self, place: int, paddings: tuple[int, ...]) -> int:
        """Where the next frame may begin: readers skip padding and frames for somebody else."""
        if paddings:
            begun, head = place, self._head(place, _LEAST_BYTES)
            while head and not head.strip(b"\0"):
                place += len(head)
                head = self._head(place, _LEAST_BYTES)
            place += len(head) - len(head.lstrip(b"\0"))
            ends = [place - (place - begun) % padding for padding in paddings]
            place = next((end for end in ends if self._codec.begins(self._head(end, _HEAD_BYTES))), ends[-1])
        head = self._head(place, _HEAD_BYTES)
        while self._codec.skippable and _skippable(head):
            place += 8 + int.from_bytes(head[4:8], "little")
            head = self._head(place, _HEAD_BYTES)
        return place

    def _head(self, place: int, most: int) -> bytes:
        return bytes(self._parent.view(place, max(0, min(most, self._stop - place))))

    def _keep(self, out: bytes) -> None:
        self._budget.add_unpacked(len(out))
        self._out += out
        packed = max(1, self._next - self._begin)
        limits = self._limits
        if len(self._out) > limits.unpack_ratio_floor_bytes and len(self._out) > limits.unpack_ratio * packed:
            raise LimitExceeded("unpack_ratio", len(self._out) // packed, limits.unpack_ratio)

    def _end(self, broken: ParseError | None) -> None:
        self._finished = True
        self.broken = broken
