"""What numpy, joblib, dill and cloudpickle write, and files as other libraries write them, assembled by hand."""

import io
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, call, calls, global_, literal, stack_global
from tests.samples.assembler import pickle as stream
from tests.samples.compressed import aligned_pickle, dtype, floats
from tests.samples.ordinary_pickles import keep
from tests.samples.sample import Sample

DTYPES = (
    "?", "i1", "u1", "<i2", ">i2", "<u4", "<i8", ">i8", "<f2", "<f4", "<f8", ">f8", "<c8", "<c16", "S5", "<U7",
    "<M8[ns]", "<m8[D]", "V3",
)  # fmt: skip
COMPRESSIONS = ("zlib", "gzip", "bz2", "lzma", "xz", "lz4")


def _numpy(make: Callable[[Any], object], protocol: int = 4) -> bytes:
    import numpy

    return pickle.dumps(make(numpy), protocol)


def _npy(make: Callable[[Any], Any], **options: object) -> bytes:
    import numpy

    out = io.BytesIO()
    numpy.save(out, make(numpy), **options)  # type: ignore[arg-type]
    return out.getvalue()


def _npz(compressed: bool, make: Callable[[Any], dict[str, Any]]) -> bytes:
    import numpy

    out = io.BytesIO()
    (numpy.savez_compressed if compressed else numpy.savez)(out, **make(numpy))
    return out.getvalue()


def _joblib(make: Callable[[Any], object], **options: object) -> bytes:
    import joblib
    import numpy

    out = io.BytesIO()
    joblib.dump(make(numpy), out, **options)
    return out.getvalue()


def _dill(value: object, **options: object) -> bytes:
    import dill

    return bytes(dill.dumps(value, **options))


def _cloudpickle(value: object) -> bytes:
    import cloudpickle

    return bytes(cloudpickle.dumps(value))


ARRAYS: dict[str, Callable[[Any], object]] = {
    "array": lambda np: np.arange(12.0).reshape(3, 4),
    "fortran": lambda np: np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "strided": lambda np: np.arange(100.0)[::7],
    "scalar": lambda np: [np.float32(1.5), np.int64(3), np.bool_(True), np.str_("x"), np.datetime64("2024-01-01")],
    "dtype": lambda np: [np.dtype("f8"), np.dtype([("a", "i4"), ("b", "f8")]), np.float32],
    "structured": lambda np: np.zeros(3, [("a", "<i4"), ("b", "<f8", (2,)), ("c", "S3")]),
    "record": lambda np: np.rec.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
    "masked": lambda np: np.ma.array([1, 2, 3], mask=[0, 1, 0]),
    "matrix-like": lambda np: np.ones((0, 5)),
    "objects": lambda np: np.array(["a", None, 3], dtype=object),
    "random-state": lambda np: np.random.RandomState(0),
    "generator": lambda np: np.random.default_rng(0),
    "ufunc": lambda np: [np.add, np.tanh, np.log1p],
    "polynomial": lambda np: np.polynomial.Polynomial([1.0, 2.0]),
    "many": lambda np: {f"layer{i}": np.full((8, 8), i, "f4") for i in range(50)},
}


def numpy_files() -> Iterator[Sample]:
    """Arrays as pickles, npy and npz."""
    for name, make in ARRAYS.items():
        for protocol in (2, 4, 5):
            yield keep(f"numpy-{name}-proto{protocol}", "array.pkl", partial(_numpy, make, protocol), f"numpy: {name}.")
    for code in DTYPES:
        clean = "".join(c for c in code if c.isalnum())
        order = {"<": "little-", ">": "big-"}.get(code[0], "")
        yield keep(
            f"npy-{order}{clean or 'bool'}",
            "array.npy",
            partial(_npy, lambda np, code=code: np.zeros((3, 2), code)),
            f"An npy of dtype {code}.",
        )
    for name in ("fortran", "structured", "matrix-like", "strided"):
        yield keep(f"npy-{name}", "array.npy", partial(_npy, ARRAYS[name]), f"An npy: {name}.")
    yield keep("npy-0d", "array.npy", partial(_npy, lambda np: np.float64(3)), "An npy without dimensions.")
    yield keep(
        "npy-objects",
        "labels.npy",
        partial(_npy, lambda np: np.array(["a", None, 3], dtype=object), allow_pickle=True),
        "An object array of plain values: worth a remark, not a warning.",
    )
    yield keep("npy-large", "array.npy", partial(_npy, lambda np: np.zeros(300_000)), "An npy of 2.4 MB.")
    yield keep(
        "npy-unicode-fields", "array.npy", partial(_npy, lambda np: np.zeros(2, [("\u00e9", "f8")])), "Version 3."
    )
    for compressed in (False, True):
        kind = "compressed" if compressed else "stored"
        yield keep(
            f"npz-{kind}",
            "arrays.npz",
            partial(_npz, compressed, lambda np: {"a": np.arange(5), "b": np.eye(3), "\u00e9": np.zeros(1)}),
            f"An npz, {kind}.",
        )
        yield keep(
            f"npz-{kind}-200-members",
            "arrays.npz",
            partial(_npz, compressed, lambda np: {f"w{i}": np.full(20, i) for i in range(200)}),
            f"An npz of 200 arrays, {kind}.",
        )
        yield keep(
            f"npz-{kind}-zeros",
            "arrays.npz",
            partial(_npz, compressed, lambda np: {"zeros": np.zeros(4_000_000, "f4")}),
            f"Sixteen megabytes of zeros, {kind}: packs a thousand to one and is no bomb.",
        )


