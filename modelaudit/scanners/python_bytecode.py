"""Compiled Python, of a model's layer or as a `.pyc`: what it calls, known from its opcodes without running them.

Code that a model carries (a Keras Lambda) computes with tensors: whatever the catalogue of callables calls dangerous
is critical there. A `.pyc` is a module like any other, in which the same names have good uses inside functions.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from modelaudit.blob import Blob
from modelaudit.catalogue.callables import Level, Verdict
from modelaudit.catalogue.callables.shipped import shipped
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Child, Evidence, Hit, Severity
from modelaudit.parsers import telltale
from modelaudit.parsers.bytecode import UNKNOWN, Use, uses
from modelaudit.parsers.marshal import Code, Header, header, nested, read, texts

_HEAD_BYTES: Final = 17
_HITS: Final = 50  # of one rule in one piece of code
_TEXTS: Final = 50  # constants of one piece of code that are looked at by themselves
_SHOWN: Final = 80
_TEXT_LEAST: Final = 8
_PAYLOAD_LEAST: Final = 16
# Modules that have no business behind an attribute of anything else, whatever imports them (`keras.utils.os`).
_MODULES: Final = frozenset(
    ("os", "posix", "nt", "sys", "subprocess", "socket", "shutil", "ctypes", "pickle", "marshal", "builtins",
     "importlib", "runpy", "pty", "multiprocessing", "__builtins__", "_pickle", "cPickle", "_posixsubprocess")
)  # fmt: skip
_ALIASES: Final = {"np": "numpy", "tf": "tensorflow", "pd": "pandas"}
_FRAMEWORKS: Final = frozenset(("tensorflow", "keras", "K", "numpy", "jax", "jnp", "torch", "backend", "ops", "scipy"))
_TENSORFLOW: Final = frozenset(
    ("read_file", "write_file", "matching_files", "ReadFile", "WriteFile", "MatchingFiles", "py_function",
     "numpy_function", "py_func", "eager_py_func", "EagerPyFunc", "PyFunc", "load_op_library", "load_library",
     "load_file_system_library", "GFile", "gfile", "SaveV2", "MergeV2Checkpoints")
)  # fmt: skip
_TENSORFLOW_WRITES: Final = frozenset(
    ("write_file", "WriteFile", "load_op_library", "load_library", "load_file_system_library", "SaveV2",
     "MergeV2Checkpoints")
)  # fmt: skip
# What pickles have no use for, and code has.
_ORDINARY: Final = frozenset(
    ("os.path", "os.getcwd", "os.sep", "os.environ", "os.getenv", "os.cpu_count", "os.linesep", "os.name",
     "sys.version_info", "sys.version", "sys.maxsize", "sys.platform", "sys.stdout", "sys.stderr", "sys.byteorder",
     "sys.float_info", "logging", "types", "typing", "threading.Lock", "inspect.signature")
)  # fmt: skip
# The kinds of danger that count in code; the others are those of names in a pickle.
_KINDS: Final = frozenset(
    ("process", "code", "native", "interpreter", "debugger", "attribute", "disguise", "file", "network", "deserialise")
)
# Of a module only what it does when it is imported counts, and of that what attacks are made of.
_AT_IMPORT: Final = late(
    r"posix\.(?:system|popen\w*|exec\w+|spawn\w+|posix_spawn\w*|fork\w*)|subprocess\.\w+|pty\.spawn|runpy\.\w+"
    r"|builtins\.(?:exec|eval|__import__|compile)|(?:marshal|pickle)\.loads?|socket\.(?:create_connection|socket\.connect)"
    r"|urllib\.request\.url\w+|requests\.(?:get|post|put|request)|ctypes\.(?:CDLL|windll|cdll)\b.*"
)
_RUNS_CODE: Final = frozenset(("builtins.exec", "builtins.eval"))
_DECODERS: Final = frozenset(
    ("marshal.loads", "pickle.loads", "b64decode", "b32decode", "b85decode", "a85decode", "unhexlify", "fromhex",
     "decompress", "urlopen")
)  # fmt: skip
_VERSIONS: Final = (
    (62000, "2"), (3000, "3.0 or later"), (3310, "3.4"), (3320, "3.5"), (3360, "3.6"), (3390, "3.7"), (3400, "3.8"),
    (3420, "3.9"), (3430, "3.10"), (3450, "3.11"), (3500, "3.12"), (3550, "3.13"), (3600, "3.14"), (3650, "3.15"),
)  # fmt: skip


def warm() -> None:
    """Load the verdicts before the cage closes: afterwards no file can be opened."""
    shipped()


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the blob begins with the header of a `.pyc` and a code object. Others come as children only."""
    return header(bytes(blob.view(0, _HEAD_BYTES))) is not None


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child]:
    """Hits on what the code uses, and what lies in its constants. Raises `ParseError`, `LimitExceeded`."""
    if blob.size > limits.text_bytes:
        raise LimitExceeded("text_bytes", blob.size, limits.text_bytes)
    data = bytes(blob.view(0, blob.size))
    head = header(data[:_HEAD_BYTES])
    start = head.length if head is not None else 0
    try:
        codes = read(data[start:], limits, head.magic if head is not None else 0)
    except (ParseError, LimitExceeded) as error:
        yield Hit("python-bytecode-unreadable", None, {"trouble": str(error)})
        raise
    if head is not None:
        source = f"from {codes[0].filename}" if codes[0].filename else "from an unknown source"
        yield Hit("python-bytecode-file", 0, {"version": _version(head.magic), "source": source})
    yield from _Report(codes, head).items()


