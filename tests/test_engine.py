"""The engine with scanners of our own making: what happens around a scanner, whatever it does."""

import gzip
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from modelaudit import catalogue
from modelaudit.blob import Blob, BytesBlob, RootBlob, read
from modelaudit.engine import Engine, Item, inspect
from modelaudit.errors import LimitExceeded, Missing, ParseError
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Hit, Inspection, Severity

SHARED = Path(catalogue.__file__).with_name("shared.toml").read_text("utf-8")
FORMAT = """
[format]
id = "{id}"
title = "{id} files"
scanned = {scanned}
signature = [{{ hex = "{hex}" }}]
[[rule]]
id = "{id}-bad"
severity = "critical"
title = "bad"
message = "bad thing: {{what}}"
why = "because {{what}}"
advice = "do not"
"""


@dataclass
class Stub:
    """A scanner that gives what `items` gives."""

    items: Callable[[Blob, Limits], Iterator[Item]]

    def scan(self, blob: Blob, limits: Limits, /) -> Iterator[Item]:
        yield from self.items(blob, limits)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Engine]:
    """Build an engine whose formats are told apart by their first byte: `a=...` fits blobs that begin with a."""

    def build(scanned: str = "", **formats: Callable[[Blob, Limits], Iterator[Item]]) -> Engine:
        (tmp_path / "shared.toml").write_text(SHARED)
        for name in [*formats, *scanned]:
            state = str(name in formats).lower()
            (tmp_path / f"{name}.toml").write_text(FORMAT.format(id=name, hex=name.encode().hex(), scanned=state))
        return Engine(catalogue.load(tmp_path), {name: Stub(items) for name, items in formats.items()})

    return build


def run(engine: Engine, data: bytes, **options: object) -> Inspection:
    limits = options.pop("limits", Limits())
    return engine.inspect(BytesBlob(data), limits, uri="place", **options)


def bad(blob: Blob, limits: Limits) -> Iterator[Item]:
    yield Hit("a-bad", 3, {"what": "it"})


def test_a_hit_becomes_a_finding_in_the_catalogues_words(make: Callable[..., Engine]) -> None:
    """Message and why are filled from the evidence; the location names the position."""
    found = run(make(a=bad), b"a")
    [finding] = found.findings
    assert (finding.rule, finding.severity, finding.message, finding.why) == (
        "a-bad", Severity.CRITICAL, "bad thing: it", "because it",
    )  # fmt: skip
    assert (finding.location, finding.offset, finding.details) == ("place (pos 3)", 3, {"what": "it"})
    assert (found.status, found.formats, found.scanners) == ("scanned", ("a",), ("a",))


def test_the_same_finding_has_the_same_id(make: Callable[..., Engine]) -> None:
    """An id does not change from run to run, and differs from place to place."""
    engine = make(a=bad)
    first, again = run(engine, b"a"), run(engine, b"a")
    elsewhere = engine.inspect(BytesBlob(b"a"), Limits(), uri="elsewhere")
    assert first.findings[0].id == again.findings[0].id != elsewhere.findings[0].id


def test_what_no_scanner_knows_is_skipped_and_said(make: Callable[..., Engine]) -> None:
    """Unknown bytes are never called scanned."""
    found = run(make(a=bad), b"?")
    assert (found.status, found.reason, found.formats) == ("skipped", "unsupported", ())


def test_a_wrapping_around_the_unknown_is_not_a_scan() -> None:
    """A compressed file of something that nobody knows is skipped, not scanned."""
    found = inspect(BytesBlob(gzip.compress(b"a,b,c\n1,2,3\n" * 100)))
    assert (found.status, found.reason, found.formats) == ("skipped", "unsupported", ("gzip",))


def test_a_format_without_scanner_is_named(make: Callable[..., Engine]) -> None:
    """What is recognised and not scanned says what it is."""
    found = run(make("u", a=bad), b"u")
    assert (found.status, found.reason, found.formats) == ("skipped", "unsupported", ("u",))
    assert "u files" in (found.message or "")


