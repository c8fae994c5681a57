"""Calls without GLOBAL and REDUCE, dropped results, old protocols, odd strings (B017, B018, B027, B028)."""

from collections.abc import Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import call, literal, pickle, stack_global
from tests.samples.sample import UNPROVEN, Payload, Row, Sample, rows


def _obj(payload: Payload, protocol: int) -> bytes:
    return asm.MARK + payload.function(protocol) + payload.text(protocol) + asm.OBJ


def _inst(payload: Payload, protocol: int) -> bytes:
    return asm.inst(payload.module, payload.name, payload.text(protocol))


def _newobj_map(payload: Payload) -> bytes:
    return stack_global("builtins", "map") + asm.tuple_(payload.function(), asm.list_(payload.text())) + asm.NEWOBJ


def _new_kinds() -> Iterator[Sample]:
    for protocol in range(6):
        for name, make in (("inst", _inst), ("obj", _obj)):
            yield Sample(
                f"B017-{name}-proto{protocol}",
                "B017",
                "model.pkl",
                lambda p, make=make, protocol=protocol: pickle(make(p, protocol), protocol),
                f"{name.upper()} imports and calls without GLOBAL+REDUCE; the rest is protocol {protocol}.",
            )
    for consumer in ("tuple", "bytes", "frozenset"):
        yield Sample(
            f"B017-newobj-{consumer}",
            "B017",
            "model.pkl",
            lambda p, consumer=consumer: pickle(
                stack_global("builtins", consumer) + asm.tuple_(_newobj_map(p)) + asm.NEWOBJ
            ),
            f"map and {consumer} by NEWOBJ: the second drains the first.",
        )
        yield Sample(
            f"B017-newobj-ex-{consumer}",
            "B017",
            "model.pkl",
            lambda p, consumer=consumer: pickle(
                stack_global("builtins", consumer)
                + asm.tuple_(
                    stack_global("builtins", "map")
                    + asm.tuple_(p.function(), asm.list_(p.text()))
                    + asm.EMPTY_DICT
                    + asm.NEWOBJ_EX
                )
                + asm.EMPTY_DICT
                + asm.NEWOBJ_EX
            ),
            f"map and {consumer} by NEWOBJ_EX.",
        )


KINDS: tuple[Row, ...] = (
    (
        "inst-no-arguments-then-call",
        lambda p: pickle(asm.inst("functools", "partial", p.function(2), p.text(2)) + asm.EMPTY_TUPLE + asm.REDUCE, 2),
        "INST makes a partial, REDUCE calls it.",
    ),
    (
        "obj-memoized-class",
        lambda p: pickle(p.function(2) + asm.binput(0) + asm.POP + asm.MARK + asm.binget(0) + p.text(2) + asm.OBJ, 2),
        "OBJ takes its callable from the memo.",
    ),
    (
        "inst-in-list",
        lambda p: asm.list_(asm.integer(1, 0), _inst(p, 0), asm.integer(2, 0)) + b".",
        "INST in the middle of a list.",
    ),
    (
        "obj-computed-callable",
        lambda p: pickle(
            asm.MARK
            + call(stack_global("builtins", "getattr"), stack_global(p.carrier("pathlib"), p.module), literal(p.name))
            + p.text()
            + asm.OBJ
        ),
        "OBJ over a callable that getattr gave.",
    ),
    (
        "reduce-tuple1",
        lambda p: pickle(p.function() + p.text() + asm.TUPLE1 + asm.REDUCE),
        "The plainest form, with TUPLE1.",
    ),
    (
        "reduce-memoized-arguments",
        lambda p: pickle(asm.tuple_(p.text()) + asm.MEMOIZE + asm.POP + p.function() + asm.binget(0) + asm.REDUCE),
        "The argument tuple is made first and fetched later.",
    ),
    (
        "reduce-tuple-of-list",
        lambda p: pickle(p.function() + call(stack_global("builtins", "tuple"), asm.list_(p.text())) + asm.REDUCE),
        "The argument tuple is itself the result of a call.",
    ),
    (
        "dict-value",
        lambda p: pickle(asm.dict_(literal("weights"), p.call(), literal("epoch"), literal(3))),
        "The call is a value in a dict.",
    ),
    (
        "dict-key",
        lambda p: pickle(asm.EMPTY_DICT + asm.MARK + p.call() + literal(1) + asm.SETITEMS),
        "The call is a key in a dict.",
    ),
    (
        "set-item",
        lambda p: pickle(asm.EMPTY_SET + asm.MARK + p.call() + asm.ADDITEMS),
        "The call is an item of a set.",
    ),
    (
        "frozenset-item",
        lambda p: pickle(asm.MARK + p.call() + asm.FROZENSET),
        "The call is an item of a frozenset.",
    ),
    (
        "build-state",
        lambda p: pickle(
            call(stack_global("collections", "OrderedDict")) + asm.dict_(literal("state"), p.call()) + asm.BUILD
        ),
        "The call is inside the state of an ordinary object.",
    ),
    (
        "nested-arguments",
        lambda p: pickle(
            call(stack_global("collections", "OrderedDict"), asm.list_(asm.list_(literal("w"), p.call())))
        ),
        "The call is deep in the arguments of an allowed call.",
    ),
)

