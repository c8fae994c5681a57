"""Files and folders: each file once, nothing outside the root, nothing that is not a file is opened."""

import os
import socket
import stat
from collections.abc import Sequence
from pathlib import Path

import anyio
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelaudit.errors import SourceError, UsageError
from modelaudit.limits import Limits
from modelaudit.model import Target
from modelaudit.sources import local
from modelaudit.sources.interface import shown
from modelaudit.sources.local import Files

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def pages(path: object, page_objects: int = 1000) -> list[Sequence[Target]]:
    async with Files(Limits(page_objects=page_objects)) as files:
        return [page async for page in files.list(str(path))]


async def targets(path: object) -> list[Target]:
    return [target for page in await pages(path) for target in page]


async def one(path: object) -> Target:
    found = await targets(path)
    assert len(found) == 1
    return found[0]


def why(target: Target) -> tuple[str | None, bool]:
    return (target.skip[0] if target.skip else None, target.failed)


def opened(target: Target) -> bytes:
    descriptor = Files(Limits()).open(target)
    with open(descriptor, "rb") as file:
        return file.read()


def refusal(target: Target) -> str:
    with pytest.raises(SourceError) as error:
        os.close(Files(Limits()).open(target))
    return error.value.reason


# --- listing ------------------------------------------------------------------------------------------------


async def test_a_folder_is_listed_by_name_its_files_before_its_folders(tmp_path: Path) -> None:
    """Whatever order the file system gives, ours is the same, with sizes and times."""
    for name in ("b.pkl", "z/1.pkl", "a/2.pkl", "a/1.pkl", "a/k/3.pkl", "a.pkl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    found = await targets(tmp_path)
    names = ["a.pkl", "b.pkl", "a/1.pkl", "a/2.pkl", "a/k/3.pkl", "z/1.pkl"]
    assert [target.uri for target in found] == [f"{tmp_path}/{name}" for name in names]
    for target, name in zip(found, names, strict=True):
        status = (tmp_path / name).stat()
        assert (target.size, target.version) == (len(name), f"{status.st_size}-{status.st_mtime_ns}")
        assert opened(target) == name.encode()


@pytest.mark.parametrize("written", ["{}", "{}/", "file://{}", "file://localhost{}"])
async def test_a_folder_may_be_written_in_several_ways(tmp_path: Path, written: str) -> None:
    """A closing slash or a URL means the same folder."""
    (tmp_path / "a.pkl").write_bytes(b"x")
    assert (await one(written.format(tmp_path))).uri == f"{tmp_path}/a.pkl"


async def test_a_file_url_is_decoded(tmp_path: Path) -> None:
    """%20 in a URL is a space in the name; in a plain path it is itself."""
    (tmp_path / "a b%20ü.pkl").write_bytes(b"x")
    assert (await one(f"file://{tmp_path}/a%20b%2520%C3%BC.pkl")).size == 1
    assert (await one(tmp_path / "a b%20ü.pkl")).size == 1
    with pytest.raises(UsageError, match="no host"):
        await targets("file://elsewhere/a.pkl")


async def test_a_relative_path_stays_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """People see the path that they gave."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.pkl").write_bytes(b"x")
    monkeypatch.chdir(tmp_path / "in")
    assert (await one("deep")).uri == "deep/a.pkl"
    assert (await one("../in")).uri == "../in/deep/a.pkl"
    found = await one(".")
    monkeypatch.chdir("/")
    assert found.uri == "./deep/a.pkl"
    assert opened(found) == b"x"  # whatever the working directory is by then


@pytest.mark.parametrize("path", ["", "no/such", "/etc/hostname/x", "a\0b", "*.pkl"])
async def test_what_is_not_there_is_one_failed_record(path: str) -> None:
    """A missing path, or a glob that the shell did not expand, is not silence."""
    assert why(await one(path)) == ("not_found", True)


async def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    """No record is made up."""
    assert await pages(tmp_path) == []


async def test_pages_are_bounded_and_lazy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more is looked at than was asked for."""
    for number in range(25):
        (tmp_path / f"{number:02}").touch()
    looked: list[object] = []
    real = os.stat

    def count(name: str, **how: object) -> os.stat_result:
        looked.append(name)
        return real(name, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", count)
    async with Files(Limits(page_objects=10)) as files:
        listing = files.list(str(tmp_path))
        first = await anext(listing)
        assert (len(first), len(looked)) == (10, 10)
        assert [len(page) async for page in listing] == [10, 5]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 17, 100])
