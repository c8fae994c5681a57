"""PyTorch and JAX: weights, checkpoints, whole modules and programs, as people save them."""

import importlib
import pickle
from pathlib import Path
from typing import Any


def _networks() -> dict[str, Any]:
    """Small networks whose parts have the names and nesting that tutorials give them."""
    from torch import nn

    class Residual(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
            self.branches = nn.ModuleDict(
                {"left-1": nn.Conv2d(width, width, 1), "right.0".replace(".", "_"): nn.Identity()}
            )

        def forward(self, x):  # type: ignore[no-untyped-def]
            return x + self.body(x) + self.branches["left-1"](x)

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(50, 16)
            self.layers = nn.ModuleList([nn.TransformerEncoderLayer(16, 2, 32, batch_first=True) for _ in range(2)])
            self.head = nn.Linear(16, 50)
            self.register_buffer("steps", __import__("torch").arange(10))

        def forward(self, x):  # type: ignore[no-untyped-def]
            x = self.embed(x)
            for layer in self.layers:
                x = layer(x)
            return self.head(x)

    return {
        "classifier": nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), Residual(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)
        ),
        "attention": Attention(),
        "recurrent": nn.LSTM(6, 12, 2, bidirectional=True, batch_first=True),
        "plain": nn.Sequential(
            nn.Linear(4, 16), nn.GELU(), nn.Dropout(0.1), nn.Sequential(nn.Linear(16, 2), nn.Softmax(-1))
        ),
    }


def _example(name: str) -> Any:
    import torch as t

    shapes = {"classifier": (1, 3, 16, 16), "recurrent": (1, 7, 6), "plain": (1, 4)}
    return t.zeros(1, 9, dtype=t.long) if name == "attention" else t.zeros(*shapes[name])


def torch_files(folder: Path) -> None:
    """State dicts, checkpoints of training, whole modules, old and new containers."""
    import torch as t
    from safetensors.torch import save_file

    for name, net in _networks().items():
        t.save(net.state_dict(), folder / f"{name}.pth")
        t.save(net.state_dict(), folder / f"{name}.legacy.pt", _use_new_zipfile_serialization=False)
        optimizer = t.optim.AdamW(net.parameters(), 1e-3)
        schedule = t.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=10)
        for parameter in net.parameters():
            parameter.grad = t.ones_like(parameter)
        optimizer.step()
        schedule.step()
        state = {
            "epoch": 3,
            "model": net.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": schedule.state_dict(),
        }
        state |= {"rng": t.get_rng_state(), "args": {"lr": 1e-3, "path": str(folder.name)}, "best": t.tensor(0.5)}
        t.save(state, folder / f"{name}.ckpt")
        save_file(
            {key: value.contiguous() for key, value in net.state_dict().items()},
            folder / f"{name}.safetensors",
            {"format": "pt"},
        )
        if name in {"recurrent", "plain"}:
            t.save(net, folder / f"{name}.module.pt")
    halves = {
        str(kind).partition(".")[2]: t.zeros(3, dtype=kind) for kind in (t.bfloat16, t.float16, t.int8, t.complex64)
    }
    t.save(halves | {"float8": t.zeros(2).to(t.float8_e4m3fn), "sparse": t.eye(3).to_sparse()}, folder / "kinds.bin")
    t.save([t.zeros(2, 3), {"boxes": t.ones(4, 4)}], folder / "batch.pt")
    quantized = t.ao.quantization.quantize_dynamic(_networks()["plain"], {t.nn.Linear})
    t.save(quantized.state_dict(), folder / "quantized.pth")
    (folder / "tensor.pkl").write_bytes(pickle.dumps({"mean": t.zeros(3), "config": {"a": 1}}))
    dcp = importlib.import_module("torch.distributed.checkpoint")
    dcp.save({"model": _networks()["plain"].state_dict()}, checkpoint_id=folder / "distributed")


def torch_programs(folder: Path) -> None:
    """TorchScript, scripted, traced, frozen and for phones, and exported programs."""
    import torch as t

    for name, net in _networks().items():
        net.eval()
        example = _example(name)
        traced = t.jit.trace(net, example, check_trace=False)
        t.jit.save(traced, folder / f"{name}.traced.pt")
        t.jit.save(t.jit.freeze(traced), folder / f"{name}.frozen.pt")
        traced._save_for_lite_interpreter(str(folder / f"{name}.ptl"))
        t.jit.save(t.jit.script(net), folder / f"{name}.scripted.pt")
    for name, net in _networks().items():
        t.export.save(t.export.export(net.eval(), (_example(name),)), folder / f"{name}.pt2")