DROPPED: tuple[Row, ...] = (
    (
        "reduce-pop",
        lambda p: pickle(p.call() + asm.POP + literal({"weights": [1.0, 2.0]})),
        "The result is popped and an ordinary dict is what is loaded.",
    ),
    (
        "obj-pop",
        lambda p: pickle(_obj(p, 4) + asm.POP + literal({"weights": [1.0]})),
        "OBJ, then POP (GHSA-mxhj-88fx-4pcv).",
    ),
    (
        "inst-pop",
        lambda p: _inst(p, 0) + asm.POP + literal({"weights": [1.0]}, 0) + b".",
        "INST, then POP, protocol 0.",
    ),
    (
        "newobj-pop",
        lambda p: pickle(
            stack_global("builtins", "tuple") + asm.tuple_(_newobj_map(p)) + asm.NEWOBJ + asm.POP + literal(1)
        ),
        "NEWOBJ, then POP.",
    ),
    (
        "pop-mark",
        lambda p: pickle(asm.MARK + p.call() + literal(2) + asm.POP_MARK + literal({"weights": [1.0]})),
        "POP_MARK drops the result and its neighbours.",
    ),
    (
        "pop-as-mark",
        lambda p: pickle(p.call() + asm.POP + asm.MARK + asm.POP + literal("model")),
        "POP also drops a mark.",
    ),
    (
        "setitem-overwritten",
        lambda p: pickle(
            asm.EMPTY_DICT + literal("a") + p.call() + asm.SETITEM + literal("a") + literal(1.0) + asm.SETITEM
        ),
        "The result is put in a dict and overwritten.",
    ),
    (
        "memo-only",
        lambda p: pickle(p.call() + asm.MEMOIZE + asm.POP + literal([1, 2, 3])),
        "The result goes to the memo, which nobody reads.",
    ),
    (
        "below-the-result",
        lambda p: pickle(p.call() + literal({"weights": [1.0]})),
        "The result stays on the stack under what is loaded.",
    ),
    (
        "build-result-dropped",
        lambda p: pickle(
            call(stack_global("argparse", "Namespace"))
            + asm.dict_(literal("__setstate__"), p.function())
            + asm.BUILD
            + p.text()
            + asm.BUILD
            + asm.POP
            + literal(1)
        ),
        "A planted __setstate__ is called and the object is dropped.",
    ),
)


def _text_pickle(payload: Payload) -> bytes:
    return b"c%s\n%s\n(S'%s'\ntR." % (payload.module.encode(), payload.name.encode(), payload.argument.encode())


