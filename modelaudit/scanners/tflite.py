"""TensorFlow Lite: operators that reach outside, numbers that lead outside, what lies among and behind the weights."""

from collections.abc import Iterator, Sequence

from modelaudit.blob import Blob, SliceBlob, read
from modelaudit.errors import ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Evidence, Hit, Note, Severity
from modelaudit.parsers.tflite import CUSTOM, TYPE_BITS, Code, Model, Subgraph, Tensor, parse
from modelaudit.parsers.zip import ends

_READS, _WRITES = "reads files that the model names", "writes files that the model names"
# TensorFlow's operators by what they do beside computing, with the severity where it is not critical: checkpoints and
# tables are in honest graphs too, though hardly in one that was converted.
_READERS = """
    ReadFile MatchingFiles WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 TFRecordReader
    TFRecordReaderV2 FixedLengthRecordReader FixedLengthRecordReaderV2 LMDBReader TextLineDataset TFRecordDataset
    TFRecordDatasetV2 FixedLengthRecordDataset FixedLengthRecordDatasetV2 ExperimentalLMDBDataset LMDBDataset
    CSVDataset CSVDatasetV2 ExperimentalCSVDataset SqlDataset ExperimentalSqlDataset MatchingFilesDataset
    ExperimentalMatchingFilesDataset LoadDataset ImmutableConst
"""
_WRITERS = """
    WriteFile DatasetToTFRecord ExperimentalDatasetToTFRecord SaveDataset SaveDatasetV2 SnapshotDataset
    SnapshotDatasetV2 CacheDataset CacheDatasetV2 CreateSummaryFileWriter CreateSummaryDbWriter WriteSummary
    WriteGraphSummary WriteRawProtoSummary PrintV2 DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount
    DebugNumericSummary DebugNumericSummaryV2 MergeV2Checkpoints
"""
_REMOTES = """
    RpcCall RpcClient RpcServer RpcServerStart RpcServerRegister RemoteCall RemoteFusedGraphExecute
    DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3 DataServiceDatasetV4 BigQueryReader
    GenerateBigQueryReaderPartitions
"""
_PYTHON = "PyFunc PyFuncStateless EagerPyFunc NumpyFunction PyCall"
_LOADERS = "LoadLibrary LoadLibraryV2 DatasetFromGraph ShellExecute ExecuteOp"
_FLEX = {
    **dict.fromkeys(_READERS.split(), _READS),
    **dict.fromkeys(_WRITERS.split(), _WRITES),
    **dict.fromkeys(_REMOTES.split(), "talks to other machines"),
    **dict.fromkeys(_PYTHON.split(), "calls Python code"),
    **dict.fromkeys(_LOADERS.split(), "loads or runs code that it is given"),
}
_FLEX_MILD = {
    **dict.fromkeys(["Save", "SaveV2", "SaveSlices"], _WRITES),
    **dict.fromkeys(["Restore", "RestoreV2", "RestoreSlice", "LoadAndRemapMatrix"], _READS),
    **dict.fromkeys(["InitializeTableFromTextFile", "InitializeTableFromTextFileV2"], _READS),
}
# Operators of libraries and runtimes that publish them: TensorFlow Lite's own, TensorFlow Text, MediaPipe, LiteRT and
# AI Edge, TensorFlow Lite Micro, and the compilers that replace whole graphs by one operator for their chip.
_PUBLISHED = """
    TFLite_Detection_PostProcess Mfcc AudioSpectrogram NumericVerify FlexDelegate MaxPoolingWithArgmax2D
    MaxUnpooling2D Convolution2DTransposeBias RFFT2D Rfft2d Irfft2d Irfft HashTable HashTableV2 HashTableFind
    HashTableLookup HashTableImport HashTableSize AnonymousHashTable LookupTableFind LookupTableImport LookupTableSize
    RandomUniform RandomStandardNormal RandomUniformInt Multinomial Conv3D Conv3DTranspose AvgPool3D MaxPool3D
    AveragePool3D Cumsum CumSum Roll Sign Gelu Hardswish Bucketize BroadcastTo Unsorted_Segment_Prod Dilate ReduceWindow
    ReadVariable AssignVariable VarHandle VariableHandle GatherNd Erf DynamicUpdateSlice StridedSlice Acos Atan2
    UnidirectionalSequenceGRU GRU LayerNormLstm Circular_Buffer CIRCULAR_BUFFER Predict ExtractFeatures Normalize
    SentencepieceTokenizeOp TFSentencepieceTokenizeOp TFSentencepieceDetokenizeOp NGrams RaggedNGrams
    RaggedTensorToTensor RaggedTensorToSparse RaggedRange Densify StringToHash SparseToDense
    Landmarks2TransformMatrix Landmarks2TransformMatrixV2 TransformLandmarks TransformTensor TransformTensorBilinear
    Resampler AlignPoints3d ConvexHull KmeansEmbeddingLookup UniversalSentenceEncoder DenseImageWarp
    MultiLevelDeformableAttention sdpa SDPA kv_cache KV_Cache DISPATCH_OP edgetpu-custom-op ethos-u NeutronGraph
    NeutronPlugin TIDL vx-delegate XNNPACK DRP-AI stm32 SeparableConv2DTransposeBias Seq2SeqBeamSearch LayerNorm
    InstanceNorm GroupNorm BatchMatMul BatchMatMulV2 Einsum MatrixDiag Complex ComplexAbs Real Imag Segment
"""
_CUSTOM = frozenset(_PUBLISHED.split())
_FAMILIES = ("Flex", "TFText>", "TFTEXT>", "tftext:", "tftext>", "Signal", "odml.", "aeq.", "stablehlo.", "ai_edge.")
_HELD = late(rb"\x7fELF|PK\x03\x04|\x80[\x02-\x05][\x95c(}\]\x8c]|MZ\x90\0|\xfd7zXZ\0|TFL3|GGUF|\x1f\x8b\x08")
_SCRIPT = late(rb"#! ?/(?:bin|usr)|<\?php|<script")
_CHILDREN = 64
_OPTIONS_BYTES = 1 << 16  # of one operator's options; a node's definition has some hundreds
_FLEX_OPERATORS = 10_000  # whose options are read
_MEMORY = 1 << 63


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset | Note]:
    """Hold the model against the file's size and against itself; weights are not read."""
    model = parse(blob)
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    names = tuple(tensor.name.decode("utf-8", "replace") for tensor in tensors[: limits.tensors_named])
    yield Asset("", "tflite", blob.size, names, len(tensors))
    if isinstance(model.stop, ParseError):
        yield Hit("tflite-malformed", model.stop.offset, {"what": model.stop.message})
        yield Note("broken", f"TensorFlow Lite model: {model.stop.message}", model.stop.offset)
    elif model.stop is not None:
        yield Note(model.stop.limit, f"TensorFlow Lite model: {model.stop}")
    yield from _operators(blob, model)
    yield from _indexes(model)
    yield from _recursion(model.subgraphs)
    yield from _shapes(model, tensors)
    yield from _buffers(blob, model)
    yield from _behind(blob, model)


