"""PyTorch archives: what their rules fire on, which tensors are not read, and how little that costs."""

import struct

import pytest

from modelaudit import catalogue
from modelaudit.blob import Blob, BytesBlob
from modelaudit.engine import Engine
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Hit, Inspection
from modelaudit.parsers import torch_zip as reader
from modelaudit.parsers.pickle.values import Tensor
from modelaudit.parsers.torch_storages import storages
from modelaudit.parsers.zip import ends
from modelaudit.parsers.zip.archive import Archive
from modelaudit.scanners import pytorch
from modelaudit.scanners import zip as zip_scanner
from tests.remote import Remote
from tests.zips import Member, build, torch_padding, torch_zip

LIMITS = Limits()
TAIL_BYTES = 65600  # the catalogue's hint
SHELL = b"cposix\nsystem\n(S'echo modelaudit-sample'\ntR."
BIG = 2 << 20  # more than a small archive


def reference(key: str, count: int, kind: str = "FloatStorage") -> bytes:
    """The opcodes of a persistent id for a storage of `count` elements."""
    texts = [b"X" + struct.pack("<L", len(text)) + text.encode() for text in ("storage", key, "cpu")]
    number = b"J" + struct.pack("<l", count)
    return b"(" + texts[0] + b"ctorch\n" + kind.encode() + b"\n" + texts[1] + texts[2] + number + b"tQ"


