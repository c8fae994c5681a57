"""The walk through a tar: numbers, overriding headers, sparse maps, links, and what of a remote one is asked for."""

import io
import mmap
import random
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from modelaudit.blob import BytesBlob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import MIB, Limits
from modelaudit.parsers.tar import pax
from modelaudit.parsers.tar.header import is_header, number
from modelaudit.parsers.tar.paths import Leads, Links
from modelaudit.parsers.tar.walk import Damage, Member, Walk, end_of, members
from tests.remote import Remote
from tests.samples.tartricks import BLOCK, END, block, filled, member, sparse_pickle
from tests.samples.tartricks import pax as records


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"0000644\0", (0o644, False)),
        (b"   644 \0", (0o644, False)),
        (b"12\00034\0\0\0", (0o12, False)),
        (b"\0\0\0\0\0\0\0\0", (0, False)),
        (b"\x80\0\0\0\0\0\1\0", (256, False)),
        (b"\x81\0\0\0\0\0\0\0", (1 << 56, True)),
        (b"\xff" * 12, (0, True)),
        (b"\x80" + b"\xff" * 11, (0, True)),
        (b"-0000001", (0, True)),
        (b"+0000012", (0o12, True)),
        (b"0o12\0\0\0\0", (0o12, True)),
        (b"1_0\0\0\0\0\0", (0o10, True)),
    ],
)
def test_numbers(field: bytes, value: tuple[int, bool]) -> None:
    """As Python's tarfile reads them, and whether others would not."""
    assert number(field) == value


@pytest.mark.parametrize("field", [b"8\0", b"abc", b"0x10"])
def test_what_is_no_number(field: bytes) -> None:
    """Raises, and a header with such a checksum is none."""
    with pytest.raises(ParseError):
        number(field)


def test_the_checksum_may_be_of_signed_bytes() -> None:
    """Either sum is accepted, no other one."""
    header = bytearray(block("\u00fc" * 3, 5))
    assert is_header(bytes(header))
    header[148:156] = b" " * 8
    signed = sum(byte - 256 * (byte > 127) for byte in header)
    for total, right in ((signed, True), (signed + 1, False)):
        header[148:156] = b"%06o\0 " % total
        assert is_header(bytes(header)) is right


def test_an_empty_block_and_a_short_one_are_no_headers() -> None:
    """Nor is one of zeros with a checksum."""
    assert not is_header(bytes(BLOCK))
    assert not is_header(block("a")[:-1])


def test_a_checksum_of_nothing_is_none() -> None:
    """Signed bytes that add up to zero, behind a checksum that is no number: random blocks come to that."""
    for field in (b"\xff" * 8, b"\0" * 8, b"\x80" + b"\xff" * 7):
        header = bytearray(b"\x01\xff" * 256)
        header[148:156] = field
        header[0:4] = b"\x80\x80\0\0"
        assert sum(byte - 256 * (byte > 127) for byte in header[:148] + header[156:]) + 8 * 32 == 0
        assert not is_header(bytes(header))


def walk(data: bytes) -> list[Member | Damage]:
    return list(Walk(BytesBlob(data)).items())


def only(data: bytes) -> Member:
    [found] = walk(data)
    assert isinstance(found, Member)
    return found


def test_records_override_the_header() -> None:
    """Name, link and size; a size that differs is told with the one in the header."""
    found = only(records(path="other", size="3") + block("name", 5) + filled(b"abcde") + END)
    assert (found.name, found.size, found.other_size, found.odd) == ("other", 3, 5, ("two-sizes",))


def test_a_size_that_does_not_fit_in_the_header_is_no_contradiction() -> None:
    """Beyond eight gigabytes writers put zero or anything there."""
    assert only(records(size=str(9 << 30)) + block("name", 0)).odd == ()


