"""Torch files as torch writes them, made without torch."""

from collections.abc import Callable, Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, call, calls, global_, literal, pickle, stack_global
from tests.samples.ordinary_pickles import keep
from tests.samples.sample import Sample
from tests.samples.torchparts import (
    FLOATS,
    legacy,
    legacy_tensor,
    parts,
    state_dict,
    storage,
    tar,
    tensor,
    torch_zip,
)
from tests.samples.zipwriter import Entry, Lies, archive


def made(module: str, name: str, state: bytes) -> Raw:
    """An object in protocol 2."""
    return Raw(global_(module, name) + asm.EMPTY_TUPLE + asm.NEWOBJ + state + asm.BUILD)


def ordered(*items: bytes) -> Raw:
    """An OrderedDict filled by SETITEMS; keys and values alternate."""
    return Raw(call(global_("collections", "OrderedDict")) + asm.MARK + b"".join(items) + asm.SETITEMS)


def parameter(key: str) -> Raw:
    """A torch parameter."""
    return Raw(
        call(
            global_("torch._utils", "_rebuild_parameter"),
            tensor(key),
            asm.NEWTRUE,
            call(global_("collections", "OrderedDict")),
        )
    )


def text(value: object) -> bytes:
    return literal(value, 2)


def linear() -> Raw:
    """torch.nn.Linear, pickled whole."""
    none = call(global_("collections", "OrderedDict"))
    state = asm.EMPTY_DICT + asm.MARK
    state += text("training") + asm.NEWTRUE
    state += text("_parameters") + ordered(text("weight"), parameter("0"), text("bias"), asm.NONE)
    for name in ("_buffers", "_modules", "_backward_hooks", "_forward_hooks", "_forward_pre_hooks"):
        state += text(name) + none
    state += text("_non_persistent_buffers_set") + call(global_("__builtin__", "set"), text([]))
    state += text("in_features") + text(2) + text("out_features") + text(2) + asm.SETITEMS
    return made("torch.nn.modules.linear", "Linear", state)


def whole_module() -> bytes:
    """A whole model: Sequential of Linear and ReLU."""
    relu = made("torch.nn.modules.activation", "ReLU", text({"training": True, "inplace": False}))
    modules = ordered(text("0"), linear(), text("1"), relu)
    state = asm.EMPTY_DICT + text("_modules") + modules + asm.SETITEM
    return torch_zip(pickle(made("torch.nn.modules.container", "Sequential", state), 2))


def checkpoint() -> bytes:
    """A training checkpoint: model, optimizer, scheduler, numbers."""
    optimizer = asm.EMPTY_DICT + asm.MARK
    optimizer += text("state") + asm.EMPTY_DICT + text(0) + asm.EMPTY_DICT + asm.MARK
    optimizer += text("step") + tensor("0") + text("exp_avg") + tensor("1") + asm.SETITEMS + asm.SETITEM
    optimizer += text("param_groups") + text([{"lr": 0.001, "betas": (0.9, 0.999), "params": [0], "fused": None}])
    optimizer += asm.SETITEMS
    body = asm.EMPTY_DICT + asm.MARK + text("model") + state_dict(layers=2) + text("optimizer") + optimizer
    body += text("epoch") + text(3) + text("best") + asm.binfloat(0.5)
    body += text("rng") + tensor("1") + text("size") + call(global_("torch", "Size"), text([2, 2]))
    body += text("device") + call(global_("torch", "device"), text("cuda"), text(0))
    body += text("dtype") + global_("torch", "float16")
    body += text("counter") + call(global_("collections", "Counter"), text({"a": 1})) + asm.SETITEMS
    return torch_zip(pickle(body, 2), layers=2)


def training_arguments() -> bytes:
    """training_args.bin, as the Hub is full of."""
    strategy = call(global_("transformers.trainer_utils", "IntervalStrategy"), text("epoch"))
    scheduler = call(global_("transformers.trainer_utils", "SchedulerType"), text("linear"))
    optimizer = call(global_("transformers.training_args", "OptimizerNames"), text("adamw_torch"))
    device = call(global_("torch", "device"), text("cuda"), text(0))
    distributed = call(global_("accelerate.utils.dataclasses", "DistributedType"), text("NO"))
    state = asm.EMPTY_DICT + asm.MARK
    state += text("output_dir") + text("./results") + text("learning_rate") + asm.binfloat(5e-05)
    state += text("evaluation_strategy") + strategy + text("lr_scheduler_type") + scheduler
    state += text("optim") + optimizer + text("_n_gpu") + text(1) + text("__cached__setup_devices") + device
    state += text("distributed_state") + made(
        "accelerate.state", "PartialState", asm.EMPTY_DICT + text("distributed_type") + distributed + asm.SETITEM
    )
    state += text("hub_token") + asm.NONE + asm.SETITEMS
    return torch_zip(pickle(made("transformers.training_args", "TrainingArguments", state), 2), "training_args")


