"""Harmless-looking functions that make the call for the pickle (B004, B026)."""

from collections.abc import Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, call, literal, pickle, stack_global
from tests.samples.sample import Payload, Row, Sample, rows


def value(item: object) -> bytes:
    """Shorthand: opcodes of a plain value in protocol 4."""
    return literal(item, 4)


def calls(module: str, name: str, *arguments: object) -> Raw:
    """`module.name(*arguments)` in protocol 4."""
    return Raw(call(stack_global(module, name), *(value(argument) for argument in arguments)))


def applied(function: bytes, *arguments: object) -> bytes:
    """A pickle that calls what `function` leaves on the stack."""
    return pickle(call(function, *(value(argument) for argument in arguments)))


def held(payload: Payload) -> Raw:
    """The payload's module, as an attribute of a module that imports it."""
    return Raw(stack_global(payload.carrier("pathlib"), payload.module))


def function(payload: Payload) -> Raw:
    """The payload's callable."""
    return Raw(payload.function())


def partial(payload: Payload) -> Raw:
    """functools.partial(callable, argument)."""
    return calls("functools", "partial", function(payload), payload.argument)


def lazy(payload: Payload) -> Raw:
    """map(callable, [argument])."""
    return calls("builtins", "map", function(payload), [payload.argument])


CHAINS: tuple[Row, ...] = (
    (
        "attrgetter",
        lambda p: applied(call(calls("operator", "attrgetter", p.name), held(p)), p.argument),
        "operator.attrgetter hides the attribute's name in an argument (GHSA-955r-x9j8-7rhh).",
    ),
    (
        "attrgetter-private-module",
        lambda p: applied(call(calls("_operator", "attrgetter", p.name), held(p)), p.argument),
        "The same from _operator.",
    ),
    (
        "attrgetter-dotted",
        lambda p: applied(
            call(
                calls("operator", "attrgetter", f"{p.module}.{p.name}"),
                calls("importlib", "import_module", p.carrier("pathlib")),
            ),
            p.argument,
        ),
        "One attrgetter walks two steps.",
    ),
    (
        "methodcaller",
        lambda p: applied(calls("operator", "methodcaller", p.name, p.argument), held(p)),
        "operator.methodcaller holds name and argument.",
    ),
    (
        "methodcaller-private-module",
        lambda p: applied(calls("_operator", "methodcaller", p.name, p.argument), held(p)),
        "The same from _operator (GHSA-m273-6v24-x4m4).",
    ),
    (
        "methodcaller-newobj",
        lambda p: applied(stack_global("operator", "methodcaller") + value((p.name, p.argument)) + asm.NEWOBJ, held(p)),
        "The methodcaller is made by NEWOBJ.",
    ),
    (
        "methodcaller-dunder-call",
        lambda p: applied(calls("operator", "methodcaller", "__call__", p.argument), function(p)),
        "methodcaller('__call__', …) applied to the callable.",
    ),
    (
        "itemgetter",
        lambda p: applied(
            call(calls("operator", "itemgetter", p.name), calls("builtins", "vars", held(p))), p.argument
        ),
        "operator.itemgetter over the module's dict.",
    ),
    ("operator-call", lambda p: pickle(calls("operator", "call", function(p), p.argument)), "operator.call."),
    (
        "partial",
        lambda p: applied(partial(p)),
        "functools.partial, then a call without arguments (GHSA-46h3-79wf-xr6c).",
    ),
    (
        "partial-private-module",
        lambda p: applied(calls("_functools", "partial", function(p), p.argument)),
        "The same from _functools.",
    ),
    (
        "partial-newobj",
        lambda p: applied(stack_global("functools", "partial") + value((function(p), p.argument)) + asm.NEWOBJ),
        "The partial is made by NEWOBJ.",
    ),
    (
        "partial-setstate",
        lambda p: applied(
            calls("functools", "partial", Raw(stack_global("builtins", "len")))
            + value((function(p), (p.argument,), {}, None))
            + asm.BUILD
        ),
        "A partial over len; BUILD then swaps the callable.",
    ),
    (
        "partial-of-partial",
        lambda p: applied(calls("functools", "partial", calls("functools", "partial", function(p)), p.argument)),
        "A partial inside a partial.",
    ),
    (
        "reduce-getattr",
        lambda p: applied(
            calls("functools", "reduce", Raw(stack_global("builtins", "getattr")), [held(p), p.name]), p.argument
        ),
        "functools.reduce(getattr, [module, name]).",
    ),
    (
        "reduce-operator-call",
        lambda p: pickle(
            calls("functools", "reduce", Raw(stack_global("operator", "call")), [function(p), p.argument])
        ),
        "functools.reduce(operator.call, [callable, argument]).",
    ),
    (
        "methodtype",
        lambda p: applied(calls("types", "MethodType", function(p), p.argument)),
        "A bound method whose self is the argument.",
    ),
    (
        "lru-cache",
        lambda p: applied(call(calls("functools", "lru_cache", None), function(p)), p.argument),
        "functools.lru_cache around the callable.",
    ),
    (
        "singledispatch",
        lambda p: (
            applied(calls("functools", "singledispatch", function(p)), p.argument)
            if p.module == "os"
            else applied(calls("functools", "cache", function(p)), p.argument)
        ),
        "functools.singledispatch around the callable (the twin uses functools.cache).",
    ),
    (
        "copy-reconstruct",
        lambda p: pickle(calls("copy", "_reconstruct", None, None, function(p), (p.argument,))),
        "copy._reconstruct calls what it is told to.",
    ),
    (
        "exitstack",
        lambda p: pickle(
            calls("contextlib", "ExitStack")
            + asm.MEMOIZE
            + asm.POP
            + calls("contextlib", "ExitStack.callback", Raw(asm.binget(0)), function(p), p.argument)
            + asm.POP
            + calls("contextlib", "ExitStack.close", Raw(asm.binget(0)))
        ),
        "A callback of an ExitStack that is closed at once.",
    ),
    (
        "weakref-finalize",
        lambda p: pickle(
            calls("collections", "OrderedDict")
            + asm.MEMOIZE
            + asm.POP
            + calls("weakref", "finalize", Raw(asm.binget(0)), function(p), p.argument)
        ),
        "A finalizer that runs when the unpickler lets its memo go.",
    ),
    (
        "atexit",
        lambda p: pickle(calls("atexit", "register", function(p), p.argument)),
        "Registered to run when the process ends.",
    ),
    (
        "thread",
        lambda p: pickle(
            call(
                stack_global("threading", "Thread.start"),
                calls("threading", "Thread", None, function(p), None, (p.argument,)),
            )
        ),
        "A thread whose target is the callable.",
    ),
    (
        "start-new-thread",
        lambda p: pickle(calls("_thread", "start_new_thread", function(p), (p.argument,))),
        "The thread primitive itself.",
    ),
    (
        "thread-pool",
        lambda p: pickle(
            calls(
                "concurrent.futures.thread",
                "ThreadPoolExecutor.submit",
                calls("concurrent.futures.thread", "ThreadPoolExecutor", 1),
                function(p),
                p.argument,
            )
        ),
        "Submitted to a pool of one thread.",
    ),
    (
        "context-run",
        lambda p: pickle(calls("contextvars", "Context.run", calls("contextvars", "Context"), function(p), p.argument)),
        "contextvars.Context().run calls its argument.",
    ),
    (
        "numpy-vectorize",
        lambda p: applied(calls("numpy", "vectorize", function(p)), p.argument),
        "numpy.vectorize of the callable.",
    ),
    (
        "numpy-frompyfunc",
        lambda p: applied(calls("numpy", "frompyfunc", function(p), 1, 1), p.argument),
        "numpy.frompyfunc of the callable.",
    ),
    (
        "numpy-apply-over-map",
        lambda p: pickle(calls("numpy", "fromiter", lazy(p), "i8")),
        "numpy.fromiter consumes a map over the callable.",
    ),
)

