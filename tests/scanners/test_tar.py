"""tar archives: members, places, tricks."""

import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.engine import inspect
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.parsers.tar.walk import members
from tests.scanners.streams import ATTACK, ORDINARY, look


def make(*entries: tuple[str, bytes], format: int = tarfile.PAX_FORMAT, **fields: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> bytes:
    return make((name, b""), type=kind, linkname=target)


FIRING = {
    "parent": ("tar-traversal", make(("../evil", b"x"))),
    "deep parent": ("tar-traversal", make(("a/b/../../../evil", b"x"))),
    "absolute": ("tar-traversal", make(("/etc/evil", b"x"))),
    "backslash": ("tar-traversal", make(("..\\evil", b"x"))),
    "drive": ("tar-traversal", make(("C:\\evil", b"x"))),
    "long name": ("tar-traversal", make(("../" + "d/" * 80 + "evil", b"x"), format=tarfile.GNU_FORMAT)),
    "pax path": ("tar-traversal", make(("../" + "ü" * 60 + "/evil", b"x"))),
    "symbolic link": ("tar-link-escape", link("a/l", "../../etc/passwd")),
    "absolute link": ("tar-link-escape", link("l", "/etc/passwd")),
    "hard link": ("tar-link-escape", link("a/l", "../etc/passwd", tarfile.LNKTYPE)),
    "pipe": ("tar-special", make(("p", b""), type=tarfile.FIFOTYPE)),
    "device": ("tar-special", make(("d", b""), type=tarfile.CHRTYPE)),
}
SILENT = {
    "plain": make(("a/b.pkl", ORDINARY), ("c.txt", b"text")),
    "inner dots": make(("a/../b.pkl", ORDINARY), ("..data", b"x"), ("a..b", b"x")),
    "link inside": link("a/l", "../b"),
    "hard link inside": link("a/l", "b", tarfile.LNKTYPE),
    "folder": make(("a/", b""), type=tarfile.DIRTYPE),
    "gnu": make(("n" * 200, ORDINARY), format=tarfile.GNU_FORMAT),
    "ustar": make(("d/" * 60 + "n", ORDINARY), format=tarfile.USTAR_FORMAT),
}


@pytest.mark.parametrize("name", FIRING)
def test_a_danger_is_found(name: str) -> None:
    """The rule fires."""
    rule, data = FIRING[name]
    assert rule in {finding.rule for finding in look(data).findings}


@pytest.mark.parametrize("name", SILENT)
def test_an_ordinary_archive_is_silent(name: str) -> None:
    """Not one finding."""
    found = look(SILENT[name])
    assert (found.status, found.formats, found.findings) == ("scanned", ("tar",), ())


@pytest.mark.parametrize("data", [make(("x/model", ATTACK)), make(("ok", b"x")) + ATTACK], ids=["member", "behind"])
def test_members_and_what_follows_are_scanned(data: bytes) -> None:
    """An attack in a member or behind the archive is found."""
    assert "critical" in {finding.severity for finding in look(data).findings}


@given(st.lists(st.tuples(st.text("abcü/.", min_size=1, max_size=150), st.binary(max_size=1500)), max_size=5))
def test_the_members_are_those_that_tarfile_sees(entries: list[tuple[str, bytes]]) -> None:
    """Names and bytes as the standard library reads them, in both formats."""
    for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        data = make(*entries, format=format)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            theirs = [(info.name.rstrip("/"), archive.extractfile(info).read()) for info in archive if info.isreg()]  # type: ignore[union-attr]
        ours = [(m.name.rstrip("/"), data[m.offset : m.offset + m.size]) for m in members(BytesBlob(data))]
        assert ours == theirs


@given(cut=st.integers(0, 4000))
def test_an_archive_cut_anywhere_is_an_answer(cut: int) -> None:
    """Truncation is a parse error or fewer members."""
    data = make(("n" * 200, ORDINARY), ("b", b"x" * 700), format=tarfile.GNU_FORMAT)
    with suppress(ParseError):
        list(members(BytesBlob(data[:cut])))
    inspect(BytesBlob(data[:cut]))


@settings(max_examples=200)
@given(place=st.integers(0, 3000), value=st.integers(1, 255))
def test_damage_anywhere_is_an_answer(place: int, value: int) -> None:
    """A flipped byte raises nothing but what the contract allows."""
    data = bytearray(make(("n" * 200, ORDINARY), ("b", b"x" * 700)))
    data[place % len(data)] ^= value
    with suppress(ParseError, LimitExceeded):
        list(members(BytesBlob(bytes(data))))
    inspect(BytesBlob(bytes(data)))
