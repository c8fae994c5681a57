"""Values, arrays and tables as people pickle them. Nothing here is hostile."""

import argparse
import array
import collections
import copy
import datetime
import decimal
import enum
import fractions
import functools
import importlib
import ipaddress
import itertools
import logging
import operator
import pathlib
import random
import re
import string
import threading
import types
import uuid
import zoneinfo
from collections.abc import Iterator
from typing import Any

from model_zoo.trying import made, members


def python() -> Iterator[Any]:
    yield from (1, 2.5, 3j, "x", b"x", bytearray(b"x"), None, True, ..., NotImplemented, slice(1, 2), range(3))
    yield from (
        [1],
        (1,),
        {1},
        frozenset([1]),
        {"a": 1},
        type(None),
        type(...),
        int,
        str,
        dict,
        list,
        object,
        Exception,
    )
    yield from (
        len,
        abs,
        max,
        min,
        sum,
        sorted,
        str.lower,
        str.upper,
        dict.fromkeys,
        bytes.fromhex,
        str.strip,
        int.__add__,
    )
    yield from (collections.OrderedDict(a=1), collections.defaultdict(list), collections.Counter("aab"))
    yield from (
        collections.deque([1], 3),
        collections.ChainMap({1: 2}),
        collections.UserDict(a=1),
        collections.UserList(),
    )
    yield from (datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC), datetime.date(2020, 1, 1), datetime.time(1))
    yield from (datetime.timedelta(1), datetime.timezone(datetime.timedelta(hours=1)), zoneinfo.ZoneInfo("UTC"))
    yield from (decimal.Decimal("1.5"), decimal.getcontext(), fractions.Fraction(1, 3), uuid.uuid4(), random.Random(1))
    yield from (
        pathlib.Path("x"),
        pathlib.PurePosixPath("x"),
        pathlib.PureWindowsPath("x"),
        re.compile("a"),
        re.I | re.M,
    )
    yield from (
        argparse.Namespace(a=1),
        types.SimpleNamespace(a=1),
        array.array("d", [1.0]),
        ipaddress.ip_address("::1"),
    )
    yield from (itertools.count(3), itertools.cycle([1]), itertools.repeat(1, 2), itertools.chain([1], [2]), iter([1]))
    yield from (iter({1: 2}), iter("ab"), iter(range(3)), reversed([1]), enumerate([1]), zip([1], [2], strict=False))
    yield from (
        functools.partial(int, base=2),
        operator.itemgetter(1),
        operator.attrgetter("a"),
        operator.methodcaller("x"),
    )
    yield from (operator.add, operator.mul, map(len, ["a"]), string.Template("$a"), copy.copy, copy.deepcopy)
    yield from (
        enum.Enum,
        enum.IntEnum,
        re.RegexFlag.I,
        logging.getLogger("x"),
        logging.INFO,
        threading.local,
        "a".join,
    )
    yield from (
        ValueError("x"),
        KeyError("x"),
        StopIteration(),
        OSError(2, "x"),
        UnicodeDecodeError("u", b"", 0, 1, "x"),
    )
    for name in ("math", "cmath"):
        yield from (value for value in vars(importlib.import_module(name)).values() if callable(value))
    names = (
        "add sub mul truediv floordiv mod pow matmul neg pos abs inv eq ne lt le gt ge and_ or_ xor not_ getitem concat"
    )
    yield from (getattr(operator, name) for name in names.split())
    names = "mean median mode stdev pstdev variance pvariance harmonic_mean geometric_mean fmean quantiles"
    yield from (getattr(importlib.import_module("statistics"), name) for name in names.split())
    yield from (random.random, random.Random(1).random, random.Random(1).uniform, random.SystemRandom())


def numpy() -> Iterator[Any]:
    import numpy as np

    codes = "?bBhHiIlLqQefdgFDGSUVOMm"
    yield from (np.zeros(3, code) for code in codes if code not in "Mm")
    yield from (np.dtype(code) for code in codes)
    yield from (
        np.array(["2020-01-01"], "datetime64[ns]"),
        np.array([1], "timedelta64[s]"),
        np.asfortranarray(np.eye(2)),
    )
    yield from (np.dtype(code).type(1) for code in "?bBhHiIlLqQefdFD")
    yield from (np.datetime64("2020"), np.timedelta64(1, "s"), np.str_("x"), np.bytes_(b"x"), np.void(b"x"))
    yield from (np.array([{"a": 1}, None], object), np.zeros(2, [("a", "f4"), ("b", "O")]), np.rec.array([(1, 2.0)]))
    yield from (np.ma.masked_array([1, 2], [0, 1]), np.ma.masked, np.matrix([[1]]), np.poly1d([1, 2]), np.finfo("f4"))
    yield from (
        np.polynomial.Polynomial([1]),
        np.polynomial.Chebyshev([1]),
        np.vectorize(len),
        np.random.RandomState(1),
    )
    for kind in ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"):
        bits = getattr(np.random, kind)
        yield from (np.random.Generator(bits(1)), bits(1), np.random.RandomState(bits(1)))
    yield np.random.SeedSequence(1)
    for module in (np, np.linalg, np.ma):
        yield from (v for n, v in sorted(vars(module).items()) if isinstance(v, np.ufunc))
    names = "mean median std var sum prod min max argmax argmin sqrt log1p expm1 dot clip where concatenate percentile"
    names += (
        " nanmean nanmedian nanstd nansum nanmin nanmax quantile average ptp round unique float32 float64 int64 bool_"
    )
    names += " ravel reshape squeeze stack hstack vstack asarray array zeros ones full eye linspace arange cov corrcoef"
    yield from (getattr(np, name) for name in names.split() if hasattr(np, name))
    yield from (np.linalg.norm, np.linalg.inv, np.random.rand, np.random.normal, np.random.default_rng, np.newaxis)


