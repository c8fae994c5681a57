"""Fitted estimators and tables, as people save them."""

import gzip
import importlib
import pickle
from pathlib import Path
from typing import Any


def _fitted() -> dict[str, Any]:
    """Estimators of many kinds, fitted to noise."""
    import numpy as np
    from sklearn import (
        cluster,
        compose,
        decomposition,
        ensemble,
        feature_extraction,
        gaussian_process,
        impute,
        linear_model,
        mixture,
        model_selection,
        naive_bayes,
        neighbors,
        neural_network,
        pipeline,
        preprocessing,
        svm,
        tree,
    )

    generator = np.random.default_rng(0)
    X, y = np.abs(generator.normal(size=(80, 6))), np.arange(80) % 3
    columns = compose.ColumnTransformer(
        [("scaled", preprocessing.StandardScaler(), [0, 1]), ("kinds", preprocessing.OneHotEncoder(), [2])]
    )
    kinds: dict[str, Any] = {
        "logistic": linear_model.LogisticRegression(),
        "sgd": linear_model.SGDClassifier(),
        "forest": ensemble.RandomForestClassifier(n_estimators=20),
        "histogram": ensemble.HistGradientBoostingClassifier(max_iter=10),
        "gradient": ensemble.GradientBoostingClassifier(n_estimators=10),
        "isolation": ensemble.IsolationForest(n_estimators=10),
        "voting": ensemble.VotingClassifier([("a", naive_bayes.GaussianNB()), ("b", tree.DecisionTreeClassifier())]),
        "stacking": ensemble.StackingClassifier([("a", naive_bayes.GaussianNB())], cv=2),
        "svc": svm.SVC(probability=False),
        "neighbours": neighbors.KNeighborsClassifier(),
        "density": neighbors.KernelDensity(),
        "perceptron": neural_network.MLPClassifier(hidden_layer_sizes=(8,), max_iter=5),
        "gaussian": gaussian_process.GaussianProcessRegressor(gaussian_process.kernels.RBF()),
        "mixture": mixture.BayesianGaussianMixture(n_components=2),
        "means": cluster.KMeans(n_clusters=3, n_init=1),
        "pca": decomposition.PCA(2),
        "nmf": decomposition.NMF(n_components=2, max_iter=5),
        "imputer": impute.KNNImputer(),
        "search": model_selection.GridSearchCV(linear_model.Ridge(), {"alpha": [0.1, 1.0]}, cv=2),
        "pipeline": pipeline.make_pipeline(impute.SimpleImputer(), columns, linear_model.LogisticRegression()),
        "function": preprocessing.FunctionTransformer(np.log1p),
    }
    for kind in kinds.values():
        kind.fit(X, y)
    words = ["the cat sat", "a dog ran", "the bird flew"] * 5
    kinds["text"] = pipeline.make_pipeline(feature_extraction.text.TfidfVectorizer(), naive_bayes.MultinomialNB()).fit(
        words, [0, 1, 2] * 5
    )
    kinds["labels"] = preprocessing.LabelEncoder().fit(words)
    return kinds


def sklearn(folder: Path) -> None:
    """Every estimator in the ways that tutorials show."""
    import joblib

    kinds = _fitted()
    for name, kind in kinds.items():
        for protocol in (2, 5):
            (folder / f"{name}.p{protocol}.pkl").write_bytes(pickle.dumps(kind, protocol))
        joblib.dump(kind, folder / f"{name}.joblib")
    for compress in ("zlib", "gzip", "bz2", "lzma", "xz", "lz4"):
        joblib.dump(kinds["forest"], folder / f"forest.{compress}.joblib", compress=(compress, 3))
    with gzip.open(folder / "bundle.pkl.gz", "wb") as file:
        pickle.dump({"model": kinds["svc"], "labels": kinds["labels"], "features": ["a", "b"]}, file)
    for name in ("dill", "cloudpickle"):
        module = importlib.import_module(name)
        (folder / f"bundle.{name}").write_bytes(module.dumps([kinds["pipeline"], kinds["text"]]))
    skops = importlib.import_module("skops.io")
    for name in ("forest", "pipeline", "text", "svc", "perceptron", "histogram"):
        skops.dump(kinds[name], folder / f"{name}.skops")


