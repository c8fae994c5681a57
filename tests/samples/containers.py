"""Pickles in zips, streams, tars and arrays of which readers disagree where and what they are."""

import lzma
import struct
import zlib
from collections.abc import Callable, Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, literal, pickle
from tests.samples.numpyfiles import npy
from tests.samples.sample import UNPROVEN, Payload, Sample
from tests.samples.torchparts import SYSTEM, parts, state_dict, tar
from tests.samples.zipwriter import WIDE, Entry, Lies, archive

Build = Callable[[Payload], bytes]

_END = struct.Struct("<4s4H2IH")
_RECORD = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_JUNK = b"\1junk\1"


# --- zip ----------------------------------------------------------------------------------------------------


def _two_faced(payload: Payload, way: str) -> bytes:
    """A harmless archive whose comment has the directory of the other members that stand in it."""
    shown, hidden = parts(pickle(state_dict(), 2)), parts(payload.pickle(2))
    whole = archive([*shown, *hidden], before_directory=_JUNK)
    start = struct.unpack_from("<I", whole, len(whole) - 6)[0]
    body, directory = whole[:start], whole[start:-22]
    place = 0
    for _ in shown:
        place = directory.index(b"PK\1\2", place + 1)
    good, other = directory[:place], directory[place:]
    count = len(shown)

    def record(where: int) -> bytes:
        return _RECORD.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(other), where)

    def end(where: int, comment: bytes) -> bytes:
        return _END.pack(b"PK\5\6", 0, 0, count, count, len(good), where, len(comment)) + comment

    if way == "record":
        behind = len(body) + len(other) + len(good) + _LOCATOR.size + _END.size
        locator = _LOCATOR.pack(b"PK\6\7", 0, behind, 1)
        return body + other + good + locator + end(len(body) + len(other), record(len(body)))
    if way == "directory":
        place = len(body) + len(good)
        behind = place + _RECORD.size + _LOCATOR.size + _END.size
        locator = _LOCATOR.pack(b"PK\6\7", 0, place, 1)
        return body + good + record(behind) + locator + end(len(body), other)
    return body + good + end(len(body) + len(good) + _END.size, other)


def _far_record(payload: Payload) -> bytes:
    """A zip64 record that zipfile does not see, as the locator does not stand right behind it; 8 bytes before all."""
    members = [Entry("a.npy", npy("'|O'", pickle(asm.EMPTY_LIST))), Entry("b.npy", npy("'|O'", payload.pickle()))]
    whole = archive(members)
    start = struct.unpack_from("<I", whole, len(whole) - 6)[0]
    directory = bytearray(whole[start:-22])
    record = _RECORD.pack(b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, directory.rindex(b"PK\1\2"), start)
    tail = record + b"junk" + _LOCATOR.pack(b"PK\6\7", 0, 8 + start + len(directory), 1)
    place = directory.rindex(b"PK\1\2") + 32
    directory[place : place + 2] = len(tail).to_bytes(2, "little")  # the last entry's comment
    end = _END.pack(b"PK\5\6", 0, 0, 2, 2, len(directory) + len(tail), start, 0)
    return b"8 before" + whole[:start] + bytes(directory) + tail + end


