"""GGUF files, honest and not (B039, B074 to B077), built from bytes."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.samples.sample import HARM, UNPROVEN, Sample

U8, I8, U32, I32, F32, BOOL, STR, ARR, U64 = 0, 1, 4, 5, 6, 7, 8, 9, 10
_CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_F32, _Q8_0 = 0, 8


@dataclass(frozen=True)
class Array:
    """An array of `kind`; `count` is what it claims to have."""

    kind: int
    items: Sequence[object]
    count: int | None = None


@dataclass(frozen=True)
class Maker:
    """Writes values in a byte order and a version."""

    version: int = 3
    order: str = "<"

    def long(self, value: int) -> bytes:
        return struct.pack(self.order + ("I" if self.version == 1 else "Q"), value)

    def text(self, value: str | bytes, claimed: int | None = None) -> bytes:
        raw = value.encode() if isinstance(value, str) else value
        return self.long(len(raw) if claimed is None else claimed) + raw

    def value(self, kind: int, value: object) -> bytes:
        if isinstance(value, Array):
            count = len(value.items) if value.count is None else value.count
            head = struct.pack(self.order + "I", value.kind) + self.long(count)
            return head + b"".join(self.value(value.kind, item) for item in value.items)
        if isinstance(value, str | bytes):
            return self.text(value)
        return struct.pack(self.order + _CODES[kind], value)

    def entry(self, key: str | bytes, kind: int, value: object) -> bytes:
        return self.text(key) + struct.pack(self.order + "I", kind) + self.value(kind, value)

    def tensor(self, name: str, shape: Sequence[int], kind: int, begin: int) -> bytes:
        code = "I" if self.version == 1 else "Q"
        sizes = struct.pack(f"{self.order}I{len(shape)}{code}", len(shape), *shape)
        return self.text(name) + sizes + struct.pack(self.order + "IQ", kind, begin)

    def file(
        self,
        entries: Sequence[tuple[str, int, object]],
        tensors: Sequence[tuple[str, Sequence[int], int, int]] = (),
        data: bytes = b"",
        counts: tuple[int | None, int | None] = (None, None),
        alignment: int = 32,
    ) -> bytes:
        """The file: `counts` are those of tensors and of pairs that it claims."""
        claimed = [
            len(real) if count is None else count for count, real in zip(counts, (tensors, entries), strict=True)
        ]
        head = b"GGUF" + struct.pack(self.order + "I", self.version) + b"".join(map(self.long, claimed))
        head += b"".join(self.entry(*entry) for entry in entries) + b"".join(self.tensor(*tensor) for tensor in tensors)
        return head + bytes(-len(head) % alignment) + data


MAKER = Maker()
LLAMA: tuple[tuple[str, int, object], ...] = (
    ("general.architecture", STR, "llama"),
    ("general.name", STR, "small"),
    ("llama.block_count", U32, 2),
    ("llama.rope.freq_base", F32, 10000.0),
    ("general.quantized", BOOL, True),
)
WORDS = ("<unk>", "<s>", "</s>", "<0x00>", "<0xFf>", "a", "b")
VOCABULARY: tuple[tuple[str, int, object], ...] = (
    ("tokenizer.ggml.model", STR, "llama"),
    ("tokenizer.ggml.tokens", ARR, Array(STR, WORDS)),
    ("tokenizer.ggml.scores", ARR, Array(F32, [0.0] * len(WORDS))),
    ("tokenizer.ggml.token_type", ARR, Array(I32, [1] * len(WORDS))),
    ("tokenizer.ggml.eos_token_id", U32, 2),
)
CHAT = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
TENSORS = (("blk.0.a", (8, 2), _F32, 0), ("blk.1.b", (32,), _Q8_0, 64), ("output", (4,), _F32, 128))
DATA = bytes(144)


def model(*more: tuple[str, int, object], **changes: object) -> bytes:
    """An honest file with more pairs, or with `tensors`, `data`, `counts` or `maker` changed."""
    maker = changes.pop("maker", MAKER)
    assert isinstance(maker, Maker)
    fields: dict[str, object] = {"tensors": TENSORS, "data": DATA, **changes}
    return maker.file((*LLAMA, *more), **fields)  # type: ignore[arg-type]


def swapped(key: str, kind: int, value: object) -> bytes:
    """An honest file with a vocabulary in which one pair is another."""
    return model(*(entry for entry in VOCABULARY if entry[0] != key), (key, kind, value))


def one(shape: Sequence[int], kind: int = _F32, begin: int = 0, data: bytes = DATA) -> bytes:
    """A file with one tensor."""
    return model(tensors=[("w", shape, kind, begin)], data=data)


ORDINARY: dict[str, bytes] = {
    "a model": model(*VOCABULARY, ("tokenizer.chat_template", STR, CHAT)),
    "big-endian": model(*VOCABULARY, maker=Maker(3, ">")),
    "version 2": model(*VOCABULARY, maker=Maker(2)),
    "version 1": model(*VOCABULARY, maker=Maker(1)),
    "a vocabulary alone": model(*VOCABULARY, tensors=[], data=b""),
    "last tensor padded": model(data=DATA + bytes(16)),
    "alignment of 64": model(("general.alignment", U32, 64), tensors=TENSORS[:1], alignment=64, data=bytes(64)),
    "512 layers": model(("other.block_count", U32, 512)),
    "token types unsigned": swapped("tokenizer.ggml.token_type", ARR, Array(U32, [1] * len(WORDS))),
    "more scores than tokens": swapped("tokenizer.ggml.scores", ARR, Array(F32, [0.0] * 9)),
    "no padding token": model(*VOCABULARY, ("tokenizer.ggml.padding_token_id", U32, 0xFFFFFFFF)),
    "a character map": model(("tokenizer.ggml.precompiled_charsmap", ARR, Array(U8, [0] * 8))),
    "arrays in arrays": model(("x.nested", ARR, Array(ARR, [Array(U8, [1, 2]), Array(STR, ["a"])]))),
    "an empty name": model(("general.description", STR, "")),
    "a long description": model(("general.description", STR, "A model. " * 1000)),
    "text like a byte's token, longer": swapped(
        "tokenizer.ggml.tokens", ARR, Array(STR, [*WORDS[:-1], "<0x-1> and more"])
    ),
    "templates by name": model(
        ("tokenizer.chat_templates", ARR, Array(STR, ["tool_use"])), ("tokenizer.chat_template.tool_use", STR, CHAT)
    ),
    "a row of nothing": one((0,), data=b""),
    "half floats": one((3, 5), 1, data=bytes(30)),
}

ESCAPE = "{{ self.__init__.__globals__.__builtins__.__import__('os').popen('echo modelaudit-sample').read() }}"
CYCLER = "{{ cycler.__init__.__globals__.os.popen('echo modelaudit-sample').read() }}"
CRITICAL, WARNING = "critical", "warning"

# name, class, least severity, bytes, why
ROWS: tuple[tuple[str, str, str, bytes, str], ...] = (
    ("template", "B074", CRITICAL, model(("tokenizer.chat_template", STR, ESCAPE)), "A template that escapes."),
    (
        "template-tool-use",
        "B074",
        CRITICAL,
        model(("tokenizer.chat_template", STR, CHAT), ("tokenizer.chat_template.tool_use", STR, CYCLER)),
        "The second of two templates.",
    ),
    (
        "template-array",
        "B074",
        CRITICAL,
        model(("tokenizer.chat_template", ARR, Array(STR, [CHAT, ESCAPE]))),
        "In an array of templates.",
    ),
    (
        "template-duplicate",
        "B074",
        CRITICAL,
        model(("tokenizer.chat_template", STR, CHAT), ("tokenizer.chat_template", STR, ESCAPE)),
        "The second of one key.",
    ),
    ("template-other-key", "B074", CRITICAL, model(("my.prompt", STR, ESCAPE)), "Under a key of its own."),
    (
        "template-big-endian",
        "B074",
        CRITICAL,
        model(("tokenizer.chat_template", STR, ESCAPE), maker=Maker(3, ">")),
        "In a big-endian file.",
    ),
    (
        "template-version-1",
        "B074",
        CRITICAL,
        model(("tokenizer.chat_template", STR, ESCAPE), maker=Maker(1)),
        "In a file of version 1.",
    ),
    (
        "template-before-break",
        "B074",
        CRITICAL,
        model(("tokenizer.chat_template", STR, ESCAPE))[:-260],
        "Before the file breaks off.",
    ),
    (
        "template-before-nonsense",
        "B074",
        CRITICAL,
        MAKER.file([("tokenizer.chat_template", STR, ESCAPE)], counts=(0, 2), alignment=1) + b"\xff" * 64,
        "Before a pair that is none.",
    ),
    ("dimensions", "B077", CRITICAL, one([1] * 9), "Nine dimensions (CVE-2024-21802)."),
    ("dimensions-many", "B077", CRITICAL, one([1] * 100, data=bytes(4)), "A hundred dimensions."),
    ("wrap", "B077", CRITICAL, one((1 << 33, 1 << 33)), "Dimensions of which the product wraps to 4."),
    ("wrap-to-four", "B077", CRITICAL, one((4194305, 4194305, 211106198978564)), "A product that wraps to 4."),
    ("wrap-bytes", "B077", CRITICAL, one((5124095576030431008,), 2), "Bytes that wrap (Q4_0)."),
    ("negative", "B077", CRITICAL, one((1 << 63,)), "A dimension that is negative as a signed number."),
    ("offset-2-64", "B077", CRITICAL, one((4,), begin=(1 << 64) - 32), "An offset of nearly 2^64."),
    ("offset-past-end", "B077", CRITICAL, one((4,), begin=1 << 20), "An offset past the end."),
    ("strings-2-63", "B077", CRITICAL, MAKER.file([("a", ARR, Array(STR, [], 1 << 63))]), "An array of 2^63."),
    ("array-2-62", "B077", CRITICAL, MAKER.file([("a", ARR, Array(U8, [], 1 << 62))]), "An array of 2^62."),
    (
        "string-2-63",
        "B077",
        CRITICAL,
        MAKER.file([], counts=(0, 1), alignment=1) + MAKER.text(b"abc", 1 << 63) + bytes(64),
        "A key of 2^63 bytes.",
    ),
    ("keys-2-40", "B077", CRITICAL, MAKER.file([], counts=(0, 1 << 40)), "2^40 pairs (CVE-2024-23605)."),
    ("tensors-2-60", "B077", CRITICAL, MAKER.file([], counts=(1 << 60, 0)), "2^60 tensors (CVE-2024-21836)."),
    ("layers", "B077", CRITICAL, model(("x.block_count", U32, 100_000)), "Layers past the loader's table."),
    (
        "scores-narrow",
        "B077",
        CRITICAL,
        swapped("tokenizer.ggml.scores", ARR, Array(U8, [0] * len(WORDS))),
        "Scores of one byte where four are read.",
    ),
    (
        "types-short",
        "B077",
        CRITICAL,
        swapped("tokenizer.ggml.token_type", ARR, Array(I32, [1])),
        "Fewer types than tokens.",
    ),
    (
        "byte-token",
        "B077",
        CRITICAL,
        swapped("tokenizer.ggml.tokens", ARR, Array(STR, [*WORDS[:-1], "<0x-1>"])),
        "A token that is the index -1.",
    ),
    (
        "alignment-huge",
        "B077",
        WARNING,
        model(("general.alignment", U32, 1 << 31), tensors=[], data=b""),
        "An alignment of 2^31.",
    ),
    (
        "alignment-type",
        "B077",
        WARNING,
        model(("general.alignment", STR, "32")),
        "An alignment that is a string.",
    ),
    ("duplicate-key", "B077", WARNING, model(("general.name", STR, "other")), "A key twice."),
    ("pickle-appended", "B039", CRITICAL, model(data=DATA + bytes(48) + HARM.pickle()), "A pickle behind it."),
    (
        "pickle-in-gap",
        "B039",
        CRITICAL,
        model(
            tensors=[TENSORS[0], ("blk.1.b", (32,), _Q8_0, 256)],
            data=bytes(64) + HARM.pickle().ljust(192, b"\0") + bytes(64),
        ),
        "A pickle between two tensors.",
    ),
    (
        "pickle-in-array",
        "B032",
        CRITICAL,
        model(("x.state", ARR, Array(U8, list(HARM.pickle())))),
        "A pickle as an array of bytes.",
    ),
    ("pickle-in-string", "B032", CRITICAL, model(("x.state", STR, HARM.pickle())), "A pickle as a string."),
)


def hostile() -> Iterator[Sample]:
    """All of this family."""
    why = f"{UNPROVEN}the loaders are native programs, which the tests do not have."
    for name, bypass, expect, data, text in ROWS:
        yield Sample(f"{bypass}-gguf-{name}", bypass, "model.gguf", lambda _, data=data: data, text + why, expect, "")


def ordinary() -> Iterator[Sample]:
    """Files that must be silent."""
    for name, data in ORDINARY.items():
        yield Sample(f"gguf-{name.replace(' ', '-')}", "", "model.gguf", lambda _, data=data: data, name, "none", "")
