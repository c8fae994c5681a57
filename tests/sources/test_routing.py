"""What the user names leads to the right source, or to a clear no; libraries load when they are used."""

import subprocess
import sys
from pathlib import Path

import pytest

from modelaudit.errors import UsageError
from modelaudit.limits import Limits
from modelaudit.sources import open_sources, source_for

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("path", "scheme"),
    [
        ("model.pkl", "file"),
        ("/a/b", "file"),
        (".", "file"),
        ("", "file"),
        ("a:b", "file"),
        ("C:\\models", "file"),
        ("./models:/x", "file"),
        ("file:///a", "file"),
        ("s3://bucket/key", "s3"),
        ("S3://bucket", "s3"),
        ("r2://bucket/key", "r2"),
    ],
)
def test_each_path_has_its_source(path: str, scheme: str) -> None:
    """By the scheme, whatever its case; everything without one is a file."""
    assert source_for(path) == scheme


@pytest.mark.parametrize("path", ["az://x", "ftp://user:SECRET@host/x", "git+ssh://h/x?token=SECRET"])
def test_other_schemes_are_refused_by_name(path: str) -> None:
    """The message names the scheme and what there is, and repeats nothing that could be a secret."""
    with pytest.raises(UsageError, match=r"not supported yet.*s3://") as error:
        source_for(path)
    assert path.split(":", 1)[0] in str(error.value)
    assert "SECRET" not in str(error.value)


async def test_paths_of_one_scheme_share_a_source(tmp_path: Path) -> None:
    """One session, one pool of connections for the run; the order of the paths stays."""
    paths = ["s3://a", str(tmp_path), "s3://b", "r2://c"]
    async with open_sources(paths, Limits()) as places:
        assert [path for _, path in places] == paths
        assert [source.scheme for source, _ in places] == ["s3", "file", "s3", "r2"]
        assert places[0][0] is places[2][0]


async def test_a_wrong_path_is_told_before_anything_is_opened(tmp_path: Path) -> None:
    """No half run."""
    with pytest.raises(UsageError, match="az: is not supported yet"):
        async with open_sources([str(tmp_path), "az://b"], Limits()):
            raise AssertionError("it opened")


def test_local_files_load_no_cloud_library() -> None:
    """Start-up stays fast where no bucket is named."""
    code = (
        "import sys, anyio\n"
        "from modelaudit.limits import Limits\n"
        "from modelaudit.sources import open_sources\n"
        "async def main():\n"
        "    async with open_sources(['.'], Limits()) as places:\n"
        "        assert places\n"
        "anyio.run(main)\n"
        "print([name for name in ('aiobotocore', 'botocore', 'aiohttp', 'gcsfs') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
