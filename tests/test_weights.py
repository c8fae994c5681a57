"""Weights that stand out are told, ordinary ones are not, and nothing is read that nobody wanted read."""

import io
import json
import struct
import subprocess
import sys
from pathlib import Path

import anyio
import h5py
import numpy as np
import pytest

import modelaudit
from modelaudit.blob import BytesBlob, RootBlob
from modelaudit.engine import default_engine, inspect
from modelaudit.errors import Missing
from modelaudit.limits import Limits
from modelaudit.model import FileReport, Inspection, Severity
from tests.samples import assembler as asm
from tests.samples import onnxfiles
from tests.samples.assembler import literal, pickle
from tests.samples.torchparts import state_dict, storage
from tests.scanners.test_pytorch import torch_zip

KINDS = {"float32": "F32", "float64": "F64", "float16": "F16"}


def safetensors(arrays: dict[str, np.ndarray]) -> bytes:
    header, data = {}, b""
    for name, array in arrays.items():
        begin = len(data)
        data += array.tobytes()
        kind = KINDS[array.dtype.name]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def matrix(outputs: int = 256, inputs: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.05, (outputs, inputs)).astype("f4")


def planted(outputs: int = 256, inputs: int = 64) -> np.ndarray:
    made = matrix(outputs, inputs)
    made[37] *= 50
    return made


def told(found: Inspection) -> list[str]:
    return [finding.rule for finding in found.findings if finding.rule.startswith("weights-")]


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_a_planted_neuron_is_told(kind: str) -> None:
    """One output that weighs fifty times the others, by its number, as information."""
    found = inspect(BytesBlob(safetensors({"head.weight": planted().astype(kind)})))
    (finding,) = found.findings
    assert (finding.rule, finding.severity) == ("weights-outlier-neurons", Severity.INFO)
    assert finding.details["neurons"] == ["37"]
    assert finding.details["first"] == 37
    assert sum(int(count) for count in finding.details["histogram"]) == 256  # type: ignore[union-attr]


@pytest.mark.parametrize("order", ["C", "F"])
def test_outputs_are_the_last_dimension_of_an_npy_array(order: str) -> None:
    """However the array lies in memory."""
    found = inspect(BytesBlob(npy(np.array(planted().T, order=order))))  # type: ignore[call-overload]
    assert [finding.details["neurons"] for finding in found.findings] == [["37"]]


@pytest.mark.parametrize("shape", [(16, 400_000), (300_000, 8), (9, 7), (1000, 1000)])
def test_pieces_add_up(shape: tuple[int, int]) -> None:
    """Rows longer than a piece and pieces of many rows give what the whole would."""
    from modelaudit.model import Weights
    from modelaudit.weights.reading import measure

    array = matrix(*shape)
    for last, axis in ((False, 1), (True, 0)):
        layer, rms = measure(BytesBlob(array.tobytes()), Weights("w", "<f4", shape, 0, array.nbytes, last))
        expected = np.sqrt((array.astype("f8") ** 2).mean(axis=axis))
        assert np.allclose(rms, expected)
        assert np.isclose(layer.rms, np.sqrt((array.astype("f8") ** 2).mean()))


def test_bfloat16() -> None:
    """bfloat16 is the upper half of a float."""
    from modelaudit.model import Weights
    from modelaudit.weights.reading import measure

    array = matrix()
    halves = (array.view("u4") >> 16).astype("<u2")
    layer, _ = measure(BytesBlob(halves.tobytes()), Weights("w", "<bf16", array.shape, 0, halves.nbytes))
    assert np.isclose(layer.rms, np.sqrt((array.astype("f8") ** 2).mean()), rtol=0.01)


def test_a_planted_layer_is_told() -> None:
    """One of many layers of a kind that weighs fifty times the others; five are too few to compare."""
    layers = {f"block.{number}.weight": matrix(seed=number) for number in range(8)}
    layers["block.3.weight"] = layers["block.3.weight"] * np.float32(50)
    found = inspect(BytesBlob(safetensors(layers)))
    assert [finding.details["tensor"] for finding in found.findings] == ["block.3.weight"]
    few = {name: layers[name] for name in list(layers)[:5]}
    assert told(inspect(BytesBlob(safetensors(few)))) == []


