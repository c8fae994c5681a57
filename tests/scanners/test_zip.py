"""The zip scanner: each rule fires on a sample and is silent on its near miss; each byte ends in some child."""

import io
import lzma
import stat
import struct
import tracemalloc
import zipfile
import zlib

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modelaudit import catalogue
from modelaudit.blob import Blob, BytesBlob
from modelaudit.engine import Engine
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Hit, Inspection, Note, Severity
from modelaudit.scanners.zip import scan
from modelaudit.unpack import Budget, open_child
from tests.remote import Remote
from tests.zips import Fields, Member, build, central_header, end_record, local_header, torch_zip

LIMITS = Limits()
TAIL_BYTES = 65600  # the catalogue's hint
PLAIN = b"some text"
LINK = stat.S_IFLNK | 0o777


def items(data: bytes | Blob, limits: Limits = LIMITS) -> list[Hit | Child | Asset | Note]:
    return list(scan(BytesBlob(data) if isinstance(data, bytes) else data, limits))


def rules(data: bytes) -> set[str]:
    return {item.rule for item in items(data) if isinstance(item, Hit)}


def notes(data: bytes) -> set[str]:
    return {item.reason for item in items(data) if isinstance(item, Note)}


def children(data: bytes) -> dict[str, Child]:
    return {item.name: item for item in items(data) if isinstance(item, Child)}


def bytes_of(data: bytes, child: Child) -> bytes:
    """A child's bytes, by Python's own codecs."""
    if child.data is not None:
        return child.data
    packed = data[child.offset : child.offset + child.length]
    return zlib.decompress(packed, -15) if child.codec == "deflate" else packed


def member(name: bytes = b"a.txt", data: bytes = PLAIN, **changes: object) -> Member:
    return Member(name, data, **changes)  # type: ignore[arg-type]


def lying(local: Fields | None = None, central: Fields | None = None, **changes: object) -> bytes:
    """An archive of one member whose headers are overridden."""
    return build(member(local=local or {}, central=central or {}, **changes))


def both(**fields: int | bytes) -> bytes:
    return lying(dict(fields), dict(fields))


def field(identity: int, value: bytes) -> bytes:
    return struct.pack("<HH", identity, len(value)) + value


def second_name(name: bytes, other: bytes) -> bytes:
    return field(0x7075, struct.pack("<BL", 1, zlib.crc32(name)) + other)


def two_directories(shared: bool) -> bytes:
    """Offset and size lead to different directories; or, when `shared`, into one."""
    one, two = local_header(member(b"a")) + PLAIN, local_header(member(b"b")) + PLAIN
    first, second = central_header(member(b"a"), 0), central_header(member(b"b"), len(one))
    between = b"" if shared else bytes(3)
    start = len(one) + len(two)
    return one + two + first + between + second + end_record(2 if shared else 1, len(second), start)


def quoted_overlap() -> bytes:
    """Two members of which the first holds the second's local header and data as its own data."""
    inner = local_header(member(b"b")) + PLAIN
    outer = Member(b"a", inner)
    body = local_header(outer) + inner
    place = len(body) - len(inner)
    directory = central_header(outer, 0) + central_header(member(b"b"), place)
    return body + directory + end_record(2, len(directory), len(body))


