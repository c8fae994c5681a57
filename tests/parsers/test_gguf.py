"""The GGUF parser: what it reads, and that nothing but its own exceptions leaves it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.engine import inspect
from modelaudit.limits import Limits
from modelaudit.parsers import gguf
from tests.samples.gguffiles import ARR, CHAT, STR, VOCABULARY, Array, Maker, model

ORDINARY = model(*VOCABULARY, ("tokenizer.chat_template", STR, CHAT))


def parse(data: bytes) -> gguf.Header:
    return gguf.parse(BytesBlob(data), Limits())


def test_what_a_file_says_is_read() -> None:
    """Values, arrays and tensors, in either byte order and each version."""
    for maker in (Maker(3), Maker(3, ">"), Maker(2), Maker(1)):
        header = parse(model(*VOCABULARY, maker=maker))
        assert header.stop is None
        assert header.version == maker.version
        entry = header.get("llama.block_count")
        assert entry is not None
        assert entry.value == 2
        tokens = header.get(gguf.TOKENS)
        assert tokens is not None
        assert (tokens.count, tokens.longest) == (7, 6)
        assert [(t.name, t.shape, t.begin, t.bytes_needed) for t in header.tensors] == [
            ("blk.0.a", (8, 2), 0, 64),
            ("blk.1.b", (32,), 64, 34),
            ("output", (4,), 128, 16),
        ]


def test_strings_of_an_array_are_given() -> None:
    """As many as asked for, and none that is too long."""
    data = model(("x.templates", ARR, Array(STR, ["a", "b" * 100, "c", "d"])))
    header = parse(data)
    entry = header.get("x.templates")
    assert entry is not None
    assert gguf.strings(BytesBlob(data), header, entry, 3, 50) == [b"a", b"c"]


def test_a_long_string_is_stepped_over() -> None:
    """What stands behind a string that is larger than any window is read all the same."""
    header = parse(model(("x.long", STR, "a" * 3_000_000), ("x.after", STR, "b")))
    assert header.stop is None
    assert header.get("x.after") is not None
    inside = parse(model(("x.list", ARR, Array(STR, ["a" * 3_000_000, "b"])), ("x.after", STR, "b")))
    assert inside.stop is None
    assert inside.get("x.after") is not None


def test_too_many_pairs_are_not_kept() -> None:
    """Memory does not grow with what a file claims."""
    data = Maker().file([("a", 7, True)] * 3, counts=(0, 200_000)) + bytes(13 * 200_000)
    header = parse(data)
    assert header.stop is not None
    assert header.stop.what == "limit"


@given(cut=st.integers(0, len(ORDINARY)))
def test_a_file_cut_anywhere_is_an_answer(cut: int) -> None:
    """Truncation stops the header or is found, and is never called whole."""
    found = inspect(BytesBlob(ORDINARY[:cut]))
    assert found.status in ("scanned", "partial", "skipped")
    assert cut == len(ORDINARY) or found.status != "scanned" or found.findings


@settings(max_examples=400)
@given(place=st.integers(0, len(ORDINARY) - 1), value=st.integers(1, 255))
def test_damage_anywhere_is_an_answer(place: int, value: int) -> None:
    """A flipped byte raises nothing but what the contract allows."""
    data = bytearray(ORDINARY)
    data[place] ^= value
    inspect(BytesBlob(bytes(data)))


@given(data=st.binary(max_size=200))
def test_noise_behind_the_magic_is_an_answer(data: bytes) -> None:
    """Whatever follows the magic and a version."""
    inspect(BytesBlob(b"GGUF\3\0\0\0" + data))
