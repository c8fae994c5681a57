"""The zip reader: it agrees with CPython on honest archives, sees every reading of others, and never falls over."""

import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import Blob, BytesBlob, RootBlob, SliceBlob
from modelaudit.errors import Missing
from modelaudit.parsers.zip import ends, entries, names
from modelaudit.parsers.zip.archive import Archive
from modelaudit.parsers.zip.layout import Gap, Overlap, Ranges, Spans
from modelaudit.parsers.zip.walk import walk
from tests.zips import Member, build, central_header, end_record, local_header, torch_zip, zip64_records

A = Member(b"a.txt", b"first")
B = Member(b"b.txt", b"second" * 20, method=8)


def archive_of(data: bytes | Blob) -> Archive:
    blob = BytesBlob(data) if isinstance(data, bytes) else data
    end = ends.find(blob)
    assert end is not None
    return Archive(blob, end, 1 << 28)


def listed(data: bytes) -> list[bytes]:
    return [member.entry.name for member in archive_of(data).members()]


def contents(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and unpacked bytes of every member, by the local header that the directory leads to."""
    archive = archive_of(data)
    for member in archive.members():
        header = next(filter(None, (entries.local(archive.blob, place) for place in member.places)))
        packed = data[header.data : header.data + member.entry.packed]
        yield member.entry.name, zlib.decompress(packed, -15) if member.entry.method == 8 else packed


# --- agreement with CPython ---------------------------------------------------------------------------------

NAMES = st.text(st.characters(exclude_characters="\0\\", exclude_categories=("Cs",)), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(
    members=st.dictionaries(
        NAMES, st.tuples(st.binary(max_size=300), st.sampled_from((0, 8)), st.booleans()), max_size=8
    ),
    comment=st.binary(max_size=40).filter(lambda text: b"PK" not in text),
    prefix=st.sampled_from((b"", b"#!/bin/sh\n", bytes(100))),
)
def test_the_listing_is_that_of_zipfile(
    members: dict[str, tuple[bytes, int, bool]], comment: bytes, prefix: bytes
) -> None:
    """Names, sizes, CRCs, methods and contents of an honest archive are what CPython reads."""
    buffer = io.BytesIO()
    buffer.write(prefix)
    with zipfile.ZipFile(buffer, "a") as writer:
        writer.comment = comment
        for name, (data, method, wide) in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with writer.open(info, "w", force_zip64=wide) as member:
                member.write(data)
    data = buffer.getvalue()
    with zipfile.ZipFile(io.BytesIO(data)) as reader:
        wanted = [(i.orig_filename, i.CRC, i.compress_size, i.file_size, i.compress_type) for i in reader.infolist()]
        bodies = [reader.read(i) for i in reader.infolist()]
    found = [member.entry for member in archive_of(data).members()]
    assert [(names.text(e.name), e.crc, e.packed, e.size, e.method) for e in found] == wanted
    assert [body for _, body in contents(data)] == bodies


def test_sizes_beyond_four_gib_come_from_the_zip64_field() -> None:
    """A saturated number is replaced by the next one of the zip64 field, in the order size, packed, offset."""
    extra = struct.pack("<HHQQQ", 1, 24, 1 << 40, 1 << 39, 1 << 38)
    wide = Member(b"x", b"", central={"extra": extra, "size": 0xFFFFFFFF, "packed": 0xFFFFFFFF, "offset": 0xFFFFFFFF})
    entry = next(iter(archive_of(build(wide)).members())).entry
    assert (entry.size, entry.packed, entry.offset) == (1 << 40, 1 << 39, 1 << 38)
    part = Member(b"x", b"abc", central={"extra": struct.pack("<HHQ", 1, 8, 7), "size": 0xFFFFFFFF})
    entry = next(iter(archive_of(build(part)).members())).entry
    assert (entry.size, entry.packed) == (7, 3)


def test_a_zip64_field_without_numbers_changes_nothing() -> None:
    """A field that is too short leaves the saturated number as it stands."""
    lying = Member(b"x", b"", central={"extra": struct.pack("<HHB", 1, 1, 0), "size": 0xFFFFFFFF})
    assert next(iter(archive_of(build(lying)).members())).entry.size == 0xFFFFFFFF


# --- where the directory is ---------------------------------------------------------------------------------


def test_prefix_moves_the_archive() -> None:
    """With bytes before the archive its offsets count from its own start, and the directory is still found."""
    data = build(A, B, prefix=b"x" * 1000)
    archive = archive_of(data)
    assert [name for name, _ in contents(data)] == [b"a.txt", b"b.txt"]
    assert archive.shifted
    assert not archive_of(build(A, B)).shifted


def test_the_last_end_record_wins() -> None:
    """An end record inside the comment of another is the one that readers take."""
    inner = build(B, prefix=build(A)[:-22] + end_record(1, 51, 35, declared=200))
    assert listed(inner) == [b"b.txt"]


def test_an_end_record_that_leads_nowhere_is_a_decoy() -> None:
    """Where the last end record is junk, the one before it is taken, and the junk is told of."""
    honest = build(A)
    end = ends.find(BytesBlob(honest + end_record(5, 999, 12345)))
    assert end is not None
    assert end.decoys == (len(honest),)
    assert end.position == len(honest) - 22
    assert ends.find(BytesBlob(honest)).decoys == ()  # type: ignore[union-attr]


def test_zip64_records_are_followed_and_so_is_the_plain_one() -> None:
    """The zip64 record and the plain end record may name different directories: both are read."""
    one = local_header(A) + A.stored()
    two = local_header(B) + B.stored()
    first, second = central_header(A, 0), central_header(B, len(one))
    start = len(one) + len(two)
    body = one + two + first + b"\0" * 4 + second
    data = body + zip64_records(1, len(second), start + len(first) + 4, len(body)) + end_record(1, len(first), start)
    archive = archive_of(data)
    assert sorted(member.entry.name for member in archive.members()) == [b"a.txt", b"b.txt"]
    assert len(archive.reads) == 2


def test_a_locator_may_point_away_from_the_record_before_it() -> None:
    """CPython reads the record right before the locator, others the one that the locator points at: both are read."""
    one = local_header(A) + A.stored()
    two = local_header(B) + B.stored()
    first, second = central_header(A, 0), central_header(B, len(one))
    start = len(one) + len(two)
    far = zip64_records(1, len(first), start, 0)[:56]
    body = one + two + first + far + second
    near = zip64_records(1, len(second), start + len(first) + 56, len(body), pointed=start + len(first))
    data = body + near + end_record(0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
    assert sorted(listed(data)) == [b"a.txt", b"b.txt"]


def test_offset_and_size_may_lead_to_two_directories() -> None:
    """Readers that go by the offset and readers that go back by the size from the end find different ones."""
    one = local_header(A) + A.stored()
    two = local_header(B) + B.stored()
    first, second = central_header(A, 0), central_header(B, len(one))
    data = one + two + first + bytes(3) + second + end_record(1, len(second), len(one) + len(two))
    archive = archive_of(data)
    assert sorted(member.entry.name for member in archive.members()) == [b"a.txt", b"b.txt"]
    assert len(archive.reads) == 2
    assert list(archive.members()) == list(archive.members())


def test_a_directory_within_another_is_no_second_one() -> None:
    """A size that is one entry too small leads into the same directory, which is read once, to its end."""
    data = build(A, B)
    size = len(central_header(B, 0))
    start = struct.unpack("<L", data[-6:-2])[0]
    archive = archive_of(data[:-22] + end_record(2, size, start))
    assert [member.entry.name for member in archive.members()] == [b"a.txt", b"b.txt"]
    assert len(archive.reads) == 1


def test_entries_are_read_as_long_as_they_last() -> None:
    """A count that is too small or too large changes nothing; it is told beside the true one."""
    for count in (0, 1, 2, 3, 65535):
        archive = archive_of(build(A, B, count=count))
        assert len(list(archive.members())) == 2
        assert [(one.count, one.declared) for one in archive.reads] == [(2, count)]


def test_an_empty_archive_has_no_directory() -> None:
    """An end record alone is a whole archive."""
    end = ends.find(BytesBlob(build()))
    assert end is not None
    assert end.empty
    assert listed(build()) == []


def test_many_false_end_records_end_the_search() -> None:
    """Thousands of end records that lead nowhere cost sixteen tries."""
    junk = end_record(7, 77, 777)[:22] * 2000
    assert ends.find(BytesBlob(build(A) + junk)) is None
    assert ends.find(BytesBlob(build(A) + junk[: 22 * 10])) is not None


# --- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "..\\x", "a\\..\\..\\x", "./../x", "a/b/../../../c", "..", "a/\0/../../x"]
)
def test_names_that_escape(name: str) -> None:
    """Each of these leaves the folder it is unpacked into."""
    assert names.escapes(name)


@pytest.mark.parametrize("name", ["a/../x", "a..b/c", "...", "a/b/../..", "x/..y", "", "a//b", "./a"])
def test_names_that_stay(name: str) -> None:
    """None of these leaves it."""
    assert not names.escapes(name)


def test_drives_and_roots() -> None:
    """A letter and a colon are a drive, but for the names of arrays."""
    assert names.is_drive("C:\\x")
    assert names.is_drive("c:/x.npy")
    assert names.is_drive("c:x.txt")
    assert not names.is_drive("w:0.npy")
    assert not names.is_drive("b:0")
    assert not names.is_drive("bn:0/x")
    assert names.is_absolute("/etc/passwd")
    assert names.is_absolute("\\\\host\\share")
    assert not names.is_absolute("etc/passwd")


def test_link_targets() -> None:
    """A link leads out when its target, from the link's own folder, does."""
    assert names.link_escapes("a/link", "../../x")
    assert names.link_escapes("link", "/etc/passwd")
    assert not names.link_escapes("a/link", "../x")
    assert not names.link_escapes("a/b/link", "../../c")


def test_names_are_text_whatever_they_are() -> None:
    """UTF-8 where it is that, the code page of the first PCs where it is not."""
    assert names.text("ü/模型".encode()) == "ü/模型"
    assert names.text(b"\x81\xff") == "ü\xa0"
    assert names.has_control("a\0b")
    assert names.has_control("a\u202eb")
    assert not names.has_control("模型 b")


def test_the_unicode_path_field_needs_the_name_s_checksum() -> None:
    """Field 0x7075 counts only where its CRC is that of the name beside it."""
    value = struct.pack("<BL", 1, zlib.crc32(b"a.txt")) + b"other"
    field = struct.pack("<HH", 0x7075, len(value)) + value
    assert entries.unicode_path(b"a.txt", field) == b"other"
    assert entries.unicode_path(b"b.txt", field) is None


# --- local headers, descriptors, layout ---------------------------------------------------------------------


def test_descriptors_of_all_four_shapes() -> None:
    """With and without signature, with short and long sizes: the one that repeats the directory is it."""
    entry = entries.Entry(0, 3, 20, 8, 0, 77, 5, 5, 0, 0, b"", b"", (0, 0))
    for signature in (b"PK\7\10", b""):
        for layout in ("<LLL", "<LQQ"):
            data = signature + struct.pack(layout, 77, 5, 5)
            assert entries.descriptor_bytes(BytesBlob(data + b"junk"), entry, 0) == len(data)
    assert entries.descriptor_bytes(BytesBlob(b"PK\7\10" + struct.pack("<LLL", 78, 5, 5)), entry, 0) == 0


def test_spans_tell_gaps_and_overlaps() -> None:
    """What nothing covers and what two cover, in the order of the bytes, whatever order they came in."""
    spans = Spans()
    for start, end in ((10, 20), (0, 5), (15, 30), (40, 99)):
        spans.add(start, end)
    assert list(spans.sweep(60)) == [Gap(5, 10), Overlap(15, 5), Gap(30, 40)]
    exact = Spans()
    exact.add(0, 30)
    exact.add(30, 60)
    assert list(exact.sweep(60)) == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 30)), max_size=12), st.integers(0, 70))