# Each rule: an archive that fires it, and one like it that fires nothing at or above warning.
FIRING: dict[str, tuple[bytes, bytes]] = {
    "zip-traversal": (build(member(b"../../x")), build(member(b"a/..b/...x"))),
    "zip-parent-name": (build(member(b"a/../x")), build(member(b"a/..x"))),
    "zip-absolute-name": (build(member(b"/etc/cron.d/x")), build(member(b"etc/cron.d/x"))),
    "zip-backslash-name": (build(member(b"a\\x")), build(member(b"a/x"))),
    "zip-control-character": (build(member(b"data.pkl\0.txt")), build(member("dätä.pkl".encode()))),
    "zip-unicode-path": (
        lying(central={"extra": second_name(b"a.txt", b"data.pkl")}),
        build(Member(b"\x81.txt", PLAIN, central={"extra": second_name(b"\x81.txt", "ü.txt".encode())})),
    ),
    "zip-duplicate-name": (build(member(), member()), build(member(b"d/"), member(b"d/"), member())),
    "zip-folded-name": (build(member(b"Data"), member(b"data")), build(member(b"Data"), member(b"date"))),
    "zip-symlink-escape": (
        build(member(b"a/l", b"../../" + PLAIN, mode=LINK)),
        build(member(b"a/l", b"../b", mode=LINK)),
    ),
    "zip-symlink": (build(member(b"l", mode=LINK)), build(member(b"l", mode=stat.S_IFREG))),
    "zip-special-file": (build(member(mode=stat.S_IFIFO)), build(member(mode=stat.S_IFREG | 0o755))),
    "zip-header-mismatch": (lying({"name": b"b.txt"}), build(member(descriptor=True))),
    "zip-encryption-flag": (both(flags=1), both(flags=0x800)),
    "zip-refused-flags": (both(flags=0x20), both(flags=0x6)),
    "zip-reserved-flags": (both(flags=0x1000), both(flags=0x2)),
    "zip-refused-version": (both(version=255), both(version=63)),
    "zip-crc": (both(crc=7), build(member(method=8))),
    "zip-stored-size": (both(size=4), build(member(b"empty", b""))),
    "zip-no-local-header": (lying(central={"offset": 4}), build(member())),
    "zip-two-directories": (two_directories(shared=False), two_directories(shared=True)),
    "zip-decoy-end": (build(member()) + end_record(9, 99, 999), build(member(), comment=b"PK")),
    "zip-entry-count": (build(member(), member(b"b"), count=1), build(member(), member(b"b"), count=2)),
    "zip-no-directory": (build(member())[:-30], build(member())),
    "zip-hidden-member": (
        build(member(), member(b"h", listed=False), member(b"c")),
        build(member(), member(b"c", before=bytes(8))),
    ),
    "zip-overlap": (quoted_overlap(), build(Member(b"a", local_header(member(b"b")) + PLAIN))),
    "zip-bomb": (
        build(member(), Member(b"z", b"", 8, local={"size": 200 << 20}, central={"size": 200 << 20})),
        build(member(), Member(b"z", b"", 8, local={"size": 90 << 20}, central={"size": 90 << 20})),
    ),
    "zip-prefix": (build(member(), prefix=b"#!/bin/sh\n"), build(member(), prefix=b"PK\7\10")),
    "zip-appended": (build(member(), appended=b"more"), build(member(), appended=bytes(16))),
    "zip-gap": (build(member(), member(b"c", before=b"between")), build(member(), member(b"c", before=bytes(7)))),
    "zip-binary-comment": (build(member(), comment=b"\x80\4\0."), build(member(), comment="a model, größer".encode())),
}  # fmt: skip


@pytest.mark.parametrize("rule", FIRING)
def test_each_rule_fires_on_its_sample_and_not_on_the_near_miss(rule: str) -> None:
    """The sample brings the rule; the near miss does not, nor anything that would alarm."""
    sample, near = FIRING[rule]
    assert rule in rules(sample)
    assert rule not in rules(near)
    assert rules(near) <= {"zip-symlink", "zip-parent-name"}


def test_all_rules_have_a_sample() -> None:
    """No rule of the catalogue is without one."""
    known = {rule for rule in catalogue.load().rules if rule.startswith("zip-")}
    assert known == set(FIRING)


@pytest.mark.parametrize("rule", FIRING)
def test_the_member_is_still_found(rule: str) -> None:
    """Whatever trick the headers play, the bytes of a payload reach some child as they are."""
    payload = b"cposix\nsystem\n(S'echo'\ntR."
    sample = FIRING[rule][0]
    assert PLAIN in sample
    hidden = sample.replace(PLAIN, payload[: len(PLAIN)])
    assert any(payload[: len(PLAIN)] in bytes_of(hidden, child) for child in children(hidden).values())


