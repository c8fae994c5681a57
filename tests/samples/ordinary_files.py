"""safetensors, zips, and everything else that lies in a model repository."""

import json
import struct
import zlib
from collections.abc import Callable, Iterator

from tests.samples.assembler import literal, pickle
from tests.samples.ordinary_pickles import keep
from tests.samples.safetensorfiles import raw, tensors
from tests.samples.sample import Sample
from tests.samples.torchparts import state_dict, torch_zip
from tests.samples.zipwriter import Entry, Lies, archive

SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2,
    "I32": 4, "U32": 4, "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip


def many(count: int, metadata: dict[str, object] | None = None) -> bytes:
    """A file of `count` tensors of four floats."""
    entries = [(f"model.layers.{i}.weight", "F32", [2, 2], 16 * i, 16 * i + 16) for i in range(count)]
    header = tensors(*entries, metadata=metadata)
    return raw(header + b" " * (-len(header) % 8), bytes(16 * count))


def every_dtype() -> bytes:
    """One tensor of each dtype."""
    entries, position = [], 0
    for name, size in sorted(SIZES.items(), key=lambda pair: -pair[1]):
        entries.append((name.lower(), name, [3], position, position + 3 * size))
        position += 3 * size
    return raw(tensors(*entries), bytes(position))


def by_library() -> bytes:
    """Written by the safetensors library."""
    import numpy
    from safetensors.numpy import save

    return bytes(save({"a": numpy.zeros((3, 4), "f4"), "b": numpy.zeros((0, 2)), "c": numpy.array(1.0)}))


