"""HDF5 without libhdf5: the same objects, links and attributes as h5py gives, and bytes of any kind survived."""

import contextlib
import io

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.limits import Limits
from modelaudit.parsers.hdf5.superblock import find, parse
from modelaudit.parsers.hdf5.walk import Object, objects
from tests.remote import Remote
from tests.samples import hdf5files

LIMITS = Limits()
VERSIONS = ["earliest", "v108", "v110", "latest"]


def walked(data: bytes, limits: Limits = LIMITS) -> list[Object]:
    blob = BytesBlob(data)
    place = find(blob, len(data))
    if place is None:
        raise ParseError("no superblock")
    return list(objects(parse(blob, place, limits)))


def by_path(data: bytes) -> dict[str, Object]:
    return {found.path: found for found in walked(data)}


def paths_of(data: bytes) -> tuple[set[int], dict[int, set[str]]]:
    """Every object that h5py finds by hard links, by its address, with the names of its attributes."""
    found: dict[int, set[str]] = {}
    with h5py.File(io.BytesIO(data), "r") as file:
        pending = [file["/"]]
        while pending:
            one = pending.pop()
            address = h5py.h5o.get_info(one.id).addr
            if address in found:
                continue
            found[address] = set(one.attrs) if not isinstance(one, h5py.Datatype) else set()
            if isinstance(one, h5py.Group):
                links = ((name, one.get(name, getlink=True)) for name in one)
                pending += [one[name] for name, link in links if isinstance(link, h5py.HardLink)]
    return set(found), found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_same_as_h5py(version: str) -> None:
    """Objects, their attributes, and texts of every kind, whatever version of the format holds them."""
    data = hdf5files.everything((version, "latest") if version != "latest" else "latest")
    addresses, attributes = paths_of(data)
    ours = walked(data)
    assert {found.offset for found in ours} == addresses
    for found in ours:
        assert {attribute.name for attribute in found.attributes} == attributes[found.offset]
        assert found.broken == ()
    root = {attribute.name: attribute.values for attribute in ours[0].attributes}
    assert root["committed"][0].rstrip(b"\0") == b"held"
    assert [value.rstrip(b"\0") for value in root["texts"]] == [b"a", b"bb"]
    assert root["variable"] == (b"x", b"yyy")
    assert root["attribute39"] == (b"x" * 390,)
    assert root["number"] == root["nothing"] == ()


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_many_links_and_attributes(version: str) -> None:
    """B-trees of several levels and heaps of many blocks are read to the end."""

    def fill(file: h5py.File) -> None:
        for index in range(3000):
            file.create_group(f"a group whose name is long enough {index}")
        for index in range(600 if version == "earliest" else 3000):
            file.attrs[f"attribute {index}"] = f"{index}" * 5

    data = hdf5files.built(fill, libver=version)
    ours = walked(data)
    assert len(ours) == 3001
    assert len(ours[0].attributes) == (600 if version == "earliest" else 3000)
    assert {attribute.name: attribute.values for attribute in ours[0].attributes}["attribute 599"] == (b"599" * 5,)


def test_a_user_block_is_passed_over() -> None:
    """Addresses count from the superblock, wherever that is."""
    plain = by_path(hdf5files.everything())
    behind = by_path(hdf5files.everything(userblock_size=2048))
    assert plain.keys() == behind.keys()
    moved = bytes(4096) + hdf5files.everything()  # as h5jam does it: what the base address says is not moved
    assert by_path(moved).keys() == plain.keys()


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_links_that_lead_away(version: str) -> None:
    """External links, external storage and virtual datasets give the names of the files, and nothing is opened."""
    (root, *_) = walked(hdf5files.external_link("/etc/hostname", version))
    assert [(link.kind, link.file, link.target) for link in root.links] == [("external", "/etc/hostname", "/data")]
    stored = by_path(hdf5files.external_storage("/etc/hostname", "b.bin"))["/kernel"].dataset
    assert stored is not None and stored.external
    assert stored.sources == ("/etc/hostname", "b.bin")
    viewed = by_path(hdf5files.virtual(".", "a.h5", "../b.h5", "a.h5", version=version))["/kernel"].dataset
    assert viewed is not None and viewed.storage == "virtual" and viewed.trouble == ""
    assert set(viewed.sources) - {"."} == {"a.h5", "../b.h5"}


def test_datasets_say_where_their_bytes_lie() -> None:
    """Compact and contiguous bytes are where h5py has put them."""
    data = hdf5files.built(lambda file: file.create_dataset("d", data=np.frombuffer(b"0123456789abcdef" * 4, "u1")))
    found = by_path(data)["/d"].dataset
    assert found is not None and found.type is not None and found.type.is_byte
    assert data[found.offset : found.offset + found.length] == b"0123456789abcdef" * 4


def test_few_rounds_and_few_bytes() -> None:
    """Sixty layers of a megabyte each: less than a hundredth of the file, in less rounds than layers."""

    def fill(file: h5py.File) -> None:
        weights = file.create_group("model_weights")
        for index in range(60):
            layer = weights.create_group(f"dense_{index}").create_group("sequential").create_group(f"dense_{index}")
            layer.create_dataset("kernel:0", data=np.zeros((512, 512), "f4"))
            layer.create_dataset("bias:0", data=np.zeros(512, "f4"))

    data = hdf5files.built(fill)
    remote = Remote(data, LIMITS)
    seen: list[int] = []
    remote.run(lambda blob: seen.append(len(list(objects(parse(blob, 0, LIMITS))))))
    assert seen[-1] == 1 + 1 + 3 * 60 + 2 * 60
    assert remote.bytes_fetched < len(data) / 100
    assert remote.rounds < 30


def test_truncation_at_every_offset() -> None:
    """Whatever is missing, the rest is read, and only ParseError comes out."""
    data = hdf5files.keras()
    whole = len(walked(data))
    for end in range(0, len(data), 7):
        try:
            assert len(walked(data[:end])) <= whole
        except ParseError:
            continue


SAMPLES = [hdf5files.everything(), hdf5files.everything("latest"), hdf5files.virtual("a.h5", "b.h5", version="latest")]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_mutations(data: st.DataObject) -> None:
    """Whatever is changed, only ParseError and LimitExceeded come out."""
    made = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 12))):
        made[data.draw(st.integers(8, len(made) - 1))] = data.draw(st.sampled_from([0, 1, 4, 8, 127, 128, 255]))
    with contextlib.suppress(ParseError, LimitExceeded):
        walked(bytes(made), Limits(members=10_000))


def test_more_structures_than_a_file_can_have() -> None:
    """Messages, links and nodes are counted, so that overlapping ones come to an end."""
    with pytest.raises(LimitExceeded):
        walked(hdf5files.everything(), Limits(members=10))


def test_addresses_that_lead_out_of_the_file() -> None:
    """An object that lies nowhere is told of and the others are read."""
    data = bytearray(hdf5files.soft({}))
    found = by_path(bytes(data))["/g/d"]
    at = data.find(found.offset.to_bytes(8, "little"))
    data[at : at + 8] = (1 << 40).to_bytes(8, "little")
    assert [one.path for one in walked(bytes(data)) if one.broken] == ["/g/d"]


def test_one_heap_that_many_values_refer_to() -> None:
    """Bytes are counted each time they are read, or a small file could keep a reader busy for ever."""

    def fill(file: h5py.File) -> None:
        for index in range(200):
            file.attrs[f"a{index}"] = "x" * 3000

    data = hdf5files.built(fill)
    assert len(walked(data)) == 1
    with pytest.raises(LimitExceeded):
        walked(data, Limits(header_bytes=10_000))
