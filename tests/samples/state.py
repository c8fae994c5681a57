"""The extension registry, BUILD and SETITEM gadgets, persistent ids (B024, B025, B033)."""

from collections.abc import Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, call, calls, literal, pickle, stack_global
from tests.samples.sample import Payload, Row, Sample, rows


def registered() -> Iterator[Sample]:
    """EXT1, EXT2 and EXT4 for a code that the same stream registers."""
    for width, code in ((1, 0xF1), (2, 0xF1F1), (4, 0x7FF1F1F1)):
        yield Sample(
            f"B024-add-extension-ext{width}",
            "B024",
            "model.pkl",
            lambda p, width=width, code=code: pickle(
                calls("copyreg", "add_extension", p.module, p.name, code)
                + asm.POP
                + call(asm.ext(code, width), p.text())
            ),
            f"copyreg.add_extension gives the callable a number, EXT{width} calls it up.",
        )
        yield Sample(
            f"B024-inverted-registry-ext{width}",
            "B024",
            "model.pkl",
            lambda p, width=width, code=code: pickle(
                stack_global("copyreg", "_inverted_registry")
                + literal(code)
                + literal((p.module, p.name))
                + asm.SETITEM
                + asm.POP
                + call(asm.ext(code, width), p.text())
            ),
            "SETITEM writes the registry without any call.",
        )


EXTENSIONS: tuple[Row, ...] = (
    (
        "extension-cache",
        lambda p: pickle(
            stack_global("copyreg", "_extension_cache")
            + literal(0xF2)
            + calls("builtins", "getattr", p.held(), p.name)
            + asm.SETITEM
            + asm.POP
            + call(asm.ext(0xF2, 1), p.text())
        ),
        "The cache of extension objects is written.",
    ),
    (
        "setitems",
        lambda p: pickle(
            stack_global("copyreg", "_inverted_registry")
            + asm.MARK
            + literal(0xF3)
            + literal((p.module, p.name))
            + asm.SETITEMS
            + asm.POP
            + call(asm.ext(0xF3, 1), p.text())
        ),
        "SETITEMS instead of SETITEM.",
    ),
    (
        "copy-reg-protocol2",
        lambda p: (
            asm.proto(2)
            + call(asm.global_("copy_reg", "add_extension"), literal(p.module, 2), literal(p.name, 2), literal(0xF4, 2))
            + asm.POP
            + call(asm.ext(0xF4, 1), p.text(2))
            + asm.STOP
        ),
        "Python 2's name, in the protocol that introduced EXT.",
    ),
)


def _plant(payload: Payload, module: str, name: str, attribute: str) -> bytes:
    """An ordinary instance whose `attribute` BUILD has set to the callable."""
    return calls(module, name) + asm.dict_(literal(attribute), payload.function()) + asm.BUILD


SIMPLE = (
    ("argparse", "Namespace"),
    ("collections", "OrderedDict"),
    ("collections", "Counter"),
    ("types", "SimpleNamespace"),
    ("logging", "Filter"),
)


def planted() -> Iterator[Sample]:
    """BUILD sets an attribute that the unpickler itself will call."""
    for module, name in SIMPLE:
        yield Sample(
            f"B025-setstate-{name.lower()}",
            "B025",
            "model.pkl",
            lambda p, module=module, name=name: pickle(_plant(p, module, name, "__setstate__") + p.text() + asm.BUILD),
            f"The first BUILD plants __setstate__ on a {name}, the second calls it.",
        )
    for name, attribute, tail in (
        ("append", "append", lambda p: p.text() + asm.APPEND),
        ("appends", "append", lambda p: asm.MARK + p.text() + asm.APPENDS),
        ("additems", "add", lambda p: asm.MARK + p.text() + asm.ADDITEMS),
    ):
        yield Sample(
            f"B025-{name}-planted",
            "B025",
            "model.pkl",
            lambda p, attribute=attribute, tail=tail: pickle(_plant(p, "argparse", "Namespace", attribute) + tail(p)),
            f"{name.upper()} calls a method that BUILD has planted.",
        )


