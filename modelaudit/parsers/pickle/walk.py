"""A whole stream: pickle after pickle, what lies between them, legacy torch's storages, joblib's inner pickles."""

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from modelaudit.blob import Blob, SliceBlob
from modelaudit.parsers.pickle import torch_tar
from modelaudit.parsers.pickle.machine import run
from modelaudit.parsers.pickle.memo import Memo
from modelaudit.parsers.pickle.payloads import Allowance, Payloads
from modelaudit.parsers.pickle.probe import PROBE_BYTES, Probe, is_pickle, may_act
from modelaudit.parsers.pickle.search import LOOKED_BYTES, Search
from modelaudit.parsers.pickle.skim import skim
from modelaudit.parsers.pickle.state import Role, Shared, State
from modelaudit.parsers.pickle.values import Broken, Event, Outcome, Raw, Unread, WrongFrame

_ZEROS_BYTES: Final = 1 << 26  # of zero bytes that are read through between pickles
_GAP_BYTES: Final = 1 << 22  # searched for a later pickle after one that ended or broke
_SWALLOWED_BYTES: Final = 512  # before the place where a pickle broke
_PIECE_BYTES: Final = 1 << 18
_PICKLES_MOST: Final = 1 << 20  # in one stream
_KEYS_MOST: Final = 1 << 20  # of storages
_LEGACY_PICKLES: Final = 5  # magic, version, system, object, keys of the storages
_REPLAYED_MOST: Final = 10_000  # pickles whose memo a later one may use
_DOUBTS_MOST: Final = 16  # raw arrays that look like opcodes
_PROBES_MOST: Final = 4096  # places in one stream where a later pickle might begin

# LONG1 of 0x1950a86a20f9469cfc6c, the whole first pickle of a legacy torch file but for header and STOP.
_MAGIC: Final = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
# Many pickles in a row that only make a few constants, empty containers and small numbers.
_PLAIN: Final = re.compile(rb"(?:(?:\x80[\x02-\x05])?(?:[N\x88\x89)\]}]|K[\0-\xff]){1,15}\.){16,}")
_PLAIN_BYTES: Final = 33  # the longest of them
_START: Final = re.compile(rb"\x80[\x01-\x05]|c[A-Za-z_][\w.]{0,99}\r?\n[A-Za-z_]|\([a-z_][\w.]{0,99}\n|[(\]}][lpdcq]")


class Gap(msgspec.Struct, frozen=True):
    """Bytes that are part of no pickle. `kind` is `gap` between pickles, `trailing` after the last, `raw`."""

    offset: int
    length: int
    kind: str


class Ended(msgspec.Struct, frozen=True):
    """One pickle of the stream ended. `legacy`: it is part of a torch file of the old format."""

    start: int
    end: int
    whole: bool
    legacy: bool = False


Item: TypeAlias = Event | Gap | Ended


