"""Gathers ordinary model files out of packages on PyPI, for bench_ordinary.py. Nothing of it is committed.

    python -m benchmarks.gather_ordinary                         # into the temporary folder, see places.py
    python -m benchmarks.gather_ordinary FOLDER                  # into another one
    python -m benchmarks.gather_ordinary --only onnx,mediapipe
    python -m benchmarks.gather_ordinary --make                  # and what frameworks write, installed for that
    python -m benchmarks.gather_ordinary --makers /path/to/python …   # and what those in other environments write

`ordinary_packages.toml` names the packages and their versions. pip downloads them without what they depend on; they
are never installed and nothing in them is run. Of each, the files whose names are those of models and of arrays,
the configurations and templates beside them and the Python files that are loaded with models are laid into
`FOLDER/files/PART/PACKAGE/`. `FOLDER/gathered.jsonl` has a line for each file: where it comes from, its size and its
SHA-256, so that two people can see that they measured the same files.
"""

import argparse
import concurrent.futures
import fnmatch
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from benchmarks.places import WORK

FOLDER = WORK / "ordinary"
LISTED = "gathered.jsonl"
PARTS = ("tuned", "held_out", "fresh", "made")
_LIST = Path(__file__).with_name("ordinary_packages.toml")
_MAKER = Path(__file__).with_name("make_ordinary.py")
_PATIENCE_SECONDS = 900
_LARGEST = 600_000_000  # bytes of one file
_MOST_MODELS = 120  # files of one suffix from one package: a backend's test data must not drown the rest
_MOST_BESIDE = 60


