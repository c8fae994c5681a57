"""Reading a large object by leaps: where the pieces between skipped payloads probably lie, asked for in one go.

In a file of tensors each small header says how long the payload behind it is, and so where the next header lies. Of a
remote object that is one round of asking for each tensor, unless the places of many are guessed: models are made of
layers that are alike, so what followed a payload of this length before will follow it again. A wrong guess costs a
few kilobytes; it never changes what is read.
"""

from bisect import bisect_right

from modelaudit.blob import Blob

GAP_BYTES = 1024  # payloads up to this size are read through
_CLOSE_BYTES = 64 * 1024  # ranges closer than this are fetched as one anyway
_HEAD_BYTES = 48 * 1024  # of the object, which are there before anybody asks
_WINDOW_BYTES = 4096  # asked for at a place: a tensor's header has some hundred bytes
_BEFORE_BYTES = 768  # of a window before the guessed place: names differ in length from layer to layer
_LEAST_BYTES = 256  # what must be left of a window behind a place, so that reading on does not ask again
_HEADER_BYTES = 64  # between two payloads, before any were seen
_SPAN_MOST_BYTES = 16 * 1024  # of what stood between two payloads, asked for again at the next
_STEPS = (8, 32, 128, 256)  # guesses ahead, more while they come true
_ORDERS = (6, 3, 1)  # payload lengths, the last of which are looked up in what was seen
_ALTERNATIVES = 12  # other lengths seen lately, guessed as well when the first guess was wrong
_PLANS_MOST = 32  # rounds of guessing; then the rest is read in pieces, because rounds are bounded
_NEAR_PLANS = 4  # a plan for a place nearby counts for a quarter: often it is there already
_NEAR_STEPS = 8  # doublings of what is read at once where many small payloads lie side by side
_PIECES = 16  # of that rest


class Leaps:
    """The payloads that were skipped in `blob` so far, and the windows that were asked for behind them."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._skips: list[int] = []
        self._spans: list[int] = []
        self._seen: dict[tuple[int, ...], int] = {}
        self._asked: list[tuple[int, int]] = [(0, _HEAD_BYTES)]
        self._last = 0
        self._plans = self._near = 0
        self._confidence = self._hits = self._hoped = 0
        self._piece = 0

    def to(self, reached: int, place: int) -> None:
        """Go on at `place` after reading as far as `reached`; both in bytes. Raises one `Missing` for many ranges."""
        self._learn(reached, place)
        if self._has(place, place + _LEAST_BYTES):
            self._hits += 1
            return
        self._confidence = min(self._confidence + 1, len(_STEPS) - 1) if self._hits >= self._hoped else 0
        self._hits = 0
        near = place - reached <= _CLOSE_BYTES
        self._near = self._near + 1 if near else self._near // 2
        self._plans += 1 if near else _NEAR_PLANS
        length = max(_WINDOW_BYTES, self._span() + 4 * _LEAST_BYTES)
        if near:
            length = max(length, _WINDOW_BYTES << min(self._near, _NEAR_STEPS))
        if self._plans > _PLANS_MOST * _NEAR_PLANS:
            self._piece = self._piece or (self._blob.size - place) // _PIECES
            self._ask((place, place + max(self._piece, length)), [])
        else:
            self._ask((place, place + length), self._guesses(place))

    def _has(self, start: int, end: int) -> bool:
        """Whether all of a range was asked for."""
        index = bisect_right(self._asked, (start, self._blob.size)) - 1
        return index >= 0 and min(end, self._blob.size) <= self._asked[index][1]

    def _ask(self, needed: tuple[int, int], guesses: list[tuple[int, int]]) -> None:
        """Ask for what is needed, and for those guesses that do not touch what was asked for before.

        A range that begins where another ends looks like reading on, and much more than it would be fetched.
        """
        windows = _joined([needed, *guesses])
        ranges = []
        for start, end in windows:
            index = bisect_right(self._asked, (start, self._blob.size))
            before = index > 0 and self._asked[index - 1][1] >= start
            behind = index < len(self._asked) and self._asked[index][0] <= end
            if start <= needed[0] <= end or not (before or behind or start >= self._blob.size):
                self._asked.insert(index, (start, min(end, self._blob.size)))
                ranges.append((start, end - start))
        self._blob.require(ranges)

    def _learn(self, reached: int, place: int) -> None:
        if self._skips:
            self._spans.append(reached - self._last)
        self._skips.append(place - reached)
        self._last = place
        for order in _ORDERS:
            if len(self._skips) > order:
                self._seen[tuple(self._skips[-order - 1 : -1])] = len(self._skips) - 1

    def _span(self, index: int = -1) -> int:
        """Bytes between the payloads `index` and the next one."""
        span = self._spans[index] if -len(self._spans) <= index < len(self._spans) else _HEADER_BYTES
        return min(span, _SPAN_MOST_BYTES)

    def _next(self, last: list[int]) -> tuple[int, int]:
        """The payload that will follow `last`, and what stands before it: as it was the last time."""
        for order in _ORDERS:
            index = self._seen.get(tuple(last[-order:]))
            if index is not None and len(last) >= order:
                return self._skips[index], self._span(index - 1)
        return last[-1], self._span()

    def _guesses(self, place: int) -> list[tuple[int, int]]:
        last, at = self._skips[-max(_ORDERS) :], place
        found = []
        self._hoped = _STEPS[self._confidence]
        for _ in range(self._hoped):
            skip, span = self._next(last)
            at += skip + span
            if at >= self._blob.size:
                break
            found.append(_around(at, span))
            last = [*last[1 - max(_ORDERS) :], skip]
        for skip in list(dict.fromkeys(self._skips[:-200:-1]))[:_ALTERNATIVES]:
            found.append(_around(place + skip + self._span(), 0))
        return found


def _around(place: int, span: int) -> tuple[int, int]:
    start = max(0, place - _BEFORE_BYTES)
    return start, start + max(_WINDOW_BYTES, span + _BEFORE_BYTES + 4 * _LEAST_BYTES)


def _joined(windows: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The windows in order, those that will be fetched as one as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(windows):
        if found and start <= found[-1][1] + _CLOSE_BYTES:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