# --- operators --------------------------------------------------------------------------------------------


def _operators(blob: Blob, model: Model) -> Iterator[Hit]:
    unknown = []
    for code in model.codes:
        name = code.custom.decode("utf-8", "backslashreplace")
        if name.startswith("Flex"):
            yield from _flex(name[4:], "", code.place)
        elif name and code.builtin == CUSTOM and name not in _CUSTOM and not name.startswith(_FAMILIES):
            unknown.append((name, code))
    if unknown:
        yield Hit("tflite-custom-operator", unknown[0][1].place, {"name": unknown[0][0], "count": len(unknown)})
    yield from _nodes(blob, model)


def _flex(name: str, how: str, place: int) -> Iterator[Hit]:
    if name in _FLEX:
        yield Hit("tflite-flex-operator", place, {"name": name, "how": how, "effect": _FLEX[name]})
    elif name in _FLEX_MILD:
        evidence: Evidence = {"name": name, "how": how, "effect": _FLEX_MILD[name]}
        yield Hit("tflite-flex-operator", place, evidence, Severity.WARNING)


def _nodes(blob: Blob, model: Model) -> Iterator[Hit]:
    """The delegate runs the operator that a node's options define, whatever the custom operator is called."""
    flex = {number: code for number, code in enumerate(model.codes) if _is_flex(code)}
    nodes = [node for graph in model.subgraphs for node in graph.operators if node.code in flex]
    nodes = [node for node in nodes[:_FLEX_OPERATORS] if node.options[1]]
    blob.require([(node.options[0], min(node.options[1], _OPTIONS_BYTES)) for node in nodes])
    told: set[str] = set()
    for node in nodes:
        options = read(blob, node.options[0], min(node.options[1], _OPTIONS_BYTES))
        for found in _DEFINED.finditer(options):
            name = found[1].decode()
            named = flex[node.code].custom.decode("utf-8", "backslashreplace")
            if found[0][1] == len(name) and named != f"Flex{name}" and name not in told:
                told.add(name)
                yield from _flex(name, f" under the name {named}", node.options[0] + found.start())


