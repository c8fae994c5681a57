"""GGUF: each rule with a file that fires it and one next to it that does not."""

import io
import zipfile

import pytest

from modelaudit.blob import RootBlob
from modelaudit.engine import default_engine
from modelaudit.limits import Limits
from modelaudit.model import Severity
from tests.remote import Remote
from tests.samples import gguffiles as make
from tests.samples.gguffiles import (
    ARR,
    F32,
    I8,
    I32,
    ORDINARY,
    ROWS,
    STR,
    U8,
    U32,
    U64,
    WORDS,
    Array,
    model,
    one,
    swapped,
)
from tests.samples.sample import HARM
from tests.scanners.streams import look


def rules(data: bytes) -> set[str]:
    return {finding.rule.removeprefix("gguf-") for finding in look(data).findings}


def nested(depth: int) -> Array:
    """An array in an array, and so on."""
    return Array(U8, [1]) if depth == 0 else Array(ARR, [nested(depth - 1)])


OPEN = make.MAKER.file([], counts=(0, 1), alignment=1)  # a header that promises a pair
ARRAY_OF_ONE = (ARR).to_bytes(4, "little") + (STR).to_bytes(4, "little") + (1).to_bytes(8, "little")
TWO = (("a", (8, 2), 0, 0), ("b", (4,), 0, 64))

FIRING: dict[str, tuple[str, bytes]] = {
    "array of 2^63": ("length", make.MAKER.file([("a", ARR, Array(STR, [], 1 << 63))])),
    "string of 2^40": ("length", OPEN + make.MAKER.text(b"abc", 1 << 40) + bytes(64)),
    "string of 2^40 in an array": ("length", OPEN + make.MAKER.text("a") + ARRAY_OF_ONE + make.MAKER.long(1 << 40)),
    "tensors without room": ("length", make.MAKER.file([], counts=(1 << 60, 0))),
    "cut short in the header": ("truncated", model()[:100]),
    "cut short in the data": ("truncated", model()[:-10]),
    "unknown value type": ("malformed", OPEN + make.MAKER.text("a") + b"\x63" + bytes(40)),
    "nested too deep": (
        "malformed", model(("x", ARR, nested(6))),
    ),
    "product wraps": ("overflow", one((1 << 33, 1 << 33))),
    "sum wraps": ("overflow", model(tensors=[(str(i), (1 << 60,), 0, i << 62) for i in range(2)])),
    "nine dimensions": ("dimensions", one([1] * 9)),
    "zero in the second dimension": ("empty-dimension", one((4, 0))),
    "half a block": ("row-size", one((33,), 8)),
    "past the end": ("out-of-bounds", one((4,), begin=1 << 20)),
    "shared bytes": ("overlap", model(tensors=[("a", (8, 2), 0, 0), ("b", (4,), 0, 32)], data=bytes(64))),
    "odd offset": ("misaligned", one((4,), begin=4, data=bytes(20))),
    "out of order": ("order", model(tensors=[TWO[1], TWO[0]], data=bytes(80))),
    "type of the future": ("unknown-type", one((32,), 200)),
    "hole": ("gap", model(tensors=[TWO[0], ("b", (4,), 0, 96)], data=bytes(112))),
    "hole at the start": ("gap", one((4,), begin=32, data=bytes(48))),
    "appended": ("trailing", model(data=make.DATA + bytes(16) + b"more")),
    "appended to no tensors": ("trailing", model(tensors=[], data=b"more")),
    "key twice": ("duplicate-key", model(("general.name", STR, "x"))),
    "tensor twice": ("duplicate-tensor", model(tensors=[TWO[0], ("a", (4,), 0, 64)], data=bytes(80))),
    "key a path": ("name", model(("../../etc/x", STR, "x"))),
    "tensor a path": ("name", model(tensors=[("../w", (4,), 0, 0)], data=bytes(16))),
    "key with an escape": ("name", model(("a\x1b[2J", STR, "x"))),
    "alignment a string": ("alignment", model(("general.alignment", STR, "32"))),
    "alignment of eight bytes": ("alignment", model(("general.alignment", U64, 32))),
    "alignment of zero": ("alignment", model(("general.alignment", U32, 0))),
    "alignment of 33": ("alignment", model(("general.alignment", U32, 33))),
    "alignment of 2 MiB": ("alignment", model(("general.alignment", U32, 1 << 21), tensors=[], data=b"")),
    "513 layers": ("block-count", model(("x.block_count", U32, 513))),
    "more parts than layers": ("block-count", model(("llama.posnet.block_count", U32, 3))),
    "scores of one byte": ("array-type", swapped("tokenizer.ggml.scores", ARR, Array(I8, [0] * len(WORDS)))),
    "types as floats": ("array-type", swapped("tokenizer.ggml.token_type", ARR, Array(F32, [0.0] * len(WORDS)))),
    "scores as text": ("array-type", swapped("tokenizer.ggml.scores", ARR, Array(STR, ["1"] * len(WORDS)))),
    "scores no array": ("array-type", swapped("tokenizer.ggml.scores", F32, 1.0)),
    "suppressed of one byte": ("array-type", model(("tokenizer.ggml.suppress_tokens", ARR, Array(U8, [1, 2])))),
    "map of numbers": ("array-type", model(("tokenizer.ggml.precompiled_charsmap", ARR, Array(I32, [0] * 8)))),
    "fewer scores": ("array-count", swapped("tokenizer.ggml.scores", ARR, Array(F32, [0.0]))),
    "token -1": ("byte-token", swapped("tokenizer.ggml.tokens", ARR, Array(STR, [*WORDS[:-1], "<0x-1>"]))),
    "map of three bytes": ("charsmap", model(("tokenizer.ggml.precompiled_charsmap", ARR, Array(U8, [0] * 3)))),
    "token of 100,000": ("token-length", swapped("tokenizer.ggml.tokens", ARR, Array(STR, ["a" * 100_000]))),
    "end token unknown": ("special-token", swapped("tokenizer.ggml.eos_token_id", U32, 7)),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRING)
