"""7z archives: every way of packing, names, links, what cannot be unpacked, and damage."""

import lzma
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.engine import inspect
from modelaudit.limits import Limits
from modelaudit.model import Child
from modelaudit.scanners import sevenzip
from modelaudit.unpack import Budget, open_child
from tests.remote import Remote
from tests.samples.sevenzips import AES, CODINGS, PPMD, File, archive, signed
from tests.scanners.streams import ATTACK, ORDINARY, look

MIXED = [File("readme.txt", b"plain text " * 30), File("opt/model.pkl", ATTACK), File("last.pkl", ORDINARY)]
FIRING = {
    "parent": ("sevenzip-traversal", archive([File("../evil", b"x")])),
    "absolute": ("sevenzip-traversal", archive([File("/etc/evil", b"x")])),
    "drive": ("sevenzip-traversal", archive([File("C:\\evil", b"x")])),
    "backslashes": ("sevenzip-traversal", archive([File("a\\..\\..\\evil", b"x")])),
    "empty file": ("sevenzip-traversal", archive([File("../evil")])),
    "link": ("sevenzip-link-escape", archive([File("a/l", b"../../etc", 0o120777), File("b", b"x")])),
    "absolute link": ("sevenzip-link-escape", archive([File("l", b"/etc/passwd", 0o120777)])),
    "anti": ("sevenzip-anti-item", archive([File("old", anti=True), File("new", b"x")])),
    "device": ("sevenzip-special", archive([File("d", b"x", 0o020666)])),
    "control": ("sevenzip-control-character", archive([File("a\x1b[2Kb", b"x")])),
    "header sum": ("sevenzip-crc", archive(MIXED)[:28] + bytes(4) + archive(MIXED)[32:]),
    "start sum": ("sevenzip-crc", archive(MIXED)[:8] + bytes(4) + archive(MIXED)[12:]),
}
SILENT = {
    "plain": archive([File("a/b.pkl", ORDINARY), File("c.txt", b"text"), File("empty", mode=0o100644)]),
    "inner dots": archive([File("a/../b", b"x"), File("..data", b"y"), File("a..b", b"z")]),
    "link inside": archive([File("a/l", b"../b", 0o120777), File("b", b"x")]),
    "packed header": archive([File("b.pkl", ORDINARY)], CODINGS["lzma2"], packed_header=True),
    "nothing": signed(b"", b""),
}


@pytest.mark.parametrize("name", FIRING)
def test_a_danger_is_found(name: str) -> None:
    """The rule fires."""
    rule, data = FIRING[name]
    assert rule in {finding.rule for finding in look(data).findings}


@pytest.mark.parametrize("name", SILENT)
def test_an_ordinary_archive_is_silent(name: str) -> None:
    """Not one finding, and wholly scanned."""
    found = look(SILENT[name])
    assert (found.status, found.formats, found.findings) == ("scanned", ("sevenzip",), ())


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("packed_header", [False, True])
def test_files_are_found_in_every_packing(coding: str, packed_header: bool) -> None:
    """An attack in the middle of a block is found under its own name."""
    found = look(archive(MIXED, CODINGS[coding], packed_header=packed_header))
    assert found.status == "scanned"
    critical = {finding.location.partition(" ")[0] for finding in found.findings if finding.severity == "critical"}
    assert critical == {"place:opt/model.pkl"}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("held", [0, 1 << 20])
def test_the_bytes_are_those_that_were_packed(coding: str, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether files are unpacked together or each by itself."""
    monkeypatch.setattr(sevenzip, "_HELD_BYTES", held)
    files = [File(f"{index}", bytes([index + 1]) * (index * 997) + b"end") for index in range(8)]
    blob, limits = BytesBlob(archive(files, CODINGS[coding])), Limits()
    children = [item for item in sevenzip.scan(blob, limits) if isinstance(item, Child)]
    opened = {child.name: open_child(blob, child, Budget(limits), limits) for child in children}
    assert {name: bytes(inner.view(0, inner.size)) for name, inner in opened.items()} == {
        file.name: file.data for file in files
    }


@pytest.mark.parametrize(
    ("coding", "reason"), [(AES, "encrypted_member"), (PPMD, "unsupported_method")], ids=["aes", "ppmd"]
)
def test_what_cannot_be_unpacked_is_said(coding: object, reason: str) -> None:
    """Never called scanned."""
    found = look(archive([File("model.pkl", ATTACK[::-1])], coding))  # type: ignore[arg-type]
    assert (found.status, found.reason) == ("partial", reason)


@pytest.mark.parametrize("where", ["before", "behind"])
def test_bytes_besides_are_scanned(where: str) -> None:
    """Between the packed streams and the header, and behind the end."""
    plain = archive([File("a.txt", b"text")])
    if where == "behind":
        data = plain + ATTACK
    else:
        header = plain[32 + 4 :]
        data = signed(b"text" + ATTACK, header)
    assert "critical" in {finding.severity for finding in look(data).findings}


def test_a_damaged_block_still_shows_what_comes_first() -> None:
    """What a reader gets before it meets the damage is scanned; the record says that the rest is missing."""
    data = bytearray(archive([File("a.pkl", ATTACK), File("b", bytes(range(256)) * 400)], CODINGS["lzma2"]))
    data[32 + 300] ^= 0xFF
    found = look(bytes(data))
    assert found.status == "partial"
    assert "critical" in {finding.severity for finding in found.findings}


def test_a_bomb_is_said_and_stopped() -> None:
    """A gigabyte of zeros in a few kilobytes is not unpacked."""
    limits = Limits(unpacked_bytes=8 << 20, unpack_ratio_floor_bytes=1 << 20)
    data = archive([File("z", bytes(16 << 20)), File("y", b"y")], CODINGS["lzma2"])
    found = inspect(BytesBlob(data), limits)
    assert found.status == "partial"
    assert "shared-bomb" in {finding.rule for finding in found.findings}


def test_a_remote_archive_costs_its_header_and_the_heads_of_its_files() -> None:
    """A stored block of 40 MB is not read for the files' names and heads."""
    data = archive([File("weights.bin", random.Random(1).randbytes(40 << 20))], CODINGS["copy"])
    remote = Remote(data, Limits(), 65536)
    remote.run(lambda blob: inspect(blob, Limits()))
    assert remote.bytes_fetched < 1 << 20


@given(cut=st.integers(0, 2000), packed_header=st.booleans())
def test_an_archive_cut_anywhere_is_an_answer(cut: int, packed_header: bool) -> None:
    """No end of the file raises anything, and a cut archive is not called whole."""
    data = archive(MIXED, CODINGS["lzma2"], packed_header=packed_header)
    found = look(data[: cut % len(data)])
    assert found.status in ("partial", "skipped")


@settings(max_examples=300)
@given(place=st.integers(0, 2000), value=st.integers(1, 255), packed_header=st.booleans())
def test_damage_anywhere_is_an_answer(place: int, value: int, packed_header: bool) -> None:
    """A flipped byte raises nothing."""
    data = bytearray(archive(MIXED, CODINGS["x86 lzma2"], packed_header=packed_header))
    data[place % len(data)] ^= value
    look(bytes(data))


def test_a_dictionary_costs_no_more_than_the_contents() -> None:
    """An archive that asks for four gigabytes of dictionary and has ten bytes is unpacked."""
    coding = CODINGS["lzma2"]
    large = type(coding)(((b"\x21", b"\x28"),), coding.pack)
    assert lzma.FILTER_LZMA2 == 0x21
    assert "critical" in {finding.severity for finding in look(archive(MIXED, large)).findings}
