"""Names and callables that come out of the memo (B019, B020)."""

from collections.abc import Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import STACK_GLOBAL, call, literal, pickle, short_unicode
from tests.samples.sample import Payload, Row, Sample, rows

DECOY = short_unicode("torch._utils") + asm.POP + short_unicode("_rebuild_tensor_v2") + asm.POP


def _from_memo(payload: Payload, store: list[bytes], fetch: list[bytes], between: bytes = b"") -> bytes:
    """Both names are stored, forgotten, and fetched for STACK_GLOBAL."""
    stored = short_unicode(payload.module) + store[0] + asm.POP + short_unicode(payload.name) + store[1] + asm.POP
    return pickle(stored + between + call(fetch[0] + fetch[1] + STACK_GLOBAL, payload.text()))


STORES = {
    "memoize-binget": ([asm.MEMOIZE] * 2, [asm.binget(0), asm.binget(1)]),
    "memoize-long-binget": ([asm.MEMOIZE] * 2, [asm.long_binget(0), asm.long_binget(1)]),
    "memoize-get": ([asm.MEMOIZE] * 2, [asm.get(0), asm.get(1)]),
    "binput-binget": ([asm.binput(7), asm.binput(3)], [asm.binget(7), asm.binget(3)]),
    "binput-long-binget": ([asm.binput(7), asm.binput(3)], [asm.long_binget(7), asm.long_binget(3)]),
    "long-binput-get": ([asm.long_binput(300), asm.long_binput(70000)], [asm.get(300), asm.get(70000)]),
    "put-get": ([asm.put(0), asm.put(1)], [asm.get(0), asm.get(1)]),
    "put-binget": ([asm.put(0), asm.put(255)], [asm.binget(0), asm.binget(255)]),
    "put-leading-zeros": ([asm.put("007"), asm.put("008")], [asm.get(7), asm.binget(8)]),
    "get-leading-zeros": ([asm.binput(7), asm.binput(8)], [asm.get("0007"), asm.get("08")]),
    "put-underscore": ([asm.put("1_0"), asm.put("1_1")], [asm.binget(10), asm.binget(11)]),
    "put-plus-and-space": ([asm.put("+5"), asm.put(" 6")], [asm.binget(5), asm.binget(6)]),
    "put-trailing-space": ([asm.put("5 "), asm.put("6\t")], [asm.binget(5), asm.binget(6)]),
    "put-ends-in-zero-byte": ([asm.put("5\0x"), asm.put("6\0")], [asm.get("5\0"), asm.binget(6)]),
    "sparse-index": (
        [asm.long_binput(1_000_000), asm.long_binput(999_999)],
        [asm.long_binget(1_000_000), asm.long_binget(999_999)],
    ),
}


def stored() -> Iterator[Sample]:
    """Each way to write the memo with each way to read it."""
    for name, (store, fetch) in STORES.items():
        yield Sample(
            f"B019-{name}",
            "B019",
            "model.pkl",
            lambda p, store=store, fetch=fetch: _from_memo(p, store, fetch),
            f"STACK_GLOBAL takes both names from the memo ({name}).",
        )
        yield Sample(
            f"B019-{name}-decoys",
            "B019",
            "model.pkl",
            lambda p, store=store, fetch=fetch: _from_memo(p, store, fetch, DECOY),
            f"The same with harmless names just before STACK_GLOBAL ({name}).",
        )


def _overwritten(payload: Payload) -> bytes:
    body = b""
    for index, (decoy, real) in enumerate((("torch._utils", payload.module), ("_rebuild_tensor_v2", payload.name))):
        body += short_unicode(decoy) + asm.binput(index) + asm.POP
        body += short_unicode(real) + asm.binput(index) + asm.POP
    return pickle(body + call(asm.binget(0) + asm.binget(1) + STACK_GLOBAL, payload.text()))


