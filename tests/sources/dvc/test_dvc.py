"""Data that DVC keeps: the pointer leads to the working tree, the cache or the remote, and nowhere else."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modelaudit import scan
from modelaudit.access import Access
from modelaudit.limits import Limits
from modelaudit.model import Severity, Target
from modelaudit.sources import Sources, source_for
from modelaudit.sources.dvc.pointer import Out, Settings, outs, settings
from modelaudit.sources.interface import Source
from tests.servers.fault_proxy import FaultProxy
from tests.servers.seaweed import Seaweed

pytestmark = pytest.mark.anyio
ATTACK = b"cposix\nsystem\n(S'echo modelaudit-sample'\ntR."
PARTS = {"a.pkl": b"N.", "deep/b c.pkl": ATTACK}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def pointer(path: str, digest: str, size: int = 3, extra: str = "  hash: md5\n") -> str:
    """As `dvc add` writes it."""
    return f"outs:\n- md5: {digest}\n  size: {size}\n{extra}  path: {path}\n"


class Repository:
    """A repository laid out as DVC 3 does it (seen with dvc 3.67)."""

    def __init__(self, root: Path, config: str = "") -> None:
        self.root = root
        (root / ".dvc").mkdir(parents=True)
        (root / ".dvc/config").write_text(config)
        listing = [{"md5": md5(data), "relpath": name} for name, data in PARTS.items()]
        self.folder = json.dumps(listing).encode()
        self.objects = {md5(data): data for data in (ATTACK, *PARTS.values())}
        self.objects[f"{md5(self.folder)}.dir"] = self.folder
        (root / "model.pkl.dvc").write_text(pointer("model.pkl", md5(ATTACK), len(ATTACK)))
        (root / "data.dvc").write_text(pointer("data", f"{md5(self.folder)}.dir", 99, "  nfiles: 2\n  hash: md5\n"))

    def store(self, place: Path) -> None:
        """Put every object below `place`."""
        for digest, data in self.objects.items():
            path = place / "files/md5" / digest[:2] / digest[2:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def check_out(self) -> None:
        """Put the data into the working tree."""
        (self.root / "model.pkl").write_bytes(ATTACK)
        for name, data in PARTS.items():
            (self.root / "data" / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / "data" / name).write_bytes(data)


@asynccontextmanager
async def opened(**variables: str) -> AsyncIterator[Source]:
    async with Sources(Limits(), Access(variables=variables)) as sources:
        yield await sources.named("dvc")


async def listed(source: Source, path: str) -> list[Target]:
    return [target for page in [page async for page in source.list(path)] for target in page]


async def check(root: Path, **variables: str) -> None:
    """Both pointers lead to their data, and a scan finds what is in it."""
    paths = [str(root / "model.pkl.dvc"), str(root / "data.dvc")]
    access = Access(variables=variables)
    found = {one.uri.partition(".dvc:")[2]: one async for one in scan(*paths, workers=1, access=access)}
    assert set(found) == {"model.pkl", "data/a.pkl", "data/deep/b c.pkl"}
    assert {uri: one.status for uri, one in found.items()} == dict.fromkeys(found, "scanned")
    worst = {uri for uri, one in found.items() if one.severity is Severity.CRITICAL}
    assert worst == {"model.pkl", "data/deep/b c.pkl"}


async def test_the_working_tree(tmp_path: Path) -> None:
    """What is there is what is scanned."""
    Repository(tmp_path).check_out()
    await check(tmp_path)


async def test_the_cache(tmp_path: Path) -> None:
    """When the working tree has nothing; also a cache elsewhere."""
    one, other = tmp_path / "one", tmp_path / "other"
    Repository(one).store(one / ".dvc/cache")
    await check(one)
    Repository(other, f"[cache]\n    dir = {tmp_path}/shared\n").store(tmp_path / "shared")
    await check(other)


async def test_a_remote_in_a_folder(tmp_path: Path) -> None:
    """A relative address is one below `.dvc`; that of `config.local` goes before that of `config`."""
    root = tmp_path / "repository"
    repository = Repository(root, "[core]\n    remote = store\n['remote \"store\"']\n    url = nowhere\n")
    (root / ".dvc/config.local").write_text("['remote \"store\"']\n    url = ../../store\n")
    repository.store(tmp_path / "store")
    await check(root)


async def test_a_remote_in_a_bucket(tmp_path: Path, aws: FaultProxy, s3_server: Seaweed) -> None:
    """Read by ranges through the source for buckets."""
    config = "[core]\n    remote = s\n['remote \"s\"']\n    url = s3://models/dvc\n"
    for digest, data in Repository(tmp_path, config).objects.items():
        s3_server.put(f"dvc/files/md5/{digest[:2]}/{digest[2:]}", data)
    await check(tmp_path)


async def test_a_bucket_with_a_server_of_its_own(tmp_path: Path) -> None:
    """The address has to be given where the source for buckets takes it from."""
    config = '[core]\nremote = s\n[remote "s"]\nurl = s3://models/dvc\nendpointurl = http://other:9000\n'
    Repository(tmp_path, config)
    async with opened(AWS_ENDPOINT_URL="http://here:9000") as source:
        (found,) = await listed(source, str(tmp_path / "model.pkl.dvc"))
    assert found.skip is not None
    assert "AWS_ENDPOINT_URL" in found.skip[1]


async def test_a_folder_of_pointers(tmp_path: Path) -> None:
    """`dvc://` takes every pointer and lock file below, but not what DVC has for itself."""
    repository = Repository(tmp_path)
    repository.store(tmp_path / ".dvc/cache")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  train:\n    cmd: python train.py\n    deps:\n    - path: in.csv\n      hash: md5\n"
        f"      md5: {'0' * 32}\n      size: 9\n    outs:\n    - path: out.pkl\n      hash: md5\n"
        f"      md5: {md5(ATTACK)}\n      size: {len(ATTACK)}\n  other:\n    cmd: x\n"
    )
    async with opened() as source:
        found = [target.uri.removeprefix(f"{tmp_path}/") for target in await listed(source, f"dvc://{tmp_path}")]
        (none,) = await listed(source, f"dvc://{tmp_path}/deep/none")
    assert found == [
        "data.dvc:data/a.pkl",
        "data.dvc:data/deep/b c.pkl",
        "model.pkl.dvc:model.pkl",
        "deep/dvc.lock:out.pkl",
    ]
    assert none.failed


@pytest.mark.parametrize("path", ["../../secret.pkl", "/etc/passwd", "link/passwd"])
async def test_no_pointer_leads_out_of_the_repository(tmp_path: Path, path: str) -> None:
    """Not by a path, not by a link: it is as if the data were not there."""
    root = tmp_path / "deep/repository"
    Repository(root)
    (tmp_path / "secret.pkl").write_bytes(ATTACK)
    (root / "link").symlink_to("/etc")
    (root / "evil.dvc").write_text(pointer(path, md5(b"evil")))
    async with opened() as source:
        (found,) = await listed(source, str(root / "evil.dvc"))
    assert found.failed
    assert found.skip is not None
    assert found.skip[0] == "not_found"


@pytest.mark.parametrize(
    "text",
    ["", "outs: nothing", "outs:\n- path: x\n", pointer("x", "../../etc"), "&a [*a, *a]", "\0" * 1000, "- " * 9999],
)
async def test_what_is_no_pointer_is_a_record(tmp_path: Path, text: str) -> None:
    """However it is broken."""
    (tmp_path / "x.dvc").write_text(text)
    async with opened() as source:
        (found,) = await listed(source, str(tmp_path / "x.dvc"))
        (gone,) = await listed(source, str(tmp_path / "gone.dvc"))
    assert (found.skip and found.skip[0], gone.skip and gone.skip[0]) == ("bad_pointer", "not_found")


async def test_a_list_that_is_none_and_data_that_is_nowhere(tmp_path: Path) -> None:
    """A record each, that says where it was looked for."""
    repository = Repository(tmp_path)
    async with opened() as source:
        (found,) = await listed(source, str(tmp_path / "model.pkl.dvc"))
        assert "working tree" in str(found.skip)
        repository.objects[f"{md5(repository.folder)}.dir"] = b"[[[["
        repository.store(tmp_path / ".dvc/cache")
        (broken,) = await listed(source, str(tmp_path / "data.dvc"))
    assert broken.skip is not None
    assert broken.skip[0] == "bad_pointer"


def test_pointers_of_dvc_2_and_3() -> None:
    """Without `hash: md5` the objects lie without `files/md5`; quotes and comments are DVC's own."""
    digest = "0123456789abcdef" * 2
    (old,) = outs(f"# made by hand\nouts:\n- md5: {digest}\n  path: 'it''s.pkl'\nmeta:\n  path: no\n")
    assert old == Out("it's.pkl", digest, None, is_flat=True)
    assert old.place == f"01/{digest[2:]}"
    two = outs(
        f"outs:\n  - path: a\n    md5: {digest}\n    hash: md5\n    size: 7\n  - md5: {digest}.dir\n    path: b\n"
    )
    assert [(out.path, out.size, out.is_folder) for out in two] == [("a", 7, False), ("b", None, True)]


def test_the_remote_that_is_the_default() -> None:
    """And no other."""
    text = "[core]\n  remote = two\n['remote \"one\"']\n  url = s3://one\n['remote \"two\"']\n  url = gs://two\n"
    assert settings([text]) == Settings("gs://two")
    assert settings([text.replace("remote = two", "")]) == Settings()


@pytest.mark.parametrize(
    ("path", "source"),
    [("a/model.pkl.dvc", "dvc"), ("dvc.lock", "dvc"), ("dvc://.", "dvc"), (".dvc", "file"), ("x.dvc/y", "file")],
)
def test_which_paths_are_pointers(path: str, source: str) -> None:
    """By their names."""
    assert source_for(path) == source