def test_arrays_may_be_called_by_absolute_paths() -> None:
    """`numpy.savez` puts its keys into names as they are; nothing unpacks those to disk."""
    hits = [item for item in items(build(member(b"/encoder/w.npy"))) if isinstance(item, Hit)]
    assert [(hit.rule, hit.severity) for hit in hits] == [("zip-absolute-name", Severity.INFO)]
    assert rules(build(member(b"w:0.npy"), member(b"x:y.npy"))) == set()
    assert "zip-absolute-name" in rules(build(member(b"C:evil.txt")))


# --- readings -----------------------------------------------------------------------------------------------


def test_a_local_header_that_says_another_method_is_a_second_reading() -> None:
    """The directory says stored, the local header deflate: both children are given, the directory's by its name."""
    packed = Member(b"a.txt", b"x" * 500, method=8).stored()
    data = build(Member(b"a.txt", packed, local={"method": 8, "size": 500, "crc": zlib.crc32(b"x" * 500)}))
    found = children(data)
    assert found["a.txt"].codec == "stored"
    assert bytes_of(data, found["a.txt (local header)"]) == b"x" * 500


def test_a_local_header_that_says_another_length_is_a_second_reading() -> None:
    """By the directory the member is short, by the local header long: both readings are children."""
    central: Fields = {"packed": 4, "size": 4, "crc": zlib.crc32(PLAIN[:4])}
    data = lying(central=central)
    assert bytes_of(data, children(data)["a.txt"]) == PLAIN[:4]
    assert bytes_of(data, children(data)["a.txt (local header)"]) == PLAIN


def test_data_marked_as_encrypted_is_tried() -> None:
    """Plain data are scanned in spite of the flag, deflated ones too; encrypted ones are said not to be."""
    for method in (0, 8):
        data = build(Member(b"m", PLAIN * 9, method=method, flags=1))
        assert "zip-encryption-flag" in rules(data)
        assert bytes_of(data, children(data)["m"]) == PLAIN * 9
        assert notes(data) == set()
    secret = bytes(range(200, 221))
    really = build(Member(b"m", PLAIN, flags=1, packed=secret))
    assert notes(really) == {"encrypted_member"}
    assert "zip-encryption-flag" not in rules(really)
    assert bytes_of(really, children(really)["m (encrypted)"]) == secret
    assert notes(build(Member(b"m", PLAIN, method=8, flags=1, packed=b"\xff" * 30))) == {"encrypted_member"}


def test_methods_that_nobody_unpacks_are_said() -> None:
    """An unsupported method is a note, and the packed bytes are a child as they are."""
    data = both(method=99)
    assert notes(data) == {"unsupported_method"}
    assert bytes_of(data, children(data)["a.txt (packed)"]) == PLAIN


@pytest.mark.parametrize(("method", "codec"), [(8, "deflate"), (12, "bz2"), (20, "zstd"), (93, "zstd"), (95, "xz")])
def test_methods_become_codecs(method: int, codec: str) -> None:
    """Each method that can be unpacked names its codec and the declared size."""
    data = build(Member(b"m", PLAIN, method=method, packed=b"packed bytes"))
    child = children(data)["m"]
    assert (child.codec, child.size, child.length) == (codec, len(PLAIN), 12)


