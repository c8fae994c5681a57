"""Zips whose headers lie, that hold a name twice, or that hide data (B040, B041, B042, B043, B044)."""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.samples import assembler as asm
from tests.samples.assembler import literal, pickle
from tests.samples.sample import UNPROVEN, Payload, Sample
from tests.samples.torchparts import parts, state_dict, torch_zip
from tests.samples.zipwriter import TRUTH, Entry, Lies, archive

BENIGN = pickle(state_dict(), 2)


def bad(payload: Payload) -> bytes:
    """The hostile data.pkl."""
    return pickle(asm.EMPTY_DICT + literal("x", 2) + payload.call(2) + asm.SETITEM, 2)


def with_lies(payload: Payload, *, local: Lies = TRUTH, central: Lies = TRUTH, **changes: object) -> bytes:
    """A torch zip whose data.pkl makes the call and whose headers say what they are told."""
    first, *others = parts(bad(payload))
    return archive([replace(first, local=local, central=central, **changes), *others])  # type: ignore[arg-type]


def flags() -> Iterator[Sample]:
    """Flag bits that make scanners stop (B040, CVE-2025-1945) and wrong CRCs (B041, CVE-2025-10156)."""
    for bits in (0x1, 0x8, 0x20, 0x40, 0x800, 0x1000, 0x2000, 0xFFFF):
        for place in ("local", "central", "both"):
            lies = Lies(flags=bits)
            refused = place != "local" and bits & 0x2061
            yield Sample(
                f"B040-{place}-{bits:04x}",
                "B040",
                "model.pt",
                lambda p, place=place, lies=lies: with_lies(
                    p,
                    local=lies if place != "central" else TRUTH,
                    central=lies if place != "local" else TRUTH,
                ),
                f"Flag bits {bits:#06x} in the {place} header(s); the data is neither encrypted nor patched."
                + (" PyTorch refuses these bits, other readers do not." if refused else " PyTorch 2.13 loads it."),
                loader="zip-directory",
            )
    table = (
        ("local", Lies(crc=1), TRUTH),
        ("central", TRUTH, Lies(crc=1)),
        ("both", Lies(crc=1), Lies(crc=1)),
        ("both-zero", Lies(crc=0), Lies(crc=0)),
        ("differ", Lies(crc=1), Lies(crc=2)),
    )
    for name, local, central in table:
        for method in (0, 8):
            yield Sample(
                f"B041-{name}-method{method}",
                "B041",
                "model.pt",
                lambda p, local=local, central=central, method=method: with_lies(
                    p, local=local, central=central, method=method
                ),
                f"A wrong CRC ({name}), compression method {method}; PyTorch 2.13 loads it.",
                loader="zip-directory",
            )
    yield Sample(
        "B041-descriptor",
        "B041",
        "model.pt",
        lambda p: with_lies(p, descriptor=True, central=Lies(crc=1)),
        "A data descriptor, and a wrong CRC in the directory.",
        loader="zip-directory",
    )