def _method_on_class(payload: Payload) -> bytes:
    return pickle(
        stack_global("fractions", "Fraction")
        + asm.NONE
        + asm.dict_(literal("__setstate__"), payload.function())
        + asm.TUPLE2
        + asm.BUILD
        + asm.POP
        + stack_global("fractions", "Fraction")
        + asm.EMPTY_TUPLE
        + asm.NEWOBJ
        + payload.text()
        + asm.BUILD
    )


BUILDS: tuple[Row, ...] = (
    (
        "setstate-newobj",
        lambda p: pickle(
            stack_global("argparse", "Namespace")
            + asm.EMPTY_TUPLE
            + asm.NEWOBJ
            + asm.dict_(literal("__setstate__"), p.function())
            + asm.BUILD
            + p.text()
            + asm.BUILD
        ),
        "The object is made by NEWOBJ, as ordinary pickles do: no REDUCE in the file.",
    ),
    (
        "setstate-slotstate",
        lambda p: pickle(
            calls("argparse", "Namespace")
            + asm.NONE
            + asm.dict_(literal("__setstate__"), p.function())
            + asm.TUPLE2
            + asm.BUILD
            + p.text()
            + asm.BUILD
        ),
        "The attribute comes in the slot half of the state.",
    ),
    (
        "setstate-setitem-dict",
        lambda p: pickle(
            calls("argparse", "Namespace")
            + asm.EMPTY_DICT
            + literal("__setstate__")
            + p.function()
            + asm.SETITEM
            + asm.BUILD
            + p.text()
            + asm.BUILD
        ),
        "The state dict is filled by SETITEM.",
    ),
    (
        "setstate-dict-from-memo",
        lambda p: pickle(
            asm.EMPTY_DICT
            + asm.MEMOIZE
            + literal("__setstate__")
            + p.function()
            + asm.SETITEM
            + asm.POP
            + calls("argparse", "Namespace")
            + asm.binget(0)
            + asm.BUILD
            + p.text()
            + asm.BUILD
        ),
        "The state dict waits in the memo.",
    ),
    ("class-attribute", _method_on_class, "BUILD sets __setstate__ on a class; a second BUILD calls it."),
    (
        "sys-modules-setitem",
        lambda p: pickle(
            stack_global("sys", "modules")
            + literal("harmless")
            + p.held()
            + asm.SETITEM
            + asm.POP
            + call(stack_global("harmless", p.name), p.text())
        ),
        "sys.modules gets os under a harmless name, which is then imported.",
    ),
    (
        "sys-modules-override-allowed",
        lambda p: pickle(
            stack_global("sys", "modules")
            + literal("collections")
            + p.held()
            + asm.SETITEM
            + asm.POP
            + call(stack_global("collections", p.name), p.text())
        ),
        "An allowed module is replaced, so that an unknown name in it is os.system.",
    ),
    (
        "sys-modules-alias-of-itself",
        lambda p: pickle(
            stack_global("sys", "modules")
            + asm.MEMOIZE
            + literal("sys")
            + asm.binget(0)
            + asm.SETITEM
            + asm.POP
            + stack_global("sys", "get")
            + asm.MEMOIZE
            + asm.POP
            + asm.binget(0)
            + literal("sys")
            + call(asm.binget(1), literal(p.module))
            + asm.SETITEM
            + asm.POP
            + call(stack_global("sys", p.name), p.text())
        ),
        "sys itself is replaced by the dict of modules, then by os: only sys is ever named.",
    ),
    (
        "module-attribute",
        lambda p: pickle(
            p.held()
            + asm.dict_(literal("harmless"), p.function())
            + asm.BUILD
            + asm.POP
            + call(stack_global(p.module, "harmless"), p.text())
        ),
        "BUILD over a module writes its namespace.",
    ),
    (
        "function-attribute",
        lambda p: pickle(
            stack_global("collections", "namedtuple")
            + asm.dict_(literal("run"), p.function())
            + asm.BUILD
            + asm.POP
            + call(stack_global("collections", "namedtuple.run"), p.text())
        ),
        "BUILD hangs the callable on an allowed function; a dotted name calls it up.",
    ),
    (
        "builtins-dict-setitem",
        lambda p: pickle(
            stack_global("builtins", "__dict__")
            + literal("harmless")
            + p.function()
            + asm.SETITEM
            + asm.POP
            + call(stack_global("builtins", "harmless"), p.text())
        ),
        "SETITEM writes the builtins.",
    ),
    (
        "function-code-swapped",
        lambda p: pickle(
            stack_global("collections", "namedtuple")
            + asm.NONE
            + asm.dict_(literal("__code__"), calls("builtins", "compile", p.source, "x", "eval"))
            + asm.TUPLE2
            + asm.BUILD
            + asm.EMPTY_TUPLE
            + asm.REDUCE
        ),
        "BUILD swaps the code of an allowed function.",
    ),
)