def nested_storage() -> bytes:
    """A tensor in a plain pickle: torch.storage._load_from_bytes over a legacy torch file."""
    kept = calls("torch.storage", "_load_from_bytes", legacy(storage_legacy(), keys=("0",)))
    return pickle(
        call(
            stack_global("torch._utils", "_rebuild_tensor_v2"),
            kept,
            literal(0),
            literal((2, 2)),
            literal((2, 1)),
            asm.NEWFALSE,
            call(stack_global("collections", "OrderedDict")),
        )
    )


def storage_legacy() -> bytes:
    """A storage alone, with the legacy format's sixth field."""
    return bytes(storage("0")).replace(asm.TUPLE + asm.BINPERSID, asm.NONE + asm.TUPLE + asm.BINPERSID)


def scripted() -> bytes:
    """An ordinary TorchScript model."""
    code = b"class Net(Module):\n  def forward(self, x: Tensor) -> Tensor:\n    return torch.relu(torch.add(x, 1))\n"
    return archive(
        [
            Entry("net/data.pkl", pickle(call(global_("__torch__", "Net")) + literal({}, 2) + asm.BUILD, 2)),
            Entry("net/code/__torch__.py", code, method=8),
            Entry("net/code/__torch__.py.debug_pkl", pickle(asm.EMPTY_TUPLE, 2), method=8),
            Entry("net/constants.pkl", pickle(asm.EMPTY_TUPLE, 2)),
            Entry("net/version", b"3\n"),
        ]
    )


def padded() -> bytes:
    """Storages aligned to 64 bytes by an extra field of padding, as torch writes them."""
    entries = parts(pickle(state_dict(), 2))
    padding = b"FB" + (40).to_bytes(2, "little") + b"Z" * 40
    return archive([Entry(e.name, e.data, local=Lies(extra=padding)) for e in entries])


def with_descriptors() -> bytes:
    """Data descriptors after each member, as torch's writer leaves them."""
    return archive([Entry(e.name, e.data, descriptor=True) for e in parts(pickle(state_dict(), 2))])


TABLE: tuple[tuple[str, str, Callable[[], bytes], str], ...] = (
    ("state-dict", "pytorch_model.bin", lambda: torch_zip(pickle(state_dict(), 2)), "A state dict."),
    ("state-dict-300", "model.pt", lambda: torch_zip(pickle(state_dict(layers=300), 2), layers=300), "300 tensors."),
    ("ordered-state-dict", "model.pth", lambda: torch_zip(pickle(ordered(text("w"), tensor("0")), 2)), "Ordered."),
    ("parameter", "p.pt", lambda: torch_zip(pickle(parameter("0"), 2)), "One parameter."),
    ("whole-module", "model.pt", whole_module, "A whole torch.nn model."),
    ("checkpoint", "checkpoint.ckpt", checkpoint, "A training checkpoint."),
    ("training-arguments", "training_args.bin", training_arguments, "transformers' training_args.bin."),
    ("no-extension", "weights", lambda: torch_zip(pickle(state_dict(), 2)), "A torch zip without extension."),
    ("other-root", "model.pt", lambda: torch_zip(pickle(state_dict(), 2), "my_model-v2"), "Another root."),
    ("padded", "model.pt", padded, "Aligned storages."),
    ("descriptors", "model.pt", with_descriptors, "Data descriptors."),
    ("zip64", "model.pt", lambda: archive(parts(pickle(state_dict(), 2)), zip64=True), "zip64 records."),
    ("torchscript", "net.pt", scripted, "A TorchScript model."),
    ("legacy", "model.pt", lambda: legacy(literal({}, 2)), "The format before zip, empty."),
    (
        "legacy-tensor",
        "model.pth",
        lambda: legacy(asm.EMPTY_DICT + text("w") + legacy_tensor() + asm.SETITEM, keys=("0",)),
        "The format before zip, one tensor.",
    ),
    ("nested-storage", "tensor.pkl", nested_storage, "A tensor in a plain pickle."),
    ("floats", "rank0.bin", lambda: torch_zip(pickle(text([0.5] * 1000), 2)), "A list of numbers."),
)


def ordinary() -> Iterator[Sample]:
    """All of this family."""
    for name, filename, build, why in TABLE:
        yield keep(f"torch-{name}", filename, build, why)
    plain = pickle(literal(0, 2), 2) + pickle(asm.EMPTY_LIST, 2)
    members = {"sys_info": pickle(literal({}, 2), 2), "pickle": pickle(literal({}, 2), 2), "storages": plain}
    yield keep(
        "torch-tar",
        "model.tar",
        lambda: tar({**members, "tensors": pickle(literal(0, 2), 2)}),
        "The oldest torch format, a tar.",
        status="",
    )
    yield keep(
        "raw-floats", "tensor.bin", lambda: FLOATS * 4096, "Bare floats in a .bin.", status="skipped:unsupported"
    )
