"""Ordinary files by the thousand: the accidents of their bytes must not look like an attack.

Each kind makes one file from a random generator; with a fixed seed the files are the same every time.
"""

import base64
import io
import pickle
import random
import struct
import zlib
from collections.abc import Callable, Iterator

from tests.samples.assembler import literal
from tests.samples.assembler import pickle as stream
from tests.samples.compressed import gz, zlib_stream
from tests.samples.safetensorfiles import raw, tensors
from tests.samples.torchparts import state_dict
from tests.samples.zipwriter import Entry, archive

WORDS = [
    "the",
    "model",
    "weights",
    "are",
    "loaded",
    "by",
    "os",
    "and",
    "pickle",
    ".",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "1",
    "2",
    "\n",
    "\n\n",
    ":",
    ",",
    "import",
    "eval",
    "N.",
    "K",
]


def _floats(source: random.Random, code: str, count: int) -> bytes:
    return struct.pack(f"<{count}{code}", *(source.gauss(0, 0.05) for _ in range(count)))


def _text(source: random.Random, count: int) -> bytes:
    return " ".join(source.choice(WORDS) for _ in range(count)).encode()


def _pickled(source: random.Random, value: object) -> bytes:
    return pickle.dumps(value, source.randrange(6))


def _zip(source: random.Random) -> bytes:
    count = source.randrange(1, 5)
    return archive([Entry(f"f{i}.txt", _text(source, 15), source.choice((0, 8))) for i in range(count)])


def _torch(source: random.Random) -> bytes:
    layers = source.randrange(1, 6)
    body = state_dict(layers=layers) if source.random() < 0.7 else literal([source.random()] * 30, 2)
    return archive(
        [
            Entry("archive/data.pkl", stream(body, 2)),
            Entry("archive/byteorder", b"little"),
            *(Entry(f"archive/data/{index}", _floats(source, "f", 4)) for index in range(layers)),
            Entry("archive/version", b"3\n"),
            Entry("archive/.data/serialization_id", str(source.random()).encode()),
        ]
    )


def _numpy(source: random.Random) -> bytes:
    import numpy

    out = io.BytesIO()
    values = [source.gauss(0, 0.5) for _ in range(source.randrange(40))]
    numpy.save(out, numpy.array(values, source.choice(("f2", "f4", "f8", "i1"))))
    return out.getvalue()


def _npz(source: random.Random) -> bytes:
    import numpy

    out = io.BytesIO()
    arrays = {f"a{i}": numpy.array([source.gauss(0, 0.5) for _ in range(9)], "f4") for i in range(3)}
    (numpy.savez if source.random() < 0.5 else numpy.savez_compressed)(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def _joblib(source: random.Random) -> bytes:
    import joblib
    import numpy

    out = io.BytesIO()
    arrays = [numpy.frombuffer(source.randbytes(source.randrange(200)), "u1") for _ in range(3)]
    joblib.dump(arrays, out, compress=source.choice((0, 3, ("gzip", 3), ("xz", 1), ("lz4", 1))))
    return out.getvalue()


def _safetensors(source: random.Random) -> bytes:
    count = source.randrange(1, 30)
    return raw(tensors(("w", "F32", [count], 0, 4 * count)), _floats(source, "f", count))


KINDS: dict[str, tuple[int, Callable[[random.Random], bytes]]] = {
    "noise": (10_000, lambda source: source.randbytes(source.randrange(1, 400))),
    "floats": (6_000, lambda source: _floats(source, "f", 64)),
    "half-floats": (6_000, lambda source: _floats(source, "e", 100)),
    "small-integers": (4_000, lambda source: bytes(source.randrange(128) for _ in range(120))),
    "text": (4_000, lambda source: _text(source, 30)),
    "pickled-noise": (4_000, lambda source: _pickled(source, {"w": source.randbytes(source.randrange(1500))})),
    "pickled-floats": (1_500, lambda source: _pickled(source, [_floats(source, "f", 200) for _ in range(3)])),
    "pickled-text": (1_500, lambda source: _pickled(source, [_text(source, 60).decode() for _ in range(3)])),
    "pickled-encodings": (
        1_500,
        lambda source: _pickled(
            source,
            [base64.b64encode(source.randbytes(200)), source.randbytes(90).hex(), zlib.compress(source.randbytes(50))],
        ),
    ),
    "gzip": (1_500, lambda source: gz(source.randbytes(200))),
    "zlib": (1_500, lambda source: zlib_stream(_text(source, 60))),
    "zip": (2_000, _zip),
    "torch": (2_000, _torch),
    "npy": (1_000, _numpy),
    "npz": (1_000, _npz),
    "joblib": (600, _joblib),
    "safetensors": (2_000, _safetensors),
}
WHOLE = frozenset({"pickled-floats", "pickled-text", "pickled-encodings", "zip", "torch", "npy", "npz", "joblib"})
"""Kinds whose every file must also be scanned to its end."""


def files(kind: str) -> Iterator[bytes]:
    """The files of a kind, the same every time."""
    count, make = KINDS[kind]
    source = random.Random(kind)
    for _ in range(count):
        yield make(source)
