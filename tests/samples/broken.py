"""Streams that make scanners fail, that break off, that lie about frames, in series (B021, B022, B023, B029)."""

import struct
from collections.abc import Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import literal, pickle, short_unicode, stack_global
from tests.samples.sample import UNPROVEN, Payload, Row, Sample, rows

# What comes after the call: the unpickler fails here, and so do scanners that parse with its strictness.
ENDINGS = {
    "missing-memo-binget": asm.binget(200),
    "missing-memo-get": asm.get(99),
    "missing-memo-long-binget": asm.long_binget(2**31),
    "missing-memo-stack-global": asm.binget(9) + asm.binget(8) + asm.STACK_GLOBAL,
    "int-stack-global": literal(42) + short_unicode("os") + asm.STACK_GLOBAL,
    "bytes-stack-global": asm.binbytes(b"os") + short_unicode("system") + asm.STACK_GLOBAL,
    "bytearray-stack-global": short_unicode("os") + asm.bytearray8(b"system") + asm.STACK_GLOBAL,
    "none-stack-global": asm.NONE + asm.NONE + asm.STACK_GLOBAL,
    "list-stack-global": asm.EMPTY_LIST + asm.EMPTY_LIST + asm.STACK_GLOBAL,
    "float-stack-global": asm.binfloat(1.5) + asm.binfloat(2.5) + asm.STACK_GLOBAL,
    "empty-stack-global": asm.POP + asm.STACK_GLOBAL,
    "missing-module": asm.global_("no_such_module_modelaudit", "x"),
    "bad-utf8-binunicode": b"X\x02\x00\x00\x00\xff\xfe",
    "bad-utf8-short": b"\x8c\x02\xff\xfe",
    "bad-utf8-global": b"c\xff\xfe\nx\n",
    "bad-utf8-inst": b"(i\xff\xfe\nx\n",
    "bad-unicode-escape": b"V\\u12\n",
    "bad-int": b"Inot-a-number\n",
    "bad-long": b"Lxyz\n",
    "bad-float": b"Fnot-a-float\n",
    "bad-string-quotes": b"Sunquoted\n",
    "bad-string-escape": b"S'\\x4'\n",
    "bad-put": b"pminus\n",
    "negative-put": b"p-1\n",
    "bad-get": b"g\n",
    "bad-persid": b"P\xff\n",
    "negative-binstring": b"T\xff\xff\xff\xff",
    "negative-long4": b"\x8b\xff\xff\xff\xff",
    "huge-long4": b"\x8b\xff\xff\xff\x7f",
    "huge-binbytes8": b"\x8e" + b"\xff" * 7 + b"\x7f",
    "huge-binunicode": b"X\xff\xff\xff\xff",
    "huge-bytearray8": b"\x96" + b"\xff" * 8,
    "unknown-opcode": b"\xfe",
    "unknown-opcode-zero": b"\x00",
    "newline": b"\n",
    "proto-nine": asm.proto(9),
    "proto-255": asm.proto(255),
    "frame-too-long": b"\x95" + struct.pack("<Q", 2**62),
    "unknown-extension": asm.ext(0x7F, 1),
    "zero-extension": asm.ext(0, 1),
    "negative-extension": b"\x84\xff\xff\xff\xff",
    "no-mark-tuple": asm.POP + asm.TUPLE,
    "no-mark-appends": asm.APPENDS,
    "append-to-int": literal(1) + literal(2) + asm.APPEND,
    "setitem-on-int": literal(1) + literal(2) + literal(3) + asm.SETITEM,
    "odd-setitems": asm.EMPTY_DICT + asm.MARK + literal(1) + asm.SETITEMS,
    "odd-dict": asm.MARK + literal(1) + asm.DICT,
    "unhashable-key": asm.EMPTY_DICT + asm.EMPTY_LIST + literal(1) + asm.SETITEM,
    "reduce-of-int": literal(1) + asm.EMPTY_TUPLE + asm.REDUCE,
    "reduce-without-tuple": stack_global("builtins", "list") + literal(1) + asm.REDUCE,
    "newobj-of-function": stack_global("builtins", "len") + asm.EMPTY_TUPLE + asm.NEWOBJ,
    "build-of-int": literal(1) + asm.dict_(literal("a"), literal(1)) + asm.BUILD,
    "next-buffer": asm.NEXT_BUFFER,
    "readonly-buffer": asm.READONLY_BUFFER,
    "binpersid-without-loader": literal(("storage",)) + asm.BINPERSID,
    "stop-on-empty-stack": asm.POP + asm.STOP,
    "pops-to-nothing": asm.POP * 20,
    "dup-of-nothing": asm.POP + asm.DUP,
}

