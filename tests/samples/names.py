"""What the file is called, and what else it is besides a pickle (B034, B039)."""

import gzip
import struct
from collections.abc import Callable, Iterator

from tests.samples.sample import UNPROVEN, Payload, Sample, slug
from tests.samples.torchparts import hostile_zip

NAMES = (
    "pytorch_model.bin",
    "model",
    "model.pt",
    "model.PKL",
    "model.pickle.txt",
    "model.safetensors",
    "model.onnx",
    "model.h5",
    "model.gguf",
    "model.npy",
    "model.npz",
    "model.zip",
    "model.tar.gz",
    "model.json",
    "config.yaml",
    "README.md",
    "tokenizer.model",
    "image.png",
    "weights.csv",
    "model.pkl.bak",
    "model.pkl ",
    "model.pkl.",
    ".hidden",
    "mod\u00e8le-\u6a21\u578b.dat",
    "setup.py",
    "model.ckpt",
    "model.joblib",
    "model.7z",
    "x" * 200 + ".dat",
    "model.pkl%00.txt",
)


def names() -> Iterator[Sample]:
    """The same bytes under names that suggest another format, or none (B034)."""
    kinds: dict[str, tuple[Callable[[Payload], bytes], str]] = {
        "pickle": (lambda p: p.pickle(), "pickle"),
        "text-pickle": (lambda p: p.pickle(0), "pickle"),
    }
    for index, filename in enumerate(NAMES):
        kind, (build, loader) = list(kinds.items())[index % 2]
        yield Sample(
            f"B034-{kind}-as-{index:02d}-{slug(filename)[:24]}",
            "B034",
            filename,
            build,
            f"A {kind} that is called {filename[:40]!r}.",
            loader=loader,
        )
    for index, filename in enumerate(("model", "model.txt", "model.safetensors", "model.npz", "model.json", "x.pkl")):
        yield Sample(
            f"B034-torch-zip-as-{index:02d}-{slug(filename)}",
            "B034",
            filename,
            hostile_zip,
            f"A torch zip that is called {filename!r}.",
            loader="zip-directory",
        )


def polyglots() -> Iterator[Sample]:
    """A pickle before, behind or inside something else (B039)."""
    offset = f"{UNPROVEN}it needs a loader that knows the offset."
    header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    safetensors = struct.pack("<Q", len(header)) + header + bytes(8)
    npy_header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }".ljust(117) + b"\n"
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(npy_header)) + npy_header + bytes(16)
    hdf5 = b"\x89HDF\r\n\x1a\n"
    png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 1, 1, 8, 0, 0, 0, 0, 0x3A7E9B55)
    first: tuple[tuple[str, Callable[[Payload], bytes], str], ...] = (
        ("then-safetensors", lambda p: p.pickle() + safetensors, "model.safetensors"),
        ("then-npy", lambda p: p.pickle() + npy, "model.npy"),
        ("then-png", lambda p: p.pickle() + png, "logo.png"),
        ("then-hdf5-user-block", lambda p: p.pickle().ljust(512, b"\0") + hdf5 + bytes(64), "model.h5"),
        ("then-gguf", lambda p: p.pickle() + b"GGUF" + bytes(64), "model.gguf"),
        ("then-json", lambda p: p.pickle(0) + b'{"a": 1}', "config.json"),
    )
    for name, build, filename in first:
        yield Sample(f"B039-pickle-{name}", "B039", filename, build, "The pickle comes first; pickle.load stops there.")
    behind: tuple[tuple[str, Callable[[Payload], bytes], str, str], ...] = (
        ("safetensors-then-pickle", lambda p: safetensors + p.pickle(), "model.safetensors", "critical"),
        ("npy-then-pickle", lambda p: npy + p.pickle(), "model.npy", "critical"),
        ("npy-then-text-pickle", lambda p: npy + p.pickle(0), "model.npy", "critical"),
        ("safetensors-then-zip", lambda p: safetensors + hostile_zip(p), "model.safetensors", "critical"),
        ("npy-then-zip", lambda p: npy + hostile_zip(p), "model.npy", "critical"),
        ("png-then-zip", lambda p: png + hostile_zip(p), "logo.png", "critical"),
        ("safetensors-then-npy-then-pickle", lambda p: safetensors + npy + p.pickle(), "m.safetensors", "critical"),
        (
            "safetensors-then-gzip",
            lambda p: safetensors + gzip.compress(p.pickle(), mtime=0),
            "x.safetensors",
            "critical",
        ),
    )
    for name, build, filename, expect in behind:
        yield Sample(
            f"B039-{name}", "B039", filename, build, f"What follows an honest file is hostile.{offset}", expect, ""
        )


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from names()
    yield from polyglots()
