"""Formats that are known by their magic and not scanned: the record says what nobody looked at."""

import pytest

from modelaudit.blob import BytesBlob
from modelaudit.catalogue import load
from modelaudit.engine import inspect

UNSCANNED = [format for format in load().formats.values() if not format.scanned]
MAGICS = [(format, signature) for format in UNSCANNED for signature in format.signature]


@pytest.mark.parametrize(("format", "signature"), MAGICS, ids=lambda value: getattr(value, "id", None))
def test_the_record_names_the_format(format: object, signature: object) -> None:
    """Skipped as unsupported, never clean; under its own name and no other."""
    data = bytes(signature.offset) + signature.magic + bytes(1000)  # type: ignore[attr-defined]
    found = inspect(BytesBlob(data))
    assert found.formats == (format.id,)  # type: ignore[attr-defined]
    assert (found.status, found.reason, found.findings) == ("skipped", "unsupported", ())
    assert format.title in (found.message or "")  # type: ignore[attr-defined]


@pytest.mark.parametrize("format", UNSCANNED, ids=lambda format: format.id)
def test_a_magic_is_long_enough_to_be_one(format: object) -> None:
    """Four bytes at least: fewer are met by chance in weights."""
    assert format.signature  # type: ignore[attr-defined]
    assert all(len(signature.magic) >= 4 for signature in format.signature)  # type: ignore[attr-defined]


def test_without_the_magic_there_is_no_format() -> None:
    """A byte too few or in the wrong place is none of them."""
    for format, signature in MAGICS:
        data = bytes(signature.offset + 1) + signature.magic[:-1] + bytes(100)
        assert format.id not in inspect(BytesBlob(data)).formats