def joblib_files() -> Iterator[Sample]:
    """joblib dumps in every compression."""
    model: Callable[[Any], object] = lambda np: {  # noqa: E731 - a value for the table below
        "coef": np.arange(40.0).reshape(4, 10),
        "classes": np.array(["a", "b"]),
        "labels": np.array(["x", None], dtype=object),
        "big": np.zeros(5000),
        "epoch": 3,
    }
    yield keep("joblib-raw", "model.joblib", partial(_joblib, model), "joblib without compression.")
    for compression in COMPRESSIONS:
        yield keep(
            f"joblib-{compression}",
            "model.joblib",
            partial(_joblib, model, compress=(compression, 3)),
            f"joblib with {compression}.",
        )
    for protocol in (2, 3, 5):
        yield keep(
            f"joblib-proto{protocol}", "model.joblib", partial(_joblib, model, protocol=protocol), "Another protocol."
        )
    yield keep(
        "joblib-fortran", "model.joblib", partial(_joblib, ARRAYS["fortran"]), "joblib: an array in Fortran order."
    )
    yield keep(
        "joblib-full-of-opcodes",
        "model.joblib",
        partial(_joblib, lambda np: [np.frombuffer(b"cos\nsystem\n(S'x'\ntR." * 8, "u1"), 1]),
        "The raw bytes of an array happen to spell a hostile pickle; joblib never runs them.",
    )
    yield keep(
        "joblib-by-hand",
        "model.joblib",
        lambda: aligned_pickle(asm.MARK, floats(8), 8, literal("end") + asm.TUPLE),
        "A joblib dump assembled by hand.",
    )


def library_files() -> Iterator[Sample]:
    """dill and cloudpickle of plain data."""
    data = {"weights": [1.0, 2.0], "names": ("a", "b"), "seen": {1, 2}}
    yield keep("dill-data", "data.dill", partial(_dill, data), "Plain data by dill.")
    yield keep("dill-types", "data.dill", partial(_dill, [int, dict, len, type(None)]), "Types by dill.")
    yield keep("cloudpickle-data", "data.pkl", partial(_cloudpickle, data), "Plain data by cloudpickle.")
    yield keep("cloudpickle-function-by-name", "data.pkl", partial(_cloudpickle, [len, partial(int, base=2)]), "Names.")


# --- other libraries, by hand -------------------------------------------------------------------------------


def array(values: int = 4) -> Raw:
    """A numpy array as numpy before 2 pickles it in protocol 4."""
    empty = call(
        stack_global("numpy.core.multiarray", "_reconstruct"),
        stack_global("numpy", "ndarray"),
        literal((0,)),
        literal(b"b"),
    )
    return Raw(empty + literal((1, (values,), dtype("f8"), False, floats(values))) + asm.BUILD)


def made(module: str, name: str, state: dict[str, object], protocol: int = 4) -> Raw:
    """An object as pickles write it: NEWOBJ, then BUILD of its dict."""
    return Raw(stack_global(module, name) + asm.EMPTY_TUPLE + asm.NEWOBJ + literal(state, protocol) + asm.BUILD)


def sklearn_model() -> bytes:
    """A pipeline as scikit-learn pickles it."""
    logistic = made(
        "sklearn.linear_model._logistic",
        "LogisticRegression",
        {
            "penalty": "l2",
            "C": 1.0,
            "coef_": array(),
            "classes_": array(2),
            "n_iter_": array(1),
            "_sklearn_version": "1.5.0",
        },
    )
    vectorizer = made(
        "sklearn.feature_extraction.text",
        "TfidfVectorizer",
        {
            "dtype": Raw(stack_global("numpy", "float64")),
            "vocabulary_": {"good": 0, "bad": 1},
            "_tfidf": made("sklearn.feature_extraction.text", "TfidfTransformer", {"norm": "l2", "idf_": array()}),
            "token_pattern": r"(?u)\b\w\w+\b",
        },
    )
    steps = [("tfidf", vectorizer), ("clf", logistic)]
    return stream(made("sklearn.pipeline", "Pipeline", {"steps": steps, "memory": None, "_sklearn_version": "1.5.0"}))