def test_gaps_are_what_no_span_covers(pairs: list[tuple[int, int]], size: int) -> None:
    """The gaps together are exactly the bytes that nothing claims; an overlap is told just when there is one."""
    spans = Spans()
    claimed: list[int] = []
    for start, length in pairs:
        spans.add(start, start + length)
        claimed += range(start, min(start + length, size))
    found = list(spans.sweep(size))
    gaps = {place for item in found if isinstance(item, Gap) for place in range(item.start, item.end)}
    assert gaps == set(range(size)) - set(claimed)
    assert any(isinstance(item, Overlap) for item in found) == (len(claimed) != len(set(claimed)))


def test_near_ranges_become_one() -> None:
    """Ranges closer than the gap are asked for together, in order."""
    ranges = Ranges(10)
    for offset in (0, 5, 30, 12):
        ranges.add(offset, 5)
    assert ranges.merged() == [(0, 17), (30, 5)]


# --- the other way to read a zip ----------------------------------------------------------------------------


def test_the_walk_needs_no_directory() -> None:
    """Members of known length, and of a length that only the descriptor tells, are met in order."""
    members = (A, Member(b"s", b"PK\3\4 no header " * 3, descriptor=True), Member(b"d", b"z" * 999, 8, descriptor=True))
    data = build(*members)
    found = list(walk(BytesBlob(data), 0, len(data)))
    assert [one.local.name for one in found] == [b"a.txt", b"s", b"d"]
    assert [data[one.local.data :][: one.packed] for one in found] == [member.stored() for member in members]
    assert not any(one.guessed for one in found)