def mismatches() -> Iterator[Sample]:
    """The local header and the central directory disagree (B042, CVE-2025-1944)."""
    real = b"archive/data.pkl"
    unicode_path = struct.pack("<HHBI", 0x7075, 5 + 18, 1, zlib.crc32(real)) + b"archive/readme.txt"
    table: tuple[tuple[str, Lies, Lies, dict[str, object], str], ...] = (
        ("local-name", Lies(name=b"archive/data.txt"), TRUTH, {}, "Another name in the local header."),
        ("local-name-shorter", Lies(name=b"x"), TRUTH, {}, "A shorter name in the local header."),
        ("local-name-empty", Lies(name=b""), TRUTH, {}, "No name in the local header."),
        ("local-name-case", Lies(name=b"archive/DATA.PKL"), TRUTH, {}, "Another case in the local header."),
        ("local-name-traversal", Lies(name=b"../../data.pkl"), TRUTH, {}, "A traversal in the local header only."),
        ("local-name-not-utf8", Lies(name=b"archive/\xff\xfe.pkl", flags=0x800), TRUTH, {}, "Not UTF-8."),
        ("local-sizes-zero", Lies(packed=0, size=0, crc=0), TRUTH, {}, "Sizes of zero in the local header."),
        ("local-sizes-small", Lies(packed=4, size=4), TRUTH, {}, "Sizes too small in the local header."),
        ("local-sizes-huge", Lies(packed=0x7FFFFFFF, size=0x7FFFFFFF), TRUTH, {}, "Sizes too large there."),
        ("local-method-deflate", Lies(method=8), TRUTH, {}, "The local header says deflate, the data is stored."),
        ("local-method-stored", Lies(method=0), TRUTH, {"method": 8}, "The local header says stored, it is deflated."),
        ("local-method-unknown", Lies(method=99), TRUTH, {}, "An unknown method in the local header."),
        ("local-version-high", Lies(version=255), TRUTH, {}, "A version that no tool has, in the local header."),
        ("central-version-high", TRUTH, Lies(version=255), {}, "A version that no tool has, in the directory."),
        ("local-unicode-path", Lies(extra=unicode_path), TRUTH, {}, "Info-ZIP's unicode path gives another name."),
        ("central-unicode-path", TRUTH, Lies(extra=unicode_path), {}, "The same in the directory."),
        ("local-extra-long", Lies(extra=struct.pack("<HH", 0xCAFE, 500) + bytes(500)), TRUTH, {}, "A long extra."),
        ("local-extra-broken", Lies(extra=b"\x01\x00\xff\xff\x00"), TRUTH, {}, "An extra field that overruns."),
        ("central-extra-broken", TRUTH, Lies(extra=b"\x01\x00\xff\xff\x00"), {}, "The same in the directory."),
        ("central-attributes-directory", TRUTH, Lies(attributes=0x10), {}, "The directory says it is a folder."),
        ("descriptor", TRUTH, TRUTH, {"descriptor": True}, "A data descriptor, sizes only in the directory."),
        ("descriptor-deflated", TRUTH, TRUTH, {"descriptor": True, "method": 8}, "The same, deflated."),
    )
    for name, local, central, changes, why in table:
        yield Sample(
            f"B042-{name}",
            "B042",
            "model.pt",
            lambda p, local=local, central=central, changes=changes: with_lies(
                p, local=local, central=central, **changes
            ),
            why + ("" if name == "central-attributes-directory" else " PyTorch 2.13 loads it."),
            loader="zip-directory",
        )
    yield Sample(
        "B042-central-name-other",
        "B042",
        "model.pt",
        lambda p: archive([*parts(BENIGN), Entry("archive/readme.txt", bad(p), local=Lies(name=b"archive/data.pkl"))]),
        f"The directory calls it readme.txt, the local header data.pkl.{UNPROVEN}for streaming readers.",
        loader="",
    )
    yield Sample(
        "B042-central-size-hides-tail",
        "B042",
        "model.pt",
        lambda p: archive(
            [
                Entry(
                    "archive/data.pkl",
                    BENIGN + bad(p),
                    central=Lies(packed=len(BENIGN), size=len(BENIGN), crc=zlib.crc32(BENIGN)),
                ),
                *parts(BENIGN)[1:],
            ]
        ),
        f"By the directory the member is harmless; by the local header it is longer.{UNPROVEN}readers differ.",
        loader="",
    )
    yield Sample(
        "B042-local-points-elsewhere",
        "B042",
        "model.pt",
        _swapped,
        "The directory's offset for data.pkl points at the local header of another member.",
        loader="zip-directory",
    )


def _swapped(payload: Payload) -> bytes:
    """The directory entry of data.pkl leads to the member `notes`, which is hostile."""
    honest = Entry("archive/data.pkl", BENIGN)
    notes = Entry("archive/notes", bad(payload))
    offset = 30 + len("archive/data.pkl") + len(BENIGN)
    size = len(notes.data)
    lies = Lies(offset=offset, packed=size, size=size, crc=zlib.crc32(notes.data))
    return archive([replace(honest, central=lies), notes, *parts(BENIGN)[1:]])