def pandas() -> Iterator[Any]:
    import numpy as np
    import pandas as pd

    times = pd.date_range("2020", periods=3, tz="Europe/Paris")
    table = {
        "i": [1, 2, 3],
        "f": [1.0, 2, 3],
        "s": list("abc"),
        "o": [1, "a", None],
        "t": times,
        "b": [True, False, True],
    }
    frame = pd.DataFrame(table)
    yield from (frame, frame.copy().set_index(["i", "s"]), frame["f"], frame.T, frame.index, frame.columns, times)
    kinds = "Int8 UInt16 Int64 Float32 Float64 boolean string category object period[D] Sparse[int] datetime64[ns]"
    for kind in kinds.split():
        yield from made(pd.Series, [1, 0, 1] if kind != "string" else list("abc"), dtype=kind)
    for kind in ("string[pyarrow]", "int64[pyarrow]", "string[python]", "str"):
        yield from made(pd.Series, ["1", "2"], dtype=kind)
    yield from (pd.Categorical(list("aba")), pd.CategoricalIndex(list("aba")), pd.RangeIndex(3), pd.Index([1.5]))
    yield from (pd.interval_range(0, 3), pd.Interval(0, 1), pd.cut([1, 2, 3], 2), pd.Series(pd.cut([1, 2], 2)))
    yield from (pd.period_range("2020", periods=3, freq="M"), pd.Period("2020"), pd.timedelta_range("1D", periods=2))
    yield from (
        pd.Timestamp("2020", tz="UTC"),
        pd.Timedelta("1D"),
        pd.NaT,
        pd.NA,
        pd.MultiIndex.from_product([[1], ["a"]]),
    )
    yield from (pd.arrays.SparseArray([0, 1]), pd.DatetimeTZDtype("ns", "UTC"), pd.CategoricalDtype(list("ab")))
    for kind in members("pandas.tseries.offsets"):
        yield from made(kind)
    yield from (pd.DataFrame, pd.Series, pd.to_datetime, pd.isna, pd.get_dummies, pd.concat, pd.Index(np.arange(3)))


def scipy() -> Iterator[Any]:
    import numpy as np
    from scipy import interpolate, sparse, spatial, stats

    matrix = np.eye(4)
    for kind in ("csr", "csc", "coo", "bsr", "lil", "dok", "dia"):
        for suffix in ("matrix", "array"):
            yield from made(getattr(sparse, f"{kind}_{suffix}", list), matrix)
    points = np.arange(20.0).reshape(10, 2) ** 1.3
    yield from (spatial.cKDTree(points), spatial.KDTree(points), spatial.transform.Rotation.identity())
    for kind in ("Delaunay", "ConvexHull", "Voronoi"):
        yield from made(getattr(spatial, kind), np.random.default_rng(1).random((9, 2)))
    grid = np.arange(8.0)
    for name in [
        "interp1d",
        "CubicSpline",
        "UnivariateSpline",
        "PchipInterpolator",
        "Akima1DInterpolator",
        "make_interp_spline",
    ]:
        yield from made(getattr(interpolate, name), grid, grid**2)
    yield from made(interpolate.RBFInterpolator, points, points[:, 0])
    yield from made(interpolate.RegularGridInterpolator, (grid, grid), np.outer(grid, grid))
    yield from (value for value in vars(stats).values() if isinstance(value, stats.rv_continuous | stats.rv_discrete))
    yield from (
        stats.norm(0, 1),
        stats.randint(1, 5),
        stats.uniform(0, 1),
        stats.gaussian_kde(points.T),
        stats.loguniform(1, 2),
    )
    yield from (
        stats.spearmanr,
        stats.pearsonr,
        stats.multivariate_normal([0], [[1]]),
        stats.linregress([1, 2], [3, 4]),
    )
    yield from made(importlib.import_module("scipy.optimize").OptimizeResult, x=1)
    special = importlib.import_module("scipy.special")
    yield from (special.expit, special.logit, special.boxcox, special.gammaln, special.softmax, special.logsumexp)


def tables() -> Iterator[Any]:
    polars = importlib.import_module("polars")
    yield from (polars.DataFrame({"a": [1]}), polars.Series([1.5]), polars.Int64())
    arrow = importlib.import_module("pyarrow")
    yield from (
        arrow.array([1]),
        arrow.table({"a": ["x"]}),
        arrow.schema([("a", arrow.int32())]),
        arrow.chunked_array([[1]]),
    )
    yield from (
        arrow.struct([("a", arrow.float64())]),
        arrow.list_(arrow.int8()),
        arrow.timestamp("ns"),
        arrow.scalar(1),
    )
    networkx = importlib.import_module("networkx")
    yield from (networkx.path_graph(3), networkx.DiGraph([(1, 2)]), networkx.MultiGraph([(1, 2)]))
    image = importlib.import_module("PIL.Image")
    yield image.new("RGB", (2, 2))
    onnx = importlib.import_module("onnx")
    yield onnx.helper.make_tensor("a", 1, [1], [1.0])
    yield importlib.import_module("tqdm").tqdm
    sympy = importlib.import_module("sympy")
    yield sympy.Symbol("x") ** 2 + sympy.Rational(1, 2)