def quiet() -> Iterator[Sample]:
    """State that is changed without any call in the file."""
    table = (
        (
            "environ-setitem",
            lambda _: pickle(
                stack_global("os", "environ") + literal("LD_PRELOAD") + literal("/tmp/x.so") + asm.SETITEM
            ),
            "SETITEM on os.environ.",
        ),
        (
            "sys-path-append",
            lambda _: pickle(stack_global("sys", "path") + literal("/tmp/evil") + asm.APPEND),
            "APPEND to sys.path.",
        ),
        (
            "sys-meta-path-append",
            lambda _: pickle(stack_global("sys", "meta_path") + asm.MARK + asm.NONE + asm.APPENDS),
            "APPENDS to sys.meta_path.",
        ),
        (
            "main-dict-setitem",
            lambda p: pickle(stack_global("__main__", "__dict__") + literal("print") + p.function() + asm.SETITEM),
            "SETITEM on the namespace of __main__.",
        ),
        (
            "excepthook-build",
            lambda p: pickle(
                calls("operator", "getitem", Raw(stack_global("sys", "modules")), "sys")
                + asm.dict_(literal("excepthook"), p.function())
                + asm.BUILD
            ),
            "BUILD over the module sys replaces its hook.",
        ),
    )
    for name, build, why in table:
        yield Sample(
            f"B025-{name}",
            "B025",
            "model.pkl",
            build,
            why + " Not proven by loading: it changes the process and calls nothing.",
            expect="warning",
            loader="",
        )


def persistent() -> Iterator[Sample]:
    """Calls inside a persistent id, as torch's loader evaluates before it looks at the id."""
    table = (
        (
            "call-in-binpersid",
            lambda p: pickle(literal(("storage", Raw(p.call()), "0", "cpu", 1)) + asm.BINPERSID, 2),
            "The storage type in a torch persistent id is a call.",
        ),
        (
            "callable-as-storage-type",
            lambda p: pickle(
                literal(("storage", Raw(p.function()), "0", "cpu", 1)) + asm.BINPERSID + asm.POP + p.call(), 2
            ),
            "The storage type is the callable itself; it is called afterwards.",
        ),
        (
            "persid-text",
            lambda p: asm.persid(b"0") + asm.POP + p.call(0) + asm.STOP,
            "PERSID in a text pickle before the call.",
        ),
        (
            "call-on-persistent-object",
            lambda p: pickle(
                call(
                    stack_global("builtins", "getattr"),
                    Raw(literal(p.held()) + asm.BINPERSID),
                    literal(p.name),
                )
                + asm.tuple_(p.text())
                + asm.REDUCE
            ),
            "A module goes through a persistent id before getattr.",
        ),
        (
            "dict-in-binpersid",
            lambda p: pickle(literal({"x": Raw(p.call())}) + asm.BINPERSID),
            "The persistent id is a dict that holds the call.",
        ),
    )
    for name, build, why in table:
        yield Sample(f"B033-{name}", "B033", "model.pkl", build, why, loader="persistent")


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from registered()
    yield from rows("B024", EXTENSIONS)
    yield from planted()
    yield from rows("B025", BUILDS)
    yield from quiet()
    yield from persistent()