@dataclass(frozen=True, slots=True)
class Package:
    """What pip is asked for. `word` is `name==version`, with `sdist:` before it for the source distribution."""

    part: str
    word: str

    @property
    def asked(self) -> str:
        return self.word.removeprefix("sdist:")

    @property
    def label(self) -> str:
        """The name for folders and for `--only`."""
        name = self.asked.partition("==")[0]
        return name if self.word == self.asked else f"sdist-{name}"

    def download(self, folder: Path) -> str:
        """Have pip bring it into `folder`; what went wrong, or an empty string. What was brought before is kept."""
        if folder.is_dir() and any(folder.iterdir()):
            return ""
        words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
        words += ["--dest", str(folder), self.asked]
        words += ["--no-binary", ":all:"] if self.word != self.asked else ["--prefer-binary"]
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return "took too long"
        return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["failed"])[-1][:150]


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a package."""

    path: PurePosixPath
    size: int
    open: Callable[[], IO[bytes] | None]


@dataclass(frozen=True, slots=True)
class Gathered:
    """A line of the list: a file below `FOLDER/files` and where it comes from."""

    path: str
    part: str
    package: str
    archive: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Choice:
    """Which files of a package are taken, by patterns of their names in lower case."""

    models: Sequence[str]
    beside: Sequence[str]

    def is_model(self, path: PurePosixPath) -> bool:
        """Whether the name alone says that it is a model, an array, or packed ones."""
        return any(fnmatch.fnmatch(path.name.lower(), pattern) for pattern in self.models)

    def is_beside(self, path: PurePosixPath) -> bool:
        """Whether it is what lies beside models: configuration, vocabulary, templates, code loaded with them."""
        return any(fnmatch.fnmatch(path.name.lower(), pattern) for pattern in self.beside)

    def of(self, members: Sequence[Member]) -> Iterator[Member]:
        """Those of one package to lay out, spread over its folders by a hash of the path: the same ones every time."""
        kinds: Counter[str] = Counter()
        folders = {member.path.parent for member in members if self.is_model(member.path)}
        for member in sorted(members, key=lambda one: hashlib.sha256(str(one.path).encode()).digest()):
            model = self.is_model(member.path)
            if not model and not self.is_beside(member.path):
                continue
            kind = member.path.suffix.lower()
            # What lies in a model's own folder is part of it; of other configurations a sample is enough.
            most = _MOST_MODELS if model or member.path.parent in folders else _MOST_BESIDE
            if 0 < member.size <= _LARGEST and kinds[kind] < most:
                kinds[kind] += 1
                yield member


def _listed() -> tuple[Choice, dict[str, list[str]], dict[str, list[str]]]:
    """Which files, the packages by part, and what is installed to make models, by environment."""
    listed = tomllib.loads(_LIST.read_text())
    return Choice(**listed["files"]), listed["packages"], listed["makers"]


def packages(only: frozenset[str] = frozenset()) -> list[Package]:
    """What the list names, or those of them whose name is in `only`."""
    _, named, _ = _listed()
    listed = [Package(part, word) for part, words in named.items() for word in words]
    return [package for package in listed if not only or package.label in only]


def _safe(name: str) -> PurePosixPath | None:
    """The path of a member below the folder, None when it would lead out."""
    parts = [part for part in PurePosixPath(name).parts if part not in {"/", "."}]
    return None if not parts or ".." in parts else PurePosixPath(*parts)


def _zipped(opened: zipfile.ZipFile) -> list[Member]:
    infos = [(path, info) for info in opened.infolist() if (path := _safe(info.filename)) and not info.is_dir()]
    return [Member(path, info.file_size, lambda info=info: opened.open(info)) for path, info in infos]  # type: ignore[misc]


def _tarred(opened: tarfile.TarFile) -> list[Member]:
    infos = [(path, info) for info in opened.getmembers() if (path := _safe(info.name)) and info.isfile()]
    return [Member(path, info.size, lambda info=info: opened.extractfile(info)) for path, info in infos]  # type: ignore[misc]


def _lay(members: Sequence[Member], target: Path) -> None:
    """Write what is wanted of `members` below `target`."""
    choice, _, _ = _listed()
    for member in choice.of(members):
        source = member.open()
        if source is None:
            continue
        path = target / member.path
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, path.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)


def _gather(package: Package, folder: Path) -> tuple[Package, list[Gathered], str]:
    """One package, downloaded and laid out: its lines of the list, and what went wrong."""
    place = folder / "packages" / package.label
    trouble = package.download(place)
    if trouble:
        return package, [], trouble
    archive = min(place.iterdir())
    target = folder / "files" / package.part / package.label
    shutil.rmtree(target, ignore_errors=True)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            _lay(_zipped(packed), target)
    else:
        with tarfile.open(archive) as opened:
            _lay(_tarred(opened), target)
    return package, list(_lines(folder, target, package.part, package.asked, archive.name)), ""


def _lines(folder: Path, target: Path, part: str, package: str, archive: str) -> Iterator[Gathered]:
    """The lines of the list for what lies below `target`."""
    for path in sorted(path for path in target.rglob("*") if path.is_file() and not path.is_symlink()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        place = path.relative_to(folder / "files").as_posix()
        yield Gathered(place, part, package, archive, path.stat().st_size, digest)


def _environments(folder: Path) -> Iterator[tuple[str, str]]:
    """The name and the interpreter of each environment for makers, installed where it is not there yet."""
    for name, words in _listed()[2].items():
        place = folder / "makers" / name
        interpreter = place / "bin" / "python"
        if not interpreter.exists():
            print(f"installing {len(words)} packages in {place} …", flush=True)
            venv.create(place, with_pip=True)
            subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *words], check=True)
        yield name, str(interpreter)


def _made(name: str, interpreter: str, folder: Path) -> list[Gathered]:
    """What the frameworks of `interpreter` write, by make_ordinary.py there."""
    target = folder / "files" / "made" / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    done = subprocess.run([interpreter, str(_MAKER), str(target)], capture_output=True, text=True, check=False)
    said = [line for line in done.stdout.splitlines() if " files  " in line]
    print(f"made with {interpreter}:", *said, sep="\n  ", flush=True)
    return list(_lines(folder, target, "made", name, interpreter))


def _keep_old(path: Path, lines: Sequence[Gathered]) -> list[Gathered]:
    """What the list said before of packages that were not gathered anew, with `lines`."""
    anew = {(line.part, line.archive) for line in lines}
    old = [Gathered(**json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in old if (line.part, line.archive) not in anew] + list(lines)


def main() -> int:
    """Gather, and write the list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help=f"default: {FOLDER}")
    parser.add_argument("--only", default="", help="these packages, separated by commas; the others stay as they are")
    parser.add_argument("--at-once", type=int, default=3, help="downloads at the same time")
    parser.add_argument("--make", action="store_true", help="install frameworks and have them write models: 3 GB more")
    parser.add_argument("--makers", nargs="*", default=[], help="interpreters with frameworks that write models")
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    only = frozenset(word for word in options.only.split(",") if word)
    lines: list[Gathered] = []
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.at_once) as threads:
        for package, found, trouble in threads.map(lambda one: _gather(one, folder), packages(only)):
            print(f"{package.part:9s} {package.word:45s} {len(found):5} files  {trouble}", flush=True)
            lines += found
            failed += bool(trouble)
    environments = list(_environments(folder)) if options.make else []
    environments += [(f"other-{number}", interpreter) for number, interpreter in enumerate(options.makers)]
    for name, interpreter in environments:
        lines += _made(name, interpreter, folder)
    if only:
        lines = _keep_old(folder / LISTED, lines)
    (folder / LISTED).write_text("".join(json.dumps(asdict(line)) + "\n" for line in lines))
    print(f"{len(lines)} files in {folder / 'files'}; {failed} packages could not be had")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