def torch_zoo(folder: Path) -> None:
    """Architectures of torchvision and timm, weights at random: names and nesting of real networks."""
    import torch as t

    torchvision = importlib.import_module("torchvision.models")
    for name in ("mobilenet_v3_small", "squeezenet1_1", "shufflenet_v2_x0_5"):
        net = torchvision.get_model(name, weights=None).eval()
        t.save(net.state_dict(), folder / f"{name}.pth")
        t.jit.save(t.jit.script(net), folder / f"{name}.scripted.pt")
        t.save(net, folder / f"{name}.module.pth")
    timm = importlib.import_module("timm")
    safetensors = importlib.import_module("safetensors.torch")
    for name in (
        "tinynet_e",
        "mobilenetv4_conv_small_035",
        "efficientvit_m0",
        "edgenext_xx_small",
        "vit_tiny_patch16_224",
    ):
        net = timm.create_model(name, pretrained=False).eval()
        safetensors.save_model(net, str(folder / f"{name}.safetensors"))
        t.jit.save(t.jit.trace(net, t.zeros(1, 3, 224, 224), check_trace=False), folder / f"{name}.traced.pt")


def lightning(folder: Path) -> None:
    """A checkpoint of pytorch_lightning with its callbacks, loops and hyperparameters."""
    import torch as t

    pl = importlib.import_module("pytorch_lightning")
    callbacks = importlib.import_module("pytorch_lightning.callbacks")

    class Net(pl.LightningModule):  # type: ignore[name-defined,misc]
        def __init__(self, width: int = 4, rate: float = 0.1) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layer = t.nn.Linear(width, 1)

        def training_step(self, batch: Any, index: int) -> Any:
            loss = self.layer(batch[0]).mean()
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            return t.optim.Adam(self.parameters(), self.hparams.rate)

    data = t.utils.data.DataLoader(t.utils.data.TensorDataset(t.zeros(8, 4)), batch_size=4)
    saved = callbacks.ModelCheckpoint(folder, monitor="loss")
    logger = importlib.import_module("pytorch_lightning.loggers").CSVLogger(folder)
    trainer = pl.Trainer(
        max_epochs=2, callbacks=[saved, callbacks.EarlyStopping("loss")], logger=logger, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu",
    )  # fmt: skip
    trainer.fit(Net(), data)
    trainer.save_checkpoint(folder / "whole.ckpt")
    trainer.save_checkpoint(folder / "weights.ckpt", weights_only=True)


def jax_files(folder: Path) -> None:
    """Flax in msgpack, checkpoints of Orbax, pickled trees of parameters."""
    import jax
    import numpy as np

    linen = importlib.import_module("flax.linen")
    serialization = importlib.import_module("flax.serialization")
    net = linen.Sequential([linen.Dense(8), linen.relu, linen.LayerNorm(), linen.Dense(2)])
    variables = net.init(jax.random.PRNGKey(0), np.zeros((1, 4), "f4"))
    (folder / "flax_model.msgpack").write_bytes(serialization.to_bytes(variables))
    state = {"params": variables["params"], "step": 5, "rng": np.array([0, 1], "u4"), "names": ["a", "b"]}
    (folder / "state.msgpack").write_bytes(serialization.msgpack_serialize(serialization.to_state_dict(state)))
    (folder / "params.pkl").write_bytes(pickle.dumps(jax.tree.map(np.asarray, variables)))
    (folder / "device.pkl").write_bytes(pickle.dumps(variables))
    orbax = importlib.import_module("orbax.checkpoint")
    for name, zarr3 in (("orbax", False), ("orbax-zarr3", True)):
        handler = orbax.PyTreeCheckpointHandler(use_zarr3=zarr3)
        orbax.Checkpointer(handler).save((folder / name).absolute(), variables)
    plain = orbax.PyTreeCheckpointHandler(use_ocdbt=False)
    orbax.Checkpointer(plain).save((folder / "orbax-files").absolute(), variables)
    manager = orbax.CheckpointManager((folder / "manager").absolute())
    manager.save(
        1, args=orbax.args.Composite(state=orbax.args.StandardSave(variables), meta=orbax.args.JsonSave({"a": 1}))
    )
    manager.wait_until_finished()