def test_numbers_that_are_none_are_counted() -> None:
    """NaN and infinity are told and do not hide a planted neuron."""
    array = planted()
    array[0, :3] = np.nan
    array[1, 0] = -np.inf
    found = {finding.rule: finding for finding in inspect(BytesBlob(safetensors({"w": array}))).findings}
    assert set(found) == {"weights-outlier-neurons", "weights-not-finite"}
    assert (found["weights-not-finite"].details["nans"], found["weights-not-finite"].details["infinities"]) == (3, 1)


def test_outputs_of_torch_tensors() -> None:
    """Storages of a torch zip, by the shapes and strides in its pickle, transposed ones too."""
    rebuild = asm.global_("torch._utils", "_rebuild_tensor_v2")

    def tensor(key: str, strides: tuple[int, int]) -> bytes:
        more = (literal(0, 2), literal((256, 64), 2), literal(strides, 2), asm.NEWFALSE)
        return bytes(asm.call(rebuild, storage(key, 256 * 64), *more))

    rows = (literal("rows", 2), tensor("1", (64, 1)))
    columns = (literal("columns", 2), tensor("2", (1, 256)))
    gaps = (literal("every other", 2), tensor("1", (64, 2)))
    data = torch_zip(
        {
            "data.pkl": pickle(state_dict(*rows, *columns, *gaps), 2),
            "data/0": bytes(16),
            "data/1": planted().tobytes(),
            "data/2": np.ascontiguousarray(planted().T).tobytes(),
        }
    )
    found = [finding.details for finding in inspect(BytesBlob(data)).findings if finding.rule.startswith("weights")]
    assert {details["tensor"]: details["neurons"] for details in found} == {"rows": ["37"], "columns": ["37"]}


def test_outputs_of_onnx_initializers() -> None:
    """Matrices have their outputs last, kernels of convolutions first."""
    matrices = onnxfiles.tensor(64, 256, raw=planted().T.tobytes(), name="matrix")
    kernels = onnxfiles.tensor(256, 16, 2, 2, raw=planted().tobytes(), name="kernel")
    found = inspect(BytesBlob(onnxfiles.with_weights(matrices, kernels))).findings
    shown = [finding.details for finding in found if finding.rule.startswith("weights")]
    assert {details["tensor"]: details["neurons"] for details in shown} == {"matrix": ["37"], "kernel": ["37"]}


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<f2"])
def test_outputs_of_hdf5_datasets(tmp_path: Path, kind: str) -> None:
    """Keras keeps the outputs last; datasets in chunks are not read."""
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file["dense/kernel"] = planted().T.astype(kind)
        file.create_dataset("packed/kernel", data=planted().T.astype(kind), compression="gzip")
    found = inspect(BytesBlob((tmp_path / "model.h5").read_bytes())).findings
    assert [(finding.details["tensor"], finding.details["neurons"]) for finding in found] == [("/dense/kernel", ["37"])]


def test_nan_in_arrays_is_ordinary() -> None:
    """What lies in .npy files is as often measured as trained."""
    array = matrix()
    array[0, 0] = np.nan
    assert told(inspect(BytesBlob(npy(array)))) == []


def ordinary() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(1)
    ramp = np.linspace(0.2, 3, 256, dtype="f4")[:, None]
    return {
        "gaussian": matrix(),
        "uniform": draw.uniform(-0.1, 0.1, (512, 128)).astype("f4"),
        "heavy tails": draw.standard_t(3, (512, 128)).astype("f4"),
        "scaled by gains": matrix() * ramp,
        "log-normal rows": matrix() * draw.lognormal(0, 0.8, (256, 1)).astype("f4"),
        "half of it dead": matrix() * (np.arange(256) % 2)[:, None].astype("f4"),
        "zeros": np.zeros((64, 64), "f4"),
        "constant": np.full((64, 64), 0.5, "f4"),
        "few outputs": matrix(4, 64) * np.array([1, 1, 1, 90], "f4")[:, None],
        "ten times": matrix() * np.where(np.arange(256) == 7, 10, 1).astype("f4")[:, None],
        "another kind": matrix() * np.where(np.arange(256) < 16, 50, 1).astype("f4")[:, None],
        "identity": np.eye(64, dtype="f4"),
    }