@pytest.mark.parametrize("dictionary", [5000, 1 << 16])
@pytest.mark.parametrize("plain", [PLAIN * 50, bytes(3000) + PLAIN, b"N0" * 600])
def test_lzma_is_unpacked_as_zip_has_it(plain: bytes, dictionary: int) -> None:
    """Whatever it holds and however its dictionary is measured: zip says that it is LZMA."""
    spec = {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": 3, "lp": 0, "pb": 2}
    properties = b"\x5d" + dictionary.to_bytes(4, "little")
    packed = b"\x09\x14\5\0" + properties + lzma.compress(plain, lzma.FORMAT_RAW, filters=[spec])
    data = build(Member(b"m", plain, method=14, packed=packed))
    limits = Limits()
    inner = open_child(BytesBlob(data), children(data)["m"], Budget(limits), limits)
    assert bytes(inner.view(0, len(plain) + 1)) == plain
    with zipfile.ZipFile(io.BytesIO(data)) as reader:
        assert reader.read("m") == plain


def test_all_directories_are_scanned() -> None:
    """The members of two directories are all children, each once."""
    found = [item.name for item in items(two_directories(shared=False)) if isinstance(item, Child)]
    assert sorted(found) == ["a", "b"]


def test_an_archive_inside_the_comment_comes_back() -> None:
    """Where the comment holds another archive, readers take that one; the outer one is scanned all the same."""
    data = build(Member(b"outer", b"of the outer"), comment=build(Member(b"inside", b"of the inner")))
    found = [bytes_of(data, child) for child in items(data) if isinstance(child, Child)]
    assert b"of the inner" in found
    assert b"of the outer" in found


def test_hidden_members_are_children() -> None:
    """A member that no directory lists is scanned under its own name."""
    data = FIRING["zip-hidden-member"][0]
    assert bytes_of(data, children(data)["h (not in the directory)"]) == PLAIN


def test_a_name_only_in_the_local_header_is_judged() -> None:
    """A traversal that only streaming readers would see is a traversal."""
    assert "zip-traversal" in rules(lying({"name": b"../../x"}))


def test_extra_fields_of_unknown_use_are_children() -> None:
    """Bytes in an extra field that is longer than its kind ever is are looked at; ordinary fields are not."""
    payload = b"\x80\4" + bytes(range(1, 40)) + b"."
    for identity in (0xCAFE, 0x0001, 0x1234, 0x4246):
        data = lying({"extra": field(identity, payload)})
        assert bytes_of(data, children(data)["a.txt (extra field)"]) == payload
    times = lying({"extra": field(0x5455, b"\3" + bytes(8)) + field(0x7875, b"\1\4" + bytes(9))})
    padding = lying({"extra": field(0x4246, b"Z" * 60) + field(0xD935, bytes(64))})
    for data in (times, padding):
        assert set(children(data)) == {"a.txt"}


def test_comments_are_children() -> None:
    """Comments of the archive and of members are identified like anything else."""
    data = build(member(comment=b"of a member"), comment=b"of all")
    found = children(data)
    assert bytes_of(data, found["comment"]) == b"of all"
    assert bytes_of(data, found["a.txt (comment)"]) == b"of a member"


def test_torch_archives_may_leave_the_checksum_out() -> None:
    """PyTorch writes a CRC of zero when told to; only there is that ordinary."""
    data = torch_zip({"data.pkl": b"\x80\2}.", "byteorder": b"little"}, crc=False)
    assert rules(data) == set()
    assert "zip-crc" in rules(both(crc=0))


def test_link_without_target() -> None:
    """A link whose target cannot be read is still told of."""
    data = build(Member(b"l", b"x" * 5000, mode=LINK))
    assert "zip-symlink" in rules(data)


# --- every byte ---------------------------------------------------------------------------------------------


def test_what_describes_an_array_store_may_stand_there_again() -> None:
    """zarr's store in a zip cannot replace a member, so it appends another one; of other members that is no habit."""
    for name, severity in ((b"obs/.zattrs", Severity.INFO), (b"zarr.json", Severity.INFO), (b"obs/x.zattrs", None)):
        found = [item for item in items(build(member(name), member(name))) if isinstance(item, Hit)]
        assert [(hit.rule, hit.severity) for hit in found] == [("zip-duplicate-name", severity)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((b"a", b"b/c", b"d/")), st.binary(max_size=40), st.binary(max_size=12), st.booleans()
        ),
        max_size=5,
    ),
    st.binary(max_size=20),
    st.binary(max_size=20),
)
def test_every_byte_is_of_a_header_or_in_a_child(
    members: list[tuple[bytes, bytes, bytes, bool]], prefix: bytes, appended: bytes
) -> None:
    """Data, gaps, prefixes and tails all come back as children, unless they are zeros."""
    # What begins like a header is read as one, and takes what stands behind it along.
    assume(not any(b"PK" in piece for piece in (prefix, appended, *(gap + data for _, data, gap, _ in members))))
    built = [
        Member(b"%d" % i + name, data, before=gap, listed=kept) for i, (name, data, gap, kept) in enumerate(members)
    ]
    data = build(*built, prefix=prefix, appended=appended)
    covered = b"".join(bytes_of(data, child) for child in children(data).values() if child.format is None)
    for piece in (prefix, appended, *(one.data for one in built), *(one.before for one in built)):
        if any(piece) and not piece.startswith(b"PK"):
            assert piece in covered


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(
        st.text("abcdefgh/._-0123456789", min_size=1, max_size=20).filter(lambda n: ".." not in n and n[0] != "/"),
        st.tuples(st.binary(max_size=200), st.sampled_from((0, 8, 12, 14)), st.booleans()),
        max_size=6,
    ),
    st.booleans(),
)
def test_archives_of_zipfile_are_silent(members: dict[str, tuple[bytes, int, bool]], streamed: bool) -> None:
    """What CPython writes, into a file or into a pipe, brings no hit but for names that differ in case."""
    buffer = io.BytesIO()
    target = _Pipe(buffer) if streamed else buffer
    with zipfile.ZipFile(target, "w") as writer:  # type: ignore[arg-type]
        for name, (data, method, wide) in members.items():
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = method
            with writer.open(info, "w", force_zip64=wide) as entry:
                entry.write(data)
    assert rules(buffer.getvalue()) == set()
    assert notes(buffer.getvalue()) == set()