def png() -> bytes:
    """A valid PNG of one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


README = b"""---
license: apache-2.0
---
# Model
```python
import os, pickle, subprocess
os.system("pip install torch")
model = pickle.load(open("model.pkl", "rb"))
eval("1 + 1")
```
"""
VOCABULARY = "\n".join(f"word{index}" for index in range(2000)).encode()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345678\n"
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{% endfor %}"
METADATA = {"format": "pt", "framework": "pt", "license": "apache-2.0", "notes": "Trained with os and sys, see README."}

SAFETENSORS: tuple[tuple[str, Callable[[], bytes], str], ...] = (
    ("one", lambda: many(1), "One tensor."),
    ("5000", lambda: many(5000), "Five thousand tensors."),
    ("metadata", lambda: many(3, METADATA), "Metadata as tools write it."),  # type: ignore[arg-type]
    ("long-metadata", lambda: many(1, {"modelspec.description": "words " * 2000}), "Long metadata."),
    (
        "training-metadata",
        lambda: many(1, {"ss_network_args": json.dumps({"conv_dim": 4}), "ss_tag_frequency": json.dumps({"a": 1})}),
        "JSON in metadata, as training tools write it.",
    ),
    ("dtypes", every_dtype, "Every dtype."),
    ("no-tensors", lambda: raw(b"{}"), "No tensors."),
    ("padded-header", lambda: raw(tensors(("a", "F32", [2], 0, 8)) + b" " * 700, bytes(8)), "A padded header."),
    ("unordered", lambda: raw(tensors(("b", "F32", [2], 8, 16), ("a", "F32", [2], 0, 8)), bytes(16)), "Any order."),
    ("empty-tensors", lambda: raw(tensors(("a", "F32", [0], 0, 0), ("b", "F32", [2], 0, 8)), bytes(8)), "Empty."),
    ("scalar", lambda: raw(tensors(("a", "F32", [], 0, 4)), bytes(4)), "No dimensions."),
    ("unicode-names", lambda: raw(tensors(("\u5c42.\u6743\u91cd", "F32", [2], 0, 8)), bytes(8)), "Names in Chinese."),
    ("library", by_library, "Written by the library."),
    (
        "opcodes-in-weights",
        lambda: raw(tensors(("a", "U8", [64], 0, 64)), b"cos\nsystem\n(S'x'\ntR.".ljust(64)),
        "Bytes.",
    ),
)

ZIPS: tuple[tuple[str, Callable[[], bytes], str], ...] = (
    ("plain", lambda: archive([Entry("a.txt", b"hello"), Entry("b/c.txt", b"x" * 500, 8)]), "Two texts."),
    ("readme", lambda: archive([Entry("README.md", README, 8), Entry("config.json", b"{}")]), "A readme."),
    ("unicode", lambda: archive([Entry("\u6a21\u578b/\u00e9.txt", b"x")]), "Names in Chinese."),
    ("folders", lambda: archive([Entry("a/"), Entry("a/b/"), Entry("a/b/c.txt", b"x")]), "Folders."),
    ("zip64", lambda: archive([Entry("a.txt", b"x")], zip64=True), "zip64 records."),
    ("comment", lambda: archive([Entry("a.txt", b"x")], comment=b"made by a tool"), "A comment in words."),
    ("descriptor", lambda: archive([Entry("a.txt", b"x" * 99, 8, descriptor=True)]), "A data descriptor."),
    ("empty", lambda: archive([]), "No members."),
    ("zeros", lambda: archive([Entry("zeros.bin", bytes(4 << 20), 8)]), "Four mebibytes of zeros."),
    ("nested", lambda: archive([Entry("in.zip", archive([Entry("a.txt", b"x")]), 8)]), "A zip in a zip."),
    ("with-pickle", lambda: archive([Entry("d.pkl", pickle(literal({"a": 1})), 8)]), "An ordinary pickle inside."),
    ("with-torch", lambda: archive([Entry("m.pt", torch_zip(pickle(state_dict(), 2)))]), "A torch file inside."),
    ("with-safetensors", lambda: archive([Entry("m.safetensors", many(2)), Entry("config.json", b"{}")]), "Inside."),
    (
        "unix-modes",
        lambda: archive([Entry("run.txt", b"x", central=Lies(attributes=0o100755 << 16))]),
        "Unix modes, as zip on Linux writes them.",
    ),
    (
        "timestamps",
        lambda: archive(
            [
                Entry(
                    "a.txt",
                    b"x",
                    local=Lies(extra=b"UT\t\0\x03" + bytes(8)),
                    central=Lies(extra=b"UT\5\0\x03" + bytes(4)),
                )
            ]
        ),
        "Extended timestamps.",
    ),
    ("dots-in-names", lambda: archive([Entry("v1..2/a...b.txt", b"x"), Entry("..hidden", b"x")]), "Dots in names."),
    ("newlines", lambda: archive([Entry("a.txt", b"hello\n"), Entry("b.txt", b"x\n")]), "Texts with newlines."),
    ("1000-members", lambda: archive([Entry(f"part-{i}.txt", b"x") for i in range(1000)]), "A thousand members."),
)

UNSUPPORTED = "skipped:unsupported"
SCANNED = "scanned"
OTHERS: tuple[tuple[str, str, bytes, str], ...] = (
    ("json", "config.json", json.dumps({"model_type": "bert", "hidden_size": 768}).encode(), SCANNED),
    ("tokenizer", "tokenizer.json", json.dumps({"model": {"vocab": {"a": 0, "b": 1}}}).encode(), SCANNED),
    ("tokenizer-config", "tokenizer_config.json", json.dumps({"chat_template": TEMPLATE}).encode(), SCANNED),
    ("json-lines", "data.jsonl", b'{"text": "a"}\n{"text": "b"}\n', UNSUPPORTED),
    ("yaml", "config.yaml", b"model: bert\nlayers: 12\ntags: [a, b]\n", SCANNED),
    ("markdown", "README.md", README, SCANNED),
    ("csv", "data.csv", b"id,name,value\n1,a,0.5\n2,b,0.25\n" * 50, UNSUPPORTED),
    ("text", "notes.txt", b"nothing to see here\n" * 20, UNSUPPORTED),
    ("vocabulary", "vocab.txt", VOCABULARY, UNSUPPORTED),
    ("merges", "merges.txt", b"#version: 0.2\n\xc4\xa0 t\nh e\n", UNSUPPORTED),
    ("python", "modeling.py", b"import os\n\n\ndef run():\n    os.system('echo hi')\n", SCANNED),
    ("shell", "run.sh", b"#!/bin/sh\necho hi\n", UNSUPPORTED),
    ("gitattributes", ".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n", UNSUPPORTED),
    ("png", "logo.png", png(), UNSUPPORTED),
    ("jpeg", "photo.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(200), UNSUPPORTED),
    ("pdf", "paper.pdf", b"%PDF-1.7\n" + bytes(range(128, 256)) * 4, UNSUPPORTED),
    ("floats", "weights.raw", struct.pack("<1024f", *[0.125] * 1024), UNSUPPORTED),
    ("zeros", "zeros.bin", bytes(10_000), UNSUPPORTED),
    ("noise", "noise.bin", zlib.compress(bytes(range(256)) * 40)[20:], UNSUPPORTED),
    ("one-byte", "x", b"x", UNSUPPORTED),
    ("dot", "dot", b".", UNSUPPORTED),
    ("number", "number", b"42\n", UNSUPPORTED),
    ("word", "word", b"Network.\n", UNSUPPORTED),
    ("brackets", "brackets", b"(a, b).\n", UNSUPPORTED),
    ("latin1", "latin1.txt", "caf\u00e9 ".encode("latin-1") * 50, UNSUPPORTED),
    ("utf16", "utf16.txt", "some text\n".encode("utf-16") * 5, UNSUPPORTED),
    ("html", "index.html", b"<!DOCTYPE html><html><body>hi</body></html>", UNSUPPORTED),
    ("xml", "model.xml", b'<?xml version="1.0"?><net name="x"/>', UNSUPPORTED),
    ("lfs-pointer", "model.safetensors", POINTER, "skipped:lfs_pointer"),
    ("lfs-pointer-bin", "pytorch_model.bin", POINTER.replace(b"12345678", b"9"), "skipped:lfs_pointer"),
    ("empty", "empty.pkl", b"", "skipped"),
    ("empty-no-name", "empty", b"", "skipped"),
)


def ordinary() -> Iterator[Sample]:
    """All of this family."""
    for name, build, why in SAFETENSORS:
        yield keep(f"safetensors-{name}", "model.safetensors", build, f"safetensors. {why}")
    for name, build, why in ZIPS:
        yield keep(f"zip-{name}", "files.zip", build, f"A zip. {why}", status="")
    for name, filename, data, status in OTHERS:
        yield keep(f"file-{name}", filename, lambda data=data: data, "What lies in repositories.", status)
