"""A small folder of models for a first look: benign ones under ordinary names, and harmless attacks.

Needs the standard library only. The attacks name `os.system` with an `echo`; scan them, do not load them.
"""

import base64
import json
import struct
from collections.abc import Callable
from pathlib import Path

from tests.samples import assembler as asm
from tests.samples import gguffiles
from tests.samples.assembler import calls, literal, pickle, short_unicode
from tests.samples.compressed import aligned_pickle, floats, gz, zlib_stream
from tests.samples.numpyfiles import npy
from tests.samples.ordinary_files import README, many
from tests.samples.ordinary_science import pandas_frame, sklearn_forest, sklearn_model
from tests.samples.ordinary_torch import checkpoint, training_arguments
from tests.samples.sample import HARM
from tests.samples.torchparts import hostile_zip, legacy, legacy_tensor, parts, state_dict, torch_zip
from tests.samples.zipwriter import Entry, Lies, archive

WEIGHTS = struct.pack("<768f", *(0.001 * index for index in range(768)))
VOCABULARY = {
    word: index for index, word in enumerate(["the", "a", "model", "weight", "tensor", "layer", "token", "attention"])
}


# How models of the ChatML family write a conversation.
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ESCAPE = "{{ cycler.__init__.__globals__.os.popen('echo modelaudit-sample').read() }}"


def tokenizer(template: str) -> bytes:
    """A tokenizer's configuration with a chat template."""
    return json.dumps({"tokenizer_class": "LlamaTokenizer", "chat_template": template}, indent=2).encode()


def gguf(template: str) -> bytes:
    """A GGUF file of one tensor with a chat template."""
    return gguffiles.model(("tokenizer.chat_template", gguffiles.STR, template))


def keras(initializer: dict[str, object]) -> bytes:
    """A Keras archive of one layer."""
    dense = {"name": "dense", "units": 2, "kernel_initializer": initializer}
    layer = {"module": "keras.layers", "class_name": "Dense", "config": dense, "registered_name": None}
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "tiny", "layers": [layer]}}
    about = json.dumps({"keras_version": "3.12.0", "date_saved": "2026-01-01@00:00:00"}).encode()
    return archive([Entry("metadata.json", about), Entry("config.json", json.dumps(config).encode())])


def memo_game() -> bytes:
    """The names come out of the memo, after harmless ones."""
    return pickle(
        short_unicode("torch._utils")
        + asm.binput(0)
        + asm.POP
        + short_unicode(HARM.module)
        + asm.binput(0)
        + asm.POP
        + short_unicode(HARM.name)
        + asm.binput(1)
        + asm.POP
        + asm.call(asm.binget(0) + asm.binget(1) + asm.STACK_GLOBAL, HARM.text())
    )


def wrong_crc() -> bytes:
    """A torch zip whose CRC is wrong, which PyTorch does not mind."""
    first, *others = parts(pickle(state_dict(literal("x", 2), HARM.call(2)), 2))
    wrong = Lies(crc=1)
    return archive([Entry(first.name, first.data, local=wrong, central=wrong), *others])


BENIGN: dict[str, Callable[[], bytes]] = {
    "resnet-weights.pt": lambda: torch_zip(pickle(state_dict(layers=60), 2), layers=60),
    "whisper-checkpoint.ckpt": checkpoint,
    "alexnet-2018.pth": lambda: legacy(asm.EMPTY_DICT + literal("w", 2) + legacy_tensor() + asm.SETITEM, keys=("0",)),
    "training_args.bin": training_arguments,
    "sentiment-pipeline.pkl": sklearn_model,
    "churn-forest.joblib": lambda: zlib_stream(sklearn_forest()),
    "tfidf-vectorizer.joblib": lambda: aligned_pickle(asm.MARK, floats(512), 512, literal(VOCABULARY) + asm.TUPLE),
    "customers.pkl": pandas_frame,
    "vocabulary.pkl.gz": lambda: gz(pickle(literal(VOCABULARY))),
    "embeddings.npy": lambda: npy("'<f4'", WEIGHTS, "(768,)"),
    "embeddings.npz": lambda: archive([Entry("words.npy", npy("'<f4'", WEIGHTS, "(768,)"), 8)]),
    "llm-shard-00001.safetensors": lambda: many(400, {"format": "pt"}),
    "release.zip": lambda: archive([Entry("README.md", README, 8), Entry("model.safetensors", many(4))]),
    "tiny-llama.gguf": lambda: gguf(CHAT),
    "tokenizer_config.json": lambda: tokenizer(CHAT),
    "mnist.keras": lambda: keras({"module": "keras.initializers", "class_name": "GlorotUniform", "config": {}}),
    "modeling_tiny.py": lambda: b"import math\n\n\ndef gelu(x):\n    return 0.5 * x * (1 + math.erf(x / 2**0.5))\n",
    "config.json": lambda: json.dumps({"model_type": "bert", "hidden_size": 768}, indent=2).encode(),
}

ATTACKS: dict[str, Callable[[], bytes]] = {
    "os-system.pkl": HARM.pickle,
    "text-pickle.bin": lambda: HARM.pickle(0),
    "no-extension": lambda: HARM.pickle(2),
    "memo-game.pkl": memo_game,
    "getattr-ladder.pkl": lambda: asm.applied(calls("builtins", "getattr", HARM.held(), HARM.name), HARM.argument),
    "resolve-name.pkl": lambda: asm.applied(calls("pkgutil", "resolve_name", "os:system"), HARM.argument),
    "base64-inside.pkl": lambda: pickle(literal({"blob": base64.b64encode(HARM.pickle()).decode()})),
    "breaks-after-the-attack.pt": lambda: torch_zip(pickle(HARM.call(2) + asm.POP + state_dict(), 2)[:-9] + b"\xff"),
    "wrong-crc.pt": wrong_crc,
    "hidden-in-zip.pt": lambda: archive([*parts(pickle(state_dict(), 2)), Entry("archive/notes.txt", HARM.pickle())]),
    "compressed.joblib": lambda: zlib_stream(HARM.pickle()),
    "object-array.npy": lambda: npy("'|O'", HARM.pickle()),
    "chat-template.gguf": lambda: gguf(ESCAPE),
    "tokenizer_config.json": lambda: tokenizer(ESCAPE),
    "training.yaml": lambda: b"callbacks: !!python/object/apply:os.system ['echo modelaudit-sample']\n",
    "initializer.keras": lambda: keras({"module": "builtins", "class_name": "exec", "config": "echo"}),
    "modeling_evil.py": lambda: b"import os\n\nos.system('echo modelaudit-sample')\n",
    "model-in-release.zip": lambda: archive([Entry("weights/model.pt", hostile_zip(HARM), 8)]),
}


def write(folder: Path) -> str:
    """Write the folder; gives one line about what was made. Raises `OSError` where it cannot be written."""
    (folder / "attacks").mkdir(parents=True, exist_ok=True)
    size = 0
    for name, build in BENIGN.items():
        size += (folder / name).write_bytes(build())
    for name, build in ATTACKS.items():
        size += (folder / "attacks" / name).write_bytes(build())
    return f"Wrote {len(BENIGN)} benign files and {len(ATTACKS)} harmless attacks ({size:,} bytes) to {folder}"
