"""Git LFS pointers."""

from tests.scanners.streams import look

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
