"""ONNX and OpenVINO: graphs that converters write."""

import importlib
from pathlib import Path
from typing import Any

from making import networks


def onnx_files(folder: Path) -> None:
    """Converted estimators and networks, weights inside and beside."""
    import numpy as np
    import torch as t

    onnx = importlib.import_module("onnx")
    skl2onnx = importlib.import_module("skl2onnx")
    from sklearn import ensemble, linear_model, neural_network, pipeline, preprocessing, svm

    X, y = np.random.default_rng(0).normal(size=(60, 4)).astype("f4"), np.arange(60) % 3
    estimators: dict[str, Any] = {
        "logistic": pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()),
        "forest": ensemble.RandomForestClassifier(n_estimators=5),
        "gradient": ensemble.GradientBoostingRegressor(n_estimators=5),
        "svc": svm.SVC(probability=False),
        "perceptron": neural_network.MLPRegressor(hidden_layer_sizes=(8,), max_iter=5),
    }
    for name, kind in estimators.items():
        made = skl2onnx.to_onnx(kind.fit(X, y), X[:1])
        (folder / f"{name}.onnx").write_bytes(made.SerializeToString())
    for name, net in networks._networks().items():
        for dynamo in (False, True):
            place = folder / f"{name}-{'dynamo' if dynamo else 'script'}.onnx"
            t.onnx.export(net.eval(), (networks._example(name),), str(place), dynamo=dynamo)
    net = t.nn.Sequential(t.nn.Linear(300, 300), t.nn.ReLU(), t.nn.Linear(300, 3)).eval()
    t.onnx.export(net, (t.zeros(1, 300),), str(folder / "inside.onnx"), dynamo=False)
    model = onnx.load(str(folder / "inside.onnx"))
    onnx.save_model(model, str(folder / "beside.onnx"), save_as_external_data=True, location="beside.onnx.data")
    model = onnx.load(str(folder / "inside.onnx"))
    onnx.save_model(
        model, str(folder / "each.onnx"), save_as_external_data=True, all_tensors_to_one_file=False, size_threshold=1024
    )


def openvino_files(folder: Path) -> None:
    """IR pairs out of PyTorch and ONNX."""
    openvino = importlib.import_module("openvino")
    for name, net in networks._networks().items():
        if name == "attention":
            continue  # OpenVINO's own tracing stops at its fast path
        model = openvino.convert_model(net.eval(), example_input=networks._example(name))
        openvino.save_model(model, folder / f"{name}.xml")
        openvino.save_model(model, folder / f"{name}-fp32.xml", compress_to_fp16=False)