# What comes before the call: the unpickler takes it, strict parsers and scanners do not.
BEGINNINGS = {
    "int-hex": b"I0x10\n0",
    "int-octal": b"I0o17\n0",
    "int-spaces": b"I  12\n0",
    "int-underscores": b"L1_000L\n0",
    "long-hex": b"L0xffL\n0",
    "long-without-l": b"L12\n0",
    "bool-text": b"I01\n0I00\n0",
    "float-inf": b"Finf\n0",
    "float-nan": b"Fnan\n0",
    "unicode-nul": b"V\x00\x01\n0",
    "unicode-latin1": b"V\xe9\xff\n0",
    "surrogate": b"X\x03\x00\x00\x00\xed\xa0\x800",
    "string-empty": b"S''\n0",
    "mark-left": asm.MARK,
    "marks-left": asm.MARK * 50,
    "stack-left": literal(1) * 50,
    "long1-empty": b"\x8a\x000",
    "long1-wide": b"\x8a\xff" + b"\x01" * 255 + b"0",
    "long4-wide": b"\x8b\x00\x10\x00\x00" + b"\x01" * 4096 + b"0",
    "put-same-slot": literal(1) + asm.put(0) * 20 + asm.POP,
    "bytearray": asm.bytearray8(b"x") + asm.POP,
    "empty-bytes8": asm.binbytes8(b"") + asm.POP,
    "deep-tuples": asm.EMPTY_TUPLE + asm.TUPLE1 * 500 + asm.POP,
    "recursive-list": asm.EMPTY_LIST + asm.MEMOIZE + asm.binget(0) + asm.APPEND + asm.POP,
    "recursive-dict": asm.EMPTY_DICT + asm.MEMOIZE + literal("x") + asm.binget(0) + asm.SETITEM + asm.POP,
    "frozenset-of-nothing": asm.MARK + asm.FROZENSET + asm.POP,
    "non-ascii-global": stack_global("collections", "OrderedDict")
    + asm.POP
    + stack_global("builtins", "__dict__")
    + short_unicode("päyload")
    + literal(1)
    + asm.SETITEM
    + asm.POP
    + asm.global_("builtins", "päyload")
    + asm.POP,
}


def endings() -> Iterator[Sample]:
    """The call first, then what a scanner stumbles over."""
    for name, ending in ENDINGS.items():
        yield Sample(
            f"B021-after-{name}",
            "B021",
            "model.pkl",
            lambda p, ending=ending: pickle(p.call() + ending),
            f"The call is made, then the stream fails ({name}); a scanner that fails with it reports nothing.",
        )
    for name, beginning in BEGINNINGS.items():
        yield Sample(
            f"B021-before-{name}",
            "B021",
            "model.pkl",
            lambda p, beginning=beginning: pickle(beginning + p.call()),
            f"The unpickler takes this beginning, stricter parsers do not ({name}).",
        )


CUTS: tuple[Row, ...] = (
    ("no-stop", lambda p: pickle(p.call())[:-1], "The stream ends without STOP."),
    ("protocol0-no-stop", lambda p: pickle(p.call(0), 0)[:-1], "A text pickle without STOP."),
    ("cut-in-string", lambda p: pickle(p.call() + b"X\xff\x00\x00\x00abc")[:-1], "Cut inside a string."),
    ("cut-in-operand", lambda p: pickle(p.call() + b"J\x01\x02")[:-1], "Cut inside a number."),
    ("cut-in-line", lambda p: pickle(p.call(0) + b"cbuilt", 0)[:-1], "Cut inside GLOBAL."),
    ("junk-text", lambda p: pickle(p.call())[:-1] + b"\xff\xfe\xfd not a pickle any more", "Junk after the call."),
    ("zeros", lambda p: pickle(p.call())[:-1] + bytes(4096), "Zeros after the call."),
    ("random", lambda p: pickle(p.call())[:-1] + bytes(range(250, 256)) * 200, "Noise after the call."),
    (
        "fake-tensors-then-junk",
        lambda p: (
            pickle(
                p.call() + asm.POP + asm.dict_(*(literal(f"layer.{i}.weight") + literal([0.5] * 8) for i in range(40)))
            )[:-1]
            + b"\xee" * 64
        ),
        "The call, then a state dict that breaks off (nullifAI).",
    ),
    (
        "json-after-call",
        lambda p: pickle(p.call())[:-1] + b'{"model_type": "bert", "hidden_size": 768}',
        "Text of another format takes the place of STOP.",
    ),
)