def boosters(folder: Path) -> None:
    """XGBoost, LightGBM and CatBoost in every format that they write."""
    import catboost
    import joblib
    import lightgbm
    import numpy as np
    import xgboost

    generator = np.random.default_rng(1)
    X, y = generator.normal(size=(200, 5)), np.arange(200) % 2
    for booster in ("gbtree", "gblinear", "dart"):
        extreme = xgboost.XGBClassifier(n_estimators=5, booster=booster).fit(X, y)
        for ending in ("json", "ubj"):
            extreme.save_model(folder / f"xgboost-{booster}.{ending}")
        joblib.dump(extreme, folder / f"xgboost-{booster}.joblib")
        (folder / f"booster-{booster}.pkl").write_bytes(pickle.dumps(extreme.get_booster()))
    ranker = xgboost.XGBRanker(n_estimators=3).fit(X, y, qid=np.sort(np.arange(200) % 9))
    (folder / "xgboost-ranker.pkl").write_bytes(pickle.dumps(ranker))
    for kind in (
        lightgbm.LGBMClassifier(n_estimators=5, verbose=-1),
        lightgbm.LGBMRegressor(n_estimators=5, verbose=-1),
    ):
        kind.fit(X, y)
        name = type(kind).__name__
        kind.booster_.save_model(folder / f"{name}.txt")
        joblib.dump(kind, folder / f"{name}.joblib")
        (folder / f"{name}.pkl").write_bytes(pickle.dumps(kind.booster_))
    cat = catboost.CatBoostClassifier(iterations=5, verbose=False, allow_writing_files=False).fit(X, y)
    for kind_of in ("cbm", "json", "onnx", "pmml", "python", "cpp"):
        cat.save_model(str(folder / f"catboost.{'py' if kind_of == 'python' else kind_of}"), format=kind_of)
    (folder / "catboost.pkl").write_bytes(pickle.dumps(cat))


def science(folder: Path) -> None:
    """Arrays and tables."""
    import h5py
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng(2)
    np.save(folder / "floats.npy", generator.normal(size=(40, 30)))
    np.save(folder / "records.npy", np.zeros(5, dtype=[("name", "U8"), ("score", "f4")]))
    np.savez(folder / "arrays.npz", a=np.arange(5), b=np.eye(3))
    np.savez_compressed(folder / "packed.npz", **{f"layer{i}/kernel": generator.normal(size=(9, 9)) for i in range(9)})
    frame = pd.DataFrame({"a": np.arange(50), "b": list("xyzvw") * 10, "c": pd.date_range("2024", periods=50)})
    frame["d"] = frame["b"].astype("category")
    for ending in ("pkl", "pkl.gz", "pkl.xz", "pkl.bz2", "pkl.zip", "pkl.zst", "pkl.tar"):
        frame.to_pickle(folder / f"frame.{ending}")
    frame.groupby("b").agg({"a": ["mean", "std"]}).to_pickle(folder / "grouped.pickle")
    with h5py.File(folder / "features.h5", "w") as file:
        file.create_dataset("x", data=generator.normal(size=(60, 8)), compression="gzip", chunks=True)
        file["linked"] = h5py.SoftLink("/x")
        file.attrs["labels"] = [b"cat", b"dog"]
        file.create_dataset("words", data=["a", "bc"], dtype=h5py.string_dtype())
    smf = importlib.import_module("statsmodels.api")
    smf.OLS(frame["a"], smf.add_constant(generator.normal(size=50))).fit().save(str(folder / "ols.pickle"))
    zarr = importlib.import_module("zarr")
    group = zarr.open_group(folder / "store.zarr", mode="w")
    group.create_array("weights", shape=(20, 20), dtype="f4")[:] = 1.0
    group.attrs["kind"] = "embedding"