def test_a_flaw_is_found(name: str) -> None:
    """The rule fires, whatever else does."""
    rule, data = FIRING[name]
    assert rule in rules(data)


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_file_is_silent(name: str) -> None:
    """Not one finding, of any severity."""
    found = look(ORDINARY[name])
    assert (found.status, found.findings) == ("scanned", ())
    assert found.formats == ("gguf",)


def test_every_rule_is_fired() -> None:
    """No rule without a sample."""
    known = {rule.removeprefix("gguf-") for rule in default_engine().catalogue.rules if rule.startswith("gguf-")}
    assert known == {rule for rule, _ in FIRING.values()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_an_attack_is_found(row: tuple[str, str, str, bytes, str]) -> None:
    """Each with at least the severity that it deserves."""
    _, _, expect, data, why = row
    worst = max((finding.severity.rank for finding in look(data).findings), default=-1)
    assert worst >= Severity(expect).rank, why


def test_what_is_inside_has_its_place() -> None:
    """A template is named by its key, and what is appended by where it is."""
    found = look(model(("tokenizer.chat_template", STR, make.ESCAPE), data=make.DATA + bytes(48) + HARM.pickle()))
    places = {finding.location.split(" ")[0] for finding in found.findings if finding.severity is Severity.CRITICAL}
    assert {"place:tokenizer.chat_template", "place:trailing"} <= places


def test_an_honest_giant_is_a_warning() -> None:
    """A file that really has 525 layers is no attack; one that only says so is."""
    layers = [(f"blk.{number}.w", (8,), 0, 32 * number) for number in range(525)]
    key = ("x.block_count", U32, 525)
    honest, lying = model(key, tensors=layers, data=bytes(32 * 525)), model(key)
    assert [finding.severity for finding in look(honest).findings] == [Severity.WARNING]
    assert Severity.CRITICAL in {finding.severity for finding in look(lying).findings}


def test_five_dimensions_are_only_told() -> None:
    """Converters of video models write them; ggml itself has four."""
    [finding] = look(one([2, 1, 1, 1, 2], data=bytes(16))).findings
    assert (finding.rule, finding.severity) == ("gguf-dimensions", Severity.INFO)


def test_padding_of_zeros_is_only_told() -> None:
    """Zeros behind the last tensor hide nothing."""
    [finding] = look(model(data=make.DATA + bytes(512))).findings
    assert (finding.rule, finding.severity) == ("gguf-trailing", Severity.INFO)


def test_a_newer_version_is_not_called_clean() -> None:
    """The record says what was not looked at."""
    found = look(b"GGUF\x09" + bytes(100))
    assert (found.status, found.reason) == ("partial", "unsupported_version")


def test_text_is_no_gguf() -> None:
    """A text that begins with the four letters is text."""
    assert look(b"GGUF is a format for models, and this is a sentence about it.").formats == ()


def test_a_large_vocabulary_costs_few_rounds() -> None:
    """150,000 tokens and 280,000 merges behind a slow network: few questions, and no tensor's bytes."""
    tokens = [f"token{number}" for number in range(150_000)]
    merges = [f"a{number} b{number}" for number in range(280_000)]
    data = model(
        ("tokenizer.ggml.tokens", ARR, Array(STR, tokens)),
        ("tokenizer.ggml.token_type", ARR, Array(I32, [1] * len(tokens))),
        ("tokenizer.ggml.merges", ARR, Array(STR, merges)),
        ("tokenizer.chat_template", STR, make.CHAT),
        tensors=[("w", (1 << 20, 6), 0, 0)],
        data=b"",
    )
    size = len(data) + (24 << 20)
    here = Remote(data + bytes(24 << 20), Limits())

    def work(blob: object) -> None:
        assert isinstance(blob, RootBlob)
        assert default_engine().inspect(blob, Limits()).findings == ()

    here.run(work)
    assert here.rounds <= 8
    assert here.bytes_fetched < len(data) * 1.3
    assert size > here.bytes_fetched


def test_the_model_of_a_llamafile_is_found() -> None:
    """A llamafile is a program and a zip in one; the model is stored in it, and its template is looked at."""
    out = io.BytesIO()
    out.write(b"MZqFpD='\n" + bytes(4096))
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr(".args", "-m\nmodel.gguf\n")
        archive.writestr("model.gguf", model(("tokenizer.chat_template", STR, make.ESCAPE)))
    found = look(out.getvalue())
    assert any("model.gguf:tokenizer.chat_template" in finding.location for finding in found.findings)
    assert any("llamafile" in finding.message for finding in found.findings)
