"""Blobs that are named by their digest."""

import gzip

import pytest

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from tests.samples.images import sha256

TEXT = b'{"architecture": "amd64"}'


def fires(data: bytes, name: str, beside: dict[str, int | None] | None = None) -> bool:
    found = inspect(BytesBlob(data, Place(name, {"": beside})))
    return "oci-blob-digest" in {finding.rule for finding in found.findings}


@pytest.mark.parametrize("data", [TEXT, gzip.compress(TEXT * 100), b"\x28\xb5\x2f\xfd" + bytes(9)])
@pytest.mark.parametrize("name", ["{}", "sha256-{}", "{}.json"])
def test_other_bytes_than_the_name_says(data: bytes, name: str) -> None:
    """The rule fires on them and is silent on the right ones."""
    assert fires(data, name.format(sha256(data + b" ")))
    assert not fires(data, name.format(sha256(data)))


def test_other_names_mean_nothing() -> None:
    """Digests of other kinds, and names that only begin like one."""
    for name in ("0" * 40, "0" * 63, "0" * 64 + ".bin", "model-" + "0" * 64):
        assert not fires(TEXT, name)


def test_a_cache_of_addresses_is_no_store() -> None:
    """Where other files lie beside it, the name may be the digest of something else."""
    name = "0" * 64
    assert not fires(TEXT, name, {name: 3, f"{name}.json": 4})
    assert not fires(TEXT, name, {name: 3, "downloads.lock": 4})
    assert fires(TEXT, name, {name: 3, "1" * 64: 4})


def test_a_large_blob_is_not_read_for_its_digest() -> None:
    """Beyond a mebibyte, what is not packed is believed."""
    assert not fires(bytes(1 << 20) + b"x", "0" * 64)
