"""Where the payload stands, what is around it, what wraps it (B030, B031, B032)."""

import base64
import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator

from tests.samples import assembler as asm
from tests.samples.assembler import Raw, call, calls, literal, pickle, stack_global
from tests.samples.sample import UNPROVEN, Payload, Sample
from tests.samples.torchparts import hostile_zip


def positions() -> Iterator[Sample]:
    """The call deep in a long stream (B030)."""
    small = literal(1) + asm.POP
    table: tuple[tuple[str, Callable[[Payload], bytes], str], ...] = (
        (
            "after-600000-opcodes",
            lambda p: pickle(small * 300_000 + p.call()),
            "The call comes after 600,000 opcodes.",
        ),
        (
            "after-1200000-opcodes-protocol0",
            lambda p: pickle(b"I1\n0" * 600_000 + p.call(0), 0),
            "The call comes after 1,200,000 opcodes of a text pickle.",
        ),
        (
            "middle-of-12-mib",
            lambda p: pickle(
                asm.binbytes(bytes(6 << 20)) + asm.POP + p.call() + asm.POP + asm.binbytes(bytes(6 << 20))
            ),
            "The call stands in the middle of twelve mebibytes.",
        ),
        (
            "end-of-12-mib",
            lambda p: pickle(asm.binbytes(bytes(12 << 20)) + asm.POP + p.call()),
            "The call stands at the end of twelve mebibytes.",
        ),
        (
            "start-of-12-mib",
            lambda p: pickle(p.call() + asm.POP + asm.binbytes(bytes(12 << 20))),
            "The call stands at the start of twelve mebibytes.",
        ),
        (
            "between-many-blobs",
            lambda p: pickle(
                (asm.binbytes(bytes(1 << 16)) + asm.POP) * 40
                + p.call()
                + asm.POP
                + (asm.binbytes(bytes(1 << 16)) + asm.POP) * 40
                + asm.NONE
            ),
            "The call stands between eighty blobs of 64 KiB.",
        ),
        (
            "second-pickle-after-8-mib",
            lambda p: pickle(asm.binbytes(bytes(8 << 20))) + p.pickle(),
            "The second pickle begins after eight mebibytes.",
        ),
        (
            "argument-of-2-mib",
            lambda p: pickle(
                asm.binunicode(p.argument + " #" * (1 << 20))
                + asm.MEMOIZE
                + asm.POP
                + call(p.function(), asm.binget(0))
            ),
            "The argument is two mebibytes long.",
        ),
        (
            "at-a-64-kib-border",
            lambda p: pickle(asm.binbytes(bytes((64 << 10) - 14)) + asm.POP + p.call()),
            "The module's name lies across the end of the first 64 KiB.",
        ),
        (
            "long-line-protocol0",
            lambda p: pickle(b"V" + b"x" * (1 << 20) + b"\n0" + p.call(0), 0),
            "A text pickle with a line of one mebibyte.",
        ),
    )
    for name, build, why in table:
        loader = "pickles" if name.startswith("second") else "pickle"
        yield Sample(f"B030-{name}", "B030", "model.pkl", build, why, loader=loader)


