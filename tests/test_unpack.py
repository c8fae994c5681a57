"""Decompression: right, lazy, bounded, and not stopped by a lie."""

import bz2
import gzip
import io
import lzma
import os
import random
import zlib
from collections.abc import Callable
from contextlib import suppress

import lz4.frame
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob, RootBlob
from modelaudit.errors import Missing, ParseError
from modelaudit.limits import MIB, Limits
from modelaudit.model import Child
from modelaudit.unpack import Budget, UnpackedBlob, gzip_header, open_child, unpacks


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "deflate": raw_deflate,
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "lzma": lambda data: lzma.compress(data, format=lzma.FORMAT_ALONE),
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "lz4": lz4.frame.compress,
}
SEVERAL = ("gzip", "bz2", "xz", "zstd", "lz4")
LIMITS = Limits()


def unpacked(packed: bytes, codec: str, limits: Limits = LIMITS, size: int | None = None) -> UnpackedBlob:
    blob = open_child(BytesBlob(packed), Child("x", length=len(packed), codec=codec, size=size), Budget(limits), limits)
    assert isinstance(blob, UnpackedBlob)
    return blob


def whole(blob: UnpackedBlob) -> bytes:
    return bytes(blob.view(0, blob.size))


@pytest.mark.parametrize("codec", PACK)
@settings(max_examples=25, deadline=None)
@given(data=st.binary(max_size=5000), repeat=st.sampled_from([1, 500]))
def test_every_codec_gives_back_what_was_packed(codec: str, data: bytes, repeat: int) -> None:
    """Round trip against the libraries that write the streams."""
    blob = unpacked(PACK[codec](data * repeat), codec)
    assert whole(blob) == data * repeat
    assert blob.broken is None


@pytest.mark.parametrize("codec", SEVERAL)
def test_streams_in_a_row_are_one(codec: str) -> None:
    """Readers go on with the next frame, and so does a scan."""
    packed = PACK[codec](b"first ") + PACK[codec](b"second")
    blob = unpacked(packed, codec)
    assert whole(blob) == b"first second"
    assert blob.packed_end == len(packed)


@pytest.mark.parametrize("codec", PACK)
def test_what_follows_the_stream_is_known(codec: str) -> None:
    """Bytes behind the last frame are not part of it; where they begin is said."""
    packed = PACK[codec](b"data" * 100)
    blob = unpacked(packed + b"\x80\x04K\x01.", codec)
    assert whole(blob) == b"data" * 100
    assert blob.packed_end == len(packed)


@pytest.mark.parametrize("codec", PACK)
def test_a_stream_cut_anywhere_keeps_its_beginning(codec: str) -> None:
    """Whatever is missing at the end, what could be unpacked is there and nothing is raised."""
    data = os.urandom(600) + b"text " * 200
    packed = PACK[codec](data)
    for cut in range(0, len(packed) - 9, 7):
        blob = unpacked(packed[:cut], codec)
        assert data.startswith(whole(blob))
        assert blob.broken is not None


@pytest.mark.parametrize("codec", PACK)
@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(1, 255))
def test_a_flipped_byte_raises_nothing_unexpected(codec: str, place: int, value: int) -> None:
    """Damage ends the stream early or changes it; nothing is raised."""
    packed = bytearray(PACK[codec](b"some text and more " * 50))
    packed[place % len(packed)] ^= value
    whole(unpacked(bytes(packed), codec))


@pytest.mark.parametrize(("codec", "tail"), [("gzip", 8), ("zlib", 4)])
def test_a_wrong_checksum_hides_nothing(codec: str, tail: int) -> None:
    """A loader acts on the data before it sees the checksum, and so does the scan."""
    packed = PACK[codec](b"payload")
    blob = unpacked(packed[:-tail] + bytes(tail), codec)
    assert whole(blob) == b"payload"


@pytest.mark.parametrize("codec", PACK)
def test_reading_the_head_does_not_unpack_the_rest(codec: str) -> None:
    """A few bytes cost one step, not the whole of it."""
    blob = unpacked(PACK[codec](os.urandom(6 * MIB)), codec, size=6 * MIB)
    assert len(blob.view(0, 10)) == 10
    assert len(blob._out) < 2 * MIB
    assert blob.size == 6 * MIB