class _Pipe(io.RawIOBase):
    """A file object that cannot seek, so that zipfile writes data descriptors."""

    def __init__(self, target: io.BytesIO) -> None:
        super().__init__()
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        return self._target.write(data)


# --- hostile bytes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule", ["zip-traversal", "zip-two-directories", "zip-overlap", "zip-hidden-member", "zip-crc"]
)
def test_truncation_at_every_offset(rule: str) -> None:
    """The scanner ends quietly on every prefix and suffix of an archive."""
    data = FIRING[rule][0]
    for length in range(len(data)):
        items(data[:length])
        items(data[length:])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FIRING)), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=6))
def test_changed_bytes(rule: str, changes: list[tuple[int, int]]) -> None:
    """No change of single bytes makes the scanner raise, and children lie inside the blob."""
    data = bytearray(FIRING[rule][0])
    for place, value in changes:
        data[place % len(data)] = value
    for item in items(bytes(data)):
        if isinstance(item, Child) and item.data is None:
            assert 0 <= item.offset <= item.offset + item.length <= len(data)


def test_members_beyond_the_limit_are_said() -> None:
    """The scan stops at the limit with a note; what was before it is scanned."""
    data = build(*(Member(b"%d" % number, b"") for number in range(20)))
    found = items(data, Limits(members=10))
    assert [item.reason for item in found if isinstance(item, Note)] == ["members"]
    assert sum(isinstance(item, Child) for item in found) == 10


def test_two_hundred_thousand_members() -> None:
    """They are all scanned, one after the other."""
    data = build(*(Member(b"data/%07d.bin" % number, b"x") for number in range(200_000)), zip64=True)
    assert sum(isinstance(item, Child) for item in scan(BytesBlob(data), LIMITS)) == 200_000


def test_memory_is_bounded_per_member() -> None:
    """A million members would cost the worker less than 350 MB."""
    data = build(*(Member(b"data/%07d.bin" % number, b"x") for number in range(20_000)))
    tracemalloc.start()
    try:
        count = sum(isinstance(item, Child) for item in scan(BytesBlob(data), LIMITS))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 20_000 * 350


def test_overlaps_are_one_finding() -> None:
    """A thousand members over the same bytes are told of first and once, with their number, and scanned once."""
    kernel = Member(b"k", bytes(100))
    body = local_header(kernel) + kernel.data
    directory = b"".join(central_header(Member(b"%d" % number, bytes(100)), 0) for number in range(1000))
    found = items(body + directory + end_record(1000, len(directory), len(body)))
    hits = [item for item in found if isinstance(item, Hit)]
    (overlap,) = [hit for hit in hits if hit.rule == "zip-overlap"]
    assert overlap.evidence["count"] == 999
    assert isinstance(found[0], Hit)
    assert sum(isinstance(item, Child) for item in found) == 1


