"""Keras models that attack (B054 to B062), in each of the three forms that a model comes in; and ordinary ones.

None is loaded to prove it: Keras is not among the test dependencies.
"""

import base64
from collections.abc import Iterator

from tests.samples import hdf5files, kerasfiles
from tests.samples.kerasconfigs import (
    HARMLESS,
    SHELL,
    Tree,
    dense,
    dumped,
    function,
    lambda_new,
    lambda_old,
    layer,
    model,
    old_style,
)
from tests.samples.sample import UNPROVEN, Payload, Sample

_WHY = f"{UNPROVEN}Keras is not among the test dependencies."
_HELD = {"class_name": "__lambda__", "config": {"value": lambda_old(SHELL)["config"]["function"][0]}}  # type: ignore[index]

TREES: tuple[tuple[str, str, str, Tree, str], ...] = (
    ("B054", "lambda", "critical", model(lambda_new(SHELL)), "A Lambda of Keras 3 starts a program."),
    ("B054", "lambda-old", "critical", old_style(lambda_old(SHELL)), "A Lambda of tf.keras starts a program."),
    (
        "B054",
        "lambda-exec",
        "critical",
        model(lambda_new("lambda x: exec('import os\\nos.system(1)') or x")),
        "A Lambda runs a text.",
    ),
    (
        "B055",
        "nested",
        "critical",
        model(layer("TimeDistributed", layer=layer("Bidirectional", layer=lambda_new(SHELL)))),
        "The Lambda lies inside wrappers.",
    ),
    ("B055", "nested-model", "critical", model(model(model(lambda_new(SHELL)))), "The Lambda lies in an inner model."),
    (
        "B056",
        "loss",
        "critical",
        model(compile_config={"loss": _HELD, "optimizer": "adam"}),
        "The loss is a lambda.",
    ),
    (
        "B056",
        "schedule",
        "critical",
        model(compile_config={"optimizer": layer("Adam", "keras.optimizers", learning_rate=_HELD)}),
        "The learning rate is a lambda.",
    ),
    ("B056", "vectorized-map", "critical", model(layer("VectorizedMap", function=_HELD)), "An operator has a lambda."),
    ("B056", "jax-layer", "critical", model(layer("JaxLayer", call_fn=_HELD)), "JaxLayer has a lambda."),
    ("B057", "module", "critical", model(layer("system", "os", command="echo")), "A layer of the module os."),
    ("B057", "subprocess", "critical", model(layer("run", "subprocess", args=["echo"])), "A layer of subprocess."),
    (
        "B057",
        "initializer",
        "critical",
        model(dense(kernel_initializer=function("exec"))),
        "exec is the initializer of a kernel.",
    ),
    ("B057", "registered", "critical", model(layer("Dense", registered="os.system")), "The registered name is os's."),
    (
        "B058",
        "get-file",
        "critical",
        model(layer("get_file", "keras.utils", origin="http://127.0.0.1/x", extract=True)),
        "keras.utils.get_file downloads and unpacks.",
    ),
    (
        "B058",
        "unsafe-switch",
        "critical",
        model(dense(activation=function("enable_unsafe_deserialization", "keras.config"))),
        "The safe mode is switched off from within.",
    ),
    (
        "B059",
        "vocabulary",
        "warning",
        model(layer("StringLookup", vocabulary="/etc/hostname")),
        "A path as vocabulary.",
    ),
    (
        "B059",
        "vocabulary-url",
        "warning",
        model(layer("IntegerLookup", vocabulary="http://127.0.0.1/x")),
        "An address as vocabulary.",
    ),
    (
        "B060",
        "torch-module",
        "critical",
        model(layer("TorchModuleWrapper", module=base64.b64encode(b"\x80\x02cposix\nsystem\n.").decode())),
        "A pickled PyTorch module.",
    ),
    ("B060", "tfsm-layer", "warning", model(layer("TFSMLayer", filepath="//127.0.0.1/x")), "Another SavedModel."),
)
_FORMS = {
    "keras": ("model.keras", kerasfiles.keras),
    "h5": ("model.h5", hdf5files.keras),
    "h5-latest": ("model.hdf5", lambda tree: hdf5files.keras(tree, libver="latest")),
    "json": ("model.json", dumped),
}