@pytest.mark.parametrize("codec", PACK)
def test_a_bomb_stops_at_the_budget(codec: str) -> None:
    """No more is unpacked than the budget allows, give or take a step."""
    limits = Limits(unpacked_bytes=8 * MIB)
    blob = unpacked(PACK[codec](bytes(64 * MIB)), codec, limits)
    assert len(blob.view(0, 64 * MIB)) <= 8 * MIB
    assert blob.exceeded is not None
    assert blob.exceeded.limit == "unpacked_bytes"


def test_a_high_ratio_is_a_limit_of_its_own() -> None:
    """Beyond the floor, more than `unpack_ratio` to one is refused."""
    limits = Limits(unpack_ratio_floor_bytes=MIB)
    bomb = unpacked(raw_deflate(bytes(16 * MIB)), "deflate", limits)
    assert len(bomb.view(0, 16 * MIB)) < 16 * MIB
    assert bomb.exceeded is not None
    assert bomb.exceeded.limit == "unpack_ratio"
    assert len(unpacked(raw_deflate(os.urandom(4 * MIB)), "deflate", limits).view(0, 4 * MIB)) == 4 * MIB


def test_the_budget_holds_over_all_children() -> None:
    """Two children that fit one by one do not fit together."""
    limits = Limits(unpacked_bytes=3 * MIB)
    budget = Budget(limits)
    packed = zlib.compress(os.urandom(2 * MIB))
    sizes = [
        len(
            open_child(BytesBlob(packed), Child("x", length=len(packed), codec="zlib"), budget, limits).view(0, 2 * MIB)
        )
        for _ in range(2)
    ]
    assert sizes[0] == 2 * MIB
    assert sum(sizes) <= 3 * MIB


def test_a_small_declared_size_is_not_believed() -> None:
    """What is really there counts, whatever the container says."""
    assert unpacked(raw_deflate(b"x" * 1000), "deflate", size=10).size == 1000


def test_missing_packed_bytes_are_asked_for_in_moderate_pieces() -> None:
    """A remote stream is fetched as it is read."""
    blob = RootBlob(bytes(10 * MIB), 10 * MIB, [(0, 65536)])
    child = Child("x", length=10 * MIB, codec="zlib")
    data = zlib.compress(os.urandom(8 * MIB), 0)
    blob = RootBlob(data, len(data), [(0, 65536)])
    inner = UnpackedBlob(blob, child, Budget(LIMITS), LIMITS)
    assert len(inner.view(0, 1000)) == 1000
    with pytest.raises(Missing) as missing:
        inner.view(0, 200_000)
    [(offset, length)] = missing.value.ranges
    assert offset == 65536
    assert 1024 <= length <= 262144


def test_the_gzip_header_gives_the_name() -> None:
    """FEXTRA, FNAME and FHCRC are skipped exactly (RFC 1952)."""
    header = b"\x1f\x8b\x08" + bytes([4 | 8 | 2]) + bytes(6) + b"\x03\x00abc" + b"model.pkl\0" + b"\0\0"
    assert gzip_header(lambda most: (header + b"rest")[:most]) == (len(header), "model.pkl")
    with pytest.raises(ValueError, match="not a gzip header"):
        gzip_header(lambda most: b"\x1f\x8b\x08")
    with pytest.raises(ValueError, match="does not end"):
        gzip_header(lambda most: (b"\x1f\x8b\x08\x08" + bytes(6)).ljust(most, b"n"))


@pytest.mark.parametrize("codec", ["zlib", "lzma"])
def test_chance_does_not_prove_a_stream(codec: str) -> None:
    """Random bytes behind a right header are not taken for a stream; a real beginning is."""
    head = {"zlib": b"\x78\x9c", "lzma": b"]\0\0\x80\0" + b"\xff" * 8}[codec]
    chance = random.Random(1)
    assert not any(unpacks(BytesBlob(head + chance.randbytes(2000)), codec, LIMITS) for _ in range(50))
    assert unpacks(BytesBlob(PACK[codec](bytes(range(256)) * 20)[:-3]), codec, LIMITS)


def test_an_unknown_codec_is_an_error_of_the_file() -> None:
    """A child that nobody can unpack is said to be so."""
    with pytest.raises(ParseError, match="no decoder"):
        open_child(BytesBlob(b"x"), Child("x", length=1, codec="rot13"), Budget(LIMITS), LIMITS)


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_frames_for_somebody_else_are_skipped(codec: str) -> None:
    """Skippable frames may stand before, between and after (RFC 8878)."""
    skip = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    packed = skip + PACK[codec](b"first ") + skip + skip + PACK[codec](b"second")
    assert whole(unpacked(packed, codec)) == b"first second"
    assert unpacks(BytesBlob(packed), codec, LIMITS)


