"""The benchmarks' input: the same bytes from the same seed on every machine, made once, kept in `places.CORPUS`.

Each set is made in a process of its own, so that the process that measures stays small: the peak memory of a
child on Linux starts at its parent's.
"""

import os
import pickle
import pty
import random
import runpy
import shutil
import string
import subprocess
import sys
import webbrowser
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.places import CORPUS
from benchmarks.shapes import Attack, invent, npy, write_safetensors, write_torch

_RECIPE = "1"  # change it when a set changes, and the old one is made again
_ROWS = 400_000
_WORDS = 1_500_000
_ARRAY_BYTES = 160_000_000
_EMBEDDED = 400_000  # words of a word-embedding table: the densest shape that a numpy pickle takes
_PER_FOLDER = 1000
_MODEL_BYTES = 512 << 20  # of the tensors of each large model
_HOSTILE_SHARE = 0.02  # of the bucket: so that there is something to find

# What a loader would call. None of it ever runs: the files are written, never loaded.
CALLS: tuple[Callable[..., Any], ...] = (
    os.system,
    os.popen,
    eval,
    exec,
    subprocess.Popen,
    subprocess.check_output,
    runpy.run_path,
    pty.spawn,
    webbrowser.open,
)


def prepare(name: str) -> Path:
    """The folder of the set `name`, made now if it is not there."""
    folder = CORPUS / name
    if not _marker(folder).exists():
        print(f"making the corpus {name} in {folder} …", flush=True)
        root = Path(__file__).resolve().parent.parent
        subprocess.run([sys.executable, "-m", "benchmarks.corpus", name], check=True, cwd=root)
    return folder


def _marker(folder: Path) -> Path:
    """Beside the folder, not in it: what is in it is scanned. It says that the set is whole, and which recipe's."""
    return folder.with_name(f".{folder.name}.recipe-{_RECIPE}")