OLD: tuple[Row, ...] = (
    ("global-reduce", _text_pickle, "Protocol 0 begins with an ordinary letter and has no PROTO."),
    (
        "mark-first",
        lambda p: b"(" + _text_pickle(p)[:-1] + b"0lp0\n.",
        "A protocol-0 list that begins with '('.",
    ),
    (
        "mark-string-first",
        lambda p: b"(S'weights'\n" + _text_pickle(p)[:-1] + b"d.",
        "Begins with '(S', which one scanner took for zlib.",
    ),
    (
        "mark-inst",
        lambda p: b"(S'%s'\ni%s\n%s\n." % (p.argument.encode(), p.module.encode(), p.name.encode()),
        "'(S', then INST: the shortest text pickle.",
    ),
    ("unicode-first", lambda p: b"Vweights\np0\n0" + _text_pickle(p), "Begins with 'V'."),
    ("integer-first", lambda p: b"I1\n0" + _text_pickle(p), "Begins with 'I'."),
    ("none-first", lambda p: b"N0" + _text_pickle(p), "Begins with 'N'."),
    ("long-first", lambda p: b"L1L\n0" + _text_pickle(p), "Begins with 'L'."),
    ("float-first", lambda p: b"F1.5\n0" + _text_pickle(p), "Begins with 'F'."),
    ("dict-first", lambda p: b"}0" + _text_pickle(p), "Begins with '}'."),
    ("list-first", lambda p: b"]0" + _text_pickle(p), "Begins with ']'."),
    ("binint-first", lambda p: b"K\x010" + _text_pickle(p), "Begins with 'K'."),
    ("binunicode-first", lambda p: asm.binunicode("x") + b"0" + _text_pickle(p), "Begins with 'X'."),
    ("bytes-first", lambda p: asm.binbytes(b"x") + b"0" + _text_pickle(p), "Begins with 'C', no PROTO."),
    (
        "stack-global-without-proto",
        lambda p: stack_global(p.module, p.name) + p.text() + b"\x85R.",
        "Protocol 4 opcodes without PROTO.",
    ),
    ("frame-without-proto", lambda p: asm.frame(p.call() + b"."), "FRAME first, no PROTO."),
    ("proto-zero", lambda p: asm.proto(0) + _text_pickle(p), "PROTO 0, which no pickler writes."),
    ("proto-one", lambda p: asm.proto(1) + _text_pickle(p), "PROTO 1, which no pickler writes."),
    ("proto-late", lambda p: _text_pickle(p)[:-1] + asm.proto(4) + b".", "PROTO after the call."),
    ("proto-twice", lambda p: asm.proto(2) + asm.proto(5) + p.call() + b".", "PROTO twice."),
    (
        "builtin-eval",
        lambda p: b"c__builtin__\neval\n" + asm.tuple_(literal(p.source, 0)) + b"R.",
        "Python 2's __builtin__ is mapped to builtins.",
    ),
    (
        "builtin-execfile-name",
        lambda p: asm.proto(2) + b"c__builtin__\nexec\n" + asm.tuple_(literal(p.source, 2)) + b"R.",
        "The same in protocol 2.",
    ),
    (
        "builtin-reduce",
        lambda p: (
            b"c__builtin__\nreduce\n"
            + asm.tuple_(asm.global_("operator", "call"), asm.list_(p.function(0), p.text(0)))
            + b"R."
        ),
        "__builtin__.reduce is mapped to functools.reduce.",
    ),
    (
        "copy-reg",
        lambda p: (
            b"ccopy_reg\nadd_extension\n"
            + asm.tuple_(literal(p.module, 0), literal(p.name, 0), literal(241, 0))
            + b"R0"
            + asm.ext(241, 1)
            + asm.tuple_(p.text(0))
            + b"R."
        ),
        "copy_reg is mapped to copyreg.",
    ),
    (
        "cpickle-loads",
        lambda p: asm.proto(2) + call(asm.global_("cPickle", "loads"), literal(_text_pickle(p), 2)) + b".",
        "cPickle is mapped to pickle.",
    ),
    (
        "imap",
        lambda p: (
            b"c__builtin__\nlist\n"
            + asm.tuple_(call(asm.global_("itertools", "imap"), p.function(0), asm.list_(p.text(0))))
            + b"R."
        ),
        "itertools.imap is mapped to map.",
    ),
    (
        "apply",
        lambda p: (
            b"c__builtin__\napply\n" + asm.tuple_(p.function(0), asm.tuple_(p.text(0))) + b"R."
            if p.module == "os"
            else _text_pickle(p)
        ),
        f"__builtin__.apply exists in Python 2 only (the twin calls directly).{UNPROVEN}there is no Python 2 here.",
    ),
)