def test_padding_between_streams_is_skipped() -> None:
    """xz allows zeros in fours, gzip any number."""
    assert whole(unpacked(lzma.compress(b"a") + bytes(8) + lzma.compress(b"b"), "xz")) == b"ab"
    assert whole(unpacked(gzip.compress(b"a") + bytes(3) + gzip.compress(b"b"), "gzip")) == b"ab"


def small_reads(packed: bytes, codec: str) -> bytes:
    """All that a reader gets which reads a byte at a time and keeps what it has when the stream breaks."""
    readers: dict[str, Callable[[io.BytesIO], object]] = {
        "gzip": gzip.open, "bz2": bz2.open, "lzma": lzma.open, "xz": lzma.open, "lz4": lz4.frame.open,
        "zstd": lambda file: zstandard.ZstdDecompressor().stream_reader(file, read_size=1, read_across_frames=True),
    }  # fmt: skip
    out = bytearray()
    with suppress(Exception):  # of whatever kind the library raises
        reader = readers[codec](io.BytesIO(packed))
        while piece := reader.read1(1) if hasattr(reader, "read1") else reader.read(1):  # type: ignore[attr-defined]
            out += piece
    return bytes(out)


@pytest.mark.parametrize("codec", ["gzip", "bz2", "xz", "lzma", "lz4", "zstd"])
@settings(max_examples=15, deadline=None)
@given(place=st.integers(100, 30_000), seed=st.integers(0, 1000))
def test_no_byte_that_a_reader_gets_is_lost(codec: str, place: int, seed: int) -> None:
    """Where a stream breaks, what its readers deliver before they notice is what is scanned."""
    data = random.Random(seed).randbytes(15_000) + b"text " * 20_000
    packed = bytearray(PACK[codec](data))
    packed[place % len(packed)] ^= 0x55
    assert whole(unpacked(bytes(packed), codec)).startswith(small_reads(bytes(packed), codec))


@pytest.mark.parametrize("codec", ["bz2", "xz", "lz4", "zstd"])
def test_a_wrong_checksum_in_the_stream_hides_nothing(codec: str) -> None:
    """The library breaks off at a wrong checksum; all that it hands out before is there: but for the last byte, all."""
    data = b"payload" + bytes(50_000)
    pack = {
        "bz2": bz2.compress,
        "xz": lzma.compress,
        "lz4": lambda data: lz4.frame.compress(data, content_checksum=True),
        "zstd": zstandard.ZstdCompressor(write_checksum=True).compress,
    }[codec]
    packed = bytearray(pack(data))
    packed[{"bz2": 10, "xz": -30, "lz4": -1, "zstd": -1}[codec]] ^= 1
    blob = unpacked(bytes(packed), codec)
    assert whole(blob)[: len(data) - 1] == data[:-1]
    assert blob.broken is not None


def test_a_block_that_breaks_keeps_the_blocks_before_it() -> None:
    """An attack in the first block of a deflate stream works, whatever follows."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(b"attack") + packer.flush(zlib.Z_SYNC_FLUSH) + b"\xff" * 100
    assert whole(unpacked(packed, "deflate")) == b"attack"


@pytest.mark.parametrize("codec", SEVERAL)
def test_bytes_that_only_begin_like_a_further_frame_are_what_follows(codec: str) -> None:
    """They are not part of the stream, and do not break it."""
    packed = PACK[codec](b"data" * 100)
    blob = unpacked(packed + packed[:10] + b"\xff" * 50, codec)
    assert whole(blob) == b"data" * 100
    assert blob.packed_end == len(packed) or blob.broken is not None


def test_a_wrong_checksum_is_told() -> None:
    """gzip and zlib streams say so; a right one does not."""
    for codec in ("gzip", "zlib"):
        packed = PACK[codec](b"payload" * 100)
        right, wrong = unpacked(packed, codec), unpacked(packed[:-5] + b"\0\0\0\0\0", codec)
        assert whole(right) == whole(wrong)
        assert (right.wrong_checksum, wrong.wrong_checksum) == (False, True)


def test_what_breaks_is_gone_through_again_within_the_budget() -> None:
    """Salvage gives no more than the budget either."""
    limits = Limits(unpacked_bytes=300_000)
    blob = unpacked(raw_deflate(os.urandom(299_000) + bytes(50_000))[:-40] + b"\xff" * 40, "deflate", limits)
    assert len(blob.view(0, MIB)) <= 300_000
