"""Keras 2 and 3, SavedModels, checkpoints, frozen graphs and TFLite, as TensorFlow writes them."""

import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def _models(k: Any) -> Iterator[tuple[str, Any]]:
    """Models of the kinds that guides show, in the Keras that is given."""
    import numpy as np

    layers = k.layers
    yield (
        "dense",
        k.Sequential([layers.Input((8,)), layers.Dense(16, "relu"), layers.Dropout(0.2), layers.Dense(3, "softmax")]),
    )
    image = layers.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.RandomFlip()(x)
    x = layers.Conv2D(4, 3, padding="same", kernel_regularizer=k.regularizers.L2(1e-4))(x)
    x = layers.BatchNormalization()(x)
    y = layers.SeparableConv2D(4, 3, padding="same", activation="swish")(layers.ReLU()(x))
    x = layers.GlobalAveragePooling2D()(layers.add([x, y]))
    yield "convolutions", k.Model(image, layers.Dense(2)(x))
    yield (
        "recurrent",
        k.Sequential(
            [
                layers.Input((7,)),
                layers.Embedding(20, 8),
                layers.Bidirectional(layers.LSTM(6, return_sequences=True)),
                layers.GRU(4),
                layers.Dense(1),
            ]
        ),
    )
    words = layers.Input((9, 8))
    z = layers.MultiHeadAttention(2, 4)(words, words)
    z = layers.LayerNormalization()(z + words)
    z = layers.TimeDistributed(layers.Dense(4, activation="gelu"))(z)
    yield "attention", k.Model({"words": words}, {"scores": layers.Flatten()(z)})
    inner = k.Sequential([layers.Input((4,)), layers.Dense(4, name="inner")], name="encoder")
    outer = layers.Input((4,))
    yield "nested", k.Model(outer, [inner(inner(outer)), layers.Dense(1, activation=k.activations.tanh)(outer)])
    text = layers.TextVectorization(30, output_sequence_length=4)
    text.adapt(np.array(["the cat sat", "a dog ran"]))
    normal = layers.Normalization()
    normal.adapt(np.array([[1.0, 2.0], [3.0, 4.0]]))
    said, numbers = layers.Input((1,), dtype="string"), layers.Input((2,))
    joined = layers.concatenate([layers.Flatten()(layers.Embedding(30, 3)(text(said))), normal(numbers)])
    yield "text", k.Model([said, numbers], layers.Dense(1, "sigmoid")(joined))


def _compiled(k: Any) -> Iterator[tuple[str, Any]]:
    for name, model in _models(k):
        model.compile(k.optimizers.Adam(1e-3), "mse", metrics=["mae"])
        yield name, model


def keras3(folder: Path) -> None:
    """`.keras`, `.h5`, weights alone, configurations, and an application's architecture."""
    k = importlib.import_module("keras")
    for name, model in _compiled(k):
        model.save(folder / f"{name}.keras")
        model.save_weights(folder / f"{name}.weights.h5")
        (folder / f"{name}.json").write_text(model.to_json())
        if name != "text":
            model.save(folder / f"{name}.h5")

    @k.saving.register_keras_serializable("shop")
    class Scale(k.layers.Layer):  # type: ignore[name-defined,misc]
        def __init__(self, factor: float = 2.0, **named: Any) -> None:
            super().__init__(**named)
            self.factor = factor

        def call(self, x: Any) -> Any:
            return x * self.factor

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "factor": self.factor}

    k.Sequential([k.layers.Input((2,)), Scale(3.0), k.layers.Dense(1)]).save(folder / "registered.keras")
    for name in ("MobileNetV3Small", "EfficientNetB0"):
        model = getattr(k.applications, name)(weights=None, input_shape=(64, 64, 3), classes=4)
        model.save(folder / f"{name}.keras")
        model.save(folder / f"{name}.h5")


