"""TorchScript source: operators that reach beyond tensors, and text that PyTorch has not written."""

from collections.abc import Iterator

from msgspec.structs import replace

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Child, Evidence, Hit, Severity
from modelaudit.parsers.torchscript import Use, defined, is_source, uses

_HEAD_BYTES = 512

_READS, _WRITES = "reads a file that the model names", "writes a file that the model names"
_FILES = {
    "aten.save": _WRITES,
    "aten.from_file": "maps a file that the model names into memory, to read it or to write it",
    "debugprims.load_tensor": _READS,
    "image.read_file": _READS,
    "image.write_file": _WRITES,
    "torchaudio.sox_io_load_audio_file": _READS,
    "torchaudio.sox_io_get_info": _READS,
    "torchaudio.sox_io_save_audio_file": _WRITES,
    "torchaudio.sox_effects_apply_effects_file": _READS,
    "video_reader.probe_video_from_file": _READS,
    "video_reader.read_video_from_file": _READS,
}
_FILE_METHODS = frozenset(name.partition(".")[2] for name in _FILES if name.startswith("aten."))
_PYTHON = frozenset(("prim.PythonOp", "prim.IgnoredPythonOp"))
_REMOTE = frozenset(("prim.rpc_async", "prim.rpc_sync", "prim.rpc_remote", "aten.dist_backward"))
_MEMORY = frozenset(
    (
        "inductor._alloc_from_pool",
        "inductor._reinterpret_tensor",
        "inductor.resize_storage_bytes_",
        "mkldnn.data_ptr",
    )
)
# Namespaces that come with PyTorch, its sister libraries, and the compilers that write TorchScript.
_KNOWN = """
    aten prim prims quantized _quantized quantized_decomposed quantization sparse mkldnn mkldnn_prepacked onednn mkl
    prepacked xnnpack metal metal_prepacked vulkan vulkan_prepacked nnapi static_runtime profiler inductor _native onnx
    c10d _c10d_functional c10d_functional _c10d_functional_autograd symm_mem _dtensor export rngprims _caffe2 fb fbgemm
    torchvision torchaudio torchtext image video_reader torch_scatter torch_sparse torch_cluster torch_spline_conv
    torchrec tensorrt neuron torch_ipex ipex debugprims
"""


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child]:
    """Hits on the operators and statements of one source file; other bytes than source are a child."""
    if not is_source(bytes(blob.view(0, _HEAD_BYTES))):
        yield Child("content", 0, blob.size)
        return
    source = blob.view(0, blob.size)
    own: frozenset[str] | None = None
    met: set[tuple[str, str, str]] = set()
    for use in uses(source):
        if (use.kind, use.name, use.within) in met or (use.kind == "member" and use.name not in _FILE_METHODS):
            continue
        hit = _hit(use)
        if hit is not None and use.kind == "member":
            own = defined(source) if own is None else own
            hit = replace(hit, severity=Severity.INFO if use.name in own else None)
        if hit is not None:
            met.add((use.kind, use.name, use.within))
            yield hit


def _hit(use: Use) -> Hit | None:
    when = "when the file is loaded" if use.within == "__setstate__" else "when the model runs"
    evidence: Evidence = {"name": use.name, "within": use.within or "the module", "when": when}
    if use.kind == "operator":
        return _operator(use, evidence)
    if use.kind == "member":
        return Hit("torchscript-file-method", use.offset, evidence)
    if use.kind == "python":
        return Hit("torchscript-python-call", use.offset, evidence)
    return Hit("torchscript-foreign", use.offset, {**evidence, "kind": use.kind})


def _operator(use: Use, evidence: Evidence) -> Hit | None:
    if use.name in _FILES:
        return Hit("torchscript-file-operator", use.offset, {**evidence, "effect": _FILES[use.name]})
    if use.name in _PYTHON:
        return Hit("torchscript-python-operator", use.offset, evidence)
    if use.name in _REMOTE:
        return Hit("torchscript-remote-call", use.offset, evidence)
    if use.name in _MEMORY:
        return Hit("torchscript-raw-memory", use.offset, evidence)
    if use.name.partition(".")[0] not in _KNOWN.split():
        return Hit("torchscript-custom-operator", use.offset, evidence)
    return None