def _memoize_after_put(payload: Payload) -> bytes:
    """MEMOIZE counts entries, so after two PUTs it writes slots 2 and 3, not 0 and 1."""
    return pickle(
        short_unicode(payload.module)
        + asm.binput(0)
        + asm.POP
        + short_unicode(payload.name)
        + asm.binput(1)
        + asm.POP
        + short_unicode("torch._utils")
        + asm.MEMOIZE
        + asm.POP
        + short_unicode("_rebuild_tensor_v2")
        + asm.MEMOIZE
        + asm.POP
        + call(asm.binget(0) + asm.binget(1) + STACK_GLOBAL, payload.text())
    )


def _memoize_overwrites(payload: Payload) -> bytes:
    """One PUT at slot 1 makes the memo hold one entry, so the next MEMOIZE overwrites slot 1."""
    return pickle(
        short_unicode("_rebuild_tensor_v2")
        + asm.binput(1)
        + asm.POP
        + short_unicode(payload.name)
        + asm.MEMOIZE
        + asm.POP
        + short_unicode(payload.module)
        + asm.binput(0)
        + asm.POP
        + call(asm.binget(0) + asm.binget(1) + STACK_GLOBAL, payload.text())
    )


def _long_index(payload: Payload) -> bytes:
    """Who reads a part of the index thinks that the harmless names overwrite the others."""
    body = b""
    for index, (decoy, real) in enumerate((("torch._utils", payload.module), ("_rebuild_tensor_v2", payload.name))):
        body += short_unicode(real) + asm.binput(index) + asm.POP
        body += short_unicode(decoy) + asm.put(f"{index:064}9") + asm.POP
    return pickle(body + call(asm.binget(0) + asm.binget(1) + STACK_GLOBAL, payload.text()))


GAMES: tuple[Row, ...] = (
    ("long-index", _long_index, "An index of eighty digits."),
    ("overwritten", _overwritten, "Both slots first hold harmless names and are overwritten."),
    ("memoize-after-put", _memoize_after_put, "A scanner that ignores PUT thinks that slots 0 and 1 are harmless."),
    ("memoize-overwrites", _memoize_overwrites, "MEMOIZE writes the slot whose number is the count of entries."),
    (
        "callable-in-memo",
        lambda p: pickle(p.function() + asm.MEMOIZE + asm.POP + DECOY + call(asm.binget(0), p.text())),
        "The callable is imported early and fetched for the call.",
    ),
    (
        "arguments-in-memo",
        lambda p: pickle(
            asm.tuple_(p.text()) + asm.MEMOIZE + asm.POP + p.function() + DECOY + asm.binget(0) + asm.REDUCE
        ),
        "The arguments are fetched from the memo.",
    ),
    (
        "tuple-of-names-in-memo",
        lambda p: pickle(
            short_unicode(p.module)
            + asm.MEMOIZE
            + short_unicode(p.name)
            + asm.MEMOIZE
            + asm.TUPLE2
            + asm.MEMOIZE
            + asm.POP
            + call(asm.binget(0) + asm.binget(1) + STACK_GLOBAL, p.text())
        ),
        "The names are memoized inside a tuple that is thrown away.",
    ),
    (
        "dup",
        lambda p: pickle(
            short_unicode(p.module)
            + asm.DUP
            + asm.MEMOIZE
            + asm.POP
            + short_unicode(p.name)
            + STACK_GLOBAL
            + asm.DUP
            + asm.POP
            + asm.tuple_(p.text())
            + asm.REDUCE
        ),
        "DUP of a name and of the callable.",
    ),
    (
        "dup-the-whole-call",
        lambda p: pickle(p.function() + asm.DUP + asm.MEMOIZE + asm.POP + asm.POP + call(asm.binget(0), p.text())),
        "DUP, memo, and both copies dropped before the call.",
    ),
    (
        "decoy-operands",
        lambda p: pickle(
            short_unicode(p.module)
            + short_unicode(p.name)
            + short_unicode("collections")
            + asm.POP
            + short_unicode("OrderedDict")
            + asm.POP
            + STACK_GLOBAL
            + asm.tuple_(p.text())
            + asm.REDUCE
        ),
        "The last two strings before STACK_GLOBAL are not its operands.",
    ),
    (
        "many-slots",
        lambda p: pickle(
            b"".join(short_unicode(f"layer{i}") + asm.MEMOIZE + asm.POP for i in range(300))
            + short_unicode(p.module)
            + asm.MEMOIZE
            + asm.POP
            + short_unicode(p.name)
            + asm.MEMOIZE
            + asm.POP
            + call(asm.long_binget(300) + asm.long_binget(301) + STACK_GLOBAL, p.text())
        ),
        "Three hundred harmless entries come first.",
    ),
    (
        "protocol0-get-callable",
        lambda p: p.function(0) + asm.put(0) + asm.POP + asm.get(0) + asm.tuple_(p.text(0)) + b"R.",
        "The memo game in a text pickle.",
    ),
)

