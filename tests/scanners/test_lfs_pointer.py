"""Git LFS pointers."""

import io
import zipfile

import pytest

from tests.scanners.streams import ATTACK, look

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
)


def test_a_pointer_is_skipped_and_says_where_the_file_is() -> None:
    """The record names the object and its size."""
    found = look(POINTER)
    assert (found.status, found.reason) == ("skipped", "lfs_pointer")
    assert "sha256:4d7a2146" in (found.message or "")
    assert "12345" in (found.message or "")


def test_a_text_about_pointers_is_none() -> None:
    """A file that begins like a pointer and has no object id, or is too long, is not one."""
    assert look(b"version https://git-lfs.github.com/spec/v1 is what pointers begin with").reason == "unsupported"
    assert look(POINTER + b"#" * 2000).reason == "unsupported"


@pytest.mark.parametrize(
    "pointer",
    [POINTER, POINTER.replace(b"\n", b"\r\n"), POINTER.rstrip(), POINTER.replace(b"git-lfs.", b"hawser."),
     POINTER.replace(b"oid", b"ext-0-smudge sha256:" + b"0" * 64 + b"\noid")],
    ids=["plain", "carriage returns", "no line end", "old name", "extension"],
)  # fmt: skip
def test_every_form_of_a_pointer_is_one(pointer: bytes) -> None:
    """As Git and its checkouts write them."""
    assert look(pointer).reason == "lfs_pointer"


def test_what_is_appended_makes_it_another_file() -> None:
    """A small archive behind a pointer is scanned and not skipped."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.pkl", ATTACK)
    assert len(POINTER + buffer.getvalue()) < 1024
    found = look(POINTER + buffer.getvalue())
    assert "lfs_pointer" not in found.formats
    assert "critical" in {finding.severity for finding in found.findings}
