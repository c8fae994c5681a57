"""Pickles that ordinary programs write, and streams of them."""

import array
import bz2
import collections
import datetime
import decimal
import fractions
import functools
import gzip
import inspect
import io
import ipaddress
import lzma
import operator
import pathlib
import pickle
import re
import types
import uuid
import zlib
from collections.abc import Callable, Iterator

from tests.samples.compressed import gz, lz4, lzma_alone, zlib_stream, zstd, zstd_streamed
from tests.samples.sample import Sample


def keep(name: str, filename: str, build: Callable[[], bytes], why: str, status: str = "scanned") -> Sample:
    """An ordinary sample: nothing at or above warning may be found in it."""
    return Sample(f"ordinary-{name}", "", filename, lambda _: build(), why, expect="none", loader="", status=status)


def values() -> dict[str, object]:
    """Values of the standard library that people pickle."""
    deep: list[object] = []
    for _ in range(60):
        deep = [deep]
    cycle: list[object] = [1]
    cycle.append(cycle)
    return {
        "none": None,
        "numbers": [0, -1, 255, 256, 65535, 65536, 2**31, -(2**31), 2**63, 2**200, 0.5, -0.0, 1j, True, False],
        "texts": ["", "weights", "Gew\u00f6hnlich", "\U0001f600", "a" * 300, "line\nbreak", "tab\t", "nul\0"],
        "texts-about-code": [
            "os.system",
            "eval(x)",
            "import os",
            "subprocess.Popen",
            "__import__('os')",
            "posix system",
        ],
        "bytes": [b"", b"\x00\xff" * 200, bytearray(b"abc"), bytes(range(256))],
        "containers": ({"a": [1, (2, 3)], "b": {4, 5}, "c": frozenset({6})}, [], (), {}, set()),
        "deep": deep,
        "cycle": cycle,
        "vocabulary": {f"word{index}": index for index in range(5000)},
        "counter": collections.Counter("abracadabra"),
        "ordered": collections.OrderedDict([("a", 1), ("b", 2)]),
        "deque": collections.deque([1, 2, 3], maxlen=10),
        "defaultdict-int": collections.defaultdict(int, {"a": 1}),
        "defaultdict-list": collections.defaultdict(list, {"a": [1]}),
        "defaultdict-dict": collections.defaultdict(dict),
        "chainmap": collections.ChainMap({"a": 1}, {"b": 2}),
        "dates": [
            datetime.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=datetime.UTC),
            datetime.date(2024, 1, 2),
            datetime.time(3, 4),
            datetime.timedelta(days=1),
            datetime.timezone(datetime.timedelta(hours=2)),
        ],
        "decimal": [decimal.Decimal("1.50"), fractions.Fraction(1, 3), 2 + 3j],
        "paths": [pathlib.PurePosixPath("/models/a.pt"), pathlib.PureWindowsPath("C:/models"), pathlib.PosixPath("x")],
        "patterns": [re.compile("a+b*"), re.compile(r"\w+", re.IGNORECASE | re.ASCII), re.compile(rb"\x00")],
        "enums": [re.IGNORECASE, inspect.Parameter.POSITIONAL_ONLY],
        "uuid": uuid.UUID(int=5),
        "addresses": [ipaddress.ip_address("10.0.0.1"), ipaddress.ip_network("10.0.0.0/8")],
        "array": [array.array("d", [1.0, 2.0]), array.array("b", [1])],
        "namespace": types.SimpleNamespace(a=1, b=[2]),
        "range-slice": [range(10), slice(1, 5, 2), Ellipsis, NotImplemented],
        "partial-int": functools.partial(int, base=2),
        "partial-round": functools.partial(round, ndigits=2),
        "partial-sorted": functools.partial(sorted, reverse=True),
        "operators": [operator.itemgetter(1, 2), operator.itemgetter("x"), operator.add, operator.mul],
        "builtins": [len, sum, min, max, abs, sorted, int, float, str, list, dict, bool, complex, bytes, object, type],
        "types": [type(None), collections.OrderedDict, datetime.datetime, pathlib.PurePath],
        "errors": [ValueError("bad"), KeyError("x"), OSError(2, "No such file"), StopIteration()],
        "bound-methods": [[1].append, {}.get, "x".upper],
        "iterators": [iter([1, 2]), reversed([1, 2]), enumerate(["a"]), iter("ab"), iter(range(3))],
        "base64-text": ["aGVsbG8gd29ybGQ=" * 20, "gA==", "gASVBg==", "deadbeef" * 40, "80 04 95"],
        "nested-pickles": [
            pickle.dumps({"weights": [1.0, 2.0]}),
            pickle.dumps([1, 2, 3], 2),
            zlib.compress(b"x" * 100),
        ],
    }


