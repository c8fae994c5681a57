"""One large ordinary model of each format, made without the format's library. Tensor bytes are holes.

Each maker is given a folder and the bytes that the tensors are to take, and puts one model there, of one file or
of several.
"""

import io
import json
import random
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.shapes import layers, write_safetensors, write_torch
from tests.samples import images, kerasconfigs, tensorflowfiles, tflitefiles
from tests.samples.flaxfiles import pack
from tests.samples.protowriter import number, text, varint

Part = bytes | int  # bytes, or a hole of so many
_TOKENS = 32_000
_FILES = 2_000  # small files of the image's system
_FILE_BYTES = 8_000


def _size(parts: Sequence[Part]) -> int:
    return sum(part if isinstance(part, int) else len(part) for part in parts)


def _write(path: Path, parts: Sequence[Part]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for part in parts:
            if isinstance(part, int):
                file.seek(part, io.SEEK_CUR)
            else:
                file.write(part)
        file.truncate(_size(parts))


def _dig(path: Path) -> None:
    """Make holes of the zeros in `path`."""
    subprocess.run(["fallocate", "--dig-holes", str(path)], check=False)


def _message(field: int, parts: Sequence[Part]) -> list[Part]:
    """A field of protocol buffers around `parts`."""
    return [varint(field << 3 | 2) + varint(_size(parts)), *parts]


def _bytes_of(shape: Sequence[int]) -> int:
    count = 4
    for side in shape:
        count *= side
    return count


def _safetensors(folder: Path, total: int) -> None:
    write_safetensors(folder / "model.safetensors", total)


def _torch(folder: Path, total: int) -> None:
    write_torch(folder / "pytorch_model.bin", random.Random(1), total)


def _gguf(folder: Path, total: int) -> None:
    def string(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    tokens = b"".join(string(f"token{index}") for index in range(_TOKENS))
    keys = string("general.architecture") + struct.pack("<I", 8) + string("llama")
    keys += string("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, _TOKENS) + tokens
    keys += string("tokenizer.ggml.scores") + struct.pack("<IIQ", 9, 6, _TOKENS) + bytes(4 * _TOKENS)
    template = "{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}{% endfor %}"
    keys += string("tokenizer.chat_template") + struct.pack("<I", 8) + string(template)
    infos, place = b"", 0
    found = layers(total)
    for name, shape in found:
        sides = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        infos += string(name) + sides + struct.pack("<IQ", 0, place)
        place += _bytes_of(shape)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(found), 4) + keys + infos
    _write(folder / "model.gguf", [head + bytes(-len(head) % 32), place])


def _onnx(folder: Path, total: int) -> None:
    graph: list[Part] = []
    for index, (name, shape) in enumerate(layers(total)):
        graph += _message(1, [text(1, f"x{index}") + text(1, name) + text(2, f"x{index + 1}") + text(4, "MatMul")])
        sides = b"".join(number(1, side) for side in shape)
        held = [sides + number(2, 1) + text(8, name), *_message(9, [_bytes_of(shape)])]
        graph += _message(5, held)
    head = number(1, 8) + text(2, "pytorch")
    opset = text(8, text(1, "") + number(2, 17))
    _write(folder / "model.onnx", [head, *_message(7, [*graph, text(2, "main")]), opset])


def _nodes(count: int) -> list[bytes]:
    kinds = ("MatMul", "BiasAdd", "Relu", "Reshape", "Softmax")
    return [tensorflowfiles.node(f"model/layer{n}/{kinds[n % 5]}", kinds[n % 5], f"in{n}") for n in range(count)]


def _frozen(folder: Path, total: int) -> None:
    parts: list[Part] = [text(1, node) for node in _nodes(500)]
    for name, shape in layers(total):
        sides = text(2, b"".join(text(2, number(1, side)) for side in shape))
        tensor = [number(1, 1) + sides, *_message(4, [_bytes_of(shape)])]
        value = [text(1, "value"), *_message(2, _message(8, tensor))]
        kind = tensorflowfiles.attribute("dtype", number(6, 1))
        parts += _message(1, [text(1, name) + text(2, "Const") + kind, *_message(5, value)])
    _write(folder / "frozen.pb", [*parts, text(4, number(1, 1882))])


def _saved_model(folder: Path, total: int) -> None:
    body = tensorflowfiles.graph(*_nodes(2000))
    _write(folder / "saved_model.pb", [tensorflowfiles.saved(tensorflowfiles.meta(body))])
    _write(folder / "variables" / "variables.data-00000-of-00001", [total])


def _tflite(folder: Path, total: int) -> None:
    size = total // 64
    shape = [size // 4 // 256, 256]
    tensors = [tflitefiles.tensor(f"layer{n}/weights", shape, n + 1) for n in range(64)]
    nodes = [tflitefiles.node(0, [n, n + 1], [n + 1]) for n in range(63)]
    buffers = [tflitefiles.buffer(), *[tflitefiles.buffer(bytes(size)) for _ in range(64)]]
    _write(folder / "model.tflite", [tflitefiles.model(graphs=[tflitefiles.graph(tensors, nodes)], buffers=buffers)])
    _dig(folder / "model.tflite")


def _msgpack(folder: Path, total: int) -> None:
    found = layers(total)
    parts: list[Part] = [b"\x81" + pack("params") + b"\xdf" + struct.pack(">I", len(found))]
    for name, shape in found:
        sides = b"\x93" + pack(list(shape)) + pack("float32") + b"\xc6" + struct.pack(">I", _bytes_of(shape))
        length = len(sides) + _bytes_of(shape)
        parts += [pack(name) + b"\xc9" + struct.pack(">I", length) + b"\x01" + sides, _bytes_of(shape)]
    _write(folder / "flax_model.msgpack", parts)


def _openvino(folder: Path, total: int) -> None:
    lines, place = [], 0
    for index, (name, shape) in enumerate(layers(total)):
        size = _bytes_of(shape)
        sides = ", ".join(map(str, shape))
        data = f'<data element_type="f32" shape="{sides}" offset="{place}" size="{size}"/>'
        lines.append(f'<layer id="{index}" name="{name}" type="Const" version="opset1">{data}</layer>')
        place += size
    xml = f'<?xml version="1.0"?>\n<net name="m" version="11"><layers>{"".join(lines)}</layers><edges/></net>\n'
    _write(folder / "openvino_model.xml", [xml.encode()])
    _write(folder / "openvino_model.bin", [place])


def _hdf5(path: Path, total: int, config: bytes | None) -> None:
    import h5py  # type: ignore[import-untyped]
    from h5py import h5d, h5p, h5s, h5t

    held = h5p.create(h5p.DATASET_CREATE)
    held.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    held.set_fill_time(h5d.FILL_TIME_NEVER)
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = config
            file.attrs["keras_version"] = b"2.15.0"
        for name, shape in layers(total):
            group = file.require_group(f"model_weights/{name.replace('.', '/')}")
            h5d.create(group.id, b"kernel:0", h5t.IEEE_F32LE, h5s.create_simple(shape), held)


def _h5(folder: Path, total: int) -> None:
    dense: list[kerasconfigs.Tree] = [{"class_name": "Dense", "config": {"name": f"d{n}"}} for n in range(80)]
    tree = kerasconfigs.old_style(*dense)
    _hdf5(folder / "model.h5", total, kerasconfigs.dumped(tree))


def _keras(folder: Path, total: int) -> None:
    weights = folder / "weights.making"
    _hdf5(weights, total, None)
    tree = kerasconfigs.model(*[kerasconfigs.dense(name=f"d{n}") for n in range(80)])
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.5.0", "date_saved": "2026-01-01@00:00:00"}))
        archive.writestr("config.json", kerasconfigs.dumped(tree))
        archive.write(weights, "model.weights.h5")
    weights.unlink()
    _dig(folder / "model.keras")


def _npy_parts(total: int) -> list[Part]:
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({total // 4096}, 1024), }}"
    head += " " * (-(10 + len(head) + 1) % 64) + "\n"
    return [b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode(), total // 4096 * 4096]


def _npz(folder: Path, total: int) -> None:
    array = folder / "array.making"
    _write(array, _npy_parts(total // 4))
    with zipfile.ZipFile(folder / "features.npz", "w") as archive:
        for index in range(4):
            archive.write(array, f"arr_{index}.npy")
    array.unlink()
    _dig(folder / "features.npz")


def _nemo(folder: Path, total: int) -> None:
    checkpoint = folder / "checkpoint.making"
    write_torch(checkpoint, random.Random(2), total)
    config = b"target: nemo.collections.asr.models.EncDecCTCModel\nsample_rate: 16000\n"
    with tarfile.open(folder / "model.nemo", "w") as archive:
        made = tarfile.TarInfo("./model_config.yaml")
        made.size = len(config)
        archive.addfile(made, io.BytesIO(config))
        archive.add(checkpoint, "./model_weights.ckpt")
    checkpoint.unlink()
    _dig(folder / "model.nemo")


def _image(folder: Path, total: int) -> None:
    """A layer of a system's small files, and one with a model in it, as `docker save` writes them."""
    rng = random.Random(3)
    system = images.tar([(f"usr/share/doc/{n}", rng.randbytes(_FILE_BYTES // 2).hex().encode()) for n in range(_FILES)])
    inner = folder / "inner.making"
    write_safetensors(inner, total)
    model = io.BytesIO()
    with tarfile.open(fileobj=model, mode="w") as archive:
        archive.add(inner, "opt/model.safetensors")
    inner.unlink()
    (folder / "image.tar").write_bytes(images.docker_save([system, model.getvalue()]))
    _dig(folder / "image.tar")


MAKERS: dict[str, Callable[[Path, int], None]] = {
    "safetensors": _safetensors,
    "gguf": _gguf,
    "onnx": _onnx,
    "torch-zip": _torch,
    "keras-h5": _h5,
    "keras-zip": _keras,
    "saved-model": _saved_model,
    "tf-frozen": _frozen,
    "tflite": _tflite,
    "flax-msgpack": _msgpack,
    "openvino": _openvino,
    "npz": _npz,
    "nemo-tar": _nemo,
    "docker-image": _image,
}


def make(folder: Path, total: int) -> None:
    """One model of each format below `folder`, each in a folder of its own."""
    for name, maker in MAKERS.items():
        (folder / name).mkdir()
        maker(folder / name, total)
