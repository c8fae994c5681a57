"""How each kind of twin is loaded. Imported only by `tests.samples.prove`, in a process of its own."""

import bz2
import gzip
import io
import lzma
import os
import pickle
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, Any

from tests.samples import lenient


class Persistent(pickle.Unpickler):
    """Gives the persistent id itself, as torch's unpickler first looks at the id and then makes a storage."""

    def persistent_load(self, pid: Any) -> Any:
        return pid


def each(stream: IO[bytes]) -> None:
    """Pickle after pickle until one fails, as code that keeps several in one file does."""
    while True:
        pickle.load(stream)


def twice(data: bytes) -> None:
    """One Unpickler, two loads: the memo stays."""
    unpickler = pickle.Unpickler(io.BytesIO(data))
    unpickler.load()
    unpickler.load()


def from_file(data: bytes) -> None:
    """From a buffered file, which the C unpickler reads ahead of."""
    with io.BufferedReader(io.BytesIO(data)) as stream:
        pickle.load(stream)


def skipping(data: bytes) -> None:
    """Pickle after pickle; bytes between them that cannot be loaded are stepped over."""
    stream = io.BytesIO(data)
    while stream.tell() < len(data):
        start = stream.tell()
        try:
            pickle.load(stream)
        except Exception:  # noqa: BLE001
            stream.seek(start + 1)


def joblib_file(data: bytes) -> None:
    """joblib.load finds out the compression by itself."""
    import joblib

    descriptor = os.memfd_create("twin")  # joblib reads its oldest format by path only, and the guard refuses files
    os.write(descriptor, data)
    joblib.load(f"/proc/self/fd/{descriptor}")


def numpy_file(data: bytes) -> None:
    """numpy.load with allow_pickle, every member of an npz, every array of a file that holds several."""
    import numpy

    stream = io.BytesIO(data)
    while stream.tell() < len(data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            loaded = numpy.load(stream, allow_pickle=True)
        if not isinstance(loaded, numpy.lib.npyio.NpzFile):
            continue
        for name in loaded.files:
            loaded[name]
        return


def numpy_zip(data: bytes) -> None:
    """The members of a zip by zipfile, for which it may begin anywhere."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            numpy_file(archive.read(name))


def lz4_file(data: bytes) -> None:
    import lz4.frame

    with lz4.frame.open(io.BytesIO(data)) as stream:
        pickle.load(stream)


def zstd_file(data: bytes) -> None:
    import zstandard

    reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
    pickle.load(io.BytesIO(reader.read()))


def zip_directory(data: bytes) -> None:
    """data.pkl by the central directory, whatever the flags and the CRC say, as torch.load reads it."""
    Persistent(io.BytesIO(lenient.data_pickle(data))).load()


def zip_members(data: bytes) -> None:
    """Every member that can be loaded."""
    for member in lenient.members(data):
        try:
            Persistent(io.BytesIO(member)).load()
        except Exception:  # noqa: BLE001
            continue


def torch_legacy(data: bytes) -> None:
    """torch.load of the format before zip: magic, protocol, system, object, storage keys."""
    stream = io.BytesIO(data)
    for _ in range(3):
        pickle.load(stream)
    Persistent(stream).load()
    pickle.load(stream)
    each(stream)


def torch_tar(data: bytes) -> None:
    """torch.load of the oldest format: a tar with storages, tensors and pickle."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:*") as archive:
        for name in ("storages", "tensors", "pickle"):
            member = archive.extractfile(name)
            if member is None:
                continue
            count = Persistent(member).load()
            for _ in range(count if name != "pickle" else 0):
                Persistent(member).load()
                if name == "storages":
                    member.read(4 * int.from_bytes(member.read(8), "little"))
                else:
                    member.read(16 * int.from_bytes(member.read(8)[:4], "little") + 8)
            if name == "storages":
                Persistent(member).load()


LOADERS: dict[str, Callable[[bytes], object]] = {
    "pickle": pickle.loads,
    "latin1": lambda data: pickle.loads(data, encoding="latin1"),
    "bytes": lambda data: pickle.loads(data, encoding="bytes"),
    "persistent": lambda data: Persistent(io.BytesIO(data)).load(),
    "pickles": lambda data: each(io.BytesIO(data)),
    "skipping": skipping,
    "twice": twice,
    "file": from_file,
    "joblib": joblib_file,
    "numpy": numpy_file,
    "numpy-zip": numpy_zip,
    "gzip": lambda data: pickle.load(gzip.GzipFile(fileobj=io.BytesIO(data))),
    "gzip-twice": lambda data: pickle.load(gzip.GzipFile(mode="rb", fileobj=gzip.GzipFile(fileobj=io.BytesIO(data)))),
    "gzip-each": lambda data: each(gzip.GzipFile(fileobj=io.BytesIO(data))),  # type: ignore[arg-type]
    "bz2": lambda data: pickle.load(bz2.BZ2File(io.BytesIO(data))),
    "lzma-alone": lambda data: pickle.loads(lzma.decompress(data, format=lzma.FORMAT_ALONE)),
    "lzma": lambda data: pickle.loads(lzma.decompress(data)),
    "zlib": lambda data: pickle.loads(zlib.decompressobj().decompress(data)),
    "lz4": lz4_file,
    "zstd": zstd_file,
    "zip-directory": zip_directory,
    "zip": zip_members,
    "torch-legacy": torch_legacy,
    "torch-tar": torch_tar,
}
