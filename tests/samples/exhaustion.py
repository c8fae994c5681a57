"""Files that ask for more than there is: time, memory, depth, numbers beyond any file (B085).

None of them calls anything. What matters is that the inspection ends, in time and within its memory, with a
finding or an honest `partial` or `failed`; where a file is merely large or deep, `scanned` is right as well.
"""

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import literal, pickle, stack_global
from tests.samples.compressed import gz, zstd_streamed
from tests.samples.numpyfiles import header, npy
from tests.samples.quine import gzip_quine
from tests.samples.sample import UNPROVEN, Sample
from tests.samples.zipwriter import Entry, Lies, archive, deflate

HONEST = frozenset({"partial", "failed"})
ENDS = frozenset({"partial", "failed", "scanned", "skipped"})
MIB = 1 << 20


def doubling(levels: int, opcode: bytes) -> bytes:
    """Each level holds the one before twice, by the memo: 2^levels leaves in a few bytes a level."""
    body = literal("lol") + asm.MEMOIZE
    for level in range(levels):
        body += asm.MARK + asm.long_binget(level) * 2 + opcode + asm.MEMOIZE
    return pickle(body)


def raw_zeros(size: int) -> bytes:
    """Raw deflate of `size` zeros. After a full flush each mebibyte packs to the same bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (size // MIB) + packer.flush()


def checksum_zeros(function: Callable[[bytes, int], int], size: int, value: int) -> int:
    """The checksum of `size` zeros."""
    block = bytes(MIB)
    for _ in range(size // MIB):
        value = function(block, value)
    return value


def gzip_zeros(size: int) -> bytes:
    """A gzip of `size` zeros."""
    trailer = struct.pack("<II", checksum_zeros(zlib.crc32, size, 0), size & 0xFFFFFFFF)
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + raw_zeros(size) + trailer


def zlib_zeros(size: int) -> bytes:
    """A zlib stream of `size` zeros."""
    return b"\x78\xda" + raw_zeros(size) + struct.pack(">I", checksum_zeros(zlib.adler32, size, 1))


def overlapping(members: int, size: int) -> bytes:
    """Many directory entries over the same packed zeros."""
    packed = raw_zeros(size)
    lies = Lies(packed=len(packed), size=size, crc=0, offset=0)
    first = Entry("kernel", b"", 8, local=Lies(packed=len(packed), size=size), central=lies, packed=packed)
    others = [Entry(f"copy{i}", b"", 8, central=lies, central_only=True) for i in range(members)]
    return archive([first, *others])


def bomb(size: int) -> bytes:
    """A zip with one member of `size` zeros."""
    packed = raw_zeros(size)
    lies = Lies(packed=len(packed), size=size, crc=0)
    return archive([Entry("archive/data/0", b"", 8, local=lies, central=lies, packed=packed)])


def zip_of_zips(levels: int, width: int) -> bytes:
    """`width` copies of the level below in each zip."""
    data = bomb(10 * MIB)
    for _ in range(levels):
        data = archive([Entry(f"{index}.zip", data, 8) for index in range(width)])
    return data


TABLE: tuple[tuple[str, str, Callable[[], bytes], frozenset[str], str], ...] = (
    ("pickle-tuples-doubling", "x.pkl", lambda: doubling(60, asm.TUPLE), ENDS, "2^60 leaves through the memo."),
    ("pickle-lists-doubling", "x.pkl", lambda: doubling(60, asm.LIST), ENDS, "The same with lists."),
    (
        "pickle-strings-doubling",
        "x.pkl",
        lambda: pickle(
            literal("A" * 200)
            + asm.MEMOIZE
            + b"".join(
                asm.call(stack_global("operator", "add"), asm.long_binget(i), asm.long_binget(i)) + asm.MEMOIZE
                for i in range(60)
            )
        ),
        ENDS,
        "A string that doubles sixty times, if somebody computes it.",
    ),
    (
        "pickle-join-doubling",
        "x.pkl",
        lambda: pickle(
            literal("A" * 200)
            + asm.MEMOIZE
            + b"".join(
                asm.call(stack_global("builtins", "str.join"), literal(""), asm.list_(*[asm.long_binget(i)] * 10))
                + asm.MEMOIZE
                for i in range(40)
            )
        ),
        ENDS,
        "A string that grows tenfold forty times, if somebody computes it.",
    ),
    (
        "pickle-replicated-by-multiplying",
        "x.pkl",
        lambda: pickle(asm.calls("operator", "mul", "A", 2**40)),
        ENDS,
        "A string of a tebibyte, if somebody computes it.",
    ),
    (
        "pickle-deep-lists",
        "x.pkl",
        lambda: pickle(asm.EMPTY_LIST * 500_000 + asm.APPEND * 499_999),
        ENDS,
        "500,000 deep.",
    ),
    ("pickle-deep-tuples", "x.pkl", lambda: pickle(asm.EMPTY_TUPLE + asm.TUPLE1 * 500_000), ENDS, "500,000 deep."),
    ("pickle-deep-marks", "x.pkl", lambda: pickle(asm.MARK * 1_000_000 + asm.TUPLE * 1_000_000), ENDS, "A million."),
    (
        "pickle-deep-reduce",
        "x.pkl",
        lambda: pickle(
            stack_global("collections", "OrderedDict")
            + asm.MEMOIZE
            + asm.POP
            + asm.binget(0) * 100_000
            + asm.EMPTY_TUPLE
            + asm.REDUCE
            + (asm.TUPLE1 + asm.REDUCE) * 99_999
        ),
        ENDS,
        "Calls 100,000 deep.",
    ),
    ("pickle-huge-memo-index", "x.pkl", lambda: pickle(literal(1) + asm.long_binput(2**32 - 1)), ENDS, "Slot 2^32-1."),
    ("pickle-huge-put", "x.pkl", lambda: pickle(literal(1) + asm.put(2**70)), ENDS, "Slot 2^70."),
    ("pickle-huge-int-line", "x.pkl", lambda: b"I" + b"9" * 2_000_000 + b"\n.", ENDS, "A number of 2,000,000 digits."),
    ("pickle-huge-long-line", "x.pkl", lambda: b"L" + b"9" * 2_000_000 + b"L\n.", ENDS, "The same as LONG."),
    ("pickle-binbytes8-2-63", "x.pkl", lambda: pickle(asm.binbytes8(b"", 2**63)), HONEST, "Bytes of length 2^63."),
    ("pickle-binbytes8-2-62", "x.pkl", lambda: pickle(asm.binbytes8(b"", 2**62)), HONEST, "Bytes of length 2^62."),
    ("pickle-binunicode8-2-63", "x.pkl", lambda: pickle(b"\x8d" + b"\xff" * 8), HONEST, "Text of length 2^64-1."),
    ("pickle-long4-2-31", "x.pkl", lambda: pickle(b"\x8b\xff\xff\xff\x7f"), HONEST, "A number of 2 GiB."),
    ("pickle-frame-2-63", "x.pkl", lambda: asm.proto(4) + asm.frame(b"N.", 2**63), ENDS, "A frame of 2^63 bytes."),
    (
        "pickle-cycle",
        "x.pkl",
        lambda: pickle(asm.EMPTY_LIST + asm.MEMOIZE + asm.binget(0) + asm.APPEND),
        ENDS,
        "Itself.",
    ),
    (
        "pickle-many-findings",
        "x.pkl",
        lambda: pickle((asm.calls("os", "system", "echo modelaudit-sample") + asm.POP) * 20_000 + asm.NONE),
        frozenset(),
        "Twenty thousand calls.",
    ),
    (
        "pickle-many-pickles",
        "x.pkl",
        lambda: pickle(asm.NONE) * 300_000,
        ENDS,
        "Three hundred thousand pickles in one file.",
    ),
    (
        "pickle-almost-pickles",
        "x.bin",
        lambda: b"\x80\x04\x95" * 500_000,
        ENDS,
        "Half a million beginnings of pickles.",
    ),
    (
        "pickle-base64-ladder",
        "x.pkl",
        lambda: pickle(literal("gASV" * 500_000)),
        ENDS,
        "Two megabytes of what might be base64 of a pickle.",
    ),
    ("gzip-1-gib", "x.pkl.gz", lambda: gzip_zeros(1024 * MIB), HONEST, "A gibibyte of zeros."),
    ("gzip-of-gzip-10-gib", "x.gz", lambda: gz(gz(gzip_zeros(2048 * MIB))), HONEST, "Zeros packed three times."),
    ("zlib-1-gib", "x.joblib", lambda: zlib_zeros(1024 * MIB), HONEST, "Zeros in zlib."),
    ("zstd-512-mib", "x.zst", lambda: zstd_streamed(bytes(512 * MIB)), HONEST, "Half a gibibyte of zeros in zstd."),
    (
        "gzip-pickle-then-zeros",
        "x.pkl.gz",
        lambda: gz(pickle(asm.calls("os", "system", "echo modelaudit-sample"))) + gzip_zeros(1024 * MIB),
        frozenset(),
        "A hostile pickle, then a second member of a gibibyte of zeros.",
    ),
    ("gzip-quine", "x.gz", gzip_quine, HONEST, "A gzip that unpacks to itself."),
    ("zip-1-gib", "x.pt", lambda: bomb(1024 * MIB), HONEST, "A member of a gibibyte of zeros."),
    ("zip-overlapping", "x.zip", lambda: overlapping(250, 64 * MIB), HONEST, "Sixteen gibibytes over one kernel."),
    ("zip-nested", "x.zip", lambda: zip_of_zips(4, 16), HONEST, "Sixteen zips in each, four deep."),
    (
        "zip-million-entries-claimed",
        "x.zip",
        lambda: archive([Entry("a", b"x")], count=65535),
        HONEST,
        "65,535 claimed.",
    ),
    (
        "zip-60000-empty-members",
        "x.zip",
        lambda: archive([Entry(f"m{index}", b"") for index in range(60_000)]),
        ENDS,
        "Sixty thousand empty members.",
    ),
    (
        "zip-size-2-32",
        "x.zip",
        lambda: archive([Entry("a", b"x", local=Lies(size=2**32 - 2), central=Lies(size=2**32 - 2))]),
        HONEST,
        "A member that claims four gibibytes.",
    ),
    (
        "zip-declared-small",
        "x.zip",
        lambda: archive(
            [
                Entry(
                    "archive/data.pkl",
                    b"",
                    8,
                    local=Lies(size=10),
                    central=Lies(size=10),
                    packed=raw_zeros(256 * MIB),
                )
            ]
        ),
        HONEST,
        "A member that claims ten bytes and unpacks to 256 MiB.",
    ),
    ("zip-deflate-loop", "x.zip", lambda: archive([Entry("a", deflate(b"") * 100_000, 8)]), ENDS, "Empty blocks."),
    ("npy-shape-2-62", "x.npy", lambda: npy("'<f8'", bytes(64), f"({2**62},)"), HONEST, "2^62 doubles claimed."),
    ("npy-shape-wraps", "x.npy", lambda: npy("'<f8'", bytes(64), f"({2**32}, {2**32})"), HONEST, "The product wraps."),
    ("npy-shape-negative", "x.npy", lambda: npy("'<f8'", bytes(64), "(-8,)"), HONEST, "A negative dimension."),
    ("npy-32000-dimensions", "x.npy", lambda: npy("'<f8'", bytes(8), "(" + "1," * 32_000 + ")"), HONEST, "Dimensions."),
    (
        "npy-deep-struct",
        "x.npy",
        lambda: header("[('a'," * 20_000 + "'<f8'" + ")]" * 20_000, version=2),
        HONEST,
        "Deep.",
    ),
    (
        "npy-header-2-32",
        "x.npy",
        lambda: b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr'",
        HONEST | {"skipped"},
        "A header of four gibibytes.",
    ),
    (
        "npy-header-long-number",
        "x.npy",
        lambda: npy("'<f8'", b"", "(" + "9" * 60_000 + ",)"),
        HONEST,
        "A dimension of 60,000 digits.",
    ),
    (
        "npy-header-power",
        "x.npy",
        lambda: npy("'<f8'", b"", "(9**9**9**9,)"),
        HONEST,
        "A dimension that takes for ever to compute.",
    ),
    (
        "npy-itemsize",
        "x.npy",
        lambda: npy("'|V999999999999'", b"", "(1,)"),
        HONEST,
        "Items of a terabyte each.",
    ),
    (
        "gzip-header-endless",
        "x.gz",
        lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * MIB,
        HONEST | {"skipped"},
        "A name.",
    ),
    ("gzip-empty-members", "x.gz", lambda: gz(b"") * 100_000, ENDS, "A hundred thousand empty members."),
    ("gzip-name-only", "x.gz", lambda: gzip.compress(b"", mtime=0), ENDS, "A gzip of nothing."),
    ("empty-pickle-tower", "x.pkl", lambda: pickle(asm.frame(b"") * 200_000 + asm.NONE), ENDS, "Empty frames."),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    for name, filename, build, ends, why in TABLE:
        yield Sample(
            f"B085-{name}",
            "B085",
            filename,
            lambda _, build=build: build(),
            f"{why}{UNPROVEN}it asks for resources and calls nothing.",
            expect="critical" if not ends else "warning",
            loader="",
            ends=ends,
        )
