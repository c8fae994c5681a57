"""Chains of coders, each fed by the one before: what 7z packs its blocks with (7zFormat.txt, Folder).

A chain is written as `name[=properties]:size` with `|` between its stages, from the packed bytes on, properties in
hexadecimal and the size of what the stage gives in bytes: `lzma=5d00001000:70000|x86:70000`. At its end `+skip:take`
may leave out what comes before and behind one member. Nothing in such a stream tells where it ends but the sizes.
"""

import bz2
import lzma
from collections.abc import Callable
from typing import Any, Protocol

import lz4.frame

from modelaudit.unpack import codecs
from modelaudit.unpack.codecs import Codec, Decoder, Head, Opened

_BRANCHES = {
    "x86": lzma.FILTER_X86,
    "powerpc": lzma.FILTER_POWERPC,
    "ia64": lzma.FILTER_IA64,
    "arm": lzma.FILTER_ARM,
    "armthumb": lzma.FILTER_ARMTHUMB,
    "sparc": lzma.FILTER_SPARC,
}
_CHUNK_BYTES = 1 << 16  # of LZMA2 that is not packed
_STAGES = 8  # 7-Zip writes four at most


class _Stage(Protocol):
    """What a decoder and a filter have in common here."""

    needs_input: bool
    eof: bool

    def step(self, piece: bytes, most: int) -> bytes: ...


class _Copy:
    def __init__(self) -> None:
        self.needs_input = True
        self.eof = False
        self._held = b""

    def step(self, piece: bytes, most: int) -> bytes:
        held = self._held + piece
        self._held = held[most:]
        self.needs_input = not self._held
        return held[:most]


class _Filter:
    """A filter of liblzma that packs nothing, over bytes that are handed to it as LZMA2 that is not packed.

    liblzma holds the last bytes back until it is told that no more will come, which only an end mark of LZMA2 does.
    """

    def __init__(self, spec: dict[str, Any], size: int) -> None:
        filters = [spec, {"id": lzma.FILTER_LZMA2, "dict_size": 4096}]
        self._inner = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        self._left = size
        self._control = b"\x01"  # the first chunk forgets what was before it
        self.needs_input = True
        self.eof = False

    def step(self, piece: bytes, most: int) -> bytes:
        piece = piece[: self._left]
        self._left -= len(piece)
        parts = []
        for start in range(0, len(piece), _CHUNK_BYTES):
            chunk = piece[start : start + _CHUNK_BYTES]
            parts.append(self._control + (len(chunk) - 1).to_bytes(2, "big") + chunk)
            self._control = b"\x02"
        if piece and not self._left:
            parts.append(b"\0")
        out = self._inner.decompress(b"".join(parts), max_length=most)
        self.eof = self._inner.eof
        self.needs_input = self._inner.needs_input or not out
        return out


class _Repeated:
    """Streams of one kind, one behind the other, as 7-Zip's bzip2 may write them."""

    def __init__(self, make: Callable[[], Decoder]) -> None:
        self._make = make
        self._inner = make()
        self._held = b""
        self.needs_input = True
        self.eof = False

    def step(self, piece: bytes, most: int) -> bytes:
        if self._inner.eof:
            if not self._held + piece:
                self.needs_input = True
                return b""
            self._inner, piece, self._held = self._make(), self._held + piece, b""
        out = self._inner.step(piece, most)
        if self._inner.eof:
            self._held = self._inner.unused
            self.needs_input = not self._held
        else:
            self.needs_input = self._inner.needs_input
        return out


def _lzma(properties: bytes, size: int) -> _Stage:
    if len(properties) < 5 or properties[0] >= 9 * 5 * 5:
        raise ValueError("LZMA properties that make no sense")
    first, dictionary = properties[0], int.from_bytes(properties[1:5], "little")
    spec = {
        "id": lzma.FILTER_LZMA1,
        "lc": first % 9,
        "lp": first // 9 % 5,
        "pb": first // 45,
        "dict_size": _dictionary(dictionary, size),
    }
    return codecs.bounded(lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[spec]))