def test_a_broken_file_keeps_what_was_found(make: Callable[..., Engine]) -> None:
    """A parse error ends the scanner, not the record."""

    def breaks(blob: Blob, limits: Limits) -> Iterator[Item]:
        yield Hit("a-bad", 0, {"what": "x"})
        raise ParseError("no end", 7)

    found = run(make(a=breaks), b"a")
    assert (found.status, found.reason, len(found.findings)) == ("partial", "broken", 1)
    assert found.message == "place: no end (at byte 7)"


def test_children_are_scanned_under_their_own_name(make: Callable[..., Engine]) -> None:
    """A child is identified afresh; the location shows the way to it."""

    def holds(blob: Blob, limits: Limits) -> Iterator[Item]:
        yield Child("inner", offset=1, length=1)

    found = run(make(c=holds, a=bad), b"ca")
    assert [finding.location for finding in found.findings] == ["place:inner (pos 3)"]
    assert [(asset.path, asset.type) for asset in found.assets] == [("place:inner", "a"), ("place", "c")]


def test_a_polyglot_is_scanned_as_all_that_it_is(make: Callable[..., Engine], tmp_path: Path) -> None:
    """Two formats that fit are two scans."""
    engine = make(a=bad, b=lambda blob, limits: iter([Hit("b-bad", 0, {"what": "too"})]))
    (tmp_path / "b.toml").write_text((tmp_path / "b.toml").read_text().replace('hex = "62"', 'hex = "61"'))
    both = Engine(catalogue.load(tmp_path), engine.scanners)
    assert [finding.rule for finding in run(both, b"a").findings] == ["a-bad", "b-bad"]


def test_missing_bytes_of_one_child_do_not_hide_those_of_its_siblings(make: Callable[..., Engine]) -> None:
    """All that is missing is asked for at once."""

    def holds(blob: Blob, limits: Limits) -> Iterator[Item]:
        for place in (1000, 2000, 3000):
            yield Child(str(place), offset=place, length=10)

    blob = RootBlob(bytes(10_000).replace(b"\0", b"c", 1), 10_000, [(0, 512), (2000, 10)])
    with pytest.raises(Missing) as missing:
        make(c=holds, a=bad).inspect(blob, Limits())
    assert missing.value.ranges == ((1000, 10), (3000, 10))


def test_endless_nesting_ends(make: Callable[..., Engine]) -> None:
    """A file that contains itself is a finding and a partial scan, not a hang."""

    def quine(blob: Blob, limits: Limits) -> Iterator[Item]:
        yield Child("self", length=blob.size)

    found = run(make(c=quine), b"c")
    assert found.status == "partial"
    assert found.reason == "depth"
    assert [finding.rule for finding in found.findings] == ["shared-nesting"]


def test_too_many_members_end_the_scan_honestly(make: Callable[..., Engine]) -> None:
    """The bound on members holds over all depths and is said."""

    def many(blob: Blob, limits: Limits) -> Iterator[Item]:
        for number in range(100):
            yield Child(str(number), data=b"c" if blob.size > 1 else b"-")

    found = run(make(c=many), b"cc", limits=Limits(members=50))
    assert (found.status, found.reason) == ("partial", "members")


def test_a_member_that_nobody_can_scan_is_said(make: Callable[..., Engine]) -> None:
    """A recognised model format inside a container that has no scanner makes the record partial."""

    def holds(blob: Blob, limits: Limits) -> Iterator[Item]:
        yield Child("model.u", data=b"u")

    assert run(make("u", c=holds), b"c").reason == "unsupported_member"


def test_limits_that_a_scanner_meets_are_said(make: Callable[..., Engine]) -> None:
    """A limit met ends that scanner and names the limit."""

    def greedy(blob: Blob, limits: Limits) -> Iterator[Item]:
        yield from ()
        raise LimitExceeded("header_bytes", 10, 5)

    found = run(make(a=greedy), b"a")
    assert (found.status, found.reason) == ("partial", "header_bytes")


