"""Callables that are looked up by name, by getattr, or through a module that re-exports them (B003, B005, B006)."""

from collections.abc import Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, call, calls, literal, pickle, short_unicode, stack_global
from tests.samples.sample import UNPROVEN, Payload, Row, Sample, rows, slug

GETATTR = stack_global("builtins", "getattr")


def then(function: bytes, payload: Payload) -> bytes:
    """Call what `function` leaves on the stack with the payload's argument."""
    return pickle(call(function, payload.text()))


RESOLVERS: tuple[Row, ...] = (
    (
        "pkgutil-resolve-name-colon",
        lambda p: then(calls("pkgutil", "resolve_name", f"{p.module}:{p.name}"), p),
        "pkgutil.resolve_name turns 'os:system' into the callable (GHSA-vvpj-8cmc-gx39).",
    ),
    (
        "pkgutil-resolve-name-dots",
        lambda p: then(calls("pkgutil", "resolve_name", f"{p.module}.{p.name}"), p),
        "The same with the older dotted spelling.",
    ),
    (
        "pydoc-locate",
        lambda p: then(calls("pydoc", "locate", f"{p.module}.{p.name}"), p),
        "pydoc.locate imports any dotted path.",
    ),
    (
        "logging-config-resolve",
        lambda p: then(calls("logging.config", "_resolve", f"{p.module}.{p.name}"), p),
        "logging.config._resolve imports any dotted path.",
    ),
    (
        "import-module-getattr",
        lambda p: then(calls("builtins", "getattr", calls("importlib", "import_module", p.module), p.name), p),
        "importlib.import_module gives the module, getattr the callable.",
    ),
    (
        "dunder-import-getattr",
        lambda p: then(calls("builtins", "getattr", calls("builtins", "__import__", p.module), p.name), p),
        "builtins.__import__ gives the module, getattr the callable.",
    ),
    (
        "importlib-dunder-import",
        lambda p: then(calls("builtins", "getattr", calls("importlib", "__import__", p.module), p.name), p),
        "importlib.__import__ is a second way to import.",
    ),
    (
        "gcd-import",
        lambda p: then(calls("builtins", "getattr", calls("importlib._bootstrap", "_gcd_import", p.module), p.name), p),
        "The import system's own entry point.",
    ),
    (
        "pydoc-safeimport",
        lambda p: then(calls("builtins", "getattr", calls("pydoc", "safeimport", p.module), p.name), p),
        "pydoc.safeimport imports a module by name.",
    ),
    (
        "sys-modules-getitem",
        lambda p: then(
            calls(
                "builtins",
                "getattr",
                calls("operator", "getitem", Raw(stack_global("sys", "modules")), p.module),
                p.name,
            ),
            p,
        ),
        "sys.modules is a dict that holds every module that was imported.",
    ),
    (
        "sys-modules-get",
        lambda p: then(calls("builtins", "getattr", calls("sys", "modules.get", p.module), p.name), p),
        "The same through the dict's own method, found by a dotted name.",
    ),
    (
        "import-module-two-arguments",
        lambda p: then(calls("builtins", "getattr", calls("importlib", "import_module", p.module, None), p.name), p),
        "import_module with its second argument given.",
    ),
)

