"""tar archives: members, places, tricks."""

import io
import random
import tarfile
from collections import Counter
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.engine import inspect
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits
from modelaudit.model import Inspection
from modelaudit.parsers.tar.walk import members
from modelaudit.scanners import tar as scanner
from tests.remote import Remote
from tests.samples.images import docker_save, info, layout, tar
from tests.samples.tartricks import END, block, chain, filled, member
from tests.samples.tartricks import pax as records
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


HOLES = b"00000000000\x0000000000001\0"
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
    "link through a link": ("tar-link-escape", tar(chain(4))),
    "hard link through a link": (
        "tar-link-escape",
        tar(
            [
                info("a/l", tarfile.SYMTYPE, "../b"),
                info("b", tarfile.SYMTYPE, "/etc"),
                info("h", tarfile.LNKTYPE, "a/l/x"),
            ]
        ),
    ),
    "maze": ("tar-link-maze", tar([info("l", tarfile.SYMTYPE, "l/l"), ("l/x", b"x")])),
    "write through": ("tar-write-through-link", tar([info("l", tarfile.SYMTYPE, "d"), ("l/x", b"x")])),
    "write over a link": ("tar-write-through-link", tar([info("l", tarfile.SYMTYPE, "d"), ("l", b"x")])),
    "link to a program": ("tar-link-absolute", tar([info("venv/python", tarfile.SYMTYPE, "/usr/bin/python3")])),
    "control": ("tar-control-character", tar([("a\x1b[2Kb", b"x")])),
    "two sizes": ("tar-two-sizes", records(size="3") + member("n", b"abcde") + END),
    "two names": ("tar-two-names", records(path="a") + records(path="b") + member("c", b"x") + END),
    "global": ("tar-global-override", records(b"g", linkpath="a") + member("c", b"x") + END),
    "negative": ("tar-odd-number", block("a", b"\xff" * 12) + END),
    "records": ("tar-broken-records", block("p", 6, b"x") + filled(b"0 a=b\n") + member("c", b"x") + END),
    "size of a folder": ("tar-link-data", block("d/", 512, b"5") + member("b", b"x") + END),
    "damage": ("tar-damaged", member("a", b"x") + b"?" * 512 + member("b", b"x") + END),
    "second archive": ("tar-hidden-members", member("a", b"x") + END + member("b", b"x") + END),
    "twice": ("tar-duplicate-name", tar([("a", b"1"), ("a", b"2")])),
    "holes": (
        "tar-bomb",
        block("s", 1, b"S", at_257=b"ustar  \0", at_386=HOLES, at_483=b"77777777777\0") + filled(b"x") + END,
    ),
    "digest": ("tar-image-digest", layout([tar([("a", b"x")])], wrong={0: tar([("b", b"x")])})),
    "size": ("tar-image-size", layout([tar([("a", b"x")])], size=7)),
    "missing": ("tar-image-missing", docker_save([tar([("a", b"x")])], missing=True)),
}
SILENT = {
    "plain": make(("a/b.pkl", ORDINARY), ("c.txt", b"text")),
    "inner dots": make(("a/../b.pkl", ORDINARY), ("..data", b"x"), ("a..b", b"x")),
    "link inside": link("a/l", "../b"),
    "hard link inside": link("a/l", "b", tarfile.LNKTYPE),
    "folder": make(("a/", b""), type=tarfile.DIRTYPE),
    "gnu": make(("n" * 200, ORDINARY), format=tarfile.GNU_FORMAT),
    "git": records(b"g", comment="0" * 40) + member("a", b"x") + END,
    "chain inside": tar([info("a/l", tarfile.SYMTYPE, "../b"), info("b", tarfile.SYMTYPE, "c/d"), ("c/d/x", b"x")]),
    "not UTF-8": make(("\udce4/b", b"x"), format=tarfile.GNU_FORMAT),
    "folders twice": tar([info("d/", tarfile.DIRTYPE), info("d/", tarfile.DIRTYPE), ("d/x", b"x")]),
    "image": docker_save([tar([("a", b"x")])]),
    "nemo": tar(
        [("model_config.yaml", b"target: nemo.Model\ntokenizer:\n  dir: tok\n"), ("model_weights.ckpt", ORDINARY)]
    ),
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


def test_very_many_copies_are_looked_at_a_thousand_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """And listed after that; another name or other bytes are no copy."""
    monkeypatch.setattr(scanner, "_COPIES", 3)
    data = tar([*((f"{index}/a.pkl", ORDINARY) for index in range(9)), ("b.pkl", ORDINARY), ("0/a.pkl", ATTACK)])
    found = look(data)
    kinds = Counter(asset.type for asset in found.assets)
    assert (kinds["pickle"], kinds["copy"]) == (5, 6)
    assert "critical" in {finding.severity for finding in found.findings}


def test_a_nemo_model_is_named() -> None:
    """In the inventory; its configuration and its weights are scanned as members."""
    assert "nemo" in {asset.type for asset in look(SILENT["nemo"]).assets}


def test_a_member_of_which_bytes_are_missing_is_said() -> None:
    """A download that broke off is not called whole."""
    found = look(member("a", b"x") + block("b", 5000) + b"cut")
    assert (found.status, found.reason) == ("partial", "truncated")


def test_a_remote_archive_is_scanned_without_its_weights() -> None:
    """Heads of members are asked for together."""
    files = [(f"{index}.bin", random.Random(index).randbytes(2 << 20)) for index in range(20)]
    remote = Remote(tar([*files, ("x.pkl", ATTACK)]), Limits())
    found: list[Inspection] = []
    remote.run(lambda blob: found.append(inspect(blob, Limits())))
    assert "critical" in {finding.severity for finding in found[-1].findings}
    assert remote.rounds < 30
    assert remote.bytes_fetched < 20 << 20


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
