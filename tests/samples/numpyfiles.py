"""npy and npz files that hold pickles (B053)."""

import struct
from collections.abc import Callable, Iterator

from tests.samples.assembler import literal, pickle
from tests.samples.sample import UNPROVEN, Payload, Sample
from tests.samples.torchparts import hostile_zip
from tests.samples.zipwriter import Entry, Lies, archive


def header(descr: str, shape: str = "(1,)", *, version: int = 1, order: str = "False", align: int = 64) -> bytes:
    """The head of an npy file; `descr` and `shape` are Python source, as in the file."""
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    fixed = 10 if version == 1 else 12
    text += b" " * (-(fixed + len(text) + 1) % align) + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text


def npy(descr: str, data: bytes, shape: str = "(1,)", **options: object) -> bytes:
    """A whole npy file."""
    return header(descr, shape, **options) + data  # type: ignore[arg-type]


def listed(payload: Payload, protocol: int = 4) -> bytes:
    """A pickle whose result numpy takes for the items of an array: a list with the call in it."""
    return pickle(literal([1], protocol)[:-1] + payload.call(protocol) + b"l", protocol)


DOUBLES = struct.pack("<2d", 0.5, 0.25)
HONEST = npy("'<f8'", DOUBLES, "(2,)")

OBJECTS: tuple[tuple[str, Callable[[Payload], bytes], str], ...] = (
    ("object-v1", lambda p: npy("'|O'", p.pickle()), "dtype object, format 1.0 (CVE-2019-6446)."),
    ("object-v2", lambda p: npy("'|O'", p.pickle(), version=2), "dtype object, format 2.0."),
    ("object-v3", lambda p: npy("'|O'", p.pickle(), version=3), "dtype object, format 3.0."),
    ("object-o8", lambda p: npy("'|O8'", p.pickle()), "dtype object, spelled '|O8'."),
    ("object-plain-o", lambda p: npy("'O'", p.pickle()), "dtype object, spelled 'O'."),
    ("object-word", lambda p: npy("'object'", p.pickle()), "dtype object, spelled 'object'."),
    ("object-protocol0", lambda p: npy("'|O'", p.pickle(0)), "dtype object, a text pickle."),
    ("object-list", lambda p: npy("'|O'", listed(p), "(2,)"), "The call is an item of the list of items."),
    ("object-fortran", lambda p: npy("'|O'", p.pickle(), order="True"), "dtype object in Fortran order."),
    ("object-empty-shape", lambda p: npy("'|O'", p.pickle(), "(0,)"), "dtype object, no items by the shape."),
    ("object-scalar", lambda p: npy("'|O'", p.pickle(), "()"), "dtype object, no dimensions."),
    ("object-huge-shape", lambda p: npy("'|O'", p.pickle(), "(1000000000,)"), "dtype object, a billion items."),
    ("struct-object", lambda p: npy("[('a', '<f8'), ('b', '|O')]", p.pickle()), "An object field in a struct."),
    (
        "struct-nested-object",
        lambda p: npy("[('a', [('b', '<i4'), ('c', [('d', '|O')])])]", p.pickle()),
        "An object field three structs deep.",
    ),
    ("struct-subarray-object", lambda p: npy("[('a', '|O', (2,))]", p.pickle()), "A sub-array of objects."),
    ("struct-titled-object", lambda p: npy("[(('title', 'a'), '|O')]", p.pickle()), "An object field with a title."),
    (
        "header-double-quotes",
        lambda p: npy('"|O"', p.pickle()),
        "The header uses the other quotes.",
    ),
    (
        "header-escapes",
        lambda p: npy("'\\x7c\\x4f'", p.pickle()),
        "The dtype is spelled with escapes.",
    ),
    ("header-unaligned", lambda p: npy("'|O'", p.pickle(), align=1), "The header is not padded."),
    ("header-newlines", lambda p: npy("\n'|O'\n", p.pickle()), "Newlines in the header."),
    ("header-concatenated", lambda p: npy("'|' 'O'", p.pickle()), "The dtype is two string literals."),
    ("raw-pickle", lambda p: p.pickle(), "No npy at all: numpy.load falls back to pickle.load."),
    ("raw-text-pickle", lambda p: p.pickle(0), "The same with a text pickle."),
    ("second-array", lambda p: HONEST + npy("'|O'", p.pickle()), "An honest array, then one of objects."),
    ("pickle-after-array", lambda p: HONEST + p.pickle(), "numpy.load again on the same file loads the pickle."),
)

MEMBERS: tuple[tuple[str, Callable[[Payload], list[Entry]], str], ...] = (
    ("member", lambda p: [Entry("arr_0.npy", npy("'|O'", p.pickle()))], "An object array in an npz."),
    (
        "second-member",
        lambda p: [Entry("weights.npy", HONEST), Entry("labels.npy", npy("'|O'", p.pickle()))],
        "The second array is of objects.",
    ),
    (
        "deflated",
        lambda p: [Entry("arr_0.npy", npy("'|O'", p.pickle()), method=8)],
        "An object array in a compressed npz.",
    ),
    (
        "member-without-extension",
        lambda p: [Entry("weights.npy", HONEST), Entry("labels", npy("'|O'", p.pickle()))],
        "The object array's member has no extension.",
    ),
    (
        "wrong-crc",
        lambda p: [Entry("arr_0.npy", npy("'|O'", p.pickle()), local=Lies(crc=1), central=Lies(crc=1))],
        "The member's CRC is wrong.",
    ),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    for name, build, why in OBJECTS:
        yield Sample(f"B053-{name}", "B053", "embeddings.npy", build, why, loader="numpy")
    for name, entries, why in MEMBERS:
        proven = name != "wrong-crc"
        yield Sample(
            f"B053-npz-{name}",
            "B053",
            "embeddings.npz",
            lambda p, entries=entries: archive(entries(p)),
            why + ("" if proven else f"{UNPROVEN}numpy checks it, after it has unpacked the pickle's first part."),
            loader="numpy" if proven else "",
        )
    user = f"{UNPROVEN}numpy.load gives the member's bytes, and the user loads them."
    yield Sample(
        "B053-npz-pickle-member",
        "B053",
        "embeddings.npz",
        lambda p: archive([Entry("weights.npy", HONEST), Entry("meta.pkl", p.pickle())]),
        f"A pickle among the arrays.{user}",
        loader="",
    )
    yield Sample(
        "B053-npz-torch-member",
        "B053",
        "embeddings.npz",
        lambda p: archive([Entry("weights.npy", HONEST), Entry("model.pt", hostile_zip(p))]),
        f"A torch file among the arrays.{user}",
        loader="",
    )
    yield Sample(
        "B053-header-code",
        "B053",
        "embeddings.npy",
        lambda p: npy(f"{p.source}", DOUBLES, "(2,)"),
        f"The header is an expression that makes the call.{UNPROVEN}numpy's parser of literals refuses it.",
        expect="warning",
        loader="",
        ends=frozenset({"partial", "failed"}),
    )