def _lzma2(properties: bytes, size: int) -> _Stage:
    if len(properties) < 1 or properties[0] > 40:
        raise ValueError("LZMA2 properties that make no sense")
    bits = properties[0]
    dictionary = 0xFFFFFFFF if bits == 40 else (2 | bits & 1) << (bits // 2 + 11)
    spec = {"id": lzma.FILTER_LZMA2, "dict_size": _dictionary(dictionary, size)}
    return codecs.bounded(lambda: lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[spec]))


def _dictionary(told: int, size: int) -> int:
    """No more than the contents need. Raises `ValueError` where that is more than a decoder may have."""
    needed = max(4096, min(told, size))
    if needed > codecs.WINDOW_BYTES:
        raise ValueError(f"a dictionary of {needed} bytes")
    return needed


def _delta(properties: bytes, size: int) -> _Stage:
    return _Filter({"id": lzma.FILTER_DELTA, "dist": (properties[0] if properties else 0) + 1}, size)


_MAKERS: dict[str, Callable[[bytes, int], _Stage]] = {
    "copy": lambda properties, size: _Copy(),
    "lzma": _lzma,
    "lzma2": _lzma2,
    "delta": _delta,
    "deflate": lambda properties, size: codecs.deflate(),
    "bzip2": lambda properties, size: _Repeated(lambda: codecs.bounded(bz2.BZ2Decompressor)),
    "zstd": lambda properties, size: _Repeated(codecs.zstd),
    "lz4": lambda properties, size: _Repeated(lambda: codecs.bounded(lz4.frame.LZ4FrameDecompressor)),
}
STAGES = frozenset((*_MAKERS, *_BRANCHES))


class _Chain:
    """The stages at work. `skip` bytes of what comes out are dropped, then `take` are given."""

    def __init__(self, stages: list[tuple[str, bytes, int]], skip: int, take: int) -> None:
        self._told = (stages, skip, take)
        self._stages = [_make(*stage) for stage in stages]
        self._left = [size for _, _, size in stages]
        self._skip = skip
        self._take = take
        self.checksum: int | None = None
        self.needs_input = True
        self.eof = take == 0
        self.unused = b""

    def fresh(self) -> Decoder:
        return _Chain(*self._told)

    def step(self, piece: bytes, most: int) -> bytes:
        out = self._pull(len(self._stages) - 1, piece, most)
        self.needs_input = all(
            stage.needs_input or not left for stage, left in zip(self._stages, self._left, strict=True)
        )
        dropped = min(self._skip, len(out))
        self._skip -= dropped
        out = out[dropped : dropped + self._take]
        self._take -= len(out)
        self.eof = not self._take or not self._left[-1]
        return out

    def _pull(self, index: int, piece: bytes, most: int) -> bytes:
        """What the stage gives next; it takes from the one before only when it has nothing left to work on."""
        left = self._left[index]
        if not left:
            return b""
        stage = self._stages[index]
        if index:
            piece = self._pull(index - 1, piece, most) if stage.needs_input else b""
        out = stage.step(piece, min(most, left))[:left]
        self._left[index] -= len(out)
        return out


def _make(name: str, properties: bytes, size: int) -> _Stage:
    if name in _BRANCHES:
        return _Filter({"id": _BRANCHES[name]}, size)
    return _MAKERS[name](properties, size)


class Chain(Codec):
    """The chain that is written as `text`. Raises `ValueError` when it is none."""

    pieces = (64 * 1024, 1024, 1)

    def __init__(self, text: str) -> None:
        written, plus, part = text.partition("+")
        self._stages: list[tuple[str, bytes, int]] = []
        for stage in written.split("|"):
            call, _, size = stage.rpartition(":")
            name, _, properties = call.partition("=")
            if name not in STAGES:
                raise ValueError(f"no decoder for {name!r}")
            self._stages.append((name, bytes.fromhex(properties), int(size)))
            if name == "zstd":
                self.pieces = codecs.ZSTD_PIECES
        if len(self._stages) > _STAGES:
            raise ValueError(f"{len(self._stages)} coders in a row")
        skip, _, take = part.partition(":")
        self._part = (int(skip), int(take)) if plus else (0, self._stages[-1][2])

    def open(self, head: Head) -> Opened:
        """The stream itself: it has no header."""
        return Opened(0, _Chain(self._stages, *self._part))
