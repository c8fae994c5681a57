"""Archives one right behind the other, as PyTorch's distributed checkpoints are: each is scanned as itself."""

import io
import pickle
import zipfile

import pytest

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import default_engine
from modelaudit.limits import Limits
from modelaudit.model import Inspection, Severity
from modelaudit.parsers.zip import ends
from modelaudit.parsers.zip.sequence import pieces
from tests.zips import Member, build, torch_zip

SHELL = b"cposix\nsystem\n(S'echo modelaudit-sample'\ntR."
PLAIN = pickle.dumps({"step": 3}, protocol=2)


def saved(*contents: bytes) -> bytes:
    """What `torch.save` writes for each, one behind the other."""
    return b"".join(torch_zip({"data.pkl": data, "byteorder": b"little", "data/0": bytes(64)}) for data in contents)


def look(data: bytes) -> Inspection:
    return default_engine().inspect(BytesBlob(data, Place("__0_0.distcp")), Limits(), uri="place")


def found(data: bytes) -> int:
    """How many archives are seen, one behind the other."""
    blob = BytesBlob(data)
    end = ends.find(blob)
    assert end is not None
    return len(pieces(blob, end, 1000))


@pytest.mark.parametrize("contents", [(PLAIN, PLAIN), (PLAIN, PLAIN + b"", pickle.dumps([1] * 50)), (PLAIN,) * 40])
def test_ordinary_sequences_are_silent(contents: tuple[bytes, ...]) -> None:
    """Of equal and of different lengths, and of more than archives may be nested."""
    report = look(saved(*contents))
    assert [(one.rule, one.severity) for one in report.findings] == [("zip-prefix", Severity.INFO)]
    assert report.status == "scanned"
    assert found(saved(*contents)) == len(contents)


@pytest.mark.parametrize("place", range(3))
def test_an_attack_in_any_of_them_is_found(place: int) -> None:
    """In the first, which a reader from the front sees, the last, which others see, and between them."""
    contents = [PLAIN] * 3
    contents[place] = SHELL
    assert Severity.CRITICAL in {one.severity for one in look(saved(*contents)).findings}


def test_other_bytes_make_it_no_sequence() -> None:
    """Before, between and behind the archives; then every reading of the whole is followed, as of any zip."""
    one = saved(PLAIN)
    for data in (b"x" + one + one, one + b"x" + one, one + build(Member(b"a", PLAIN), comment=b"c"), one):
        assert found(data) == 0
    assert Severity.CRITICAL in {one.severity for one in look(saved(SHELL) + b"x" + one).findings}


def test_a_directory_of_neither_the_first_nor_the_last_is_another_reading() -> None:
    """Readers that take offsets from the start of the file must find nothing else than the first archive."""
    front, last = saved(PLAIN, PLAIN), build(Member(b"a", PLAIN))
    assert found(front + last) == 3
    middle = front.rindex(b"PK\1\2", 0, front.rindex(b"PK\1\2"))
    padded = build(
        Member(b"a", bytes(middle - 31))
    )  # its directory is as far from its start as that one from the file's
    assert found(padded + padded) == 2
    assert found(front + padded) == 0


def test_python_s_own_archives_are_seen_too() -> None:
    """Those that zipfile writes, without zip64."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", PLAIN)
    assert found(buffer.getvalue() * 3) == 3


def test_no_more_than_asked_for() -> None:
    """A file of a million tiny archives does not hold the scan up."""
    blob = BytesBlob(saved(PLAIN) * 5)
    end = ends.find(blob)
    assert end is not None
    assert pieces(blob, end, 4) == ()
    assert len(pieces(blob, end, 5)) == 5


def test_truncated_anywhere() -> None:
    """A sequence that is cut is scanned as far as it goes."""
    data = saved(SHELL, PLAIN)
    for length in range(len(saved(SHELL)), len(data), 7):
        assert Severity.CRITICAL in {one.severity for one in look(data[:length]).findings}, length