def test_the_walk_stays_linear_on_signatures_without_end() -> None:
    """Local headers that never tell their length are looked through at most sixty-four signatures far each."""
    one = local_header(Member(b"", b"", descriptor=True))
    data = one * 20000
    met = sum(1 for _ in walk(BytesBlob(data), 0, len(data)))
    assert met == 20000


# --- hostile bytes ------------------------------------------------------------------------------------------

SAMPLES = {
    "plain": build(A, B, comment=b"text"),
    "zip64": build(A, B, zip64=True),
    "torch": torch_zip({"data.pkl": b"\x80\2}.", "version": b"3\n"}),
    "prefix": build(A, prefix=b"junk", appended=b"more"),
}


def read_all(data: bytes) -> None:
    """Everything that the reader can do with `data`."""
    blob = BytesBlob(data)
    end = ends.find(blob)
    if end is not None:
        archive = Archive(blob, end, 1 << 20)
        for member in archive.members():
            for place in member.places:
                header = entries.local(blob, place)
                if header is not None:
                    entries.descriptor_bytes(blob, member.entry, header.data + member.entry.packed)
                    list(entries.extra_fields(header.extra))
    list(walk(blob, 0, len(data)))


@pytest.mark.parametrize("sample", SAMPLES)
def test_truncation_at_every_offset(sample: str) -> None:
    """However much is cut off either end, the reader finds an archive or finds none; it raises nothing."""
    data = SAMPLES[sample]
    for length in range(len(data)):
        read_all(data[:length])
        read_all(data[length:])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8))