DOUBLES: tuple[Row, ...] = (
    (
        "double-memoize",
        lambda p: pickle(
            short_unicode(p.module)
            + asm.MEMOIZE
            + asm.MEMOIZE
            + asm.POP
            + short_unicode(p.name)
            + asm.MEMOIZE
            + asm.MEMOIZE
            + asm.POP
            + call(asm.binget(1) + asm.binget(3) + STACK_GLOBAL, p.text())
        ),
        "A scanner that stores the previous opcode's argument stores nothing for the second MEMOIZE.",
    ),
    (
        "put-after-put",
        lambda p: pickle(
            short_unicode(p.module)
            + asm.binput(0)
            + asm.binput(1)
            + asm.POP
            + short_unicode(p.name)
            + asm.binput(2)
            + asm.binput(3)
            + asm.POP
            + call(asm.binget(1) + asm.binget(3) + STACK_GLOBAL, p.text())
        ),
        "A scanner that stores the previous opcode's argument stores a number.",
    ),
    (
        "put-after-pop",
        lambda p: pickle(
            short_unicode(p.module)
            + short_unicode("collections")
            + asm.POP
            + asm.binput(0)
            + asm.POP
            + short_unicode(p.name)
            + short_unicode("OrderedDict")
            + asm.POP
            + asm.binput(1)
            + asm.POP
            + call(asm.binget(0) + asm.binget(1) + STACK_GLOBAL, p.text())
        ),
        "PUT stores the top of the stack, not the last string.",
    ),
    (
        "put-after-get",
        lambda p: pickle(
            short_unicode(p.module)
            + asm.MEMOIZE
            + short_unicode(p.name)
            + asm.MEMOIZE
            + asm.POP
            + asm.POP
            + asm.binget(0)
            + asm.binput(5)
            + asm.POP
            + asm.binget(1)
            + asm.binput(6)
            + asm.POP
            + call(asm.binget(5) + asm.binget(6) + STACK_GLOBAL, p.text())
        ),
        "The names are copied from slot to slot.",
    ),
    (
        "put-of-attribute",
        lambda p: pickle(
            asm.stack_global("collections", "namedtuple")
            + asm.NONE
            + asm.dict_(literal("a"), literal(p.module), literal("b"), literal(p.name))
            + asm.TUPLE2
            + asm.BUILD
            + asm.POP
            + asm.stack_global("collections", "namedtuple.a")
            + asm.put(0)
            + asm.stack_global("collections", "namedtuple.b")
            + asm.put(1)
            + asm.POP
            + asm.POP
            + call(asm.get(0) + asm.get(1) + STACK_GLOBAL, p.text())
        ),
        "BUILD hangs the names on an allowed function, GLOBAL reads them back (modelscan issue 85).",
    ),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from stored()
    yield from rows("B019", GAMES)
    yield Sample(
        "B019-memo-of-an-earlier-pickle",
        "B019",
        "model.pkl",
        lambda p: (
            pickle(short_unicode(p.module) + asm.MEMOIZE + asm.POP + short_unicode(p.name) + asm.MEMOIZE)
            + pickle(call(asm.binget(0) + asm.binget(1) + STACK_GLOBAL, p.text()))
        ),
        "One Unpickler that loads twice keeps its memo; a fresh one cannot load the second pickle.",
        expect="warning",
        loader="twice",
    )
    yield from rows("B020", DOUBLES)