def _is_flex(code: Code) -> bool:
    return code.builtin == CUSTOM and code.custom.startswith(b"Flex")


# A NodeDef's second field, `op`: its tag, its length, the name.
_DEFINED = late(
    rb"\x12[\x04-\x30](" + b"|".join(name.encode() for name in sorted({*_FLEX, *_FLEX_MILD}, key=len)[::-1]) + rb")"
)


# --- numbers ----------------------------------------------------------------------------------------------


def _indexes(model: Model) -> Iterator[Hit]:
    if model.stop is not None:
        return  # what was not read cannot be counted
    wrong: list[tuple[str, int]] = []
    for name, buffer in model.metadata:
        if buffer >= len(model.buffers):
            wrong.append((f"Metadata {name.decode('utf-8', 'replace')!r} is in buffer {buffer}", 0))
    for number, graph in enumerate(model.subgraphs):
        count = len(graph.tensors)
        outer = [*graph.inputs, *graph.outputs]
        wrong += [
            (f"Subgraph {number} begins or ends with tensor {index} of {count}", graph.place)
            for index in outer
            if not 0 <= index < count
        ]
        for tensor in graph.tensors:
            if tensor.buffer >= len(model.buffers):
                what = f"Tensor {_name(tensor)} is in buffer {tensor.buffer} of {len(model.buffers)}"
                wrong.append((what, tensor.place))
        for node in graph.operators:
            if node.code >= len(model.codes):
                wrong.append((f"A node runs operator {node.code} of {len(model.codes)}", node.place))
            bad = [index for index in (*node.inputs, *node.outputs) if not -1 <= index < count]
            wrong += [(f"A node uses tensor {bad[0]} of {count}", node.place)] if bad else []
            lost = [call for call in node.calls if not 0 <= call < len(model.subgraphs)]
            wrong += [(f"A node runs subgraph {lost[0]} of {len(model.subgraphs)}", node.place)] if lost else []
    if wrong:
        yield Hit("tflite-index", wrong[0][1], {"what": wrong[0][0], "count": len(wrong)})


def _recursion(graphs: Sequence[Subgraph]) -> Iterator[Hit]:
    """Whether control flow leads from a graph back to it. Without recursion of our own: graphs may be many."""
    calls = [{call for node in graph.operators for call in node.calls if 0 <= call < len(graphs)} for graph in graphs]
    callers = [0] * len(graphs)
    for called in calls:
        for call in called:
            callers[call] += 1
    free = [number for number, count in enumerate(callers) if count == 0]
    left = set(range(len(graphs)))
    while free:
        number = free.pop()
        left.discard(number)
        for call in calls[number]:
            callers[call] -= 1
            if callers[call] == 0:
                free.append(call)
    looping = [number for number in sorted(left) if calls[number] & left]
    if looping:
        yield Hit("tflite-recursion", graphs[looping[0]].place, {"graph": looping[0]})