def standard() -> Iterator[Sample]:
    """Each value in each protocol."""
    for name in values():
        for protocol in range(6):
            yield keep(
                f"{name}-proto{protocol}",
                "data.pkl",
                functools.partial(_dump, name, protocol),
                f"{name}, pickled in protocol {protocol}.",
            )
    yield keep("argparse-namespace", "args.pkl", _arguments, "The arguments of a training script.")
    yield keep("pickletools-optimized", "data.pkl", _optimized, "A pickle without the PUTs that nobody reads.")
    yield keep("python-pickler", "data.pkl", _pure, "Written by the pickler in pure Python.")
    yield keep("several", "data.pkl", _several, "Three pickles in one file.")
    yield keep("large-bytes", "data.pkl", lambda: pickle.dumps(bytes(3 << 20)), "Three mebibytes of zeros.")
    yield keep("persistent", "data.pkl", _persistent, "Persistent ids of a program's own.")
    yield keep("out-of-band", "data.pkl", _out_of_band, "A protocol-5 pickle whose buffers are kept elsewhere.")
    yield keep("shelf-values", "data.pkl", lambda: pickle.dumps({"a": pickle.dumps([1])}), "Pickles inside a pickle.")


def _dump(name: str, protocol: int) -> bytes:
    return pickle.dumps(values()[name], protocol)


def _arguments() -> bytes:
    import argparse

    return pickle.dumps(argparse.Namespace(lr=0.001, epochs=3, device="cuda:0", tags=["a"]))


def _optimized() -> bytes:
    import pickletools

    return pickletools.optimize(_dump("vocabulary", 4))


def _pure() -> bytes:
    stream = io.BytesIO()
    pickle._Pickler(stream, 4).dump({"a": list(range(2000)), "b": "x" * 70_000})
    return stream.getvalue()


def _several() -> bytes:
    return pickle.dumps([1]) + pickle.dumps({"a": 2}, 2) + pickle.dumps("x", 0)


class _Keeper(pickle.Pickler):
    def persistent_id(self, obj: object) -> object:
        return ("row", 7) if isinstance(obj, complex) else None


def _persistent() -> bytes:
    stream = io.BytesIO()
    _Keeper(stream, 4).dump([1j, 2j, "x"])
    return stream.getvalue()


def _out_of_band() -> bytes:
    return pickle.dumps(pickle.PickleBuffer(b"abc" * 100), 5, buffer_callback=lambda buffer: None)


# --- streams ------------------------------------------------------------------------------------------------

PLAIN = pickle.dumps({"weights": [0.5, 0.25], "epoch": 3, "name": "encoder"}, 4)
STREAMS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": (".pkl.gz", gz),
    "gzip-named": (".pkl.gz", lambda data: gz(data, flags=8, fields=b"data.pkl\0")),
    "gzip-two-members": (".pkl.gz", lambda data: gz(data[:20]) + gz(data[20:])),
    "gzip-level1": (".gz", lambda data: gzip.compress(data, 1, mtime=0)),
    "bz2": (".pkl.bz2", bz2.compress),
    "xz": (".pkl.xz", lzma.compress),
    "lzma": (".pkl.lzma", lzma_alone),
    "zlib": (".pkl.z", zlib_stream),
    "lz4": (".pkl.lz4", lz4),
    "zstd": (".pkl.zst", zstd),
    "zstd-streamed": (".pkl.zst", zstd_streamed),
    "gzip-as-bin": (".bin", gz),
    "zlib-as-pkl": (".pkl", zlib_stream),
}


def streams() -> Iterator[Sample]:
    """An ordinary pickle in each kind of stream."""
    for name, (extension, pack) in STREAMS.items():
        yield keep(f"stream-{name}", f"data{extension}", functools.partial(pack, PLAIN), f"A pickle in {name}.")
    yield keep("stream-gzip-of-text", "log.gz", lambda: gz(b"epoch 1 loss 0.5\n" * 100), "Text in gzip.", status="")
    yield keep("stream-gzip-of-json", "data.json.gz", lambda: gz(b'{"a": [1, 2]}\n' * 100), "JSON lines.", status="")
    yield keep("stream-gzip-empty", "empty.gz", lambda: gz(b""), "A gzip of nothing.", status="")


def ordinary() -> Iterator[Sample]:
    """All of this family."""
    yield from standard()
    yield from streams()