FRAMES: tuple[Row, ...] = (
    ("honest", lambda p: asm.proto(4) + asm.frame(p.call() + b"."), "An honest frame, for comparison."),
    ("zero", lambda p: asm.proto(4) + asm.frame(p.call() + b".", 0), "The frame says that it is empty."),
    ("one", lambda p: asm.proto(4) + asm.frame(p.call() + b".", 1), "The frame ends inside the first opcode."),
    ("short", lambda p: asm.proto(4) + asm.frame(p.call() + b".", 12), "The frame ends inside a name."),
    (
        "nested",
        lambda p: asm.proto(4) + asm.frame(literal(1) + asm.POP + asm.frame(p.call() + b".")),
        "A frame inside a frame.",
    ),
    (
        "many-empty",
        lambda p: asm.proto(4) + asm.frame(b"") * 200 + p.call() + b".",
        "Two hundred empty frames first.",
    ),
    (
        "unframed-between",
        lambda p: asm.proto(4) + asm.frame(literal(1)) + p.call() + asm.frame(asm.POP + literal(2)) + b".",
        "The call stands between two frames.",
    ),
    (
        "after-the-call",
        lambda p: asm.proto(4) + p.call() + asm.frame(b".", 2**40),
        "The call, then a frame longer than any file.",
    ),
    (
        "in-protocol2",
        lambda p: asm.proto(2) + asm.frame(p.call(2) + b"."),
        "A frame in a protocol that has none.",
    ),
)


def _straddling(payload: Payload) -> bytes:
    """A string whose length field is cut by a frame, at the end of the C unpickler's read-ahead buffer.

    The parser that ignores frames sees one bytes object. The C unpickler, reading from a buffered file, loses
    a byte at the boundary, takes another length, and runs what is inside as opcodes.
    """
    hidden = b"\0\0" + payload.call(0) + asm.POP + asm.MARK
    before = asm.proto(5) + asm.NONE + b"V" + b"w" * (128 * 1024 - 17) + b"\n" + asm.POP + asm.MARK
    return (
        before
        + b"\x95"
        + struct.pack("<Q", 2)
        + b"B"
        + struct.pack("<I", 0x0107)
        + hidden.ljust(0x0107, b"N")
        + asm.POP_MARK
        + asm.STOP
    )


_FILL = {asm.EMPTY_LIST: asm.APPENDS, asm.EMPTY_SET: asm.ADDITEMS}
BENIGN = pickle(literal({"weights": [0.25, 0.5], "epoch": 3}))
BENIGN0 = pickle(literal({"weights": [0.25, 0.5], "epoch": 3}, 0), 0)
SERIES: tuple[tuple[str, int, bytes, str], ...] = (
    ("second", 1, b"", "pickles"),
    ("tenth", 9, b"", "pickles"),
    ("thousandth", 999, b"", "pickles"),
    ("nul-gap", 1, bytes(16), "skipping"),
    ("nul-page-gap", 1, bytes(4096), "skipping"),
    ("newline-gap", 2, b"\n", "skipping"),
    ("junk-gap", 1, b"\xff\xfejunk\x01\x02", "skipping"),
    ("text-gap", 1, b"# end of weights\n", "skipping"),
    ("floats-gap", 1, struct.pack("<64f", *[0.125] * 64), "skipping"),
    ("stop-gap", 1, b"....", "skipping"),
    ("half-pickle-gap", 1, BENIGN[:-6], "skipping"),
)