def surroundings() -> Iterator[Sample]:
    """Hundreds of honest objects around one call (B031)."""
    ordered = call(stack_global("collections", "OrderedDict"))
    allowed = b"".join(literal(f"layer{i}") + ordered + literal(f"bias{i}") + literal([0.5] * 16) for i in range(400))
    table: tuple[tuple[str, Callable[[Payload], bytes], str], ...] = (
        (
            "400-layers",
            lambda p: pickle(asm.EMPTY_DICT + asm.MARK + allowed + literal("x") + p.call() + asm.SETITEMS),
            "Four hundred layers before the call.",
        ),
        (
            "400-layers-after",
            lambda p: pickle(asm.EMPTY_DICT + asm.MARK + literal("x") + p.call() + allowed + asm.SETITEMS),
            "Four hundred layers after the call.",
        ),
        (
            "framework-names",
            lambda p: pickle(
                literal(
                    {
                        "pytorch_version": "2.4.0",
                        "transformers_version": "4.46.0",
                        "model_type": "llama",
                        "architectures": ["LlamaForCausalLM"],
                        "state_dict": Raw(ordered),
                        "optimizer": Raw(p.call()),
                    }
                )
            ),
            "Words that make a file look like a checkpoint.",
        ),
        (
            "allowed-call-with-hostile-argument",
            lambda p: pickle(calls("collections", "OrderedDict", [("weights", Raw(p.call()))])),
            "The call is an argument of an allowed call.",
        ),
        (
            "comment-strings",
            lambda p: pickle(literal("safe: scanned by security team, do not flag os.system") + asm.POP + p.call()),
            "A string that asks the scanner to look away.",
        ),
        (
            "thousand-globals",
            lambda p: pickle(
                b"".join(
                    stack_global("collections", name) + asm.POP
                    for name in ("OrderedDict", "Counter", "deque", "defaultdict")
                )
                * 1000
                + p.call()
            ),
            "Four thousand allowed imports before the call.",
        ),
    )
    for name, build, why in table:
        yield Sample(f"B031-{name}", "B031", "pytorch_model.bin", build, why)


SLICE = calls("builtins", "slice", 64, None)


def _lines(data: bytes) -> bytes:
    return base64.encodebytes(data)


# How bytes are wrapped: the encoder, and the calls that unwrap them on load.
WRAPS: dict[str, tuple[Callable[[bytes], bytes | str], Callable[[object], object]]] = {
    "bytes": (lambda d: d, lambda v: v),
    "latin1-string": (lambda d: d.decode("latin-1"), lambda v: calls("_codecs", "encode", v, "latin1")),
    "base64": (base64.b64encode, lambda v: calls("base64", "b64decode", v)),
    "base64-string": (lambda d: base64.b64encode(d).decode(), lambda v: calls("base64", "b64decode", v)),
    "base64-lines": (_lines, lambda v: calls("base64", "decodebytes", v)),
    "base64-urlsafe": (
        lambda d: base64.urlsafe_b64encode(d).decode(),
        lambda v: calls("base64", "urlsafe_b64decode", v),
    ),
    "binascii-base64": (base64.b64encode, lambda v: calls("binascii", "a2b_base64", v)),
    "codecs-base64": (base64.b64encode, lambda v: calls("codecs", "decode", v, "base64")),
    "hex": (lambda d: d.hex(), lambda v: calls("builtins", "bytes.fromhex", v)),
    "hex-upper": (lambda d: d.hex().upper(), lambda v: calls("binascii", "unhexlify", v)),
    "hex-bytes": (lambda d: d.hex().encode(), lambda v: calls("binascii", "a2b_hex", v)),
    "zlib": (zlib.compress, lambda v: calls("zlib", "decompress", v)),
    "gzip": (lambda d: gzip.compress(d, mtime=0), lambda v: calls("gzip", "decompress", v)),
    "bz2": (bz2.compress, lambda v: calls("bz2", "decompress", v)),
    "lzma": (lzma.compress, lambda v: calls("lzma", "decompress", v)),
    "base64-of-zlib": (
        lambda d: base64.b64encode(zlib.compress(d)).decode(),
        lambda v: calls("zlib", "decompress", calls("base64", "b64decode", v)),
    ),
    "zlib-of-base64": (
        lambda d: zlib.compress(base64.b64encode(d)),
        lambda v: calls("base64", "b64decode", calls("zlib", "decompress", v)),
    ),
    "hex-of-base64": (
        lambda d: base64.b64encode(d).hex(),
        lambda v: calls("base64", "b64decode", calls("builtins", "bytes.fromhex", v)),
    ),
    "base64-twice": (
        lambda d: base64.b64encode(base64.b64encode(d)),
        lambda v: calls("base64", "b64decode", calls("base64", "b64decode", v)),
    ),
    "base85": (base64.b85encode, lambda v: calls("base64", "b85decode", v)),
    "base32": (base64.b32encode, lambda v: calls("base64", "b32decode", v)),
}
# Without a loader call the first two are any text, and the others the same bytes as plain base64.
ONLY_LOADED = ("base85", "base32", "binascii-base64", "codecs-base64", "base64-urlsafe")