class Walk:
    """Goes over one stream; `role_of` names what calling a global does to names (see `calls`).

    `executes` names the key of a class's state whose text the class executes (see `executed`).
    """

    def __init__(self, blob: Blob, role_of: Role, nested_depth: int, executes: Role | None = None) -> None:
        self._blob = blob
        self._role_of = role_of
        self._depth = nested_depth
        self._shared = Shared() if executes is None else Shared(executes)
        self._legacy = False
        self._starts: list[int] = []
        self._memo: Memo | None = None  # one for the whole stream, once a pickle has used that of an earlier one
        self._allowance = Allowance()
        self._doubts = 0
        self._probes = 0
        self._search = Search(blob.size)

    def items(self) -> Iterator[Item]:
        """Every event of every pickle, and what lies between. Raises `Missing`."""
        start = number = 0
        storages: dict[str, int] = {}
        while number < _PICKLES_MOST:
            number += 1
            outcome = Outcome(start)
            yield from self._pickle(start, outcome, number)
            yield Ended(start, outcome.end, outcome.stopped, self._legacy)
            if len(self._starts) < _REPLAYED_MOST:
                self._starts.append(start)
            storages |= outcome.storages
            offset = outcome.end
            if self._legacy and number == _LEGACY_PICKLES:
                raw = sum(storages.get(key, 0) + 8 for key in outcome.keys)
                yield Gap(offset, min(raw, self._blob.size - offset), "raw")
                offset = min(offset + raw, self._blob.size)
            elif outcome.raw_behind:
                raw = torch_tar.raw_bytes(self._blob, offset, outcome.raw_behind)
                yield Gap(offset, raw, "raw")
                offset += raw
            offset = self._skip_zeros(offset)
            if number > _LEGACY_PICKLES:
                offset = self._skip_plain(offset)
            place = self._next(offset, start + 1 if not outcome.stopped else offset)
            if place > offset:
                yield Gap(offset, place - offset, "gap" if place < self._blob.size else "trailing")
            if place >= self._blob.size:
                if self._search.spent and not self._search.told:
                    self._search.told = True
                    yield Unread(offset, "more places where a pickle might begin than are looked at")
                return
            start = place
        yield Gap(start, self._blob.size - start, "trailing")

    # --- one pickle ---------------------------------------------------------------------------------------

    def _pickle(self, start: int, outcome: Outcome, number: int) -> Iterator[Event]:
        payloads = Payloads(self._blob, self._depth, self._allowance, self._search)
        skimmed = skim(self._blob, start, payloads.look)
        if number == 1 and skimmed.stopped and skimmed.end - start < 64:
            self._legacy = _MAGIC in bytes(self._blob.view(start, skimmed.end - start))
        if skimmed.active or self._memo is not None or (self._legacy and number == _LEGACY_PICKLES):
            yield from self._machine(start, outcome)
            return
        if skimmed.frame is not None:
            yield WrongFrame(skimmed.frame)
        yield from payloads.drain()
        if skimmed.broken:
            yield Broken(skimmed.end, skimmed.broken)
        outcome.end, outcome.stopped = skimmed.end, skimmed.stopped

    def _machine(self, start: int, outcome: Outcome, inner: bool = False) -> Iterator[Event]:
        payloads = Payloads(self._blob, self._depth, self._allowance, self._search)
        state = State(self._blob, start, self._role_of, payloads.look, self._shared, None if inner else self._memo)
        state.raw_arrays = not inner
        state.outcome = outcome
        if self._legacy:
            state.items_each = _KEYS_MOST
        for event in run(state):
            if isinstance(event, Broken) and outcome.forgotten and self._starts and self._memo is None and not inner:
                yield from self._again(start, outcome)
                return
            if not isinstance(event, Raw):
                yield event
            elif event.pickle:
                within = Outcome(event.offset)
                yield from self._machine(event.offset, within, inner=True)
                state.offset = within.end
            else:
                yield from self._doubt(event, state)
            yield from payloads.drain()
        yield from payloads.drain()

    def _again(self, start: int, outcome: Outcome) -> Iterator[Event]:
        """The pickle uses the memo of the ones before: one Unpickler reads them all. Fill it, and begin again."""
        self._memo = Memo(self._shared.kept)
        for earlier in self._starts:
            for _ in self._machine(earlier, Outcome(earlier)):
                pass
        yield from self._machine(start, outcome)

    def _doubt(self, raw: Raw, state: State) -> Iterator[Event]:
        """Raw bytes of an array are opcodes for a loader that is not joblib's: follow them where they may act."""
        head = bytes(self._blob.view(raw.offset, min(PROBE_BYTES, raw.end - raw.offset), 1))
        if not may_act(head):
            return
        self._doubts += 1
        if self._doubts > _DOUBTS_MOST:
            if self._doubts == _DOUBTS_MOST + 1:
                yield Unread(raw.offset, "more arrays that are opcodes for some loaders than are followed")
            return
        payloads = Payloads(self._blob, self._depth, self._allowance, self._search)
        followed = run(state.otherwise(raw.offset, payloads.look))
        yield from (event for event in followed if not isinstance(event, Broken | Raw))
        yield from payloads.drain()

    # --- between pickles ----------------------------------------------------------------------------------

    def _skip_zeros(self, offset: int) -> int:
        """The place of the first byte at or after `offset` that is not zero; the size when there is none."""
        place, length = offset, 16
        while place < min(self._blob.size, offset + _ZEROS_BYTES):
            piece = bytes(self._blob.view(place, length, 1))
            length = _PIECE_BYTES
            rest = piece.lstrip(b"\0")
            place += len(piece) - len(rest)
            if rest:
                break
        return place

    def _skip_plain(self, offset: int) -> int:
        """The place after the pickles at `offset` that only make a few small values: there may be millions."""
        while offset < self._blob.size:
            piece = bytes(self._blob.view(offset, _PIECE_BYTES, 1))
            match = _PLAIN.match(piece)
            offset += match.end() if match is not None else 0
            if match is None or match.end() < len(piece) - _PLAIN_BYTES:
                break
        return offset

    def _next(self, offset: int, begin: int) -> int:
        """Where the next pickle begins at or after `offset`; the size when none does within reach.

        `begin` is before `offset` when the pickle before broke: it may have swallowed the next one's beginning.
        """
        size = self._blob.size
        if offset >= size and begin >= size:
            return size
        if offset < size and is_pickle(SliceBlob(self._blob, offset, size - offset), within=offset == begin):
            return offset
        place, overlap = max(begin, offset - _SWALLOWED_BYTES), 256
        while place < min(size, offset + _GAP_BYTES):
            piece = bytes(self._blob.view(place, _PIECE_BYTES, min(overlap, size - place)))
            for match in _START.finditer(piece):
                start = place + match.start()
                found = self._look(start, overlap)
                if self._search.spent:
                    return size
                if found is None:
                    continue
                if start < offset:
                    if found.acts and found.stopped and start + found.end > offset:
                        return start
                elif found.acts or (found.stopped and found.opcodes >= 4):
                    return start
            place += max(1, len(piece) - overlap) if place + len(piece) < size else len(piece)
        return size

    def _look(self, start: int, least: int) -> Probe | None:
        """What begins at `start`, if it is looked at; `least` bytes of it must be here."""
        self._probes += 1
        if self._probes > _PROBES_MOST:
            self._search.spent = True
            return None
        size = self._blob.size
        data = bytes(self._blob.view(start, LOOKED_BYTES, min(least, size - start)))
        return self._search.look(data, 0, start, last=start + len(data) >= size)