def _shapes(model: Model, tensors: Sequence[Tensor]) -> Iterator[Hit]:
    impossible: list[Tensor] = []
    short: list[tuple[Tensor, int, int]] = []
    for tensor in tensors:
        bits, count = TYPE_BITS.get(tensor.type), 1
        for size in tensor.shape:
            count *= size
            if size < -1 or abs(count) >= _MEMORY:
                break
        if any(size < -1 for size in tensor.shape) or abs(count) * (bits or 8) // 8 >= _MEMORY:
            impossible.append(tensor)
        elif bits is not None and tensor.buffer < len(model.buffers) and not tensor.sparse:
            length, needed = model.buffers[tensor.buffer].length, -(-count * bits // 8)
            if length and needed > length:
                short.append((tensor, needed, length))
    if impossible:
        first = impossible[0]
        evidence: Evidence = {"tensor": _name(first), "shape": _shape(first), "count": len(impossible)}
        yield Hit("tflite-shape", first.place, evidence)
    if short:
        first, needed, length = short[0]
        evidence = {
            "tensor": _name(first),
            "shape": _shape(first),
            "needed": needed,
            "length": length,
            "count": len(short),
        }
        yield Hit("tflite-size-mismatch", first.place, evidence)


def _name(tensor: Tensor) -> str:
    return tensor.name.decode("utf-8", "backslashreplace")


def _shape(tensor: Tensor) -> str:
    return " × ".join(str(size) for size in tensor.shape[:16])


# --- bytes ------------------------------------------------------------------------------------------------


def _buffers(blob: Blob, model: Model) -> Iterator[Hit | Child]:
    """Buffers that are not in the file, and those that begin like something that is no weights."""
    outside = [(number, buffer) for number, buffer in enumerate(model.buffers) if buffer.outside]
    if outside:
        number, buffer = outside[0]
        evidence: Evidence = {
            "buffer": number,
            "starts": str(buffer.start),
            "takes": str(buffer.length),
            "size": blob.size,
            "count": len(outside),
        }
        yield Hit("tflite-out-of-bounds", buffer.place, evidence)
    described = {buffer: name.decode("utf-8", "backslashreplace") for name, buffer in model.metadata}
    children = 0
    for number, buffer in enumerate(model.buffers):
        if _SCRIPT.match(buffer.head):
            excerpt = read(blob, buffer.start, min(buffer.length, 80)).decode("utf-8", "backslashreplace")
            yield Hit("tflite-script", buffer.start, {"buffer": number, "excerpt": excerpt})
        if _HELD.match(buffer.head) and children < _CHILDREN:
            children += 1
            name = f"metadata {described[number]}" if number in described else f"buffer {number}"
            yield Child(name, buffer.start, buffer.length)


def _behind(blob: Blob, model: Model) -> Iterator[Hit | Child]:
    """The archive of associated files that metadata tools append, or whatever else is there."""
    length = blob.size - model.end
    if length <= 0 or model.stop is not None:
        if model.stop is not None and ends.find(blob) is not None:
            yield Child("archive", 0, blob.size, format="zip")
        return
    end = ends.find(SliceBlob(blob, model.end, length))
    if end is not None:
        yield Child("associated files", model.end, length, format="zip")
        return
    rest = read(blob, model.end, min(length, 4096))
    zeros = len(rest) - len(rest.lstrip(b"\0"))
    if zeros == length:
        return
    if model.exact:
        yield Hit("tflite-trailing", model.end, {"length": length})
    yield Child("trailing bytes", model.end + zeros, length - zeros)