def files(folder: Path) -> list[Path]:
    """The files of a set, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def _word(rng: random.Random) -> str:
    return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(3, 9)))


def _rows(rng: random.Random, count: int) -> list[dict[str, Any]]:
    return [
        {"id": index, "label": _word(rng), "score": rng.random(), "group": rng.randrange(1000)}
        for index in range(count)
    ]


def _vocabulary(rng: random.Random, count: int) -> dict[str, int]:
    words: dict[str, int] = {}
    while len(words) < count:
        words.setdefault(_word(rng), len(words))
    return words


def _vectorizer(words: dict[str, int]) -> Any:
    """A fitted text vectorizer: a class instance around the vocabulary, with the usual few globals."""
    import numpy as np

    (kind,) = invent("sklearn.feature_extraction.text", "CountVectorizer")
    made = kind()
    settings = {"input": "content", "ngram_range": (1, 2), "max_df": 1.0, "dtype": np.dtype("int64"), "binary": False}
    made.__dict__.update(settings)
    made.__dict__.update(
        idf=np.float64(0.5),
        fitted=datetime(2024, 5, 17, 12, 30, tzinfo=UTC),
        seen=OrderedDict(train=10_000, test=2_000),
        vocabulary_=words,
        stop_words_={"the", "a", "of"},
    )
    return made


def _pickles(folder: Path, rows: int, words: int) -> None:
    table = _rows(random.Random(1), rows)
    vocabulary = _vocabulary(random.Random(2), words)
    vectorizer = _vectorizer(vocabulary)
    for protocol in (0, 2, 4):
        for name, value in (("dicts", table), ("vocabulary", vocabulary), ("vectorizer", vectorizer)):
            (folder / f"{name}.p{protocol}.pkl").write_bytes(pickle.dumps(value, protocol=protocol))


def _arrays(folder: Path, total: int) -> None:
    import numpy as np

    rng = np.random.default_rng(3)
    many = {f"layer{index}.weight": rng.random((100, 125)) for index in range(total // 100_000)}
    for protocol in (2, 4):
        (folder / f"many-arrays.p{protocol}.pkl").write_bytes(pickle.dumps(many, protocol=protocol))
    words = _vocabulary(random.Random(5), _EMBEDDED * total // _ARRAY_BYTES)
    table = {word: rng.random(90, dtype=np.float32) for word in words}
    (folder / "embeddings.p4.pkl").write_bytes(pickle.dumps(table, protocol=4))
    with (folder / "one-array.p4.pkl").open("wb") as file:
        pickle.dump(rng.random(total // 8), file, protocol=4)


def _small_hostile(rng: random.Random, index: int) -> bytes:
    call = CALLS[index % len(CALLS)]
    value = {
        "name": _word(rng),
        "weights": [rng.random() for _ in range(rng.randint(5, 200))],
        "hook": Attack(call, f"echo {_word(rng)}"),
        "labels": [_word(rng) for _ in range(rng.randint(3, 30))],
    }
    return pickle.dumps(value, protocol=rng.choice((0, 1, 2, 3, 4, 5)))


def _hostile(folder: Path, count: int) -> None:
    rng = random.Random(4)
    for index in range(count):
        if index % _PER_FOLDER == 0:
            place = folder / f"{index // _PER_FOLDER:03d}"
            place.mkdir()
        (place / f"model{index:06d}.pkl").write_bytes(_small_hostile(rng, index))


def _tiny(folder: Path) -> None:
    (folder / "tiny.pkl").write_bytes(pickle.dumps({"weights": [1.0, 2.0, 3.0]}, protocol=4))


@dataclass(frozen=True, slots=True)
class BucketSizes:
    """How many objects of each shape; large ones have 1–50 MB, `skew` > 1 makes the small of them more frequent."""

    small_pickles: int = 750
    npz: int = 450
    torch: int = 450
    safetensors: int = 350
    skew: float = 1.3


def _log_size(rng: random.Random, least: float, most: float, skew: float = 1.0) -> int:
    return int(least * (most / least) ** (rng.random() ** skew))


def _small_pickle(rng: random.Random, size: int, hostile: bool) -> bytes:
    value: dict[str, Any] = {"classes": [_word(rng) for _ in range(20)], "coef": []}
    if hostile:
        value["hook"] = Attack(rng.choice(CALLS), f"echo {_word(rng)}")
    value["vocabulary"] = {f"{_word(rng)}{index}": rng.random() for index in range(size // 22)}
    return pickle.dumps(value, protocol=rng.choice((2, 4)))


def _npz(path: Path, rng: random.Random, size: int, packed: bool) -> None:
    count = rng.randint(1, 5)
    method = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for index in range(count):
            rows = max(1, size // count // 4 // 16)
            archive.writestr(zipfile.ZipInfo(f"arr_{index}.npy"), npy(rng, rows, 16), method)


def _bucket(folder: Path, sizes: BucketSizes) -> None:
    for index in range(sizes.small_pickles):
        rng = random.Random(10_000 + index)
        hostile = rng.random() < _HOSTILE_SHARE
        place = _team(folder, rng)
        (place / f"clf{index:05d}.pkl").write_bytes(_small_pickle(rng, _log_size(rng, 2e3, 2e5), hostile))
    for index in range(sizes.npz):
        rng = random.Random(20_000 + index)
        _npz(_team(folder, rng) / f"features{index:05d}.npz", rng, _log_size(rng, 2e3, 2e5), index % 3 == 0)
    for index in range(sizes.torch):
        rng = random.Random(30_000 + index)
        extra = {"hook": Attack(rng.choice(CALLS), "echo harmless")} if rng.random() < _HOSTILE_SHARE else {}
        name = f"checkpoint{index:05d}{rng.choice(('.pt', '.pth', '.bin', '.ckpt'))}"
        write_torch(_team(folder, rng) / name, rng, _log_size(rng, 1e6, 5e7, sizes.skew), extra)
    for index in range(sizes.safetensors):
        rng = random.Random(40_000 + index)
        path = _team(folder, rng) / f"model{index:05d}.safetensors"
        write_safetensors(path, _log_size(rng, 1e6, 5e7, sizes.skew))


def _team(folder: Path, rng: random.Random) -> Path:
    place = folder / f"team{rng.randrange(20):02d}"
    place.mkdir(exist_ok=True)
    return place


def _models(folder: Path, tensor_bytes: int) -> None:
    from benchmarks import large  # only where they are made: it needs h5py, and who measures must stay small

    large.make(folder, tensor_bytes)


def _recipes() -> Iterator[tuple[str, Callable[[Path], None]]]:
    yield "pickles", lambda folder: _pickles(folder, _ROWS, _WORDS)
    yield "pickles-quick", lambda folder: _pickles(folder, _ROWS // 20, _WORDS // 20)
    yield "arrays", lambda folder: _arrays(folder, _ARRAY_BYTES)
    yield "arrays-quick", lambda folder: _arrays(folder, _ARRAY_BYTES // 20)
    yield "hostile-1000", lambda folder: _hostile(folder, 1000)
    yield "hostile-10000", lambda folder: _hostile(folder, 10_000)
    yield "hostile-100000", lambda folder: _hostile(folder, 100_000)
    yield "tiny", _tiny
    yield "bucket", lambda folder: _bucket(folder, BucketSizes())
    yield "formats", lambda folder: _models(folder, _MODEL_BYTES)
    yield "formats-quick", lambda folder: _models(folder, _MODEL_BYTES // 4)
    yield "bucket-quick", lambda folder: _bucket(folder, BucketSizes(75, 45, 45, 35))


def main() -> int:
    """Make the set that the first argument names."""
    recipes = dict(_recipes())
    if len(sys.argv) != 2 or sys.argv[1] not in recipes:
        print(f"usage: python -m benchmarks.corpus {'|'.join(recipes)}")
        return 2
    folder = CORPUS / sys.argv[1]
    making = folder.with_name(f"{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    recipes[sys.argv[1]](making)
    shutil.rmtree(folder, ignore_errors=True)
    making.rename(folder)
    _marker(folder).touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