SPELLINGS = {
    "short-binunicode": asm.short_unicode,
    "binunicode": asm.binunicode,
    "binunicode8": asm.binunicode8,
    "binstring": lambda t: asm.binstring(t.encode()),
    "short-binstring": lambda t: asm.short_binstring(t.encode()),
    "unicode": asm.unicode_line,
    "unicode-escaped": lambda t: asm.unicode_line("".join(f"\\u{ord(c):04x}" for c in t)),
    "unicode-long-escaped": lambda t: asm.unicode_line("".join(f"\\U{ord(c):08x}" for c in t)),
    "unicode-half-escaped": lambda t: asm.unicode_line(f"\\u{ord(t[0]):04x}" + t[1:]),
    "string": lambda t: asm.string_line(repr(t).encode()),
    "string-double-quotes": lambda t: asm.string_line(f'"{t}"'.encode()),
    "string-hex": lambda t: asm.string_line(b"'" + b"".join(b"\\x%02x" % c for c in t.encode()) + b"'"),
    "string-octal": lambda t: asm.string_line(b"'" + b"".join(b"\\%03o" % c for c in t.encode()) + b"'"),
    "string-half-hex": lambda t: asm.string_line(b"'%c\\x%02x%s'" % (ord(t[0]), ord(t[1]), t[2:].encode())),
}


def spelled() -> Iterator[Sample]:
    """STACK_GLOBAL over names in every spelling that the unpickler takes."""
    for name, spell in SPELLINGS.items():
        yield Sample(
            f"B028-{name}",
            "B028",
            "model.pkl",
            lambda p, spell=spell: pickle(call(spell(p.module) + spell(p.name) + asm.STACK_GLOBAL, p.text())),
            f"Both names are written as {name}.",
        )
        yield Sample(
            f"B028-{name}-argument",
            "B028",
            "model.pkl",
            lambda p, spell=spell: pickle(call(p.function(2), spell(p.argument)), 2),
            f"The argument is written as {name}.",
        )
    for encoding in ("latin1", "bytes"):
        yield Sample(
            f"B028-binstring-for-{encoding}",
            "B028",
            "model.pkl",
            lambda p, encoding=encoding: pickle(asm.binstring(b"\xff" + encoding.encode()) + asm.POP + p.call()),
            f"A BINSTRING that is not ASCII, which loaders with encoding={encoding!r} take.",
            loader=encoding,
        )
    yield Sample(
        "B028-mixed",
        "B028",
        "model.pkl",
        lambda p: pickle(
            call(SPELLINGS["unicode-escaped"](p.module) + asm.binunicode8(p.name) + asm.STACK_GLOBAL, p.text())
        ),
        "The two names in two spellings.",
    )
    yield Sample(
        "B028-eval-fullwidth",
        "B028",
        "model.pkl",
        lambda p: pickle(
            call(
                stack_global("builtins", "eval"),
                literal(p.source.replace(p.name, chr(ord(p.name[0]) + 0xFEE0) + p.name[1:])),
            )
        ),
        "eval of source whose identifier has a full-width letter, which Python folds to an ASCII one.",
    )
    yield Sample(
        "B028-surrogate-decoy",
        "B028",
        "model.pkl",
        lambda p: pickle(literal("\ud800") + asm.POP + p.call()),
        "A lone surrogate, which pickle takes and strict UTF-8 does not.",
    )


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from _new_kinds()
    yield from rows("B017", KINDS)
    yield from rows("B018", DROPPED)
    yield from rows("B027", OLD, filename="model.bin")
    yield from spelled()