def test_bytes_changed_at_random(sample: str, changes: list[tuple[int, int]]) -> None:
    """No change of single bytes makes the reader raise."""
    data = bytearray(SAMPLES[sample])
    for place, value in changes:
        data[place % len(data)] = value
    read_all(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=60))
def test_random_bytes(data: bytes, tail: bytes) -> None:
    """Nor do bytes that are no archive, with or without an end record among them."""
    read_all(data)
    read_all(b"PK\3\4" + data + b"PK\1\2" + tail + b"PK\5\6" + tail)


@pytest.mark.parametrize("value", [0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
def test_extreme_numbers_in_every_field(value: int) -> None:
    """Sizes, offsets, counts and lengths of any value are only numbers."""
    short = min(value, 0xFFFF)
    for field in ("crc", "packed", "size"):
        read_all(build(Member(b"a", b"x", local={field: value}, central={field: value})))
    read_all(build(Member(b"a", b"x", central={"offset": value})))
    read_all(build(A)[:-22] + end_record(short, value, value, declared=short))
    read_all(build(A) + zip64_records(value << 31, value << 31, value << 31, value << 31) + end_record(1, 1, 1))


def test_what_is_missing_is_asked_for_at_once() -> None:
    """Nothing but the tail is needed for the directory; all of a directory is asked for in one range."""
    data = build(*(Member(b"%06d" % number, b"") for number in range(3000)))
    size = len(data)
    blob = RootBlob(data, size, [])
    with pytest.raises(Missing) as first:
        ends.find(blob)
    assert first.value.ranges == ((size - ends.TAIL_BYTES, ends.TAIL_BYTES),)
    blob = RootBlob(data, size, [(size - ends.TAIL_BYTES, ends.TAIL_BYTES)])
    with pytest.raises(Missing) as second:
        end = ends.find(blob)
        assert end is not None
        list(Archive(blob, end, 1 << 28).members())
    assert len(second.value.ranges) == 1


def test_a_slice_reads_like_the_whole() -> None:
    """An archive inside other bytes, seen as a slice, is read as if it stood alone."""
    data = build(A, B)
    blob = SliceBlob(BytesBlob(b"x" * 77 + data + b"y" * 5), 77, len(data))
    assert [member.entry for member in archive_of(blob).members()] == [m.entry for m in archive_of(data).members()]


def test_a_large_directory_is_read_without_keeping_it() -> None:
    """Going over 60,000 members takes less memory than the directory's own bytes."""
    data = build(*(Member(b"data/%050d" % number, b"") for number in range(60_000)))
    archive = archive_of(data)
    tracemalloc.start()
    try:
        assert sum(1 for _ in archive.members()) == 60_000
        assert sum(1 for _ in archive.members()) == 60_000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