def keras2(folder: Path) -> None:
    """The same in tf_keras: HDF5, `.keras` of version 2, and SavedModels with keras_metadata.pb."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    k = importlib.import_module("tf_keras")
    for name, model in _compiled(k):
        model.save(folder / f"{name}.keras")
        model.save(folder / f"{name}-saved", save_format="tf")
        if name != "text":
            model.save(folder / f"{name}.h5")
        model.save_weights(folder / f"{name}-checkpoint" / "ckpt")
        (folder / f"{name}.json").write_text(model.to_json())
        (folder / f"{name}.yaml.json").write_text(model.to_json(indent=1))


def saved_models(folder: Path) -> None:
    """SavedModels of Keras 3 and of plain functions: tables, assets, several signatures; checkpoints."""
    tf = importlib.import_module("tensorflow")
    k = importlib.import_module("keras")
    for name, model in _models(k):
        model.export(str(folder / name), verbose=False)
    vocabulary = folder / "words.txt"
    vocabulary.write_text("cat\ndog\n")

    class Module(tf.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.scale = tf.Variable([1.0, 2.0])
            initializer = tf.lookup.TextFileInitializer(
                str(vocabulary),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            self.table = tf.lookup.StaticVocabularyTable(initializer, 2)
            self.words = tf.saved_model.Asset(str(vocabulary))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
        def look(self, words: Any) -> Any:
            return self.table.lookup(tf.strings.lower(words))

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32)])
        def serve(self, x: Any) -> Any:
            tf.debugging.assert_all_finite(x, "finite")
            total = tf.constant(0.0)
            for row in x:
                total += tf.reduce_sum(row * self.scale)
            return tf.cond(total > 0, lambda: total, lambda: -total)

        @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
        def image(self, data: Any) -> Any:
            return tf.image.resize(tf.io.decode_jpeg(data, channels=3), (8, 8))

    module = Module()
    tf.saved_model.save(
        module, str(folder / "module"), {"look": module.look, "serve": module.serve, "image": module.image}
    )
    tf.train.Checkpoint(step=tf.Variable(1), net=next(_models(k))[1]).save(str(folder / "checkpoint" / "ckpt"))
    tf.train.CheckpointManager(tf.train.Checkpoint(v=tf.Variable([1.0])), str(folder / "managed"), 2).save()


def tflite_files(folder: Path) -> None:
    """TFLite: floats, quantized in three ways, with operators of TensorFlow itself."""
    tf = importlib.import_module("tensorflow")
    k = importlib.import_module("keras")
    for name, model in _models(k):
        if name == "text":
            continue
        for kind in ("float", "dynamic", "half", "flex"):
            converter = tf.lite.TFLiteConverter.from_keras_model(model)
            if kind != "float":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if kind == "half":
                converter.target_spec.supported_types = [tf.float16]
            if kind == "flex" or name == "recurrent":
                converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
                converter._experimental_lower_tensor_list_ops = False
            (folder / f"{name}-{kind}.tflite").write_bytes(converter.convert())


def tensorflow_graphs(folder: Path) -> None:
    """Frozen graphs, MetaGraphs and checkpoints of TensorFlow 1, records, and what tf2onnx makes."""
    tf = importlib.import_module("tensorflow")
    k = importlib.import_module("keras")
    frozen = importlib.import_module("tensorflow.python.framework.convert_to_constants")
    for name, model in _models(k):
        if name in {"text", "attention", "convolutions"}:
            continue
        called = tf.function(lambda x, model=model: model(x)).get_concrete_function(
            tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
        )
        constant = frozen.convert_variables_to_constants_v2(called)
        tf.io.write_graph(constant.graph, str(folder), f"{name}.pb", as_text=False)
        tf.io.write_graph(constant.graph, str(folder), f"{name}.pbtxt", as_text=True)
    old = tf.compat.v1
    with tf.Graph().as_default(), old.Session() as session:
        x = old.placeholder(tf.float32, [None, 3], "x")
        old.layers = None
        y = tf.nn.relu(x @ old.get_variable("w", [3, 2]), name="y")
        session.run(old.global_variables_initializer())
        old.train.Saver().save(session, str(folder / "session" / "model.ckpt"))
        old.saved_model.simple_save(session, str(folder / "simple"), {"x": x}, {"y": y})
    with tf.io.TFRecordWriter(str(folder / "rows.tfrecord")) as writer:
        writer.write(b"row")
    tf2onnx = importlib.import_module("tf2onnx")
    for name, model in _models(k):
        if name in {"dense", "recurrent"}:
            called = tf.function(
                lambda x, model=model: model(x), input_signature=[tf.TensorSpec(model.inputs[0].shape, tf.float32)]
            )
            tf2onnx.convert.from_function(called, called.input_signature, output_path=str(folder / f"{name}.onnx"))