def series() -> Iterator[Sample]:
    """Several pickles in one file; the last one is hostile."""
    for name, count, gap, loader in SERIES:
        for protocol in (0, 4):
            yield Sample(
                f"B029-{name}-proto{protocol}",
                "B029",
                "model.pkl",
                lambda p, count=count, gap=gap, protocol=protocol: (
                    ((BENIGN if protocol else BENIGN0) + gap) * count + p.pickle(protocol)
                ),
                f"{count} harmless pickle(s), a gap of {len(gap)} bytes after each, then the hostile one.",
                loader=loader,
            )
    yield Sample(
        "B029-second-of-three",
        "B029",
        "model.pkl",
        lambda p: BENIGN + p.pickle(2) + BENIGN,
        "The hostile pickle is in the middle.",
        loader="pickles",
    )
    yield Sample(
        "B029-first-of-many",
        "B029",
        "model.pkl",
        lambda p: p.pickle(4) + BENIGN * 50,
        "The hostile pickle is the first.",
        loader="pickles",
    )
    yield Sample(
        "B029-after-broken-first",
        "B029",
        "model.pkl",
        lambda p: BENIGN[:-1] + b"\xff" + p.pickle(4),
        "The first pickle breaks; the second is whole.",
        loader="skipping",
    )


def lenient() -> Iterator[Sample]:
    """What the unpickler written in Python, which joblib and dill use, takes and the one in C refuses."""
    yield Sample(
        "B022-last-line-without-end",
        "B022",
        "model.joblib",
        lambda p: asm.inst(p.module, p.name, p.text(0))[:-1] + b"X",
        "The file ends in the name that INST calls; the last byte of a line is taken off, newline or not.",
        loader="joblib",
    )
    for name, container in (("list", asm.EMPTY_LIST), ("set", asm.EMPTY_SET)):
        yield Sample(
            f"B021-arguments-in-a-{name}",
            "B021",
            "model.joblib",
            lambda p, container=container: asm.pickle(
                p.function() + container + asm.MARK + p.text() + _FILL[container] + asm.REDUCE
            ),
            "The arguments of a call are no tuple: the unpickler in C stops, the other goes over them.",
            loader="joblib",
        )


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from endings()
    yield from rows("B022", CUTS)
    yield from rows("B023", FRAMES)
    yield Sample(
        "B023-straddled-length",
        "B023",
        "model.pkl",
        _straddling,
        "Parsers that ignore frames read bytes where the C unpickler reads a call (python/cpython issue 154848)."
        f"{UNPROVEN}Pythons from 3.13.15 on refuse it; 3.11 runs it from a buffered file.",
        loader="",
    )
    for name, start in (("", b""), ("-headed", asm.proto(4))):
        yield Sample(
            f"B023-skipped-rest{name}",
            "B023",
            "model.pkl",
            lambda p, start=start: start + asm.frame(asm.frame(asm.BUILD, 5)) + p.call() + b".",
            "A frame in a frame reaches beyond its end: the C unpickler skips the opcode between, at which readers of "
            f"the bytes in a row stop.{UNPROVEN}Pythons from 3.13.15 on refuse it; 3.11 runs it from a file.",
            loader="",
        )
    yield Sample(
        "B023-cut-line",
        "B023",
        "model.pkl",
        lambda p: asm.proto(4) + asm.frame(b"I--" + b"0" * 997) + b"0" * 3000 + b"\n0" + p.call() + b".",
        "A frame ends inside a line, of which the C unpickler skips the beginning, with what is wrong there."
        f"{UNPROVEN}Pythons from 3.13.15 on refuse it; 3.11 runs it from a file.",
        loader="",
    )
    yield Sample(
        "B023-cut-length",
        "B023",
        "model.pkl",
        lambda p: asm.proto(4) + asm.frame(b"](XG\xc0") + struct.pack("<I", 2) + b"id0" + p.call() + b".",
        "A frame ends inside a string's length: for readers of the bytes in a row the string is longer than the file."
        f"{UNPROVEN}Pythons from 3.13.15 on refuse it; 3.11 runs it from a file.",
        loader="",
    )
    yield Sample(
        "B023-second-behind-the-frame",
        "B023",
        "model.pkl",
        lambda p: asm.frame(asm.NONE + b".lg3\n") + p.call() + b".",
        "The first pickle's frame reaches beyond its STOP: the next one begins behind the frame.",
        loader="pickles",
    )
    yield from lenient()
    yield from series()