def _attribute(payload: Payload) -> bytes:
    import numpy as np

    return hdf5files.attributes({"FILTERS": np.bytes_(payload.pickle(0))})


def _user_block(payload: Payload) -> bytes:
    data = payload.pickle()
    return data + hdf5files.keras(userblock_size=512)[len(data) :]


def _escaped() -> bytes:
    return dumped(TREES[0][3]).replace(b"Lambda", b"\\u004cambda").replace(b"class_name", b"\\u0063lass_name")


FILES = (
    (
        "B032",
        "attribute",
        "critical",
        "data.h5",
        _attribute,
        "A pickle in an attribute.",
    ),
    (
        "B039",
        "user-block",
        "critical",
        "model.h5",
        _user_block,
        "A pickle in the user block.",
    ),
    ("B061", "link", "warning", "weights.h5", lambda _: hdf5files.external_link(), "An external link."),
    (
        "B061",
        "storage",
        "warning",
        "weights.h5",
        lambda _: hdf5files.external_storage("/etc/hostname"),
        "External storage.",
    ),
    ("B061", "virtual", "warning", "weights.h5", lambda _: hdf5files.virtual("/x.h5"), "A virtual dataset."),
    (
        "B061",
        "keras",
        "warning",
        "model.keras",
        lambda _: kerasfiles.keras(weights=hdf5files.external_link("x.h5")),
        "An external link in a Keras archive.",
    ),
    (
        "B062",
        "escapes",
        "critical",
        "model.keras",
        lambda _: kerasfiles.keras(_escaped()),
        "Names written with escapes.",
    ),
    (
        "B062",
        "utf-16",
        "critical",
        "model.keras",
        lambda _: kerasfiles.keras(dumped(TREES[0][3]).decode().encode("utf-16")),
        "The configuration in UTF-16.",
    ),
    (
        "B062",
        "second-config",
        "critical",
        "model.keras",
        lambda _: kerasfiles.keras(more=[("./config.json", dumped(TREES[0][3]))]),
        "Two configurations.",
    ),
    (
        "B062",
        "user-block",
        "critical",
        "model.h5",
        lambda _: hdf5files.keras(TREES[0][3], userblock_size=4096),
        "A user block before the file.",
    ),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    for bypass, name, expect, tree, why in TREES:
        for form, (file, build) in _FORMS.items():
            yield Sample(
                f"{bypass}-keras-{name}-{form}", bypass, file, lambda _, b=build, t=tree: b(t), why + _WHY, expect, ""
            )
    for bypass, name, expect, file, make in ((*row[:4], row[4]) for row in FILES):
        yield Sample(f"{bypass}-hdf5-{name}", bypass, file, make, _text(bypass, name) + _WHY, expect, "")


def _text(bypass: str, name: str) -> str:
    return next(row[5] for row in FILES if row[:2] == (bypass, name))


def ordinary() -> Iterator[Sample]:
    """Models and data that must be silent."""
    trees = {"plain": model(), "old": old_style(), "custom": model(layer("My", None, registered="pkg>My"))}
    for name, tree in trees.items():
        for form, (file, build) in _FORMS.items():
            yield Sample(f"keras-{name}-{form}", "", file, lambda _, b=build, t=tree: b(t), name, "none", "")
    yield Sample("keras-data", "", "data.h5", lambda _: hdf5files.everything(), "Data of all kinds.", "none", "")
    yield Sample("keras-pytables", "", "data.h5", lambda _: hdf5files.pickled(), "A pickled list.", "none", "")
    for form, (file, build) in _FORMS.items():
        tree = model(lambda_new(HARMLESS))
        yield Sample(f"keras-lambda-{form}", "", file, lambda _, b=build, t=tree: b(t), "A Lambda.", "info", "")
