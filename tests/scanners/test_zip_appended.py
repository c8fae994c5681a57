"""A zip behind bytes of no known kind is found, and ordinary bytes are not taken for one."""

import zlib

from modelaudit import catalogue
from modelaudit.blob import BytesBlob
from modelaudit.engine import Engine
from modelaudit.limits import Limits
from modelaudit.model import Child
from modelaudit.scanners import zip_appended
from modelaudit.unpack import Budget, UnpackedBlob
from tests.zips import Member, build, end_record

LIMITS = Limits()
SHELL = b"cposix\nsystem\n(S'echo modelaudit-sample'\ntR."


def test_fits_what_ends_in_a_zip() -> None:
    """An end record that leads to members; not an empty one, nor bytes that look like one."""
    assert zip_appended.fits(BytesBlob(b"unknown" + build(Member(b"x", b"y"))), LIMITS)
    assert not zip_appended.fits(BytesBlob(b"unknown" + build()), LIMITS)
    assert not zip_appended.fits(BytesBlob(b"unknown" + end_record(1, 50, 5)), LIMITS)
    assert not zip_appended.fits(BytesBlob(b"unknown"), LIMITS)


def test_a_directory_without_its_members_is_no_archive() -> None:
    """The tail of an archive is not taken for one, unless it lists too many members to look after."""
    whole = build(Member(b"x", bytes(100)))
    assert not zip_appended.fits(BytesBlob(whole[60:]), LIMITS)
    assert zip_appended.fits(BytesBlob(b"unknown" + whole), LIMITS)
    many = build(*(Member(b"%d" % number, bytes(100)) for number in range(64)))
    assert zip_appended.fits(BytesBlob(many[-5000:]), LIMITS)


def test_the_members_behind_a_prefix_are_scanned() -> None:
    """The whole is scanned as a zip: its members, and the bytes before it."""
    engine = Engine(catalogue.load())
    for prefix in (b"\0nothing known", b"x" * 100_000):
        found = engine.inspect(BytesBlob(prefix + build(Member(b"x", SHELL))), LIMITS)
        assert found.formats == ("zip_appended",)
        assert any("posix.system" in finding.message for finding in found.findings)
        assert "zip-prefix" in {finding.rule for finding in found.findings}


def test_much_that_is_compressed_is_not_unpacked_for_its_end() -> None:
    """A small compressed blob is asked; of a large one only the beginning is unpacked."""
    for size, found in ((1000, True), (4 << 20, False)):
        data = zlib.compress(b"unknown" + bytes(size) + build(Member(b"x", b"y")))
        blob = UnpackedBlob(BytesBlob(data), Child("", 0, len(data), "zlib"), Budget(LIMITS), LIMITS)
        assert zip_appended.fits(blob, LIMITS) == found
        assert (blob.packed_end is None) == (not found)