def data_pickle(sizes: dict[str, int], kind: str = "FloatStorage") -> bytes:
    """A list of storages of four-byte elements, with their sizes in bytes."""
    return b"\x80\2](" + b"".join(reference(key, size // 4, kind) for key, size in sizes.items()) + b"e."


def checkpoint(sizes: dict[str, int], extra: dict[str, bytes] | None = None, **changes: bytes) -> bytes:
    """What `torch.save` writes for storages of `sizes`; `changes` replace the contents of single ones."""
    members = {"data.pkl": data_pickle(sizes), "byteorder": b"little", ".storage_alignment": b"64"}
    members |= {f"data/{key}": changes.get(key, bytes(size)) for key, size in sizes.items()}
    return torch_zip(members | (extra or {}) | {"version": b"3\n", ".data/serialization_id": b"0" * 40})


def hits(data: bytes) -> list[Hit]:
    assert pytorch.fits(BytesBlob(data), LIMITS)
    return list(pytorch.scan(BytesBlob(data), LIMITS))


def rules(data: bytes) -> set[str]:
    return {hit.rule for hit in hits(data)}


def looked_at(data: bytes) -> set[str]:
    return {item.name for item in zip_scanner.scan(BytesBlob(data), LIMITS) if isinstance(item, Child)}


def unread(data: bytes) -> set[str]:
    return {item.path for item in zip_scanner.scan(BytesBlob(data), LIMITS) if isinstance(item, Asset)}


def inspect(data: bytes) -> Inspection:
    return Engine(catalogue.load()).inspect(BytesBlob(data), LIMITS)


ORDINARY = checkpoint({"0": 64, "1": 256})
FIRING = {
    "pytorch-storage-size": (checkpoint({"0": 64}, **{"0": bytes(60)}), ORDINARY),
    "pytorch-storage-absent": (torch_zip({"data.pkl": data_pickle({"7": 4})}), ORDINARY),
    "pytorch-no-data": (torch_zip({"byteorder": b"little", "x": b""}), torch_zip({"archive_format": b"pt2"})),
    "pytorch-python-source": (
        checkpoint({}, {"module.py": b"import os"}),
        checkpoint({}, {"code/__torch__.py": b"", "notes.pyx": b""}),
    ),
    "pytorch-native-code": (
        checkpoint({}, {"data/aotinductor/model/x.so": b"\x7fELF"}),
        checkpoint({}, {"data/some.so_called": b""}),
    ),
}


@pytest.mark.parametrize("rule", FIRING)
def test_each_rule_fires_on_its_sample_and_not_on_the_near_miss(rule: str) -> None:
    """The sample brings the rule and no other; the near miss brings nothing."""
    sample, near = FIRING[rule]
    assert rules(sample) == {rule}
    assert rules(near) == set()


def test_all_rules_have_a_sample() -> None:
    """No rule of the catalogue is without one."""
    assert {rule for rule in catalogue.load().rules if rule.startswith("pytorch-")} == set(FIRING)


def test_other_zips_are_not_claimed() -> None:
    """A zip without PyTorch's members is a zip and nothing else; so are bytes that are no zip."""
    assert not pytorch.fits(BytesBlob(build(Member(b"x.npy", b""), Member(b"version", b""))), LIMITS)
    assert not pytorch.fits(BytesBlob(b"PK\3\4 and nothing"), LIMITS)
    assert list(pytorch.scan(BytesBlob(b"PK\3\4 and nothing"), LIMITS)) == []
    assert list(pytorch.scan(BytesBlob(build(Member(b"x", b""))), LIMITS)) == []


def test_traces_may_drop_their_inputs() -> None:
    """`torch.jit.trace` names storages of example inputs and saves them empty."""
    data = torch_zip({"data.pkl": b"\x80\2}.", "traced_inputs.pkl": data_pickle({"0": 64}), "traced_inputs/0": b""})
    assert rules(data) == set()


def test_storages_are_those_of_the_persistent_ids() -> None:
    """Each persistent id gives a key and its bytes; an unknown type of element gives 0."""
    assert storages(BytesBlob(data_pickle({"a": 8, "b": 12})))[0] == {"a": 8, "b": 12}
    assert storages(BytesBlob(data_pickle({"a": 8}, "NovelStorage")))[0] == {"a": 0}
    assert storages(BytesBlob(b"\x80\2" + reference("a", 5, "ByteStorage") + b"broken"))[0] == {"a": 5}


# --- which tensors are read ---------------------------------------------------------------------------------


def test_the_pickles_are_followed_once_for_both_scanners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of zip and of PyTorch ask about the same archive; another scan, or other limits, asks anew."""
    asked: list[Blob] = []

    def counted(blob: Blob) -> tuple[dict[str, int], list[Tensor]]:
        asked.append(blob)
        return storages(blob)

    monkeypatch.setattr(reader, "storages", counted)
    engine, blob = Engine(catalogue.load()), BytesBlob(ORDINARY)
    first = engine.inspect(blob, LIMITS)
    assert len(asked) == 1
    assert engine.inspect(BytesBlob(ORDINARY), LIMITS) == first
    assert len(asked) == 2
    engine.inspect(blob, Limits(members=7))
    assert len(asked) == 3


def test_referenced_tensors_of_a_large_archive_are_not_looked_at() -> None:
    """They are named as assets; everything else is a child."""
    data = checkpoint({"0": BIG, "1": 64}, {"extra/notes.txt": b"x"})
    assert unread(data) == {"archive/data/0", "archive/data/1"}
    assert looked_at(data) >= {"archive/data.pkl", "archive/extra/notes.txt", "archive/version"}
    assert not looked_at(data) & unread(data)


def test_a_small_archive_is_looked_at_whole() -> None:
    """Below the limit every member is a child, tensors too."""
    assert unread(ORDINARY) == set()
    assert looked_at(ORDINARY) >= {"archive/data/0", "archive/data/1"}


def test_a_wider_alignment_is_believed_where_it_is_declared() -> None:
    """Tensors aligned to 4096 bytes are where PyTorch puts them if `.storage_alignment` says so, and only then."""
    for declared, spared in ((b"4096", True), (b"64", False)):
        members, position = [], 0
        parts = {
            "data.pkl": data_pickle({"0": BIG}),
            ".storage_alignment": declared,
            "data/0": bytes(BIG),
            "version": b"3",
        }
        for name, content in parts.items():
            full = b"archive/" + name.encode()
            padding = torch_padding(position, full, 4096)
            members.append(Member(full, content, descriptor=True, local={"extra": padding}))
            position += 30 + len(full) + len(padding) + len(content) + 16
        assert (b"archive/data/0" in tensors(build(*members, zip64=True))) == spared


def tensors(data: bytes) -> set[bytes]:
    blob = BytesBlob(data)
    end = ends.find(blob)
    assert end is not None
    return set(reader.read(Archive(blob, end, 1 << 20), LIMITS).tensors)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("never named", {"name": b"archive/data/9"}),
        ("in another folder", {"name": b"archive/data2/0"}),
        ("of another size", {"data": SHELL}),
        ("compressed", {"method": 8}),
        ("with odd flags", {"flags": 0x0801}),
        ("with a comment", {"comment": b"x"}),
        ("after a gap", {"before": b"y"}),
        ("with a longer local header", {"local": {"extra": bytes(100)}}),
    ],
)
def test_tensors_that_are_not_just_so_are_looked_at(name: str, change: dict[str, object]) -> None:
    """A member that is not exactly what the pickle names, laid out as PyTorch does, is a child in any archive."""
    honest = {"name": b"archive/data/0", "data": bytes(256), "descriptor": True} | change
    tensor = Member(**honest)  # type: ignore[arg-type]
    first = Member(b"archive/data.pkl", data_pickle({"0": 256, "1": BIG}), descriptor=True)
    data = build(first, tensor, Member(b"archive/data/1", bytes(BIG)), zip64=True)
    assert tensor.name not in tensors(data)
    assert tensor.name.decode() in looked_at(data)


def test_a_name_that_comes_twice_is_looked_at_twice() -> None:
    """The second member of a tensor's name may be anything."""
    honest = checkpoint({"0": BIG})
    twice = torch_zip({"data.pkl": data_pickle({"0": BIG}), "data/0": bytes(BIG), "data/00": bytes(BIG)})
    assert tensors(honest) == {b"archive/data/0"}
    assert tensors(twice.replace(b"archive/data/00", b"archive/data/0\x2f")) == {b"archive/data/0"}
    members = [Member(b"archive/data.pkl", data_pickle({"0": BIG})), *[Member(b"archive/data/0", bytes(BIG))] * 2]
    assert tensors(build(*members)) == set()


def test_pickles_that_disagree_about_a_storage_spare_nothing() -> None:
    """Two pickles that name the same storage with different sizes: it is looked at."""
    data = torch_zip({"data.pkl": data_pickle({"0": BIG}), "data/0": bytes(BIG)})
    assert tensors(data) == {b"archive/data/0"}
    both = b"\x80\2](" + reference("0", BIG // 4) + reference("0", 5) + b"e."
    assert tensors(torch_zip({"data.pkl": both, "data/0": bytes(BIG)})) == set()


# --- through the engine -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["data.pkl", "data/9", "extra/x", "byteorder", "weights.bin", "é", "constants.pkl"])
def test_a_pickle_under_any_name_is_found(name: str) -> None:
    """Small archive or large, the member's name makes no difference."""
    for size in (64, BIG):
        members = {"data.pkl": data_pickle({"0": size}), "data/0": bytes(size)} | {name: SHELL}
        found = inspect(torch_zip(members))
        assert any(f.severity.value == "critical" and "posix.system" in f.message for f in found.findings), name
        assert set(found.formats) == {"pytorch", "zip"}


def test_torchscript_is_scanned_as_such() -> None:
    """Source below `code/` is TorchScript whatever it is packed with; what is no source is identified afresh."""
    source = b'def forward(self, x):\n  return torch.save(x, "/tmp/x")\n'
    found = inspect(checkpoint({}, {"code/__torch__.py": source}))
    assert [f.rule for f in found.findings] == ["torchscript-file-operator"]
    found = inspect(checkpoint({}, {"code/__torch__.py": SHELL}))
    assert any("posix.system" in f.message for f in found.findings)


def test_a_fifty_megabyte_checkpoint_costs_two_requests() -> None:
    """Head and tail are read and nothing else; the findings are those of the whole file."""
    engine = Engine(catalogue.load())
    for spoil in (False, True):
        sizes = {str(number): 4 << 20 for number in range(12)}
        data = checkpoint(sizes)
        if spoil:
            data = torch_zip({"data.pkl": SHELL} | {f"data/{key}": bytes(size) for key, size in sizes.items()})
        remote = Remote(data, LIMITS, TAIL_BYTES)
        found: list[Inspection] = []

        def work(blob: Blob, found: list[Inspection] = found) -> None:
            found[:] = [engine.inspect(blob, LIMITS)]

        remote.run(work)
        assert found[0].findings == engine.inspect(BytesBlob(data), LIMITS).findings
        assert bool(found[0].findings) == spoil
        if not spoil:
            assert (remote.rounds, remote.requests) == (1, 2)
            assert remote.bytes_fetched < len(data) / 350


def test_a_script_costs_one_round_more() -> None:
    """TorchScript keeps its pickles behind the tensors: they are asked for all at once."""
    sizes = {str(number): 4 << 20 for number in range(6)}
    members = {f"data/{key}": bytes(size) for key, size in sizes.items()}
    source = b"class A(Module):\n  x : Tensor\n" * 2000
    members |= {"data.pkl": data_pickle(sizes), "code/__torch__.py": source, "code/__torch__/b.py": source}
    members |= {"constants.pkl": b"\x80\2).", "version": b"3\n"}
    remote = Remote(torch_zip(members), LIMITS, TAIL_BYTES)

    def work(blob: Blob) -> None:
        children = [item for item in zip_scanner.scan(blob, LIMITS) if isinstance(item, Child)]
        assert len(children) == 5
        blob.require([(child.offset, child.length) for child in children])
        assert list(pytorch.scan(blob, LIMITS)) == []

    remote.run(work)
    assert (remote.rounds, remote.requests) == (2, 3)
    assert remote.bytes_fetched < 6 * (4 << 20) / 100
