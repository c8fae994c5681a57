"""Layers of container images, and the tars that hold them."""

import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.engine import inspect
from modelaudit.limits import Limits
from tests.remote import Remote
from tests.samples.images import Entry, docker_save, info, layout, packed, sha256, tar
from tests.scanners.streams import ATTACK, ORDINARY, look

BASE: list[Entry] = [
    info("bin", tarfile.SYMTYPE, "usr/bin"),
    info("usr/bin/", tarfile.DIRTYPE),
    ("usr/bin/python3.11", b"\x7fELF\x02\x01\x01" + bytes(2000)),
    info("usr/bin/python3", tarfile.SYMTYPE, "python3.11"),
    info("usr/bin/python3-link", tarfile.LNKTYPE, "usr/bin/python3.11"),
    info("etc/mtab", tarfile.SYMTYPE, "/proc/mounts"),
    info("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3),
    info("var/lock", tarfile.SYMTYPE, "/run/lock"),
    ("usr/lib/python3.11/subprocess.py", b"import os\n\nos.system('echo modelaudit-sample')\n"),
    ("etc/os-release", b'NAME="Debian GNU/Linux"\n'),
]
MODEL: list[Entry] = [
    ("opt/model.pkl", ORDINARY),
    ("opt/.wh.old.pkl", b""),
    ("srv/.wh..wh..opq", b""),
    info("opt/latest", tarfile.SYMTYPE, "/opt/model.pkl"),
    info("data", tarfile.SYMTYPE, "mnt/data"),
]
FIRING: dict[str, tuple[str, list[Entry]]] = {
    "traversal": ("oci-layer-traversal", [("../../etc/cron.d/x", b"x")]),
    "link": ("oci-layer-link-escape", [info("a", tarfile.SYMTYPE, "../../etc")]),
    "hard link": ("oci-layer-link-escape", [info("a/b", tarfile.LNKTYPE, "../etc/passwd")]),
    "through": ("oci-layer-write-through", [info("a", tarfile.SYMTYPE, "/etc"), ("a/passwd", b"x")]),
    "maze": ("oci-layer-link-maze", [info("l", tarfile.SYMTYPE, "l/l"), ("l/x", b"x")]),
    "device": ("oci-layer-device", [info("opt/disk", tarfile.BLKTYPE, devmajor=8)]),
    "whiteout of the folder": ("oci-layer-whiteout", [("opt/.wh..", b"")]),
    "whiteout above": ("oci-layer-whiteout", [("opt/.wh...", b"")]),
    "whiteout with data": ("oci-layer-whiteout-data", [("opt/.wh.x", b"data")]),
    "whiteout and file": ("oci-layer-whiteout-clash", [("opt/.wh.x", b""), ("opt/x", b"x")]),
    "twice": ("oci-layer-duplicate-path", [("opt/x", b"1"), ("./opt/x", b"2")]),
    "two names": ("oci-layer-ambiguous", [info("a", pax_headers={"size": "5"}), ("b", b"x")]),
}


@pytest.mark.parametrize("name", FIRING)
@pytest.mark.parametrize("pack", [bytes, packed])
def test_a_danger_is_found(name: str, pack: object) -> None:
    """The rule fires, in a plain and in a packed layer."""
    rule, entries = FIRING[name]
    assert rule in {finding.rule for finding in look(docker_save([pack(tar(entries))])).findings}  # type: ignore[operator]


@pytest.mark.parametrize("build", [docker_save, layout])
@pytest.mark.parametrize("pack", [bytes, packed])
def test_an_ordinary_image_is_silent(build: object, pack: object) -> None:
    """Programs, absolute links, devices under /dev and whiteouts are what images are made of."""
    found = look(build([pack(tar(BASE)), pack(tar(MODEL))]))  # type: ignore[operator]
    assert (found.status, found.findings) == ("scanned", ())
    assert "container image" in {asset.type for asset in found.assets}


@pytest.mark.parametrize("build", [docker_save, layout])
@pytest.mark.parametrize("pack", [bytes, packed])
def test_files_of_layers_are_scanned_under_their_layer(build: object, pack: object) -> None:
    """The location names the layer by its digest and the file in it."""
    layer = pack(tar([*BASE, ("opt/model.pkl", ATTACK)]))  # type: ignore[operator]
    found = look(build([layer]))  # type: ignore[operator]
    places = {finding.location for finding in found.findings if finding.severity == "critical"}
    digest = f"layer sha256:{sha256(layer)}" if build is layout or pack is bytes else "layer "
    assert all(place.startswith(f"place:{digest}") and ":opt/model.pkl" in place for place in places)
    assert places


def test_the_code_of_the_image_itself_is_scanned() -> None:
    """What is not installed as a package is."""
    layer = tar([*BASE, ("app/handler.py", b"import os\n\nos.system('echo modelaudit-sample')\n")])
    bad = {finding.location.partition(" (")[0] for finding in look(layout([layer])).findings}
    assert bad == {f"place:layer sha256:{sha256(layer)}:app/handler.py"}


def test_a_layer_that_was_changed_is_told_by_its_digest() -> None:
    """In a layout and in a docker-save tar; the size as well."""
    before, after = tar(BASE), tar([*BASE, ("opt/more", b"x")])
    rules = [
        {finding.rule for finding in look(data).findings}
        for data in (
            layout([before], wrong={0: after}),
            docker_save([before], told=[sha256(after)]),
            layout([packed(before)], wrong={0: packed(after)}),
        )
    ]
    assert all("tar-image-digest" in found for found in rules)
    assert "tar-image-size" in {finding.rule for finding in look(layout([before], size=3)).findings}
    assert "tar-image-missing" in {finding.rule for finding in look(docker_save([before], missing=True)).findings}


def test_a_layer_that_is_no_tar_is_still_looked_at() -> None:
    """Model registries keep bare models as layers, packed or not."""
    for layer in (ATTACK, packed(ATTACK)):
        assert "critical" in {finding.severity for finding in look(layout([layer])).findings}


def test_bytes_behind_a_layer_are_scanned() -> None:
    """Inside the layer's tar, behind its end."""
    assert "critical" in {finding.severity for finding in look(layout([packed(tar(BASE) + ATTACK)])).findings}


def test_the_digest_of_a_large_layer_does_not_make_it_be_read() -> None:
    """Of a plain layer of 40 MB only headers are fetched."""
    layer = tar([("opt/weights.bin", b"\x17\x93W" * (14 << 20))])
    data = layout([layer])
    remote = Remote(data, Limits())
    remote.run(lambda blob: inspect(blob, Limits()))
    assert remote.bytes_fetched < 2 << 20


@settings(max_examples=60)
@given(place=st.integers(0, 30_000), value=st.integers(1, 255), cut=st.integers(0, 40_000))
def test_damage_anywhere_is_an_answer(place: int, value: int, cut: int) -> None:
    """A flipped byte and an early end raise nothing."""
    data = bytearray(layout([tar(BASE), packed(tar(MODEL))]))
    data[place % len(data)] ^= value
    inspect(BytesBlob(bytes(data)))
    inspect(BytesBlob(bytes(data[: cut % len(data)])))