@pytest.mark.parametrize("digits", ["9" * 5000, "²", "-1", "", "1e3"])
def test_a_size_that_is_no_number_counts_for_nothing(digits: str) -> None:
    """Of whatever length it is."""
    assert only(records(size=digits) + member("name", b"abc") + END).size == 3


def test_a_global_header_is_told_when_it_overrides() -> None:
    """A comment, as git writes one, is not."""
    plain = [
        item for item in walk(records(b"g", comment="a" * 40) + member("n", b"x") + END) if isinstance(item, Member)
    ]
    assert plain[0].odd == ()
    assert "global" in only(records(b"g", path="evil") + member("n", b"x") + END).odd


@pytest.mark.parametrize(
    "data", [b"0 a=b\n", b"5 a=b\n", b"99 a=b\n", b"x a=b\n", b"6 a=b\nrest", b"6 a.b\n", b"6 =ab\n"]
)
def test_malformed_records(data: bytes) -> None:
    """Are told as such and end the reading."""
    assert pax.records(data).broken


def test_records_may_be_padded() -> None:
    """With zeros, as some writers do."""
    found = pax.records(b"6 a=b\n" + bytes(20))
    assert (found.pairs, found.broken) == ([("a", "b")], False)


def test_damage_is_passed_over_to_the_next_header() -> None:
    """The next member is found, and where the damage lies."""
    found = walk(member("a", b"x") + b"?" * BLOCK * 3 + member("b", b"y") + END)
    assert [type(item).__name__ for item in found] == ["Member", "Damage", "Member"]
    assert found[1] == Damage(2 * BLOCK, 5 * BLOCK)


def test_an_old_sparse_member_is_expanded() -> None:
    """To what it is when it is unpacked, wherever its pieces go."""
    data = sparse_pickle(b"abcdefgh")
    found = only(data + END)
    assert found.sparse is not None
    assert found.sparse.expanded(BytesBlob(data), found.size) == b"abcdefgh"


def test_sparse_maps_of_any_size_are_bounded() -> None:
    """A header that says that the map goes on, for ever."""
    endless = (
        block("s", 8, b"S", at_257=b"ustar  \0", at_482=b"\1") + (b"%011o\0%011o\0" % (1, 1)) * 21 + b"\1" + bytes(7)
    )
    data = endless + (endless[BLOCK:] * 20_000)
    with suppress(LimitExceeded):
        assert len(walk(data)) < 10


@given(st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(0, 1 << 40)), max_size=5), st.binary(max_size=2000))
def test_any_map_is_an_answer(pieces: list[tuple[int, int]], data: bytes) -> None:
    """Offsets and lengths beyond the member and the file."""
    text = ",".join(f"{offset},{length}" for offset, length in pieces)
    whole = records(GNU__sparse__map=text, GNU__sparse__realsize="1000") + member("s", data) + END
    found = only(whole)
    assert found.sparse is not None
    assert len(found.sparse.expanded(BytesBlob(whole), found.size)) == 1000


def test_the_end_is_behind_the_empty_blocks() -> None:
    """And a limit bounds how many of them are looked through."""
    assert end_of(BytesBlob(bytes(3 * BLOCK) + b"more"), 0, MIB) == 3 * BLOCK
    with pytest.raises(LimitExceeded):
        end_of(BytesBlob(bytes(3 * MIB)), 0, MIB)


PATHS = [
    ({}, "a/b/c", Leads.INSIDE),
    ({}, "../a", Leads.OUTSIDE),
    ({"l": "d/e"}, "l/x", Leads.INSIDE),
    ({"l": "d/e"}, "l/../../x", Leads.INSIDE),
    ({"l": "d"}, "l/../../x", Leads.OUTSIDE),
    ({"l": ".."}, "l/x", Leads.OUTSIDE),
    ({"a/l": "../m", "m": ".."}, "a/l/x", Leads.OUTSIDE),
    ({"l": "/etc"}, "l/x", Leads.OUTSIDE),
    ({"l": "l"}, "l", Leads.MAZE),
    ({"a": "b/b", "b": "a/a"}, "a", Leads.MAZE),
    ({"l": "x/" * 3000}, "l", Leads.MAZE),
]


