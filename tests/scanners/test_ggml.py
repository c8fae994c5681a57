"""GGML: each rule with a file that fires it and one next to it that does not."""

import io
import struct
import zipfile
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelaudit.blob import BytesBlob
from modelaudit.engine import default_engine, inspect
from modelaudit.model import Severity
from tests.samples.sample import HARM
from tests.scanners.streams import look

NUMBERS = (3, 32, 256, 4, 1, 8, 0)


def make(
    magic: bytes = b"tjgg",
    version: int | None = 3,
    numbers: Sequence[int] = NUMBERS,
    words: Sequence[bytes] = (b"<unk>", b"a", b"b"),
    tensors: Sequence[tuple[bytes, Sequence[int], int, int]] = ((b"tok", (32, 3), 0, 384), (b"w", (32, 2), 2, 36)),
) -> bytes:
    out = magic + (b"" if version is None else struct.pack("<I", version)) + struct.pack(f"<{len(numbers)}I", *numbers)
    for word in words:
        out += struct.pack("<I", len(word)) + word + struct.pack("<f", 0.5)
    for name, shape, kind, length in tensors:
        out += struct.pack(f"<3I{len(shape)}I", len(shape), len(name), kind, *shape) + name
        if magic in (b"tjgg", b"algg"):
            out += bytes(-len(out) % 32)
        out += bytes(length)
    return out


def rules(data: bytes) -> set[str]:
    return {finding.rule.removeprefix("ggml-") for finding in look(data).findings}


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("data.pkl", HARM.pickle())
    return out.getvalue()


FIRING: dict[str, tuple[str, bytes]] = {
    "a version that never was": ("header", make(version=4)),
    "a vocabulary of 2^31": ("header", make(numbers=(1 << 31, *NUMBERS[1:]))),
    "no vocabulary": ("header", make(numbers=(0, *NUMBERS[1:]))),
    "a million layers": ("header", make(b"fmgg", 1, (*NUMBERS[:4], 1 << 20, *NUMBERS[5:]))),
    "a token of 2^31": ("length", make(words=())[:36] + struct.pack("<I", 1 << 31) + bytes(64)),
    "nine dimensions": ("length", make(tensors=[(b"w", [1] * 9, 0, 4)])),
    "an endless name": ("length", make(tensors=()) + struct.pack("<3I", 1, 1 << 30, 0) + bytes(64)),
    "a type that does not exist": ("length", make(tensors=[(b"w", (32,), 77, 4)])),
    "a tensor of 2^64": ("length", make(tensors=[(b"w", (1 << 31, 1 << 31), 0, 4)])),
    "cut short": ("truncated", make()[:-10]),
    "cut in the header": ("truncated", make()[:20]),
    "cut in the vocabulary": ("truncated", make()[:50]),
    "cut in a description": ("truncated", make(tensors=()) + bytes(8)),
}

ORDINARY = {
    "ggjt": make(),
    "ggjt of version 1": make(version=1),
    "ggmf": make(b"fmgg", 1),
    "ggml": make(b"lmgg", None),
    "Whisper": make(b"lmgg", None, (51864, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1)),
    "RWKV": make(b"fmgg", 101, (65536, 768, 12, 1, 0, 0, 0)),
    "an image model": make(b"lmgg", None, (1, 49408, 0x6C6C6568, 0x7FFFFFFF, 5, 6, 7)),
    "an adapter": make(b"algg", 1, (8, 16), ()),
}


@pytest.mark.parametrize("name", FIRING)
def test_a_flaw_is_found(name: str) -> None:
    """The rule fires, whatever else does."""
    rule, data = FIRING[name]
    assert rule in rules(data)


@pytest.mark.parametrize("name", ORDINARY)
def test_an_ordinary_file_is_silent(name: str) -> None:
    """Not one finding, of any severity."""
    found = look(ORDINARY[name])
    assert (found.status, found.findings, found.formats) == ("scanned", (), ("ggml",))


def test_every_rule_is_fired() -> None:
    """No rule without a sample."""
    known = {rule.removeprefix("ggml-") for rule in default_engine().catalogue.rules if rule.startswith("ggml-")}
    assert known == {rule for rule, _ in FIRING.values()}


@pytest.mark.parametrize("name", ORDINARY)
def test_an_archive_behind_is_found(name: str) -> None:
    """Python's zipfile and PyTorch open such a file as an archive."""
    found = look(ORDINARY[name] + zipped())
    assert Severity.CRITICAL in {finding.severity for finding in found.findings}


def test_text_is_no_ggml() -> None:
    """A text that begins with the four letters is text."""
    assert look(b"lmgg and tjgg are magics").formats == ()


@given(cut=st.integers(0, len(ORDINARY["ggjt"])))
def test_a_file_cut_anywhere_is_an_answer(cut: int) -> None:
    """Truncation is found or said."""
    assert inspect(BytesBlob(ORDINARY["ggjt"][:cut])).status in ("scanned", "partial", "skipped")


@settings(max_examples=300)
@given(place=st.integers(0, 150), value=st.integers(1, 255))
def test_damage_anywhere_is_an_answer(place: int, value: int) -> None:
    """A flipped byte raises nothing but what the contract allows."""
    data = bytearray(ORDINARY["ggjt"])
    data[place] ^= value
    inspect(BytesBlob(bytes(data)))
