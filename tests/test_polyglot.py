"""Files that are two formats at once say so; what ordinary files are several of stays silent."""

import io
import tarfile
import zipfile

import pytest

from modelaudit.blob import BytesBlob, Place
from modelaudit.engine import inspect
from modelaudit.model import Severity
from tests.samples import gguffiles, hdf5files, ordinary
from tests.samples.sample import HARM

RULE = "shared-two-formats"


def two(data: bytes, name: str = "model.bin") -> list[Severity]:
    """How bad it is that these bytes are two formats; nothing where they are not."""
    return [one.severity for one in inspect(BytesBlob(data, Place(name)), uri=name).findings if one.rule == RULE]


def hdf5_behind(head: bytes) -> bytes:
    return head + hdf5files.keras(userblock_size=512)[len(head) :]


def tar_of(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        packed.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        packed.writestr(name, data)
    return out.getvalue()


def aligned(data: bytes) -> bytes:
    """A zip whose one member lies where HDF5 is looked for."""
    return zip_of("m" * (512 - 30), data)


_HEADER = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }".ljust(117)
ARRAY = b"\x93NUMPY\x01\x00\x76\x00" + _HEADER + b"\n1234"
ZIP = zip_of("a.txt", b"some text")

TWO: dict[str, tuple[bytes, Severity]] = {
    "a pickle before HDF5": (hdf5_behind(HARM.pickle(2)), Severity.WARNING),
    "an array before HDF5": (hdf5_behind(ARRAY), Severity.WARNING),
    "an array behind HDF5": (hdf5files.keras() + ARRAY, Severity.INFO),
    "a model of GGUF behind HDF5": (hdf5files.keras() + gguffiles.model(), Severity.INFO),
}

ONE: dict[str, tuple[str, bytes]] = {
    "HDF5": ("model.h5", hdf5files.keras()),
    "HDF5 behind a text": ("data.mat", hdf5_behind(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")),
    "HDF5 stored in a zip": ("model.zip", aligned(hdf5files.keras())),
    "HDF5 in a tar": ("model.tar", tar_of("model.h5", hdf5files.keras())),
    "zip": ("model.zip", ZIP),
    "two arrays in a row": ("data.npy", ARRAY + ARRAY),
    "zeros behind HDF5": ("model.h5", hdf5files.keras() + bytes(4096)),
}


@pytest.mark.parametrize("name", TWO)
def test_two_formats_are_told(name: str) -> None:
    """A warning where one of them runs code when it is loaded or both begin the file, an info otherwise."""
    data, severity = TWO[name]
    assert two(data) == [severity]


@pytest.mark.parametrize("name", ONE)
def test_one_format_is_silent(name: str) -> None:
    """What ordinary programs write is one format, whatever it holds."""
    filename, data = ONE[name]
    assert two(data, filename) == []


def test_ordinary_samples_are_one_format() -> None:
    """None of them says so, not even as an info."""
    assert [sample.id for sample in ordinary() if two(sample.data, sample.filename)] == []