async def test_a_folder_of_very_many_is_gone_through_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The bound on names held at a time loses none and doubles none."""
    monkeypatch.setattr(local, "_SORTED_NAMES", 8)
    names = sorted(f"{number * 7919 % 1000:03}" for number in range(count))
    for name in names:
        (tmp_path / name).touch()
    assert [target.key for target in await targets(tmp_path)] == [f"{tmp_path}/{name}" for name in names]


TREES = st.recursive(
    st.none(),
    lambda inner: st.dictionaries(
        st.binary(min_size=1, max_size=6).filter(lambda name: not set(name) & {0, 47} and name not in (b".", b"..")),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=st.dictionaries(st.sampled_from([b"x", b"y\xff", b"\n"]), TREES))
def test_each_file_of_any_tree_is_listed_once_under_a_printable_name(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[bytes, object]
) -> None:
    """Any bytes may be a name: the key opens the file, the URI is valid UTF-8 and unlike any other."""
    root = os.fsencode(tmp_path_factory.mktemp("tree"))
    made: set[bytes] = set()

    def make(place: bytes, inner: object) -> None:
        if isinstance(inner, dict):
            os.makedirs(place, exist_ok=True)
            for name, more in inner.items():
                make(place + b"/" + name, more)
        else:
            made.add(place)
            with open(place, "wb") as file:
                file.write(place)

    make(root, tree)
    found = anyio.run(targets, os.fsdecode(root))
    assert sorted(os.fsencode(target.key) for target in found) == sorted(made)
    assert len({target.uri for target in found}) == len(made)
    for target in found:
        assert opened(target) == os.fsencode(target.key)
        assert msgspec.json.decode(msgspec.json.encode(target.uri)) == target.uri
        assert "\n" not in target.uri


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("model v2 (ü).pkl", "model v2 (ü).pkl"),
        ("a\\b.pkl", "a\\b.pkl"),
        (os.fsdecode(b"a\xffb"), "a\\xffb"),
        ("a\\xffb", "a\\x5cxffb"),
        ("a\\x5cxffb", "a\\x5cx5cxffb"),
        ("a\nb\x1b[31m", "a\\x0ab\\x1b[31m"),
        ("a\u202egnp", "a\\xe2\\x80\\xaegnp"),
        ("\u2028", "\\xe2\\x80\\xa8"),
    ],
)
def test_names_are_shown_so_that_no_two_look_the_same(name: str, seen: str) -> None:
    """Ordinary names stay; controls, line breaks, direction marks and broken UTF-8 are written out."""
    assert shown(name) == seen


# --- links --------------------------------------------------------------------------------------------------


async def test_links_are_followed_only_to_files_inside(tmp_path: Path) -> None:
    """A link into the root is read, one out of it is a record that says so, a folder is scanned once."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "real").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (root / "real" / "a.pkl").write_bytes(b"model")
    (root / "1-in").symlink_to("real/a.pkl")
    (root / "2-out").symlink_to("../outside/secret")
    (root / "3-out-folder").symlink_to(outside)
    (root / "4-folder").symlink_to("real")
    (root / "5-broken").symlink_to("nowhere")
    (root / "6-loop").symlink_to("6-loop")
    (root / "7-root").symlink_to(".")
    (root / "8-root-beside").symlink_to(tmp_path / "root-beside")
    (tmp_path / "root-beside").write_bytes(b"its name begins like the root's")
    found = {target.uri.removeprefix(f"{root}/"): target for target in await targets(root)}
    assert {name: why(target) for name, target in found.items()} == {
        "1-in": (None, False),
        "2-out": ("symlink_outside", False),
        "3-out-folder": ("symlink_outside", False),
        "4-folder": ("symlink_folder", False),
        "5-broken": ("symlink_broken", False),
        "6-loop": ("symlink_broken", False),
        "7-root": ("symlink_folder", False),
        "8-root-beside": ("symlink_outside", False),
        "real/a.pkl": (None, False),
    }
    assert opened(found["1-in"]) == b"model"