def test_worse_findings_push_out_milder_ones(make: Callable[..., Engine]) -> None:
    """A flood of small findings cannot hide a critical one; what was cut is counted."""

    def flood(blob: Blob, limits: Limits) -> Iterator[Item]:
        for number in range(100):
            yield Hit("a-bad", number, {"what": "noise"}, Severity.INFO)
        yield Hit("a-bad", 500, {"what": "real"})

    found = run(make(a=flood), b"a", limits=Limits(findings=10))
    assert (len(found.findings), found.findings_cut) == (10, 91)
    assert [finding.offset for finding in found.findings if finding.severity is Severity.CRITICAL] == [500]


def test_blacklisted_names_are_found_in_members(make: Callable[..., Engine]) -> None:
    """A pattern is looked for in the object's name and in those of its members, whatever the case."""

    def holds(blob: Blob, limits: Limits) -> Iterator[Item]:
        yield Child("dir/Evil-Model.bin", data=b"-")

    found = run(make(c=holds), b"c", blacklist=["evil", "absent"])
    assert [finding.location for finding in found.findings] == ["place:dir/Evil-Model.bin"]


def test_evidence_is_bounded_and_valid_text(make: Callable[..., Engine]) -> None:
    """Hostile text is cut and made encodable before it goes anywhere."""

    def shouts(blob: Blob, limits: Limits) -> Iterator[Item]:
        yield Hit("a-bad", 0, {"what": "\udcff" + "x" * 100_000})

    [finding] = run(make(a=shouts), b"a").findings
    assert len(str(finding.details["what"])) < 500
    finding.message.encode("utf-8")


def test_an_lfs_pointer_is_not_a_model(make: Callable[..., Engine]) -> None:
    """A pointer is skipped for that reason; an archive with a pointer in it is not."""
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1\n"
    assert inspect(BytesBlob(pointer)).status == "skipped"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("pointer", pointer)
        archive.writestr("evil", b"cposix\nsystem\n(S'echo'\ntR.")
    found = inspect(BytesBlob(buffer.getvalue()))
    assert (found.status, found.reason) == ("partial", "lfs_pointer")
    assert found.findings


def test_a_zip_behind_an_unscanned_format_is_found() -> None:
    """A format that nobody scans does not hide the archive appended to it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("evil", b"cposix\nsystem\n(S'echo'\ntR.")
    found = inspect(BytesBlob(b"\x89HDF\r\n\x1a\n" + bytes(500) + buffer.getvalue()))
    assert "pickle-import" in {finding.rule for finding in found.findings}


def test_assets_are_bounded_and_counted(make: Callable[..., Engine]) -> None:
    """The inventory of a huge container is cut, and the cut is counted."""

    def many(blob: Blob, limits: Limits) -> Iterator[Item]:
        for number in range(30):
            yield Asset(f"part{number}", "part", tensors=("t",) * 500, tensors_total=500)

    found = run(make(a=many), b"a", limits=Limits(assets=10, tensors_named=5))
    assert (len(found.assets), found.assets_cut) == (10, 21)
    assert (len(found.assets[0].tensors), found.assets[0].tensors_total) == (5, 500)


def test_findings_are_told_as_they_come(make: Callable[..., Engine]) -> None:
    """A caller that may be killed hears of each finding before the scan goes on."""
    told: list[str] = []

    def two(blob: Blob, limits: Limits) -> Iterator[Item]:
        yield Hit("a-bad", 1, {"what": "x"})
        assert told == ["a-bad"]
        yield Hit("a-bad", 2, {"what": "x"})

    run(make(a=two), b"a", on_finding=lambda finding: told.append(finding.rule))
    assert len(told) == 2


def test_reading_past_the_end_is_short() -> None:
    """`read` gives what there is."""
    assert read(BytesBlob(b"abc"), 2, 10) == b"c"
