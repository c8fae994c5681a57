"""Networks, optimizers, metrics and training states as people save them. Nothing here is hostile."""

import importlib
import pathlib
from collections.abc import Iterator
from typing import Any

from model_zoo.trying import made, members, tried


def torch() -> Iterator[Any]:
    import torch as t

    for kind in (value for value in vars(t).values() if isinstance(value, t.dtype)):
        yield kind
        yield from made(t.zeros, 2, dtype=kind)
    yield from (
        t.nn.Parameter(t.ones(2)),
        t.Size([1]),
        t.device("cpu"),
        t.strided,
        t.contiguous_format,
        t.per_tensor_affine,
    )
    yield from (
        t.ones(2, 2).to_sparse(),
        t.ones(2, 2).to_sparse_csr(),
        t.quantize_per_tensor(t.ones(2), 1.0, 0, t.quint8),
    )
    yield from (
        t.quantize_per_channel(t.ones(2, 2), t.ones(2), t.zeros(2), 0, t.qint8),
        t.Generator(),
        t.ones(2, device="meta"),
    )
    yield from made(t.nested.nested_tensor, [t.ones(1), t.ones(2)])
    yield from made(t.nested.nested_tensor, [t.ones(1), t.ones(2)], layout=t.jagged)
    attempts: tuple[tuple[Any, ...], ...] = ((), (4,), (4, 4), (4, 4, 2), ([4],), (2, 4), (t.nn.ReLU(),), ([4], [4]))
    for kind in members("torch.nn", t.nn.Module):
        for arguments in attempts:
            thing = next(made(kind, *arguments), None)
            if thing is not None:
                yield thing
                break
    layer = t.nn.TransformerEncoderLayer(8, 2, 8)
    yield from (t.nn.TransformerEncoder(layer, 2), t.nn.Sequential(t.nn.Conv2d(1, 1, 1), t.nn.BatchNorm2d(1)).half())
    yield from (t.nn.utils.weight_norm(t.nn.Linear(2, 2)), t.nn.utils.parametrizations.weight_norm(t.nn.Linear(2, 2)))
    yield from (
        t.nn.utils.spectral_norm(t.nn.Linear(2, 2)),
        t.nn.utils.parametrizations.spectral_norm(t.nn.Linear(2, 2)),
    )
    yield from torch_training(t)
    for kind in members("torch.distributions", t.distributions.Distribution):
        for arguments in ((), (t.tensor(0.5),), (t.tensor(0.5), t.tensor(1.0)), (t.ones(2), t.eye(2))):
            yield from made(kind, *arguments)
    yield from (t.utils.data.TensorDataset(t.ones(2)), t.utils.data.DataLoader(t.utils.data.TensorDataset(t.ones(2))))
    yield from (
        t.nn.functional.relu,
        t.nn.functional.gelu,
        t.relu,
        t.sigmoid,
        t.tanh,
        t.nn.functional.cross_entropy,
        t.add,
    )
    for kind in members("torch.ao.quantization", t.nn.Module):
        yield from made(kind)


def torch_training(t: Any) -> Iterator[Any]:
    """Optimizers after a step and their schedules."""
    for kind in members("torch.optim", t.optim.Optimizer):
        weight = t.nn.Parameter(t.ones(2, 2))
        for optimizer in made(kind, [weight]):
            weight.grad = t.ones(2, 2)
            with tried():
                optimizer.step(lambda: t.tensor(1.0))
            yield from (optimizer, optimizer.state_dict())
    optimizer = t.optim.SGD([t.nn.Parameter(t.ones(2))], 0.1)
    for kind in members("torch.optim.lr_scheduler"):
        for arguments in ((), (2,), ([1, 2],), (0.5,), (0.1, 10)):
            yield from made(kind, optimizer, *arguments)
    yield t.optim.swa_utils.AveragedModel(t.nn.Linear(2, 2))
    yield from made(t.amp.GradScaler)


