"""The names around an object: given to scans that ask, from every kind of source, and never from above."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modelaudit import scan
from modelaudit.errors import SourceError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.pipeline.surroundings import Surroundings
from modelaudit.sources.local import Files
from tests.servers.fault_proxy import FaultProxy
from tests.servers.seaweed import Seaweed

pytestmark = pytest.mark.anyio

CONFIG = b'{"model_type": "x", "architectures": ["X"], "auto_map": {"AutoModel": "modeling_x.X"}}'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Counting:
    """A source that knows one folder and counts how often it is asked."""

    scheme = "count"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def names(self, target: Target, folder: str) -> Mapping[str, int | None] | None:
        self.asked.append(folder)
        if folder == "denied":
            raise SourceError("access_denied", "no")
        return {target.key: 1}


async def rules(path: str) -> set[str]:
    """The rules that fire on the configuration at `path`."""
    return {finding.rule async for report in scan(path) for finding in report.findings}


async def test_a_folder_is_asked_for_once_for_all_that_lie_in_it() -> None:
    """A thousand configurations in one folder do not list it a thousand times."""
    source: Any = Counting()
    around = Surroundings()
    for key in ("a/x", "a/y", "a/z"):
        assert await around.names(source, Target(key, key), "") == {"a/x": 1}
    assert source.asked == [""]


@pytest.mark.parametrize("folder", ["..", "a/../..", "/etc", "a//b", "./a", "a\x00", "a\n"])
async def test_nobody_asks_above(folder: str) -> None:
    """What a hostile worker asks for stays below the object's own folder."""
    source: Any = Counting()
    assert await Surroundings().names(source, Target("u", "a/b"), folder) is None
    assert source.asked == []


async def test_names_that_may_not_be_listed_are_not_known() -> None:
    """A denied listing is no reason to fail an object that could be read."""
    source: Any = Counting()
    assert await Surroundings().names(source, Target("u", "a/b"), "denied") is None


async def test_local_names(tmp_path: Path) -> None:
    """Files with sizes, folders with a slash, shown as the records show them; too many are none."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "model.bin").write_bytes(b"123")
    (tmp_path / "a\nb").write_bytes(b"")
    (tmp_path / "link").symlink_to("model.bin")
    (tmp_path / "broken").symlink_to("nowhere")
    target = Target("u", str(tmp_path / "model.xml"))
    files = Files(Limits())
    assert await files.names(target, "") == {
        "sub/": None,
        "model.bin": 3,
        "a\\x0ab": 0,
        "link": 3,
        "link//": None,
        "broken//": None,
    }
    assert await files.names(target, "sub") == {}
    assert await files.names(target, "none") == {}
    assert await Files(Limits(names=2)).names(target, "") is None


@pytest.mark.parametrize("beside", [True, False])
async def test_a_scan_of_a_folder_hears_what_lies_beside(tmp_path: Path, beside: bool) -> None:
    """The worker asks, the parent lists, and the finding depends on it."""
    (tmp_path / "config.json").write_bytes(CONFIG)
    if beside:
        (tmp_path / "modeling_x.py").write_text("class X: pass\n")
    assert ("manifest-code-missing" in await rules(str(tmp_path / "config.json"))) is not beside


@pytest.mark.parametrize("beside", [True, False])
async def test_a_scan_of_a_bucket_hears_it_too(aws: FaultProxy, s3_server: Seaweed, beside: bool) -> None:
    """The same answer over the network."""
    folder = f"around-{beside}"
    s3_server.put(f"{folder}/config.json", CONFIG)
    if beside:
        s3_server.put(f"{folder}/modeling_x.py", b"class X: pass\n")
    assert ("manifest-code-missing" in await rules(f"s3://models/{folder}/config.json")) is not beside