def duplicates() -> Iterator[Sample]:
    """Twice the same name, hidden records, two directories (B043)."""
    good, *others = parts(BENIGN)
    readers = f"{UNPROVEN}readers differ in what they take."

    def twin(payload: Payload, **lies: object) -> Entry:
        return replace(good, data=bad(payload), **lies)  # type: ignore[arg-type]

    table: tuple[tuple[str, Callable[[Payload], bytes], str, str], ...] = (
        (
            "same-name-second",
            lambda p: archive([good, *others, twin(p)]),
            "critical",
            "The second data.pkl is hostile.",
        ),
        ("same-name-first", lambda p: archive([twin(p), *others, good]), "critical", "The first data.pkl is hostile."),
        (
            "same-name-thrice",
            lambda p: archive([good, twin(p), good, *others]),
            "critical",
            "The middle one of three is hostile.",
        ),
        (
            "case-folded",
            lambda p: archive([good, replace(twin(p), name="archive/DATA.PKL"), *others]),
            "critical",
            "Names that differ in case only.",
        ),
        (
            "dot-segment",
            lambda p: archive([good, replace(twin(p), name="archive/./data.pkl"), *others]),
            "critical",
            "The same path spelled with a dot.",
        ),
        (
            "double-slash",
            lambda p: archive([good, replace(twin(p), name="archive//data.pkl"), *others]),
            "critical",
            "The same path spelled with two slashes.",
        ),
        (
            "backslash",
            lambda p: archive([good, replace(twin(p), name="archive\\data.pkl"), *others]),
            "critical",
            "The same path spelled with a backslash.",
        ),
        (
            "nul-in-name",
            lambda p: archive([good, replace(twin(p), name=b"archive/data.pkl\0.txt"), *others]),
            "critical",
            "The name goes on after a NUL.",
        ),
        (
            "local-only",
            lambda p: archive([good, *others, twin(p, local_only=True)]),
            "warning",
            "A member that the directory does not list.",
        ),
        (
            "local-only-first",
            lambda p: archive([twin(p, local_only=True), good, *others]),
            "warning",
            "The same before the listed ones.",
        ),
        (
            "overlapping",
            lambda p: archive(
                [twin(p), *others, twin(p, central=Lies(name=b"archive/b", offset=0), central_only=True)]
            ),
            "critical",
            "Two directory entries lead to the same data.",
        ),
        (
            "two-zips-last-hostile",
            lambda p: torch_zip(BENIGN) + torch_zip(bad(p)),
            "critical",
            "Two archives, one after the other; the last is hostile.",
        ),
        (
            "two-zips-first-hostile",
            lambda p: torch_zip(bad(p)) + torch_zip(BENIGN),
            "critical",
            "Two archives, one after the other; the first is hostile.",
        ),
        (
            "zip-in-comment",
            lambda p: archive(parts(BENIGN), comment=torch_zip(bad(p))),
            "critical",
            "The comment of one archive is another archive, with an end record of its own.",
        ),
        (
            "comment-length-short",
            lambda p: archive(parts(BENIGN), comment=torch_zip(bad(p)), comment_length=7),
            "critical",
            "The same with a comment length that is too small.",
        ),
        (
            "zip-before-directory",
            lambda p: archive(parts(BENIGN), before_directory=torch_zip(bad(p))),
            "critical",
            "Another archive between the members and the directory.",
        ),
        (
            "count-too-small",
            lambda p: archive([*parts(BENIGN), Entry("archive/z.pkl", bad(p))], count=1),
            "warning",
            "The end record counts fewer members than the directory holds.",
        ),
        (
            "count-too-large",
            lambda p: archive(parts(bad(p)), count=500),
            "critical",
            "The end record counts more members than there are.",
        ),
        (
            "directory-size-zero",
            lambda p: archive(parts(bad(p)), directory_size=0),
            "critical",
            "The end record says that the directory is empty.",
        ),
        ("zip64", lambda p: archive(parts(bad(p)), zip64=True), "critical", "An archive with zip64 records."),
        (
            "zip64-end-disagrees",
            lambda p: archive(parts(bad(p)), zip64=True).replace(
                b"\xff\xff\xff\xff\xff\xff\xff\xff", struct.pack("<II", 0, 0)
            ),
            "critical",
            "The zip64 end record and the plain one disagree.",
        ),
        (
            "pickle-in-comment",
            lambda p: archive(parts(BENIGN), comment=bad(p)),
            "critical",
            "The comment of the archive is a pickle.",
        ),
        (
            "pickle-in-member-comment",
            lambda p: archive([replace(good, central=Lies(comment=bad(p))), *others]),
            "warning",
            "The comment of a member is a pickle.",
        ),
        (
            "pickle-in-extra",
            lambda p: archive(
                [replace(good, local=Lies(extra=struct.pack("<HH", 0xCAFE, len(bad(p))) + bad(p))), *others]
            ),
            "warning",
            "The extra field of a member is a pickle.",
        ),
        (
            "pickle-in-gap",
            lambda p: archive([good, replace(others[0], gap=bad(p)), *others[1:]]),
            "critical",
            "A pickle between two members.",
        ),
        (
            "pickle-before-directory",
            lambda p: archive(parts(BENIGN), before_directory=bad(p)),
            "critical",
            "A pickle between the members and the directory.",
        ),
        (
            "pickle-after-directory",
            lambda p: archive(parts(BENIGN), between=bad(p)),
            "critical",
            "A pickle between the directory and the end record.",
        ),
        (
            "pickle-after-end",
            lambda p: archive(parts(BENIGN), after=bad(p)),
            "critical",
            "A pickle after the end record.",
        ),
    )
    loads = {"zip64": "zip-directory", "same-name-first": "zip-directory"}
    for name, build, expect, why in table:
        loader = loads.get(name, "")
        bypass = "B039" if name.startswith("pickle-") else "B043"
        yield Sample(f"{bypass}-{name}", bypass, "model.pt", build, why + ("" if loader else readers), expect, loader)


def prefixes() -> Iterator[Sample]:
    """Bytes before the first local header (B044)."""
    table = (
        ("shell", b"#!/bin/sh\nexec true\n"),
        ("elf", b"\x7fELF\x02\x01\x01" + bytes(57)),
        ("mz", b"MZ" + bytes(62)),
        ("spanning-marker", b"PK00"),
        ("descriptor-marker", b"PK\x07\x08"),
        ("zeros", bytes(4096)),
        ("text", b"just some text\n"),
        ("png", b"\x89PNG\r\n\x1a\n"),
        ("one-byte", b"\n"),
        ("100-kib", b"x" * 100_000),
    )
    for name, prefix in table:
        for honest in (True, False):
            yield Sample(
                f"B044-{name}-{'shifted' if honest else 'unshifted'}",
                "B044",
                "model.pt",
                lambda p, prefix=prefix, honest=honest: archive(
                    parts(bad(p)), prefix=prefix, shift=None if honest else 0
                ),
                f"{len(prefix)} bytes before the archive, which zipfile takes and PyTorch refuses; its offsets "
                + ("count them." if honest else f"do not count them.{UNPROVEN}readers must correct the offsets."),
                loader="zip-directory" if honest else "",
            )


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from flags()
    yield from mismatches()
    yield from duplicates()
    yield from prefixes()
