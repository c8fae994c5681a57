"""Harmless-looking functions that make the call for the pickle (B004)."""

from collections.abc import Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, applied, call, calls, literal, pickle, stack_global
from tests.samples.sample import Row, Sample, rows

CHAINS: tuple[Row, ...] = (
    (
        "attrgetter",
        lambda p: applied(call(calls("operator", "attrgetter", p.name), p.held()), p.argument),
        "operator.attrgetter hides the attribute's name in an argument (GHSA-955r-x9j8-7rhh).",
    ),
    (
        "attrgetter-private-module",
        lambda p: applied(call(calls("_operator", "attrgetter", p.name), p.held()), p.argument),
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
        lambda p: applied(calls("operator", "methodcaller", p.name, p.argument), p.held()),
        "operator.methodcaller holds name and argument.",
    ),
    (
        "methodcaller-private-module",
        lambda p: applied(calls("_operator", "methodcaller", p.name, p.argument), p.held()),
        "The same from _operator (GHSA-m273-6v24-x4m4).",
    ),
    (
        "methodcaller-newobj",
        lambda p: applied(
            stack_global("operator", "methodcaller") + literal((p.name, p.argument)) + asm.NEWOBJ, p.held()
        ),
        "The methodcaller is made by NEWOBJ.",
    ),
    (
        "methodcaller-dunder-call",
        lambda p: applied(calls("operator", "methodcaller", "__call__", p.argument), p.raw()),
        "methodcaller('__call__', …) applied to the callable.",
    ),
    (
        "itemgetter",
        lambda p: applied(
            call(calls("operator", "itemgetter", p.name), calls("builtins", "vars", p.held())), p.argument
        ),
        "operator.itemgetter over the module's dict.",
    ),
    ("operator-call", lambda p: pickle(calls("operator", "call", p.raw(), p.argument)), "operator.call."),
    (
        "partial",
        lambda p: applied(p.partial()),
        "functools.partial, then a call without arguments (GHSA-46h3-79wf-xr6c).",
    ),
    (
        "partial-private-module",
        lambda p: applied(calls("_functools", "partial", p.raw(), p.argument)),
        "The same from _functools.",
    ),
    (
        "partial-newobj",
        lambda p: applied(stack_global("functools", "partial") + literal((p.raw(), p.argument)) + asm.NEWOBJ),
        "The partial is made by NEWOBJ.",
    ),
    (
        "partial-setstate",
        lambda p: applied(
            calls("functools", "partial", Raw(stack_global("builtins", "len")))
            + literal((p.raw(), (p.argument,), {}, None))
            + asm.BUILD
        ),
        "A partial over len; BUILD then swaps the callable.",
    ),
    (
        "partial-of-partial",
        lambda p: applied(calls("functools", "partial", calls("functools", "partial", p.raw()), p.argument)),
        "A partial inside a partial.",
    ),
    (
        "reduce-getattr",
        lambda p: applied(
            calls("functools", "reduce", Raw(stack_global("builtins", "getattr")), [p.held(), p.name]), p.argument
        ),
        "functools.reduce(getattr, [module, name]).",
    ),
    (
        "reduce-operator-call",
        lambda p: pickle(calls("functools", "reduce", Raw(stack_global("operator", "call")), [p.raw(), p.argument])),
        "functools.reduce(operator.call, [callable, argument]).",
    ),
    (
        "methodtype",
        lambda p: applied(calls("types", "MethodType", p.raw(), p.argument)),
        "A bound method whose self is the argument.",
    ),
    (
        "lru-cache",
        lambda p: applied(call(calls("functools", "lru_cache", None), p.raw()), p.argument),
        "functools.lru_cache around the callable.",
    ),
    (
        "singledispatch",
        lambda p: (
            applied(calls("functools", "singledispatch", p.raw()), p.argument)
            if p.module == "os"
            else applied(calls("functools", "cache", p.raw()), p.argument)
        ),
        "functools.singledispatch around the callable (the twin uses functools.cache).",
    ),
    (
        "copy-reconstruct",
        lambda p: pickle(calls("copy", "_reconstruct", None, None, p.raw(), (p.argument,))),
        "copy._reconstruct calls what it is told to.",
    ),
    (
        "exitstack",
        lambda p: pickle(
            calls("contextlib", "ExitStack")
            + asm.MEMOIZE
            + asm.POP
            + calls("contextlib", "ExitStack.callback", Raw(asm.binget(0)), p.raw(), p.argument)
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
            + calls("weakref", "finalize", Raw(asm.binget(0)), p.raw(), p.argument)
        ),
        "A finalizer that runs when the unpickler lets its memo go.",
    ),
    (
        "atexit",
        lambda p: pickle(calls("atexit", "register", p.raw(), p.argument)),
        "Registered to run when the process ends.",
    ),
    (
        "thread",
        lambda p: pickle(
            call(
                stack_global("threading", "Thread.start"),
                calls("threading", "Thread", None, p.raw(), None, (p.argument,)),
            )
        ),
        "A thread whose target is the callable.",
    ),
    (
        "start-new-thread",
        lambda p: pickle(calls("_thread", "start_new_thread", p.raw(), (p.argument,))),
        "The thread primitive itself.",
    ),
    (
        "thread-pool",
        lambda p: pickle(
            calls(
                "concurrent.futures.thread",
                "ThreadPoolExecutor.submit",
                calls("concurrent.futures.thread", "ThreadPoolExecutor", 1),
                p.raw(),
                p.argument,
            )
        ),
        "Submitted to a pool of one thread.",
    ),
    (
        "context-run",
        lambda p: pickle(calls("contextvars", "Context.run", calls("contextvars", "Context"), p.raw(), p.argument)),
        "contextvars.Context().run calls its argument.",
    ),
    (
        "numpy-vectorize",
        lambda p: applied(calls("numpy", "vectorize", p.raw()), p.argument),
        "numpy.vectorize of the callable.",
    ),
    (
        "numpy-frompyfunc",
        lambda p: applied(calls("numpy", "frompyfunc", p.raw(), 1, 1), p.argument),
        "numpy.frompyfunc of the callable.",
    ),
    (
        "numpy-apply-over-map",
        lambda p: pickle(calls("numpy", "fromiter", p.lazy(), "i8")),
        "numpy.fromiter consumes a map over the callable.",
    ),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from rows("B004", CHAINS)