class _Report:
    """Goes through each reading of one code object; each rule and path is told once."""

    def __init__(self, codes: Sequence[Code], head: Header | None) -> None:
        self._codes = codes
        self._head = head
        self._start = head.length if head is not None else 0
        self._told: dict[str, set[str]] = {}
        self._children: set[bytes] = set()
        self._runs_text = False
        self._decodes = False
        self._at_import: list[tuple[str, Use, str]] = []

    def items(self) -> Iterator[Hit | Child]:
        for code in self._codes:
            named: set[str] = set()
            for use in uses(code, self._head.magic if self._head is not None else 0):
                named.update(use.path.split("."))
                yield from self._judged(use)
            for each in nested(code) if self._head is None else ():
                yield from self._unused(each, named)
        yield from self._imports()
        for code in self._codes:
            for each in nested(code):
                yield from self._constants(each)

    def _judged(self, use: Use) -> Iterator[Hit]:
        verdict = judge(use.path)
        if verdict is not None:
            path = f"{verdict.module}.{verdict.name}".strip(".")
            self._runs_text = self._runs_text or verdict.category == "code"
            if self._head is None:
                yield from self._hit("python-bytecode-call", path, use, verdict.why)
            elif use.within == "<module>" and not use.imported and _AT_IMPORT.fullmatch(path):
                self._at_import.append((path, use, verdict.why))
        elif self._head is None and not _TENSORFLOW.isdisjoint(use.path.split(".")):
            writes = not _TENSORFLOW_WRITES.isdisjoint(use.path.split("."))
            yield from self._hit("python-bytecode-tensorflow", use.path, use, "", Severity.CRITICAL if writes else None)
        if use.within == "<module>" and not _DECODERS.isdisjoint((use.path, use.path.rpartition(".")[2])):
            self._decodes = True

    def _imports(self) -> Iterator[Hit]:
        """What a module does when it is imported: to run what it has decoded is what no module does."""
        for path, use, why in self._at_import:
            grade = Severity.CRITICAL if self._decodes and path in _RUNS_CODE else None
            yield from self._hit("python-bytecode-module", path, use, why, grade)

    def _hit(self, rule: str, path: str, use: Use, why: str, grade: Severity | None = None) -> Iterator[Hit]:
        told = self._told.setdefault(rule, set())
        if path in told or len(told) >= _HITS:
            return
        told.add(path)
        evidence: Evidence = {"path": path, "within": use.within, "why": why, "given": ""}
        if use.argument:
            evidence["given"] = f", perhaps with {use.argument[:_SHOWN]!r}"
        yield Hit(rule, self._start + use.offset, evidence, grade)

    def _unused(self, code: Code, named: set[str]) -> Iterator[Hit]:
        """Names that no reading of the instructions gives, of things that are dangerous."""
        for name in code.names:
            if name not in named and name.rpartition(".")[2] not in named and _is_dangerous(name):
                use = Use(name, code.name, code.offset)
                yield from self._hit("python-bytecode-disguised", name, use, "")

    def _constants(self, code: Code) -> Iterator[Child]:
        """Text where text is run, and bytes that begin as something that is loaded."""
        for value in islice(texts(code), _TEXTS * 100):
            if len(self._children) >= _TEXTS:
                return
            if isinstance(value, str):
                data = value.encode("utf-8", "surrogatepass")
                wanted = self._runs_text and len(value) >= _TEXT_LEAST and telltale.code(value) is not None
                format_: str | None = "python_source"
            else:
                data, format_ = value, None
                wanted = len(value) >= _PAYLOAD_LEAST and telltale.is_payload(value[:_PAYLOAD_LEAST])
            if wanted and data not in self._children:
                self._children.add(data)
                kind = "text" if format_ else "bytes"
                yield Child(f"{kind} in {code.name}", data=data, format=format_)