def vision() -> Iterator[Any]:
    import torch as t

    models = importlib.import_module("torchvision.models")
    with t.device("meta"):  # the classes matter, not the weights
        for name in models.list_models():
            whole = next(made(models.get_model, name, weights=None, weights_backbone=None), None)
            yield from made(models.get_model, name, weights=None) if whole is None else (whole,)
        timm = importlib.import_module("timm")
        names = "resnet18 vit_tiny_patch16_224 efficientnet_b0 convnext_atto swin_tiny_patch4_window7_224 densenet121"
        names += " mobilenetv3_small_050 regnetx_002 deit_tiny_patch16_224 mixer_s32_224 levit_128s maxvit_tiny_rw_224"
        names += (
            " eva02_tiny_patch14_224 nfnet_f0 xception41 inception_v3 hrnet_w18 mobilenetv4_conv_small ghostnet_050"
        )
        for name in names.split():
            yield from made(timm.create_model, name)
    for module in ("torchvision.transforms", "torchvision.transforms.v2", "torchvision.ops"):
        for kind in members(module):
            for arguments in ((), (4,), ([0.5], [0.5])):
                yield from made(kind, *arguments)
    ultralytics = importlib.import_module("ultralytics.nn.tasks")
    tasks = {"DetectionModel": "yolov8n yolov5n yolo11n yolov9t yolov10n yolo12n", "SegmentationModel": "yolov8n-seg"}
    tasks |= {"PoseModel": "yolov8n-pose", "ClassificationModel": "yolov8n-cls", "OBBModel": "yolov8n-obb"}
    for kind, configs in tasks.items():
        for config in configs.split():
            yield from made(getattr(ultralytics, kind), f"{config}.yaml", verbose=False)
    yield from made(importlib.import_module("ultralytics.utils").IterableSimpleNamespace, a=1)


def transformers() -> Iterator[Any]:
    import torch as t
    import transformers as hf

    yield hf.TrainingArguments("out", report_to=[], use_cpu=True)
    yield from made(hf.Seq2SeqTrainingArguments, "out", report_to=[], use_cpu=True)
    yield from (
        hf.TrainerState(),
        hf.TrainerControl(),
        hf.GenerationConfig(),
        hf.BatchEncoding({"a": [1]}),
        hf.EvalPrediction([1], [1]),
    )
    small = {
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
        "vocab_size": 20,
    }
    names = "Bert Roberta DistilBert GPT2 Llama Mistral T5 Qwen2 Gemma Phi ViT Bart Electra Albert Deberta Whisper CLIP"
    for name in names.split():
        for config in made(getattr(hf, f"{name}Config"), **small):
            yield config
            for suffix in ("Model", "ForSequenceClassification", "ForCausalLM", "LMHeadModel"):
                with t.device("meta"):
                    yield from made(getattr(hf, f"{name}{suffix}", list), config)
    peft = importlib.import_module("peft")
    yield from (peft.LoraConfig(), peft.PromptTuningConfig(), peft.LoraConfig(task_type="CAUSAL_LM"))
    tokenizers = importlib.import_module("tokenizers")
    fast = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
    yield from (fast, hf.PreTrainedTokenizerFast(tokenizer_object=fast), hf.AddedToken("x"))


def training() -> Iterator[Any]:
    import torch as t

    lightning = importlib.import_module("pytorch_lightning")
    callbacks = importlib.import_module("pytorch_lightning.callbacks")
    yield from (callbacks.ModelCheckpoint(), callbacks.EarlyStopping("x"), lightning.LightningModule())
    AttributeDict = importlib.import_module("pytorch_lightning.utilities.parsing").AttributeDict
    yield from (
        AttributeDict(a=1),
        {"hyper_parameters": AttributeDict(a=pathlib.Path("x")), "state_dict": {"a": t.ones(1)}},
    )
    omegaconf = importlib.import_module("omegaconf")
    yield omegaconf.OmegaConf.create({"a": [1, {"b": None}], "c": "${a}", "d": 1.5, "e": True, "f": b"x"})
    metrics = importlib.import_module("torchmetrics")
    for kind in members("torchmetrics"):
        for arguments in ((), ("binary",), ("multiclass",)):
            yield from made(kind, *arguments)
    yield metrics.MetricCollection([metrics.MeanMetric()])
    geometric = importlib.import_module("torch_geometric")
    yield geometric.data.Data(x=t.ones(2, 2), edge_index=t.zeros(2, 1, dtype=t.long))
    for kind in members("torch_geometric.nn"):
        yield from made(kind, 4, 4)


def keras() -> Iterator[Any]:
    import os

    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras as k

    model = k.Sequential([k.layers.Input((2,)), k.layers.Dense(2, activation="relu")])
    model.compile("adam", "mse")
    yield from (model, k.layers.Dense(2), k.optimizers.Adam())
