"""Keras configurations: what ordinary models say, and what attacks put into them. Nothing here is ever built."""

import base64
import json
import marshal

Tree = dict[str, object]


def layer(name: str, module: str | None = "keras.layers", /, registered: str | None = None, **config: object) -> Tree:
    """One object as Keras 3 writes it."""
    return {"module": module, "class_name": name, "config": config, "registered_name": registered}


def function(name: str, module: str = "builtins") -> Tree:
    """A function as Keras 3 writes it."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": "function"}


def model(*layers: Tree, **more: object) -> Tree:
    """A sequential model of these layers."""
    return {**layer("Sequential", "keras", name="sequential", layers=[dense(), *layers]), **more}


def dense(**more: object) -> Tree:
    """An ordinary layer."""
    initializer = layer("GlorotUniform", "keras.initializers", seed=None)
    return layer("Dense", **{"name": "dense", "activation": "relu", "kernel_initializer": initializer, **more})


def old_style(*layers: Tree) -> Tree:
    """A model as tf.keras 2 wrote it: no modules, functions by name."""
    first = {"class_name": "Conv2D", "config": {"name": "c", "kernel_initializer": {"class_name": "VarianceScaling",
             "config": {"scale": 1.0}}, "activation": "relu"}}  # fmt: skip
    return {"class_name": "Sequential", "config": {"name": "s", "layers": [first, *layers]}, "keras_version": "2.4.0"}


def code(source: str) -> str:
    """A lambda's code as Keras writes it: marshal in base64, in lines."""
    return base64.encodebytes(marshal.dumps(compile(source, "<x>", "eval").co_consts[0])).decode()


def lambda_new(source: str) -> Tree:
    """A Lambda layer of Keras 3."""
    held = {"class_name": "__lambda__", "config": {"code": code(source), "defaults": None, "closure": None}}
    return layer("Lambda", name="lambda", function=held, arguments={})


def lambda_old(source: str) -> Tree:
    """A Lambda layer of tf.keras 2."""
    config = {"name": "lambda", "function": [code(source), None, None], "function_type": "lambda",
              "module": "__main__", "output_shape": None, "output_shape_type": "raw", "arguments": {}}  # fmt: skip
    return {"class_name": "Lambda", "config": config}


def dumped(tree: object) -> bytes:
    """The tree as a file has it."""
    return json.dumps(tree).encode()


HARMLESS = "lambda x: tf.math.exp(x) / K.int_shape(x)[0] * 255.0"
SHELL = "lambda x: __import__('os').system('echo modelaudit-sample')"
