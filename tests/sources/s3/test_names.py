"""What lies beside an object of a bucket, for scans that ask."""

import pytest

from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources.s3 import S3
from tests.servers.fault_proxy import FaultProxy
from tests.sources.s3.conftest import Folder, opened

pytestmark = pytest.mark.anyio


def beside(folder: Folder, key: str) -> Target:
    return Target(f"{folder.url}/{key}", f"models/{folder.name}/{key}")


async def test_names_are_those_of_the_folder_with_sizes(aws: FaultProxy, folder: Folder) -> None:
    """Files with their sizes, folders with a slash; nothing deeper, and nothing of the folder's siblings."""
    for key in ("m/model.xml", "m/model.bin", "m/a b+é.bin", "m/deep/er/x", "m2/y", "z"):
        folder.put(key, b"12345")
    async with opened() as source:
        found = await source.names(beside(folder, "m/model.xml"), "")
        assert found == {"model.xml": 5, "model.bin": 5, "a b+é.bin": 5, "deep/": None}
        assert await source.names(beside(folder, "m/model.xml"), "deep") == {"er/": None}
        assert await source.names(beside(folder, "m/model.xml"), "nothing") == {}


async def test_a_folder_of_too_many_names_is_not_known(aws: FaultProxy, folder: Folder) -> None:
    """Half of the names would make what is there look absent; up to the bound, all pages are read."""
    for number in range(7):
        folder.put(f"m/{number}", b"1")
    async with S3(Limits(names=6, page_objects=3)) as source:
        assert await source.names(beside(folder, "m/0"), "") is None
    async with S3(Limits(names=9, page_objects=3)) as source:
        found = await source.names(beside(folder, "m/0"), "")
        assert found is not None
        assert len(found) == 7