def _zip_lzma(data: bytes, dictionary: int) -> Entry:
    spec = {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": 3, "lp": 0, "pb": 2}
    properties = b"\x5d" + struct.pack("<I", dictionary)
    packed = b"\x09\x14\5\0" + properties + lzma.compress(data, lzma.FORMAT_RAW, filters=[spec])
    return Entry("a.npy", data, 14, packed=packed)


def _zeros(payload: Payload) -> bytes:
    """A pickle whose first two kibibytes are zeros."""
    return asm.proto(4) + asm.binbytes(bytes(2048)) + asm.POP + payload.call() + asm.STOP


def _last_comment(payload: Payload) -> bytes:
    members = [Entry("a.npy", npy("'|O'", pickle(asm.EMPTY_LIST))), Entry("b.npy", npy("'|O'", payload.pickle()))]
    data = bytearray(archive(members, before_directory=_JUNK))
    place = data.rindex(b"PK\1\2") + 32
    data[place : place + 2] = b"\xff\x7f"
    return bytes(data)


def _two_wide_fields(payload: Payload) -> bytes:
    hidden = npy("'|O'", payload.pickle())
    first = Entry("a.npy", npy("'|O'", pickle(asm.EMPTY_LIST)))
    offset = len(archive([first], before_directory=_JUNK)) - 22 - 46 - 5
    extra = struct.pack("<HHQ", 1, 8, WIDE) + struct.pack("<HHQ", 1, 8, offset)
    return archive([first, Entry("b.npy", hidden, gap=_JUNK, central=Lies(offset=WIDE, extra=extra))])


ZIPS: tuple[tuple[str, str, Build, str, str], ...] = (
    ("record-in-comment", "model.pt", lambda p: _two_faced(p, "record"), "zip-directory", "miniz follows the locator."),
    (
        "directory-in-comment-wide",
        "model.pt",
        lambda p: _two_faced(p, "directory"),
        "zip-directory",
        "miniz believes the record's offset.",
    ),
    (
        "directory-in-comment",
        "model.pt",
        lambda p: _two_faced(p, ""),
        "zip-directory",
        "miniz believes the end record's offset, not where the directory would fit.",
    ),
    (
        "lzma-odd-dictionary",
        "model.npz",
        lambda p: archive([_zip_lzma(npy("'|O'", p.pickle()), 5000)]),
        "numpy",
        "LZMA alone would have another dictionary; zip's may have any.",
    ),
    (
        "lzma-zeros",
        "model.npz",
        lambda p: archive([_zip_lzma(npy("'|O'", _zeros(p)), 1 << 16)]),
        "numpy",
        "LZMA of mostly zeros.",
    ),
    ("comment-too-long", "model.npz", _last_comment, "numpy", "The last entry's comment is longer than the directory."),
    (
        "far-record",
        "model.npz",
        _far_record,
        "numpy-zip",
        "zipfile goes by the end record alone.",
    ),
    ("two-wide-fields", "model.npz", _two_wide_fields, "numpy", "zipfile goes on to the second zip64 field."),
    (
        "behind-notebook",
        "model.ipynb",
        lambda p: archive(
            parts(p.pickle(2)), prefix=b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
        ),
        "zip-directory",
        "A notebook stands before the archive.",
    ),
    (
        "behind-card",
        "README.md",
        lambda p: archive(parts(p.pickle(2)), prefix=b"---\nlicense: mit\n---\n# A model\n"),
        "zip-directory",
        "A model card stands before the archive.",
    ),
    (
        "behind-pmml",
        "model.pmml",
        lambda p: archive(parts(p.pickle(2)), prefix=b'<?xml version="1.0"?>\n<PMML version="4.4"></PMML>\n'),
        "zip-directory",
        "PMML stands before the archive.",
    ),
    (
        "behind-onnx",
        "model.onnx",
        lambda p: archive(parts(p.pickle(2)), prefix=b"\x08\x07\x12\x07pytorch:\0"),
        "zip-directory",
        "What may be ONNX stands before the archive.",
    ),
)


# --- streams ------------------------------------------------------------------------------------------------


def _alone(data: bytes, dictionary: int = 1 << 16) -> bytes:
    spec = {"id": lzma.FILTER_LZMA1, "dict_size": max(dictionary, 4096), "lc": 3, "lp": 0, "pb": 2}
    packed = lzma.compress(data, lzma.FORMAT_RAW, filters=[spec])
    return b"\x5d" + struct.pack("<I", dictionary) + b"\xff" * 8 + packed


def _old_lzip(data: bytes) -> bytes:
    return b"LZIP\0\x10" + _alone(data)[13:] + struct.pack("<IQ", zlib.crc32(data), len(data))


def _broken_second(data: bytes) -> bytes:
    second = _alone(bytes(range(250)) * 2)
    return _alone(data) + second[:40] + b"\xff" * (len(second) - 40)


def _tiny(payload: Payload) -> bytes:
    """A stored deflate block that is not the last, and nothing behind it."""
    data = payload.function(0) + b")R."
    return b"\x78\x9c\0" + struct.pack("<HH", len(data), len(data) ^ 0xFFFF) + data


STREAMS: tuple[tuple[str, str, Build, str, str], ...] = (
    (
        "few-values",
        "model.joblib",
        lambda p: _alone(b"N0" * 600 + p.pickle()),
        "joblib",
        "Two values, often.",
    ),
    ("zeros", "model.joblib", lambda p: _alone(_zeros(p)), "joblib", "Mostly zeros."),
    ("second-breaks", "model.joblib", lambda p: _broken_second(p.pickle()), "joblib", "A second stream is broken."),
    ("odd-dictionary", "model.lzma", lambda p: _alone(p.pickle(), 5000), "lzma-alone", "A dictionary of 5,000 bytes."),
    ("lzip-0", "model.lz", lambda p: _old_lzip(p.pickle()), "", "The first version of lzip."),
    (
        "xz-then-lzip-0",
        "model.xz",
        lambda p: lzma.compress(p.pickle()[:9]) + _old_lzip(p.pickle()[9:]),
        "",
        "The pickle goes on in a stream of lzip's first version.",
    ),
    (
        "zeros-between",
        "model.xz",
        lambda p: lzma.compress(p.pickle()[:9]) + bytes(18) + lzma.compress(p.pickle()[9:]),
        "lzma",
        "Eighteen zeros are a stream of nothing.",
    ),
    ("tiny-cut", "model.joblib", _tiny, "", "A zlib stream of a tiny pickle, cut short behind it."),
    (
        "long-gzip-name",
        "model.gz",
        lambda p: b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * (17 << 20) + b"\0" + zlib.compress(p.pickle(), wbits=-15),
        "",
        "The file's name in the header has 17 MiB.",
    ),
)


# --- pickles, arrays, tars ----------------------------------------------------------------------------------


def _headerless(payload: Payload) -> bytes:
    """A pickle that no search for beginnings finds."""
    return asm.text(payload.module) + asm.text(payload.name) + asm.STACK_GLOBAL + asm.tuple_(payload.text()) + b"R."


def _tarred(storages: bytes, tensors: bytes) -> bytes:
    plain = {"sys_info": pickle(literal(SYSTEM, 2), 2), "pickle": pickle(literal({}, 2), 2)}
    return tar({"storages": storages, "tensors": tensors, **plain})


def _listed(name: str, count: int = 1) -> bytes:
    """How many, and the pickle of the first one's class."""
    return pickle(literal(count, 2), 2) + pickle(
        asm.tuple_(literal(0, 2), literal("cpu", 2), asm.global_("torch", name)), 2
    )


_NONE = pickle(literal(0, 2), 2)
_STORED = _listed("FloatStorage") + struct.pack("<q16x", 4)
_MANY = _listed("FloatStorage") + struct.pack("<q", 5 << 18)
_SHAPED = _listed("FloatTensor", 2) + struct.pack("<iiqqq", 1, 0, 1, 1, 0)


def _raw_array(raw: bytes, before: bytes = b"") -> bytes:
    """joblib's array around `raw`, which other unpicklers take for opcodes."""
    fields = {
        "subclass": Raw(asm.stack_global("numpy", "ndarray")),
        "shape": (len(raw),),
        "order": "C",
        "dtype": asm.calls("numpy", "dtype", "u1", False, True),
        "allow_mmap": False,
    }
    head = asm.stack_global("joblib.numpy_pickle", "NumpyArrayWrapper") + asm.EMPTY_TUPLE + asm.NEWOBJ
    return asm.proto(4) + before + head + literal(fields) + asm.BUILD + raw + asm.STOP


def _far(payload: Payload) -> bytes:
    return _raw_array(asm.POP + asm.binunicode("a" * 70_000) + asm.POP + _headerless(payload))


def _decoy(payload: Payload) -> bytes:
    """A second pickle calls data.pkl one of its storages."""
    evil = payload.pickle(2)
    evil += bytes(-len(evil) % 4)
    storage = asm.tuple_(
        literal("storage", 2),
        asm.global_("torch", "FloatStorage"),
        literal("data.pkl", 2),
        literal("cpu", 2),
        literal(len(evil) // 4, 2),
    )
    large = Entry("archive/data/0", bytes(range(256)) * 5000)
    return archive([*parts(evil), Entry("archive.pkl", pickle(storage + asm.BINPERSID, 2)), large])


OTHERS: tuple[tuple[str, str, str, Build, str, str], ...] = (
    ("B022-blank-before-l", "B022", "model.pkl", lambda p: b"L7 L\n0" + p.pickle(), "pickle", "A blank in a LONG."),
    ("B022-no-digits", "B022", "model.pkl", lambda p: b"I\0\n0" + p.pickle(), "pickle", "An INT without digits is 0."),
    (
        "B021-line-of-5-mib",
        "B021",
        "model.pkl",
        lambda p: b"V" + b"a" * (5 << 20) + b"\n0" + p.pickle(0),
        "pickle",
        "The first line has five mebibytes.",
    ),
    (
        "B045-storage-of-no-module",
        "B045",
        "model.pt",
        lambda p: archive(parts(b"c-!\nFloatStorage\n0" + p.pickle(2))),
        "",
        "torch takes the name of a storage from any module.",
    ),
    ("B045-decoy-storage", "B045", "model.pt", _decoy, "zip-directory", "data.pkl is said to be a storage."),
    (
        "B036-opcodes-far",
        "B036",
        "model.pkl",
        _far,
        "pickle",
        "An array's bytes are opcodes for pickle.load, and act behind a long string.",
    ),
    (
        "B036-opcodes-after-mark",
        "B036",
        "model.pkl",
        lambda p: _raw_array(asm.POP_MARK + _headerless(p), asm.MARK),
        "pickle",
        "An array's bytes are opcodes for pickle.load, and take a mark set before.",
    ),
    (
        "B049-behind-storages",
        "B049",
        "model.tar",
        lambda p: _tarred(_STORED + _headerless(p), _NONE),
        "torch-tar",
        "The views of the storages come behind their bytes.",
    ),
    (
        "B049-behind-tensors",
        "B049",
        "model.tar",
        lambda p: _tarred(_NONE + pickle(asm.EMPTY_LIST), _SHAPED + _headerless(p)),
        "torch-tar",
        "A second tensor behind the first one's shape.",
    ),
    (
        "B049-behind-5-mib",
        "B049",
        "model.tar",
        lambda p: _tarred(_MANY + bytes(range(256)) * (5 << 12) + _headerless(p), _NONE),
        "torch-tar",
        "The same behind five mebibytes of numbers.",
    ),
    (
        "B053-blank-before-l",
        "B053",
        "a.npy",
        lambda p: npy("'|O'", b"L7 L\n0" + p.pickle(), "(1 L,)"),
        "numpy",
        "numpy leaves out an L behind a number, with a blank before it too.",
    ),
    (
        "B053-behind-named-type",
        "B053",
        "a.npy",
        lambda p: npy("'float'", bytes(8)) + npy("'|O'", p.pickle()),
        "numpy",
        "A second array behind one of a named type.",
    ),
    (
        "B053-behind-blank-before-l",
        "B053",
        "a.npy",
        lambda p: npy("'<f8'", bytes(8), "(1 L,)") + npy("'|O'", p.pickle()),
        "numpy",
        "A second array behind one with such a shape.",
    ),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    for bypass, table in (("B042", ZIPS), ("B035", STREAMS)):
        for name, filename, build, loader, why in table:
            told = why if loader else f"{why}{UNPROVEN}only some versions read it."
            yield Sample(f"{bypass}-container-{name}", bypass, filename, build, told, loader=loader)
    for id_, bypass, filename, build, loader, why in OTHERS:
        told = why if loader else f"{why}{UNPROVEN}torch is not installed."
        yield Sample(id_, bypass, filename, build, told, loader=loader)