CONSUMERS = {
    "list": ("builtins", "list"),
    "tuple": ("builtins", "tuple"),
    "set": ("builtins", "set"),
    "frozenset": ("builtins", "frozenset"),
    "bytes": ("builtins", "bytes"),
    "bytearray": ("builtins", "bytearray"),
    "sorted": ("builtins", "sorted"),
    "sum": ("builtins", "sum"),
    "any": ("builtins", "any"),
    "all": ("builtins", "all"),
    "max": ("builtins", "max"),
    "next": ("builtins", "next"),
    "deque": ("collections", "deque"),
    "counter": ("collections", "Counter"),
    "ordered-set-of-keys": ("collections", "OrderedDict.fromkeys"),
    "array": ("statistics", "mean"),
}


def consumed() -> Iterator[Sample]:
    """A lazy iterator over the callable, and whatever drains it."""
    for name, (module, consumer) in CONSUMERS.items():
        yield Sample(
            f"B026-map-{name}",
            "B026",
            "model.pkl",
            lambda p, module=module, consumer=consumer: pickle(calls(module, consumer, lazy(p))),
            f"map(callable, [argument]) does nothing until {consumer} drains it.",
        )


LAZY: tuple[Row, ...] = (
    (
        "map-newobj-tuple-newobj",
        lambda p: pickle(
            stack_global("builtins", "tuple")
            + stack_global("builtins", "map")
            + value((function(p), [p.argument]))
            + asm.NEWOBJ
            + asm.TUPLE1
            + asm.NEWOBJ
        ),
        "Both the map and its consumer are made by NEWOBJ: no REDUCE in the file.",
    ),
    (
        "map-never-consumed",
        lambda p: pickle(lazy(p)) if p.module == "os" else pickle(calls("builtins", "list", lazy(p))),
        "A map that the model's user drains later (the twin drains it at once).",
    ),
    (
        "filter",
        lambda p: pickle(calls("builtins", "list", calls("builtins", "filter", function(p), [p.argument]))),
        "filter calls its predicate.",
    ),
    (
        "starmap",
        lambda p: pickle(calls("builtins", "list", calls("itertools", "starmap", function(p), [(p.argument,)]))),
        "itertools.starmap.",
    ),
    (
        "takewhile",
        lambda p: pickle(calls("builtins", "list", calls("itertools", "takewhile", function(p), [p.argument]))),
        "itertools.takewhile.",
    ),
    (
        "dropwhile",
        lambda p: pickle(calls("builtins", "list", calls("itertools", "dropwhile", function(p), [p.argument]))),
        "itertools.dropwhile.",
    ),
    (
        "filterfalse",
        lambda p: pickle(calls("builtins", "list", calls("itertools", "filterfalse", function(p), [p.argument]))),
        "itertools.filterfalse.",
    ),
    (
        "groupby",
        lambda p: pickle(calls("builtins", "list", calls("itertools", "groupby", [p.argument], function(p)))),
        "itertools.groupby calls its key.",
    ),
    (
        "iter-sentinel",
        lambda p: pickle(calls("builtins", "list", calls("builtins", "iter", partial(p), 0))),
        "iter(callable, sentinel) calls until the sentinel comes.",
    ),
    (
        "map-eval",
        lambda p: pickle(
            calls("builtins", "list", calls("builtins", "map", Raw(stack_global("builtins", "eval")), [p.source]))
        ),
        "map over eval.",
    ),
    (
        "itertools-imap-python2",
        lambda p: (
            b"c__builtin__\nlist\n"
            + asm.tuple_(
                call(asm.global_("itertools", "imap"), p.function(0), asm.list_(p.text(0))),
            )
            + b"R."
        ),
        "itertools.imap is mapped to builtins.map for old protocols.",
    ),
    (
        "defaultdict-getitem",
        lambda p: pickle(calls("operator", "getitem", calls("collections", "defaultdict", partial(p)), "x")),
        "A defaultdict calls its factory when a key is missing.",
    ),
    (
        "defaultdict-method",
        lambda p: pickle(
            calls("collections", "defaultdict.__missing__", calls("collections", "defaultdict", partial(p)), "x")
        ),
        "defaultdict.__missing__ is called directly.",
    ),
    (
        "defaultdict-chainmap",
        lambda p: pickle(
            calls(
                "operator",
                "getitem",
                calls("collections", "ChainMap", calls("collections", "defaultdict", partial(p))),
                "x",
            )
        ),
        "The defaultdict hides in a ChainMap.",
    ),
    (
        "defaultdict-format-map",
        lambda p: pickle(calls("builtins", "str.format_map", "{x}", calls("collections", "defaultdict", partial(p)))),
        "str.format_map looks a missing key up.",
    ),
    (
        "defaultdict-template",
        lambda p: pickle(
            calls(
                "string",
                "Template.substitute",
                calls("string", "Template", "$x"),
                calls("collections", "defaultdict", partial(p)),
            )
        ),
        "string.Template looks a missing key up.",
    ),
    (
        "defaultdict-kept",
        lambda p: (
            pickle(calls("collections", "defaultdict", partial(p)))
            if p.module == "os"
            else pickle(calls("operator", "getitem", calls("collections", "defaultdict", partial(p)), "x"))
        ),
        "The defaultdict is handed to the model's user (the twin looks a key up at once).",
    ),
    (
        "chain-from-iterable",
        lambda p: pickle(
            calls("builtins", "list", calls("itertools", "chain.from_iterable", [calls("builtins", "zip", lazy(p))]))
        ),
        "The map is wrapped in zip and chain before it is drained.",
    ),
    (
        "enumerate",
        lambda p: pickle(calls("builtins", "dict", calls("builtins", "enumerate", lazy(p)))),
        "The map is wrapped in enumerate and drained by dict.",
    ),
    (
        "appends-extend",
        lambda p: pickle(
            calls("collections", "deque")
            + asm.MEMOIZE
            + asm.POP
            + calls("collections", "deque.extend", Raw(asm.binget(0)), lazy(p))
        ),
        "deque.extend drains the map.",
    ),
    (
        "key-of-max",
        lambda p: applied(
            stack_global("functools", "partial")
            + value((Raw(stack_global("builtins", "max")),))
            + asm.NEWOBJ
            + value((Raw(stack_global("builtins", "max")), ([p.argument, p.argument],), {"key": function(p)}, None))
            + asm.BUILD
        ),
        "max calls its key function; the keyword comes from a partial's state.",
    ),
    (
        "key-of-sorted-newobj-ex",
        lambda p: applied(
            stack_global("functools", "partial")
            + value((Raw(stack_global("builtins", "sorted")), [p.argument]))
            + value({"key": function(p)})
            + asm.NEWOBJ_EX
        ),
        "sorted calls its key function; the keyword comes from NEWOBJ_EX.",
    ),
    (
        "json-parse-constant",
        lambda p: applied(
            stack_global("functools", "partial")
            + value((Raw(stack_global("json", "loads")), "NaN"))
            + value({"parse_constant": function(p)})
            + asm.NEWOBJ_EX
        ),
        "json.loads calls a hook.",
    ),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from rows("B004", CHAINS)
    yield from consumed()
    yield from rows("B026", LAZY)