def nested() -> Iterator[Sample]:
    """A pickle inside the strings of a pickle, with and without the call that loads it (B032)."""
    inert = f"{UNPROVEN}nothing loads the inner pickle; the model's user does."
    for name, (wrap, unwrap) in WRAPS.items():
        yield Sample(
            f"B032-{name}-loaded",
            "B032",
            "model.pkl",
            lambda p, wrap=wrap, unwrap=unwrap: pickle(calls("pickle", "loads", unwrap(wrap(p.pickle())))),
            f"A hostile pickle as {name}, unwrapped and given to pickle.loads.",
        )
        if name not in ONLY_LOADED:
            for protocol in (2, 4):
                yield Sample(
                    f"B032-{name}-inert-proto{protocol}",
                    "B032",
                    "model.pkl",
                    lambda p, wrap=wrap, protocol=protocol: pickle(literal({"blob": wrap(p.pickle(protocol))})),
                    f"A hostile pickle as {name} in a dict.{inert}",
                    loader="",
                )
    for levels in (2, 3, 5):
        yield Sample(
            f"B032-{levels}-pickles-deep",
            "B032",
            "model.pkl",
            lambda p, levels=levels: _deep(p, levels, loaded=True),
            f"pickle.loads inside pickle.loads, {levels} deep.",
        )
        yield Sample(
            f"B032-{levels}-pickles-deep-inert",
            "B032",
            "model.pkl",
            lambda p, levels=levels: _deep(p, levels, loaded=False),
            f"Bytes in a pickle in bytes in a pickle, {levels} deep.{inert}",
            loader="",
        )
    table: tuple[tuple[str, Callable[[Payload], bytes], str], ...] = (
        (
            "torch-zip-in-bytes",
            lambda p: pickle(literal({"ema": hostile_zip(p)})),
            "A hostile torch zip in the bytes of a harmless pickle.",
        ),
        (
            "bytearray",
            lambda p: pickle(asm.bytearray8(p.pickle()), 5),
            "A hostile pickle in a bytearray.",
        ),
        (
            "binstring",
            lambda p: pickle(asm.binstring(p.pickle(2)), 2),
            "A hostile pickle in a Python 2 string.",
        ),
        (
            "protocol0-text",
            lambda p: pickle(literal({"blob": p.pickle(0).decode()})),
            "A hostile text pickle in a string.",
        ),
    )
    for name, build, why in table:
        yield Sample(f"B032-{name}", "B032", "model.pkl", build, why + inert, loader="")
    yield Sample(
        "B032-slice-loaded",
        "B032",
        "model.pkl",
        lambda p: pickle(
            calls(
                "pickle",
                "loads",
                calls("operator", "getitem", bytes(64) + p.pickle(), SLICE),
            )
        ),
        "A hostile pickle at some offset in bytes, cut out and given to pickle.loads.",
    )
    yield Sample(
        "B032-exec-of-base64-source",
        "B032",
        "model.pkl",
        lambda p: pickle(calls("builtins", "exec", WRAPS["base64"][1](base64.b64encode(p.source.encode())))),
        "Decode, then exec: the chain that droppers use.",
    )
    yield Sample(
        "B032-exec-of-zlib-source",
        "B032",
        "model.pkl",
        lambda p: pickle(calls("builtins", "exec", calls("zlib", "decompress", zlib.compress(p.source.encode())))),
        "Decompress, then exec.",
    )


def _deep(payload: Payload, levels: int, *, loaded: bool) -> bytes:
    data = payload.pickle()
    for _ in range(levels):
        data = pickle(calls("pickle", "loads", data)) if loaded else pickle(literal({"inner": data}))
    return data


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from positions()
    yield from surroundings()
    yield from nested()
