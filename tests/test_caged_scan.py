"""What a caged worker finds is what the same scan finds outside the cage: nothing is loaded too late."""

from pathlib import Path

import anyio
import pytest

import modelaudit
from modelaudit.blob import BytesBlob
from modelaudit.engine import inspect
from modelaudit.model import FileReport
from tests.samples import hostile, ordinary

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_every_sample_gives_the_same_findings_in_the_cage(tmp_path: Path) -> None:
    """All samples, hostile and ordinary, through files, pool, cage and wire; and exactly one record for each."""
    expected = {}
    for number, sample in enumerate([*hostile(), *ordinary()]):
        path = tmp_path / f"{number:05} {sample.id}"
        path.write_bytes(sample.data)
        if sample.data:
            expected[str(path)] = inspect(BytesBlob(sample.data), uri=str(path))
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