@pytest.mark.parametrize(("links", "path", "leads"), PATHS)
def test_where_paths_lead(links: dict[str, str], path: str, leads: Leads) -> None:
    """Links are followed as a system does, in a bounded number of steps."""
    known = Links()
    for name, target in links.items():
        known.add(name, target)
    assert known.lead(path) is leads


def test_in_a_root_file_system_the_root_is_its_own() -> None:
    """Absolute links and climbing above the root stay inside."""
    known = Links(rooted=True)
    known.add("var/run", "/run")
    assert known.lead("var/run/../../x") is Leads.INSIDE
    assert known.crossed("var/run/x", last=False) == "var/run"
    assert known.crossed("var/run", last=False) is None


@contextmanager
def remote(sizes: Sequence[int], limits: Limits) -> Iterator[tuple[Remote, int]]:
    """A tar of members of `sizes`, full of holes, at a distance."""
    with tempfile.TemporaryFile() as file:
        for index, size in enumerate(sizes):
            made = tarfile.TarInfo(f"part-{index:05d}.bin")
            made.size = size
            file.write(made.tobuf(tarfile.GNU_FORMAT))
            file.seek(-(-size // BLOCK) * BLOCK, io.SEEK_CUR)
        file.truncate(file.tell() + 2 * BLOCK)
        with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
            yield Remote(data, limits), len(data)  # type: ignore[arg-type]


def cost(sizes: Sequence[int]) -> tuple[int, int, int]:
    """Rounds, bytes fetched and bytes in all of a walk through the headers."""
    with remote(sizes, replace(Limits(), rounds=100_000)) as (far, total):
        counts: list[int] = []
        far.run(lambda blob: counts.append(len(list(members(blob)))))
        assert counts == [len(sizes)]
        return far.rounds, far.bytes_fetched, total


def test_members_of_one_size_are_guessed() -> None:
    """Three thousand headers in a few rounds, and a few kilobytes each."""
    rounds, fetched, _ = cost([1_700_000] * 3000)
    assert rounds < 32
    assert fetched < 20 * MIB


def test_large_members_cost_a_round_each_and_are_not_read() -> None:
    """A header says where the next one is, and nothing else does."""
    draw = random.Random(1)
    sizes = [draw.randrange(1_000_000, 9_000_000) for _ in range(200)]
    rounds, fetched, total = cost(sizes)
    assert rounds <= 202
    assert fetched < 0.01 * total


def test_small_members_are_read_on_through() -> None:
    """Asking for each would take longer than reading all: ever larger pieces, few rounds."""
    draw = random.Random(2)
    rounds, _, total = cost([draw.randrange(1, 200_000) for _ in range(3000)])
    assert total > 250 * MIB
    assert rounds < 20


def test_small_ones_beside_large_ones() -> None:
    """A description beside each large file comes with its header."""
    draw = random.Random(3)
    sizes = [size for _ in range(150) for size in (500, draw.randrange(3_000_000, 9_000_000))]
    rounds, fetched, total = cost(sizes)
    assert rounds <= 160
    assert fetched < 0.01 * total


@settings(max_examples=300)
@given(st.data())
def test_any_bytes_are_an_answer(data: st.DataObject) -> None:
    """Mutations of an archive that has a little of everything."""
    whole = bytearray(
        records(path="p", size="3") + member("a", b"abc") + sparse_pickle(b"abcdefgh") + block("l", 0, b"2") + END
    )
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ParseError, LimitExceeded):
        for found in walk(bytes(whole[: data.draw(st.integers(0, len(whole)))])):
            if isinstance(found, Member) and found.sparse is not None and found.sparse.size < MIB:
                found.sparse.expanded(BytesBlob(bytes(whole)), found.size)
