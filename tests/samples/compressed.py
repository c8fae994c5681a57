"""Pickles in compressed streams, and joblib's files (B035, B036)."""

import bz2
import gzip
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, calls, literal, pickle, stack_global
from tests.samples.sample import UNPROVEN, Payload, Sample

BENIGN = pickle(literal({"weights": [0.25, 0.5], "epoch": 3}))


def gz(data: bytes, *, flags: int = 0, fields: bytes = b"", crc: int | None = None) -> bytes:
    """A gzip member with whatever header fields are wanted."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packer.compress(data) + packer.flush()
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(4) + b"\x02\xff"
    checksum = zlib.crc32(data) if crc is None else crc
    return header + fields + body + struct.pack("<II", checksum, len(data) & 0xFFFFFFFF)


def zlib_stream(data: bytes, level: int = 6, bits: int = 15) -> bytes:
    """A zlib stream with the given window."""
    packer = zlib.compressobj(level, zlib.DEFLATED, bits)
    return packer.compress(data) + packer.flush()


def lzma_alone(data: bytes) -> bytes:
    """The old .lzma container, whose header gives no size."""
    return lzma.compress(data, format=lzma.FORMAT_ALONE)


def lz4(data: bytes, **options: object) -> bytes:
    import lz4.frame

    return bytes(lz4.frame.compress(data, **options))


def zstd(data: bytes, **options: object) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(**options).compress(data)  # type: ignore[arg-type]


def zstd_streamed(data: bytes) -> bytes:
    """A frame whose header does not say how long the content is."""
    import zstandard

    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(data) + packer.flush()


SKIPPABLE = b"\x50\x2a\x4d\x18" + struct.pack("<I", 8) + b"whatever"

STREAMS: tuple[tuple[str, str, Callable[[bytes], bytes], str], ...] = (
    ("gzip", "gzip", gz, ".pkl.gz"),
    ("gzip-level0", "gzip", lambda d: gzip.compress(d, 0, mtime=0), ".pkl.gz"),
    ("gzip-name-field", "gzip", lambda d: gz(d, flags=8, fields=b"harmless.txt\0"), ".gz"),
    ("gzip-comment-field", "gzip", lambda d: gz(d, flags=16, fields=b"trusted\0"), ".gz"),
    ("gzip-extra-field", "gzip", lambda d: gz(d, flags=4, fields=struct.pack("<H", 6) + b"MA\x02\x00xx"), ".gz"),
    (
        "gzip-all-fields",
        "gzip",
        lambda d: gz(d, flags=0x1F, fields=struct.pack("<H", 4) + b"MA\0\0" + b"n\0c\0" + b"\0\0"),
        ".gz",
    ),
    ("gzip-wrong-crc", "gzip", lambda d: gz(d, crc=0), ".gz"),
    ("gzip-no-trailer", "gzip", lambda d: gz(d)[:-8], ".gz"),
    ("gzip-trailing-zeros", "gzip", lambda d: gz(d) + bytes(512), ".gz"),
    ("gzip-trailing-junk", "gzip", lambda d: gz(d) + b"junk", ".gz"),
    ("gzip-empty-member-first", "gzip", lambda d: gz(b"") + gz(d), ".gz"),
    ("gzip-second-member", "gzip-each", lambda d: gz(BENIGN) + gz(d), ".gz"),
    ("gzip-split-over-members", "gzip", lambda d: gz(d[:9]) + gz(d[9:]), ".gz"),
    ("gzip-twice", "gzip-twice", lambda d: gz(gz(d)), ".gz.gz"),
    ("bz2", "bz2", bz2.compress, ".pkl.bz2"),
    ("bz2-level1", "bz2", lambda d: bz2.compress(d, 1), ".bz2"),
    ("bz2-two-streams", "bz2", lambda d: bz2.compress(d[:9]) + bz2.compress(d[9:]), ".bz2"),
    ("xz", "lzma", lzma.compress, ".pkl.xz"),
    ("xz-crc32", "lzma", lambda d: lzma.compress(d, check=lzma.CHECK_CRC32), ".xz"),
    ("xz-no-check", "lzma", lambda d: lzma.compress(d, check=lzma.CHECK_NONE), ".xz"),
    ("xz-two-streams", "lzma", lambda d: lzma.compress(d[:9]) + lzma.compress(d[9:]), ".xz"),
    (
        "xz-delta-filter",
        "lzma",
        lambda d: lzma.compress(d, filters=[{"id": lzma.FILTER_DELTA, "dist": 4}, {"id": lzma.FILTER_LZMA2}]),
        ".xz",
    ),
    ("lzma-alone", "lzma", lzma_alone, ".lzma"),
    ("zlib", "zlib", zlib_stream, ".pkl.z"),
    ("zlib-level0", "zlib", lambda d: zlib_stream(d, 0), ".z"),
    ("zlib-level1", "zlib", lambda d: zlib_stream(d, 1), ".z"),
    ("zlib-level9", "zlib", lambda d: zlib_stream(d, 9), ".z"),
    ("zlib-window9", "zlib", lambda d: zlib_stream(d, 6, 9), ".z"),
    ("zlib-window12", "zlib", lambda d: zlib_stream(d, 6, 12), ".z"),
    ("zlib-no-checksum", "zlib", lambda d: zlib_stream(d)[:-4], ".z"),
    ("lz4", "lz4", lz4, ".lz4"),
    ("lz4-linked-checksums", "lz4", lambda d: lz4(d, block_linked=True, content_checksum=True), ".lz4"),
    ("lz4-no-size", "lz4", lambda d: lz4(d, store_size=False), ".lz4"),
    ("zstd", "zstd", zstd, ".zst"),
    ("zstd-no-size", "zstd", zstd_streamed, ".zst"),
    ("zstd-checksum", "zstd", lambda d: zstd(d, write_checksum=True), ".zst"),
    ("zstd-skippable-first", "zstd", lambda d: SKIPPABLE + zstd(d), ".zst"),
    ("zstd-two-frames", "zstd", lambda d: zstd(d[:9]) + zstd(d[9:]), ".zst"),
    ("zstd-level19", "zstd", lambda d: zstd(d + b"N." * 2000, level=19), ".zst"),
)


def streams() -> Iterator[Sample]:
    """A hostile pickle in each kind of stream, with the usual name and with none (B035)."""
    for name, loader, pack, extension in STREAMS:
        for index, filename in enumerate((f"model{extension}", "model.bin")):
            yield Sample(
                f"B035-{name}" + ("" if index == 0 else "-as-bin"),
                "B035",
                filename,
                lambda p, pack=pack, index=index: pack(p.pickle(4 - 4 * index)),
                f"A hostile pickle in a stream: {name}.",
                loader=loader,
            )
    mixed: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
        ("gzip-in-xz", lambda d: lzma.compress(gz(d))),
        ("xz-in-bz2", lambda d: bz2.compress(lzma.compress(d))),
        ("zlib-in-zlib", lambda d: zlib_stream(zlib_stream(d))),
        ("zstd-in-gzip", lambda d: gz(zstd(d))),
        ("lz4-in-zstd", lambda d: zstd(lz4(d))),
        ("xz-two-streams-padded", lambda d: lzma.compress(d[:9]) + bytes(8) + lzma.compress(d[9:])),
        ("gzip-after-8-mib", lambda d: gz(pickle(asm.binbytes(bytes(8 << 20)))[:-1] + asm.POP + d)),
    )
    for name, pack in mixed:
        yield Sample(
            f"B035-{name}",
            "B035",
            "model.bin",
            lambda p, pack=pack: pack(p.pickle()),
            f"One stream inside or behind another: {name}.{UNPROVEN}no loader unwraps it by itself.",
            loader="",
        )
    yield Sample(
        "B035-lz4-skippable-first",
        "B035",
        "model.lz4",
        lambda p: SKIPPABLE + lz4(p.pickle()),
        f"A skippable frame before the lz4 frame.{UNPROVEN}Python's lz4 does not skip it.",
        loader="",
    )
    for compression in ("zlib", "gzip", "bz2", "xz", "lzma", "lz4"):
        pack = {
            "zlib": zlib_stream,
            "gzip": gz,
            "bz2": bz2.compress,
            "xz": lzma.compress,
            "lzma": lzma_alone,
            "lz4": lz4,
        }[compression]
        yield Sample(
            f"B035-joblib-{compression}",
            "B035",
            "model.joblib",
            lambda p, pack=pack: pack(p.pickle(4)),
            f"joblib.load finds {compression} by itself.",
            loader="joblib",
        )
    yield Sample(
        "B035-joblib-old-zfile",
        "B035",
        "model.joblib",
        lambda p: _zfile(p.pickle(2)),
        "joblib before 0.10: 'ZF', the length in hex, a zlib stream.",
        loader="joblib",
    )


def _zfile(data: bytes) -> bytes:
    return b"ZF" + hex(len(data)).encode().ljust(19) + zlib.compress(data)


# --- joblib's arrays ----------------------------------------------------------------------------------------


def dtype(code: str, order: str = "<") -> Raw:
    """A numpy dtype as numpy pickles it."""
    return Raw(
        calls("numpy", "dtype", code, False, True)
        + literal((3, order, None, None, None, -1, -1, 0 if order != "|" else 63))
        + asm.BUILD
    )


def wrapped(raw: bytes, count: int, code: str = "f8", *, aligned: bool = True, protocol: int = 4) -> Raw:
    """joblib's NumpyArrayWrapper and the array's bytes, which stand in the stream between the opcodes."""
    state = literal(
        {
            "subclass": Raw(stack_global("numpy", "ndarray")),
            "shape": (count,),
            "order": "C",
            "dtype": dtype(code) if code != "O8" else dtype(code, "|"),
            "allow_mmap": aligned,
            **({"numpy_array_alignment_bytes": 16} if aligned else {}),
        },
        protocol,
    )
    head = stack_global("joblib.numpy_pickle", "NumpyArrayWrapper") + asm.EMPTY_TUPLE + asm.NEWOBJ + state + asm.BUILD
    return Raw(head + (b"\x01\xff" if aligned else b"") + raw)


def aligned_pickle(before: bytes, raw: bytes, count: int, after: bytes) -> bytes:
    """A joblib file with one array whose padding is what joblib would write there."""
    head = asm.proto(4) + before + bytes(wrapped(b"", count))[:-2]
    padding = 16 - (len(head) + 1) % 16
    return head + bytes([padding]) + b"\xff" * padding + raw + after + asm.STOP


def floats(count: int) -> bytes:
    """`count` doubles."""
    return struct.pack(f"<{count}d", *(0.5 + index for index in range(count)))


def arrays() -> Iterator[Sample]:
    """joblib dumps whose arrays lie raw between the opcodes (B036)."""
    decoy = b"." * 8 + b"\x80\x04N." * 2 + bytes(range(16))
    table: tuple[tuple[str, Callable[[Payload], bytes], str], ...] = (
        (
            "after-array",
            lambda p: aligned_pickle(asm.MARK, floats(64), 64, p.call() + asm.TUPLE),
            "The call comes after the array's bytes.",
        ),
        (
            "before-array",
            lambda p: aligned_pickle(asm.MARK + p.call(), floats(64), 64, asm.TUPLE),
            "The call comes before the array's bytes.",
        ),
        (
            "array-full-of-stops",
            lambda p: aligned_pickle(asm.MARK, b"." * 512, 64, p.call() + asm.TUPLE),
            "The array's bytes are STOP opcodes.",
        ),
        (
            "array-with-harmless-pickles",
            lambda p: aligned_pickle(asm.MARK, decoy, len(decoy) // 8, p.call() + asm.TUPLE),
            "The array's bytes are harmless pickles.",
        ),
        (
            "array-full-of-marks",
            lambda p: aligned_pickle(asm.MARK, b"(" * 4096, 512, p.call() + asm.TUPLE),
            "The array's bytes are MARK opcodes.",
        ),
        (
            "array-of-2-mib",
            lambda p: aligned_pickle(asm.MARK, bytes(2 << 20), 2 << 17, p.call() + asm.TUPLE),
            "The call comes after two mebibytes of array.",
        ),
        (
            "array-as-long-string",
            lambda p: aligned_pickle(asm.MARK, b"X\xff\xff\xff\xff\xff\xff\x00" * 8, 8, p.call() + asm.TUPLE),
            "The array's bytes look like a string that reaches past the end.",
        ),
        (
            "two-arrays",
            lambda p: pickle(
                asm.MARK
                + wrapped(floats(4), 4, aligned=False)
                + wrapped(floats(4), 4, aligned=False)
                + p.call()
                + asm.TUPLE
            ),
            "Two arrays without padding (joblib before 1.1), then the call.",
        ),
        (
            "call-between-arrays",
            lambda p: pickle(
                asm.MARK
                + wrapped(floats(4), 4, aligned=False)
                + p.call()
                + wrapped(floats(4), 4, aligned=False)
                + asm.TUPLE
            ),
            "The call stands between two arrays.",
        ),
        (
            "empty-array",
            lambda p: pickle(asm.MARK + wrapped(b"", 0, aligned=False) + p.call() + asm.TUPLE),
            "An array of no bytes, then the call.",
        ),
        (
            "object-array",
            lambda p: pickle(wrapped(p.pickle(), 1, "O8", aligned=False)),
            "An array of dtype object is a whole pickle in the stream.",
        ),
        (
            "object-array-then-call",
            lambda p: pickle(
                asm.MARK + wrapped(pickle(calls("numpy", "array", [1])), 1, "O8", aligned=False) + p.call() + asm.TUPLE
            ),
            "A harmless object array, then the call.",
        ),
        (
            "compressed-with-array",
            lambda p: zlib_stream(aligned_pickle(asm.MARK, floats(64), 64, p.call() + asm.TUPLE)),
            "The same in a zlib stream.",
        ),
    )
    for name, build, why in table:
        yield Sample(f"B036-{name}", "B036", "model.joblib", build, why, loader="joblib")
    elsewhere = f"{UNPROVEN}joblib opens a second file for it."
    yield Sample(
        "B036-old-ndarray-wrapper",
        "B036",
        "model.joblib",
        lambda p: pickle(
            stack_global("joblib.numpy_pickle_compat", "NDArrayWrapper")
            + asm.EMPTY_TUPLE
            + asm.NEWOBJ
            + literal(
                {"filename": "../../etc/x.npy", "allow_mmap": True, "subclass": Raw(stack_global("numpy", "ndarray"))}
            )
            + asm.BUILD
            + asm.POP
            + p.call()
        ),
        f"joblib before 0.10 keeps arrays in neighbouring files.{elsewhere}",
        loader="",
    )
    yield Sample(
        "B036-wrapper-subclass-hostile",
        "B036",
        "model.joblib",
        lambda p: pickle(
            stack_global("joblib.numpy_pickle", "NumpyArrayWrapper")
            + asm.EMPTY_TUPLE
            + asm.NEWOBJ
            + literal({"subclass": p.raw(), "shape": (1,), "order": "C", "dtype": dtype("f8"), "allow_mmap": False})
            + asm.BUILD
            + floats(1)
        ),
        f"The wrapper's subclass is the callable.{UNPROVEN}joblib calls a method that it does not have.",
        loader="",
    )


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from streams()
    yield from arrays()