# --- bombs, through the engine --------------------------------------------------------------------------------


BOMB_LIMITS = Limits(unpacked_bytes=64 << 20, unpack_ratio_floor_bytes=8 << 20)


def inspect(data: bytes, limits: Limits = LIMITS) -> Inspection:
    return Engine(catalogue.load()).inspect(BytesBlob(data), limits)


def nested_bomb(depth: int, width: int) -> bytes:
    """`width` copies of the same deflated archive in each archive, `depth` archives deep; zeros at the bottom."""
    data = build(Member(b"zeros", bytes(16 << 20), method=8))
    for _ in range(depth):
        data = build(*(Member(b"lib %d.zip" % number, data, method=8) for number in range(width)))
    return data


def test_a_nested_bomb_ends_with_a_finding() -> None:
    """Sixteen archives in each of sixteen, five deep: the budget ends it long before a million are unpacked."""
    found = inspect(nested_bomb(4, 16), BOMB_LIMITS)
    assert found.status == "partial"
    assert "zip-bomb" in {finding.rule for finding in found.findings}


def test_an_overlap_bomb_ends_with_a_finding() -> None:
    """Three hundred members over one kernel of zeros: told of as overlap and as bombs."""
    kernel = Member(b"000", bytes(16 << 20), method=8)
    body, one = local_header(kernel) + kernel.stored(), central_header(kernel, 0)
    directory = b"".join(one.replace(b"000", b"%03d" % number) for number in range(300))
    found = inspect(body + directory + end_record(300, len(directory), len(body)), BOMB_LIMITS)
    assert {"zip-overlap", "zip-bomb"} <= {finding.rule for finding in found.findings}


def test_a_zip_that_is_deeper_than_the_limit_is_said() -> None:
    """Containers in containers beyond the depth are a finding, and what is above is scanned."""
    data = build(Member(b"x", PLAIN))
    for _ in range(12):
        data = build(Member(b"inner.zip", data))
    found = inspect(data)
    assert "shared-nesting" in {finding.rule for finding in found.findings}
    assert found.status == "partial"


def test_lzma_members_are_unpacked_by_the_engine() -> None:
    """A payload packed with zip's LZMA is found."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as writer:
        writer.writestr("m", b"cposix\nsystem\n(S'echo modelaudit-sample'\ntR.")
    assert any("posix.system" in finding.message for finding in inspect(buffer.getvalue()).findings)


# --- what is fetched ----------------------------------------------------------------------------------------


def test_a_big_plain_zip_costs_the_heads_of_its_members() -> None:
    """Two rounds: the directory, then the head of each stored member, whatever its extra field."""
    data = build(*(Member(b"%03d.bin" % number, bytes(300_000), descriptor=True) for number in range(20)))
    remote = Remote(data, LIMITS, TAIL_BYTES)
    found: list[Hit | Child | Asset | Note] = []

    def work(blob: Blob) -> None:
        found[:] = items(blob)
        blob.require([(item.offset, 512) for item in found if isinstance(item, Child)])

    remote.run(work)
    assert sum(isinstance(item, Child) for item in found) == 20
    assert found == items(data)
    assert remote.rounds == 2
    assert remote.requests <= 2 + 20  # head and tail, then the head of each member
    assert remote.bytes_fetched < 131_200 + 20 * 5000


def test_local_and_remote_say_the_same() -> None:
    """Items do not depend on what happened to be here already."""
    for data in (FIRING["zip-overlap"][0], FIRING["zip-gap"][0], build(Member(b"m", bytes(2 << 20)), comment=b"c")):
        remote = Remote(data, LIMITS)
        found: list[Hit | Child | Asset | Note] = []
        remote.run(lambda blob, found=found: found.__setitem__(slice(None), items(blob)))
        assert found == items(data)


def test_severities_leave_no_ordinary_archive_alarmed() -> None:
    """Rules that an ordinary archive may meet are infos."""
    known = catalogue.load().rules
    for rule in ("zip-prefix", "zip-appended", "zip-gap", "zip-folded-name", "zip-backslash-name", "zip-no-directory"):
        assert known[rule].severity is Severity.INFO