async def test_a_link_that_the_user_names_is_followed(tmp_path: Path) -> None:
    """It is what was asked for; the rule is for what lies below."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.pkl").write_bytes(b"model")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").symlink_to("real/a.pkl")
    assert (await one(tmp_path / "link")).uri == f"{tmp_path}/link/a.pkl"
    assert opened(await one(tmp_path / "link")) == b"model"
    assert opened(await one(tmp_path / "file")) == b"model"


# --- what is no file ----------------------------------------------------------------------------------------


async def test_special_files_are_said_and_not_opened(tmp_path: Path) -> None:
    """A pipe that nobody writes to would block for ever."""
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        found = await targets(tmp_path)
    assert [why(target) for target in found] == [("special_file", False)] * 2
    assert [target.skip and target.skip[1] for target in found] == ["a named pipe, not a file", "a socket, not a file"]
    assert why(await one("/dev/null")) == ("special_file", False)
    assert why(await one(tmp_path / "fifo")) == ("special_file", False)


async def test_the_kernels_own_folders_are_not_gone_into() -> None:
    """Scanning a whole machine does not end in /proc."""
    async with Files(Limits(page_objects=50)) as files:
        kernel: list[Target] = []
        async for page in files.list("/"):
            kernel += [target for target in page if target.uri in ("/proc", "/sys")]
            if len(kernel) == 2 or page[-1].uri.count("/") > 1:
                break
    assert [why(target) for target in kernel] == [("special_file", False)] * 2


async def test_a_folder_that_may_not_be_read_is_one_failed_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its neighbours are listed all the same."""
    for name in ("a/1", "b/2", "c/3"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    real = os.open

    def closed(path: str, *how: int, **more: int) -> int:
        if path == f"{tmp_path}/b":
            raise PermissionError(13, "Permission denied")
        return real(path, *how, **more)

    monkeypatch.setattr(os, "open", closed)
    found = await targets(tmp_path)
    assert [(target.uri, *why(target)) for target in found] == [
        (f"{tmp_path}/a/1", None, False),
        (f"{tmp_path}/b", "access_denied", True),
        (f"{tmp_path}/c/3", None, False),
    ]


async def test_a_file_that_vanishes_while_it_is_listed_is_a_failed_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there, it was not looked at: that is not nothing."""
    (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    real = os.stat

    def gone(name: str, **how: object) -> os.stat_result:
        if name == "a":
            (tmp_path / "a").unlink()
        return real(name, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "stat", gone)
    assert [why(target) for target in await targets(tmp_path)] == [("not_found", True), (None, False)]


async def test_paths_longer_than_the_kernel_takes_are_said(tmp_path: Path) -> None:
    """A tree too deep to be opened by path ends in a failed record, and the rest goes on."""
    name = "d" * 250
    descriptor = os.open(tmp_path, os.O_RDONLY)
    for _ in range(18):
        os.mkdir(name, dir_fd=descriptor)
        inner = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=inner))
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    found = await targets(tmp_path)
    said = [target for target in found if target.skip]
    assert [why(target) for target in said] == [("path_too_long", True)]
    assert len(found) > 14
    assert [opened(target) for target in found if not target.skip] == [b""] * (len(found) - 1)


# --- opening ------------------------------------------------------------------------------------------------


async def test_a_changed_file_is_not_the_one_that_was_listed(tmp_path: Path) -> None:
    """Another size, or another time with the same size."""
    path = tmp_path / "a.pkl"
    path.write_bytes(b"one")
    listed = await one(path)
    path.write_bytes(b"longer")
    assert refusal(listed) == "changed"
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert refusal(listed) == "changed"
    assert opened(msgspec.structs.replace(listed, version=None)) == b"two"


@pytest.mark.parametrize("swap", ["file link", "folder link", "fifo", "folder", "gone"])
async def test_what_is_swapped_in_after_the_listing_is_refused(tmp_path: Path, swap: str) -> None:
    """Neither a link, on any part of the way, nor a pipe leads the scan elsewhere."""
    folder, secret = tmp_path / "root" / "in", tmp_path / "secret"
    folder.mkdir(parents=True)
    secret.mkdir()
    (secret / "a.pkl").write_bytes(b"same")
    (folder / "a.pkl").write_bytes(b"same")
    os.utime(secret / "a.pkl", ns=(5, 5))
    os.utime(folder / "a.pkl", ns=(5, 5))
    listed = await one(tmp_path / "root")
    (folder / "a.pkl").unlink()
    expected = "changed"
    if swap == "file link":
        (folder / "a.pkl").symlink_to(secret / "a.pkl")
    elif swap == "folder link":
        folder.rmdir()
        folder.symlink_to(secret)
    elif swap == "fifo":
        os.mkfifo(folder / "a.pkl")
        expected = "special_file"
    elif swap == "folder":
        (folder / "a.pkl").mkdir()
        expected = "special_file"
    else:
        expected = "not_found"
    assert refusal(listed) == expected


async def test_opening_leaks_no_descriptor(tmp_path: Path) -> None:
    """Refusals close what they had opened."""
    path = tmp_path / "a.pkl"
    path.write_bytes(b"one")
    listed = await one(path)
    path.write_bytes(b"longer")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        assert refusal(listed) == "changed"
        await targets(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


async def test_a_range_of_a_file_can_be_read(tmp_path: Path) -> None:
    """Callers that treat all sources alike get bytes, size and version."""
    path = tmp_path / "a.pkl"
    path.write_bytes(b"0123456789")
    listed = await one(path)
    async with Files(Limits()) as files:
        chunk = await files.read(listed, 3, 4, listed.version)
        assert (chunk.data, chunk.size, chunk.version) == (b"3456", 10, listed.version)
        assert (await files.read(listed, 8, 100, None)).data == b"89"
        path.write_bytes(b"other")
        with pytest.raises(SourceError) as error:
            await files.read(listed, 0, 1, listed.version)
    assert error.value.reason == "changed"
    assert stat.S_ISREG(path.stat().st_mode)