def sklearn_forest() -> bytes:
    """A forest: Cython trees come back through __reduce__."""
    tree = Raw(
        call(stack_global("sklearn.tree._tree", "Tree"), literal(4), array(1), literal(1))
        + literal({"max_depth": 3, "node_count": 1, "nodes": array(), "values": array()})
        + asm.BUILD
    )
    one = made("sklearn.tree._classes", "DecisionTreeClassifier", {"criterion": "gini", "tree_": tree})
    return stream(
        made("sklearn.ensemble._forest", "RandomForestClassifier", {"estimators_": [one] * 3, "n_estimators": 3})
    )


def pandas_frame() -> bytes:
    """A data frame as pandas 2 pickles it."""
    index = calls(
        "pandas.core.indexes.base",
        "_new_Index",
        Raw(stack_global("pandas.core.indexes.base", "Index")),
        {"data": array(), "name": None},
    )
    ranged = calls(
        "pandas.core.indexes.base",
        "_new_Index",
        Raw(stack_global("pandas.core.indexes.range", "RangeIndex")),
        {"name": None, "start": 0, "stop": 4, "step": 1},
    )
    block = calls("pandas._libs.internals", "_unpickle_block", array(), calls("builtins", "slice", 0, 1, 1), 2)
    manager = Raw(
        call(
            stack_global("pandas.core.internals.managers", "BlockManager"), literal((block,)), literal([index, ranged])
        )
    )
    return stream(
        made(
            "pandas.core.frame",
            "DataFrame",
            {
                "_mgr": manager,
                "_typ": "dataframe",
                "_metadata": [],
                "attrs": {},
                "_flags": {"allows_duplicate_labels": True},
            },
        )
    )


def scipy_sparse() -> bytes:
    """A sparse matrix."""
    return stream(
        made(
            "scipy.sparse._csr",
            "csr_matrix",
            {"_shape": (2, 2), "data": array(), "indices": array(), "indptr": array()},
        )
    )


def xgboost_model() -> bytes:
    """A booster keeps its model as a bytearray."""
    booster = made(
        "xgboost.core", "Booster", {"handle": Raw(asm.bytearray8(b"{L\x00" + bytes(64))), "feature_names": None}
    )
    return stream(made("xgboost.sklearn", "XGBClassifier", {"n_estimators": 10, "_Booster": booster}), 5)


def lightgbm_model() -> bytes:
    """A booster keeps its model as text."""
    booster = made("lightgbm.basic", "Booster", {"handle": "tree\nversion=v4\nnum_class=1\n", "params": {}})
    return stream(made("lightgbm.sklearn", "LGBMClassifier", {"_Booster": booster, "n_estimators": 10}))


def old_reconstructor() -> bytes:
    """A class of protocol 1: copy_reg._reconstructor."""
    return stream(
        call(
            global_("copy_reg", "_reconstructor"),
            global_("sklearn.svm.classes", "SVC"),
            global_("__builtin__", "object"),
            asm.NONE,
        )
        + literal({"kernel": "rbf", "C": 1.0}, 1)
        + asm.BUILD,
        1,
    )


def numpy_python2() -> bytes:
    """An array pickled by Python 2: the dtype's and the array's bytes are strings."""
    return stream(
        call(
            global_("numpy.core.multiarray", "_reconstruct"),
            global_("numpy", "ndarray"),
            literal((0,), 2),
            asm.short_binstring(b"b"),
        )
        + literal(
            (
                1,
                (1,),
                Raw(
                    call(global_("numpy", "dtype"), asm.short_binstring(b"f8"), literal(0, 2), literal(1, 2))
                    + literal((3, "<", None, None, None, -1, -1, 0), 2)
                    + asm.BUILD
                ),
                False,
                Raw(asm.short_binstring(floats(1))),
            ),
            2,
        )
        + asm.BUILD,
        2,
    )


def handmade() -> Iterator[Sample]:
    """Files of libraries that are not installed here."""
    table: tuple[tuple[str, str, Callable[[], bytes], str], ...] = (
        ("sklearn-pipeline", "model.pkl", sklearn_model, "A scikit-learn pipeline."),
        ("sklearn-forest", "model.joblib", sklearn_forest, "A scikit-learn forest."),
        ("sklearn-old", "model.pkl", old_reconstructor, "A class of protocol 1."),
        ("pandas-frame", "frame.pkl", pandas_frame, "A pandas data frame."),
        ("scipy-sparse", "matrix.pkl", scipy_sparse, "A scipy sparse matrix."),
        ("xgboost", "model.pkl", xgboost_model, "An XGBoost classifier."),
        ("lightgbm", "model.pkl", lightgbm_model, "A LightGBM classifier."),
        ("numpy-python2", "array.pkl", numpy_python2, "A numpy array from Python 2."),
    )
    for name, filename, build, why in table:
        yield keep(name, filename, build, why)


def ordinary() -> Iterator[Sample]:
    """All of this family."""
    yield from numpy_files()
    yield from joblib_files()
    yield from library_files()
    yield from handmade()