def judge(path: str) -> Verdict | None:
    """The verdict on a path of compiled code where it is a dangerous one, and not one of those with good uses."""
    known = shipped()
    parts = path.split(".")
    parts[0] = _ALIASES.get(parts[0], parts[0])
    if parts[0] != UNKNOWN:
        if _is_ordinary(parts):
            return None
        verdict = known.judge("builtins", parts[0]) if len(parts) == 1 else known.judge(parts[0], ".".join(parts[1:]))
        if len(parts) == 1 and not _counts(verdict) and parts[0] in _MODULES:
            verdict = known.judge(parts[0], "")
        if _counts(verdict) and _is_own(verdict, parts[0]):
            return verdict
        for at in range(len(parts) - 1, 1, -1):  # a module in a package
            verdict = known.judge(".".join(parts[:at]), ".".join(parts[at:]))
            if _counts(verdict) and _is_own(verdict, parts[0]):
                return verdict
    for at, part in enumerate(parts[1:], 1):
        if part in _MODULES and not _is_ordinary(parts[at:]):
            return known.judge(part, ".".join(parts[at + 1 :]))
        escape = known.attribute(part)
        if escape.category == "attribute":
            return Verdict(escape.level, escape.category, escape.why, "", path)
    return None


def _counts(verdict: Verdict) -> bool:
    return verdict.level is Level.DANGEROUS and (verdict.category in _KINDS or verdict.module in _MODULES)


def _is_own(verdict: Verdict, head: str) -> bool:
    """Whether a verdict on a framework's name is not about a module whose name a part of it happens to have."""
    module = verdict.module.partition(".")[0]
    if head == "tensorflow":  # its tables of files and codecs are judged as a whole; see `_TENSORFLOW`
        return module in _MODULES
    return head not in _FRAMEWORKS or module == head or module in _MODULES


def _is_ordinary(parts: Sequence[str]) -> bool:
    return parts[0] in _ORDINARY or ".".join(parts[:2]) in _ORDINARY or (len(parts) == 1 and parts[0] in ("os", "sys"))


def _is_dangerous(name: str) -> bool:
    verdict = shipped().judge("builtins", name)
    return name in _MODULES or (verdict.level is Level.DANGEROUS and verdict.category in ("code", "import", "file"))


def _version(magic: int) -> str:
    found = "an unknown version"
    for least, name in sorted(_VERSIONS):
        if magic >= least:
            found = name
    return found
