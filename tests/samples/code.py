"""Code objects, dill, cloudpickle; unknown packages; torch's nested loader (B013, B014, B015, B016)."""

import marshal
import re
import types
from collections.abc import Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, applied, call, calls, literal, pickle, stack_global
from tests.samples.sample import UNPROVEN, Payload, Row, Sample, rows
from tests.samples.torchparts import legacy


def compiled(payload: Payload) -> types.CodeType:
    """The payload's call as a code object of the running Python."""
    return compile(payload.source, "<weights>", "eval")


def marshalled(payload: Payload) -> Raw:
    """marshal.loads of the code object."""
    return calls("marshal", "loads", marshal.dumps(compiled(payload)))


def code_fields(payload: Payload) -> tuple[object, ...]:
    """The arguments that types.CodeType takes in Python 3.11 and later."""
    code = compiled(payload)
    return (
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_nlocals,
        code.co_stacksize,
        code.co_flags,
        code.co_code,
        code.co_consts,
        code.co_names,
        code.co_varnames,
        code.co_filename,
        code.co_name,
        code.co_qualname,
        code.co_firstlineno,
        code.co_linetable,
        code.co_exceptiontable,
        (),
        (),
    )


CODE: tuple[Row, ...] = (
    (
        "function-marshal",
        lambda p: applied(calls("types", "FunctionType", marshalled(p), {})),
        "types.FunctionType over marshal.loads, called (GHSA-565g-hwwr-4pp3).",
    ),
    (
        "lambdatype-marshal",
        lambda p: applied(calls("types", "LambdaType", marshalled(p), {})),
        "LambdaType is FunctionType.",
    ),
    (
        "function-codetype",
        lambda p: applied(calls("types", "FunctionType", calls("types", "CodeType", *code_fields(p)), {})),
        "The code object is built field by field with types.CodeType.",
    ),
    (
        "function-compile",
        lambda p: applied(calls("types", "FunctionType", calls("builtins", "compile", p.source, "x", "eval"), {})),
        "types.FunctionType over compile.",
    ),
    ("eval-marshal", lambda p: pickle(calls("builtins", "eval", marshalled(p))), "eval of a code object."),
    ("exec-marshal", lambda p: pickle(calls("builtins", "exec", marshalled(p))), "exec of a code object."),
    (
        "runpy-run-code",
        lambda p: pickle(calls("runpy", "_run_code", marshalled(p), {})),
        "runpy._run_code of a code object.",
    ),
    (
        "interpreter-runcode",
        lambda p: pickle(
            call(
                stack_global("code", "InteractiveInterpreter.runcode"),
                calls("code", "InteractiveInterpreter"),
                marshalled(p),
            )
        ),
        "code.InteractiveInterpreter().runcode of a code object.",
    ),
    (
        "function-newobj",
        lambda p: applied(stack_global("types", "FunctionType") + literal((marshalled(p), {})) + asm.NEWOBJ),
        "The function is made by NEWOBJ.",
    ),
    (
        "code-replace",
        lambda p: applied(
            calls(
                "types",
                "FunctionType",
                calls("types", "CodeType.replace", marshalled(p)),
                {},
            )
        ),
        "The code object goes through replace() first.",
    ),
)

INERT: tuple[Row, ...] = (
    (
        "function-kept",
        lambda p: pickle(calls("types", "FunctionType", marshalled(p), {})),
        "The function is built and handed to the model's user.",
    ),
    (
        "code-kept",
        lambda p: pickle(calls("types", "CodeType", *code_fields(p))),
        "Only the code object is built.",
    ),
    (
        "marshal-kept",
        lambda p: pickle(marshalled(p)),
        "marshal.loads alone: hostile bytes can already break the interpreter.",
    ),
)


def _with_call(data: bytes) -> bytes:
    """A pickle of a function, with a call of it put before STOP."""
    return data[:-1] + asm.EMPTY_TUPLE + asm.REDUCE + asm.STOP


def _dill(payload: Payload) -> bytes:
    import dill

    function = types.FunctionType(compiled(payload), {"__name__": "__main__"})
    function.__module__ = "__main__"
    return bytes(dill.dumps(function, recurse=True))


def _cloudpickle(payload: Payload) -> bytes:
    import cloudpickle

    function = types.FunctionType(compiled(payload), {})
    function.__module__ = "__main__"
    return bytes(cloudpickle.dumps(function))


def _cloudpickle_class(payload: Payload) -> bytes:
    """A class made by value, whose __new__ is the payload, and an instance of it."""
    import cloudpickle

    namespace: dict[str, object] = {"__module__": "__main__"}
    source = f"def __reduce__(self):\n    return None\ndef step(self):\n    return {payload.source}\n"
    exec(compile(source, "<weights>", "exec"), namespace)
    made = type("Model", (), {key: value for key, value in namespace.items() if key in ("step", "__module__")})
    return re.sub(rb"[0-9a-f]{32}", b"0" * 32, cloudpickle.dumps(made))  # cloudpickle numbers classes at random