LADDERS: tuple[Row, ...] = (
    (
        "getattr-once",
        lambda p: then(calls("builtins", "getattr", p.held(), p.name), p),
        "getattr over the os that pathlib imports.",
    ),
    (
        "getattr-to-dict-get",
        lambda p: then(
            call(
                call(GETATTR, call(GETATTR, p.held("posixpath"), literal("__dict__")), literal("get")),
                literal(p.name),
            ),
            p,
        ),
        "posixpath.os, then its __dict__, then get (GHSA-h4rm-mm56-xf63).",
    ),
    (
        "getattr-twice",
        lambda p: then(
            calls("builtins", "getattr", calls("builtins", "getattr", p.held("glob"), "__loader__"), "x", None)
            + asm.POP
            + calls("builtins", "getattr", p.held("glob"), p.name),
            p,
        ),
        "A harmless ladder is thrown away before the real one.",
    ),
    (
        "getattr-default",
        lambda p: then(calls("builtins", "getattr", p.held("shutil"), p.name, None), p),
        "getattr with a default.",
    ),
    (
        "getattr-protocol0",
        lambda p: (
            b"c__builtin__\ngetattr\n"
            + asm.tuple_(asm.global_(p.carrier("posixpath"), p.module), literal(p.name, 0))
            + asm.REDUCE
            + asm.tuple_(p.text(0))
            + b"R."
        ),
        "The ladder in protocol 0 with Python 2's name of builtins.",
    ),
    (
        "object-getattribute",
        lambda p: then(calls("builtins", "object.__getattribute__", p.held(), p.name), p),
        "object.__getattribute__ does what getattr does.",
    ),
    (
        "getattr-static",
        lambda p: then(calls("inspect", "getattr_static", p.held(), p.name), p),
        "inspect.getattr_static does what getattr does.",
    ),
    (
        "vars-getitem",
        lambda p: then(calls("operator", "getitem", calls("builtins", "vars", p.held()), p.name), p),
        "vars() of the module, then the item.",
    ),
    (
        "getattr-memo",
        lambda p: pickle(
            GETATTR
            + asm.MEMOIZE
            + p.held()
            + asm.MEMOIZE
            + asm.POP
            + asm.POP
            + call(asm.binget(0), asm.binget(1), short_unicode(p.name))
            + asm.tuple_(p.text())
            + asm.REDUCE
        ),
        "getattr and the module are fetched from the memo.",
    ),
    (
        "getattr-newobj-tuple",
        lambda p: pickle(GETATTR + p.held() + short_unicode(p.name) + asm.TUPLE2 + asm.REDUCE + p.text() + b"\x85R"),
        "Short tuple opcodes instead of MARK and TUPLE.",
    ),
)

CARRIERS = (
    "pathlib",
    "posixpath",
    "glob",
    "shutil",
    "logging",
    "zipfile",
    "linecache",
    "inspect",
    "os.path",
)
LIBRARY_CARRIERS = (
    ("numpy.lib.npyio", "os.system"),
    ("numpy.ctypeslib", "os.system"),
    ("joblib.numpy_pickle", "os.system"),
    ("joblib.memory", "os.system"),
    ("torch.serialization", "os.system"),
    ("torch.hub", "os.system"),
    ("torch", "os.system"),
    ("torch.utils.cpp_extension", "subprocess.Popen"),
    ("sklearn.utils", "os.system"),
    ("sklearn.datasets._base", "os.system"),
    ("pandas.io.common", "os.system"),
    ("scipy.io.matlab", "os.system"),
    ("transformers.trainer_utils", "os.system"),
    ("xgboost.core", "os.system"),
    ("collections", "_sys.modules.get"),
    ("tempfile", "_os.system"),
    ("random", "_os.system"),
)


def reexports() -> Iterator[Sample]:
    """A dotted name that walks out of an allowed module into os."""

    def build(carrier: str, opcode: str, payload: Payload) -> bytes:
        module, name = payload.carrier(carrier), f"{payload.module}.{payload.name}"
        maker = asm.global_ if opcode == "global" else stack_global
        return pickle(call(maker(module, name), payload.text()))

    for carrier in CARRIERS:
        for opcode in ("stack-global", "global"):
            yield Sample(
                f"B006-{slug(carrier)}-{opcode}",
                "B006",
                "model.pkl",
                lambda p, carrier=carrier, opcode=opcode: build(carrier, opcode, p),
                f"'{carrier}' holds os, and a dotted name walks into it (GHSA-5j3x-jp52-966f).",
            )
    for module, name in LIBRARY_CARRIERS:
        yield Sample(
            f"B006-{slug(module)}-{slug(name)}",
            "B006",
            "model.pkl",
            lambda p, module=module, name=name: pickle(call(stack_global(module, name), p.text())),
            f"An allowed library is named, but '{name}' walks out of it.{UNPROVEN}the twin has no such carrier.",
            loader="",
        )


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from rows("B003", RESOLVERS)
    yield from rows("B005", LADDERS)
    yield from reexports()
