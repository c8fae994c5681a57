"""What a caged worker finds is what the same scan finds outside the cage: nothing is loaded too late."""

from pathlib import Path

import anyio
import pytest

import modelaudit
from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.model import FileReport
from tests.samples import hostile, ordinary

pytestmark = pytest.mark.anyio

FOLDERS = ("weights", "a", "blobs", "blobs/sha256", "variables", "assets")  # that samples ask for, and are not there


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_every_sample_gives_the_same_findings_in_the_cage(tmp_path: Path) -> None:
    """All samples, hostile and ordinary, through files, pool, cage and wire; and exactly one record for each."""
    samples = {f"{number:05} {sample.id}": sample.data for number, sample in enumerate([*hostile(), *ordinary()])}
    sizes = {name: len(data) for name, data in samples.items()}
    expected = {}
    for name, data in samples.items():
        path = tmp_path / name
        path.write_bytes(data)
        if data:
            place = Place(name, {"": sizes, **{folder: {} for folder in FOLDERS}})
            expected[str(path)] = inspect(BytesBlob(data, place), uri=str(path))
    records: dict[str, FileReport] = {}
    with anyio.fail_after(600):
        async for record in modelaudit.scan(str(tmp_path)):
            assert record.uri not in records
            if record.reason != "empty":
                records[record.uri] = record
    assert records.keys() == expected.keys()
    for uri, found in expected.items():
        record = records[uri]
        assert (record.status, record.reason) == (found.status, found.reason), uri
        assert record.findings == found.findings, uri
        assert record.formats == found.formats, uri