@pytest.mark.parametrize("name", ordinary())
def test_ordinary_weights_are_silent(name: str) -> None:
    """Near misses: what training, initialisation and pruning leave."""
    assert told(inspect(BytesBlob(safetensors({name: ordinary()[name]})))) == []


def test_auto_leaves_language_models_and_large_objects_alone() -> None:
    """Told by names, by a table of words, and by size; `on` looks all the same, `off` never does."""
    word = safetensors({"lm_head.weight": planted()})
    table = safetensors({"a": planted(), "b": np.zeros((25_000, 64), "f2")})
    plain = safetensors({"a": planted()})
    for data in (word, table):
        assert told(inspect(BytesBlob(data))) == []
        assert told(inspect(BytesBlob(data), weights="on")) == ["weights-outlier-neurons"]
    assert told(inspect(BytesBlob(plain), weights="off")) == []
    assert told(inspect(BytesBlob(plain), Limits(weights_auto_bytes=1000))) == []
    assert told(inspect(BytesBlob(plain))) == ["weights-outlier-neurons"]


def test_what_on_does_not_read_is_said() -> None:
    """Beyond the bound of `on` the record is partial."""
    found = inspect(BytesBlob(safetensors({"a": planted()})), Limits(weights_bytes=1000), weights="on")
    assert (found.status, found.reason) == ("partial", "weights_bytes")


def test_auto_asks_for_nothing() -> None:
    """Of an object that is not here as a whole only the header is read; `on` asks for all tensors in one round."""
    data = safetensors({"a": planted(512, 512), "b": planted(512, 512)})
    blob = RootBlob(data[:65536] + bytes(len(data) - 65536), len(data), [(0, 65536)])
    assert told(default_engine().inspect(blob, Limits())) == []
    with pytest.raises(Missing) as missing:
        default_engine().inspect(blob, Limits(), weights="on")
    assert sum(length for _, length in missing.value.ranges) >= len(data) - 65536


def test_numpy_is_not_imported_for_nothing() -> None:
    """A scan that reads no weights does not pay for numpy."""
    code = "import sys, modelaudit; modelaudit.inspect(b'\\x80\\x02N.'); sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.anyio
async def test_the_cage_tells_the_same(tmp_path: Path) -> None:
    """numpy is loaded before the cage closes, and what it computes there is what it computes here."""
    files = {"a.safetensors": safetensors({"w": planted(), "v": matrix()}), "b.npy": npy(planted().T)}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    records: dict[str, FileReport] = {}
    with anyio.fail_after(60):
        async for record in modelaudit.scan(str(tmp_path)):
            records[Path(record.uri).name] = record
    for name, data in files.items():
        expected = inspect(BytesBlob(data), uri=str(tmp_path / name))
        assert (records[name].status, records[name].findings) == ("scanned", expected.findings)
        assert told(expected) == ["weights-outlier-neurons"]
    async for record in modelaudit.scan(str(tmp_path), weights="off"):
        assert record.findings == ()


@pytest.mark.anyio
async def test_weights_count_in_the_budget(tmp_path: Path) -> None:
    """Under --max-total-size `auto` reads no weights, and `on` no more than was allowed."""
    data = safetensors({"w": planted(512, 512)})
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).write_bytes(data)
    for mode, wanted in (("auto", [0, 0]), ("on", [0, 1])):
        limits = Limits(max_total_bytes=len(data) + 300_000, concurrency=1)
        records = [record async for record in modelaudit.scan(str(tmp_path), limits=limits, weights=mode)]  # type: ignore[arg-type]
        assert sorted(len(record.findings) for record in records) == wanted
        assert sum(record.bytes_read for record in records) <= limits.max_total_bytes  # type: ignore[operator]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