SERIALISERS: tuple[Row, ...] = (
    ("dill-function-called", lambda p: _with_call(_dill(p)), "A function that dill wrote whole, called on load."),
    (
        "cloudpickle-function-called",
        lambda p: _with_call(_cloudpickle(p)),
        "A function that cloudpickle wrote whole, called on load.",
    ),
    (
        "dill-import-module",
        lambda p: applied(
            calls("builtins", "getattr", calls("dill._dill", "_import_module", p.module), p.name), p.argument
        ),
        "dill._dill._import_module resolves a module by name.",
    ),
    (
        "dill-get-attr",
        lambda p: applied(calls("dill._dill", "_get_attr", p.held(), p.name), p.argument),
        "dill._dill._get_attr is getattr.",
    ),
    (
        "dill-eval-repr",
        lambda p: (
            pickle(calls("dill._dill", "_eval_repr", p.source))
            if p.module == "os"
            else pickle(calls("builtins", "eval", p.source))
        ),
        "dill's evaluator of repr strings (the twin uses eval: this dill has none).",
    ),
    (
        "dill-load-type",
        lambda p: (
            applied(
                calls("dill._dill", "_load_type", "FunctionType"),
                calls("marshal", "loads", marshal.dumps(compiled(p))),
                {},
            )[:-1]
            + asm.EMPTY_TUPLE
            + asm.REDUCE
            + asm.STOP
        ),
        "dill._dill._load_type gives FunctionType.",
    ),
    (
        "cloudpickle-subimport",
        lambda p: applied(
            calls("builtins", "getattr", calls("cloudpickle.cloudpickle", "subimport", p.module), p.name), p.argument
        ),
        "cloudpickle's subimport imports by name.",
    ),
    (
        "cloudpickle-builtin-type",
        lambda p: applied(
            call(calls("cloudpickle.cloudpickle", "_builtin_type", "FunctionType"), marshalled(p), literal({}))
        ),
        "cloudpickle's _builtin_type gives FunctionType.",
    ),
    (
        "cloudpickle-make-function",
        lambda p: applied(calls("cloudpickle.cloudpickle", "_make_function", marshalled(p), {}, "f", None, None)),
        "cloudpickle's _make_function over marshal.loads.",
    ),
)

SERIALISED_INERT: tuple[Row, ...] = (
    ("dill-function-kept", _dill, "A function that dill wrote whole: its code runs when the user calls it."),
    ("cloudpickle-function-kept", _cloudpickle, "A function that cloudpickle wrote whole."),
    ("cloudpickle-class-kept", _cloudpickle_class, "A class that cloudpickle wrote whole, with code in a method."),
)


def unknown() -> Iterator[Sample]:
    """Packages that nobody knows (B014)."""
    missing = f"{UNPROVEN}the package does not exist."
    table = (
        (
            "called",
            "warning",
            lambda _: pickle(calls("modelaudit_sample_package.layers", "build", 1)),
            "A callable of an unknown package is called.",
        ),
        (
            "called-newobj",
            "warning",
            lambda _: pickle(
                stack_global("modelaudit_sample_package", "Net")
                + asm.EMPTY_TUPLE
                + asm.NEWOBJ
                + asm.dict_(literal("a"), literal(1))
                + asm.BUILD
            ),
            "A class of an unknown package is made and given state.",
        ),
        (
            "named-only",
            "info",
            lambda _: pickle(stack_global("modelaudit_sample_package", "Net")),
            "Importing is enough to run a package's code.",
        ),
        (
            "inst",
            "warning",
            lambda _: asm.inst("modelaudit_sample_package", "Net") + asm.STOP,
            "INST of an unknown class.",
        ),
        (
            "main-class",
            "warning",
            lambda _: pickle(calls("__main__", "run_on_load")),
            "A name of the loading program itself is called.",
        ),
        (
            "typo-of-numpy",
            "warning",
            lambda _: pickle(calls("nunpy.core.multiarray", "_reconstruct", 1)),
            "A package whose name is a typing error away from numpy.",
        ),
        (
            "typo-of-torch",
            "warning",
            lambda _: pickle(calls("torch_.utils", "_rebuild_tensor_v2", 1)),
            "A package whose name looks like torch.",
        ),
        (
            "unknown-name-in-allowed-module",
            "warning",
            lambda _: pickle(calls("collections", "no_such_function", 1)),
            "An allowed module, but a function that nobody vetted.",
        ),
        (
            "unknown-function-in-numpy",
            "warning",
            lambda _: pickle(calls("numpy.lib.somewhere", "execute", "x")),
            "An allowed library, but a function that nobody vetted.",
        ),
    )
    for name, expect, build, why in table:
        yield Sample(f"B014-{name}", "B014", "model.pkl", build, why + missing, expect=expect, loader="")


def nested_torch() -> Iterator[Sample]:
    """torch.storage._load_from_bytes is on many allow lists, and is torch.load (B013)."""
    no_torch = f"{UNPROVEN}torch is not among the test dependencies (PyTorch 2.13 ran it)."
    inner = {
        "pickle": lambda p: p.pickle(),
        "pickle-protocol0": lambda p: p.pickle(0),
        "legacy-torch": lambda p: legacy(p.call(2)),
        "two-levels": lambda p: pickle(calls("torch.storage", "_load_from_bytes", p.pickle())),
    }
    for name, make in inner.items():
        yield Sample(
            f"B013-load-from-bytes-{name}",
            "B013",
            "model.pkl",
            lambda p, make=make: pickle(calls("torch.storage", "_load_from_bytes", make(p))),
            f"torch.storage._load_from_bytes over a hostile {name}.{no_torch}",
            loader="",
        )
    yield Sample(
        "B013-load-from-bytes-computed",
        "B013",
        "model.pkl",
        lambda p: pickle(
            calls("torch.storage", "_load_from_bytes", calls("builtins", "bytes.fromhex", p.pickle().hex()))
        ),
        f"The bytes come from a call, so nobody can see them in the file.{no_torch}",
        loader="",
    )


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from nested_torch()
    yield from unknown()
    yield from rows("B015", CODE)
    kept = f"{UNPROVEN}nothing is called yet."
    for bypass, table in (("B015", INERT), ("B016", SERIALISED_INERT)):
        for name, build, why in table:
            yield Sample(f"{bypass}-{name}", bypass, "model.pkl", build, why + kept, expect="warning", loader="")
    yield from rows("B016", SERIALISERS)
