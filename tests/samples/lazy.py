"""Iterators and defaults that make the call when somebody uses them (B026)."""

from collections.abc import Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, applied, call, calls, literal, pickle, stack_global
from tests.samples.sample import Row, Sample, rows

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
            lambda p, module=module, consumer=consumer: pickle(calls(module, consumer, p.lazy())),
            f"map(callable, [argument]) does nothing until {consumer} drains it.",
        )


LAZY: tuple[Row, ...] = (
    (
        "map-newobj-tuple-newobj",
        lambda p: pickle(
            stack_global("builtins", "tuple")
            + stack_global("builtins", "map")
            + literal((p.raw(), [p.argument]))
            + asm.NEWOBJ
            + asm.TUPLE1
            + asm.NEWOBJ
        ),
        "Both the map and its consumer are made by NEWOBJ: no REDUCE in the file.",
    ),
    (
        "map-never-consumed",
        lambda p: pickle(p.lazy()) if p.module == "os" else pickle(calls("builtins", "list", p.lazy())),
        "A map that the model's user drains later (the twin drains it at once).",
    ),
    (
        "filter",
        lambda p: pickle(calls("builtins", "list", calls("builtins", "filter", p.raw(), [p.argument]))),
        "filter calls its predicate.",
    ),
    (
        "starmap",
        lambda p: pickle(calls("builtins", "list", calls("itertools", "starmap", p.raw(), [(p.argument,)]))),
        "itertools.starmap.",
    ),
    (
        "takewhile",
        lambda p: pickle(calls("builtins", "list", calls("itertools", "takewhile", p.raw(), [p.argument]))),
        "itertools.takewhile.",
    ),
    (
        "dropwhile",
        lambda p: pickle(calls("builtins", "list", calls("itertools", "dropwhile", p.raw(), [p.argument]))),
        "itertools.dropwhile.",
    ),
    (
        "filterfalse",
        lambda p: pickle(calls("builtins", "list", calls("itertools", "filterfalse", p.raw(), [p.argument]))),
        "itertools.filterfalse.",
    ),
    (
        "groupby",
        lambda p: pickle(calls("builtins", "list", calls("itertools", "groupby", [p.argument], p.raw()))),
        "itertools.groupby calls its key.",
    ),
    (
        "iter-sentinel",
        lambda p: pickle(calls("builtins", "list", calls("builtins", "iter", p.partial(), 0))),
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
        lambda p: pickle(calls("operator", "getitem", calls("collections", "defaultdict", p.partial()), "x")),
        "A defaultdict calls its factory when a key is missing.",
    ),
    (
        "defaultdict-method",
        lambda p: pickle(
            calls("collections", "defaultdict.__missing__", calls("collections", "defaultdict", p.partial()), "x")
        ),
        "defaultdict.__missing__ is called directly.",
    ),
    (
        "defaultdict-chainmap",
        lambda p: pickle(
            calls(
                "operator",
                "getitem",
                calls("collections", "ChainMap", calls("collections", "defaultdict", p.partial())),
                "x",
            )
        ),
        "The defaultdict hides in a ChainMap.",
    ),
    (
        "defaultdict-format-map",
        lambda p: pickle(calls("builtins", "str.format_map", "{x}", calls("collections", "defaultdict", p.partial()))),
        "str.format_map looks a missing key up.",
    ),
    (
        "defaultdict-template",
        lambda p: pickle(
            calls(
                "string",
                "Template.substitute",
                calls("string", "Template", "$x"),
                calls("collections", "defaultdict", p.partial()),
            )
        ),
        "string.Template looks a missing key up.",
    ),
    (
        "defaultdict-kept",
        lambda p: (
            pickle(calls("collections", "defaultdict", p.partial()))
            if p.module == "os"
            else pickle(calls("operator", "getitem", calls("collections", "defaultdict", p.partial()), "x"))
        ),
        "The defaultdict is handed to the model's user (the twin looks a key up at once).",
    ),
    (
        "chain-from-iterable",
        lambda p: pickle(
            calls("builtins", "list", calls("itertools", "chain.from_iterable", [calls("builtins", "zip", p.lazy())]))
        ),
        "The map is wrapped in zip and chain before it is drained.",
    ),
    (
        "enumerate",
        lambda p: pickle(calls("builtins", "dict", calls("builtins", "enumerate", p.lazy()))),
        "The map is wrapped in enumerate and drained by dict.",
    ),
    (
        "appends-extend",
        lambda p: pickle(
            calls("collections", "deque")
            + asm.MEMOIZE
            + asm.POP
            + calls("collections", "deque.extend", Raw(asm.binget(0)), p.lazy())
        ),
        "deque.extend drains the map.",
    ),
    (
        "key-of-max",
        lambda p: applied(
            stack_global("functools", "partial")
            + literal((Raw(stack_global("builtins", "max")),))
            + asm.NEWOBJ
            + literal((Raw(stack_global("builtins", "max")), ([p.argument, p.argument],), {"key": p.raw()}, None))
            + asm.BUILD
        ),
        "max calls its key function; the keyword comes from a partial's state.",
    ),
    (
        "key-of-sorted-newobj-ex",
        lambda p: applied(
            stack_global("functools", "partial")
            + literal((Raw(stack_global("builtins", "sorted")), [p.argument]))
            + literal({"key": p.raw()})
            + asm.NEWOBJ_EX
        ),
        "sorted calls its key function; the keyword comes from NEWOBJ_EX.",
    ),
    (
        "json-parse-constant",
        lambda p: applied(
            stack_global("functools", "partial")
            + literal((Raw(stack_global("json", "loads")), "NaN"))
            + literal({"parse_constant": p.raw()})
            + asm.NEWOBJ_EX
        ),
        "json.loads calls a hook.",
    ),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from consumed()
    yield from rows("B026", LAZY)
