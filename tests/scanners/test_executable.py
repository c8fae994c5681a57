"""Native programs."""

import io
import struct
import sys
import zipfile
from pathlib import Path

import pytest

from tests.scanners.streams import ATTACK, look


def pe(machine: int = 0x8664, place: int = 128) -> bytes:
    return (
        b"MZ"
        + bytes(58)
        + struct.pack("<I", place)
        + bytes(place - 64)
        + b"PE\0\0"
        + struct.pack("<H", machine)
        + bytes(200)
    )


def elf(kind: int = 3, machine: int = 62) -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", kind, machine) + bytes(100)


def mach(machine: int = 0x01000007, kind: int = 2) -> bytes:
    return b"\xcf\xfa\xed\xfe" + struct.pack("<III", machine, 3, kind) + bytes(100)


def fat(count: int = 2) -> bytes:
    return b"\xca\xfe\xba\xbe" + struct.pack(">II", count, 0x01000007) + bytes(100)


@pytest.mark.parametrize("data", [pe(), elf(), elf(2, 183), mach(), fat()], ids=["pe", "elf", "arm", "mach", "fat"])
def test_a_program_is_told(data: bytes) -> None:
    """A magic with a header that makes sense is a program."""
    assert [finding.rule for finding in look(data).findings] == ["executable-program"]


@pytest.mark.parametrize(
    "data",
    [pe(0x1234), pe()[:100], b"MZ" + b"text that begins with MZ " * 20, elf(9), elf(3, 0), mach(99), mach(kind=90),
     fat(60), b"\xca\xfe\xba\xbe\x00\x00\x00\x41" + bytes(100)],
    ids=["machine", "short", "text", "kind", "none", "cpu", "filetype", "count", "java class"],
)  # fmt: skip
def test_a_magic_alone_is_no_program(data: bytes) -> None:
    """Weights and other files may begin with the same bytes."""
    assert look(data).findings == ()


def test_this_python_is_a_program() -> None:
    """A real one, not made here."""
    assert "ELF" in look(Path(sys.executable).resolve().read_bytes()).findings[0].message


def whole_elf() -> bytes:
    """An ELF file of 64-bit and little-endian kind whose table of sections is its end."""
    head = elf()[:20].ljust(40, b"\0") + struct.pack("<Q", 64) + bytes(10) + struct.pack("<HHH", 64, 2, 0)
    return head.ljust(64, b"\0") + bytes(128)


def whole_pe() -> bytes:
    """A PE file of one section and a signature behind it."""
    options = (b"\x0b\x02".ljust(112 + 32, b"\0") + struct.pack("<II", 600, 40)).ljust(240, b"\0")
    head = pe()[:128] + b"PE\0\0" + struct.pack("<HH12xHH", 0x8664, 1, len(options), 0) + options
    head += b".text\0\0\0" + struct.pack("<IIII", 100, 4096, 100, 500) + bytes(16)
    return head.ljust(640, b"\0")


@pytest.mark.parametrize("program", [whole_elf(), whole_pe()], ids=["elf", "pe"])
def test_what_stands_behind_a_program_is_scanned(program: bytes) -> None:
    """Its end is where its header says; a program that ends there has nothing behind it."""
    assert len(look(program).assets) == 1
    found = look(program + ATTACK)
    assert {"executable-program", "pickle-import"} <= {finding.rule for finding in found.findings}


@pytest.mark.parametrize("program", [whole_elf(), whole_pe(), b"MZqFpD='\n" + bytes(500)], ids=["elf", "pe", "ape"])
def test_an_archive_behind_a_program_is_scanned(program: bytes) -> None:
    """Self-extracting archives and llamafiles are zips as well; one without an archive is no broken zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.pkl", ATTACK)
    rules = {finding.rule for finding in look(program + buffer.getvalue()).findings}
    assert {"executable-program", "pickle-import"} <= rules
    assert [finding.rule for finding in look(program).findings] == ["executable-program"]


@pytest.mark.parametrize("program", [whole_elf(), whole_pe(), mach(), fat()], ids=["elf", "pe", "mach", "fat"])
def test_a_program_cut_or_damaged_anywhere_is_an_answer(program: bytes) -> None:
    """Headers that lie raise nothing."""
    for place in range(0, min(len(program), 420), 3):
        look(program[:place])
        look(program[:place] + b"\xff" * 8 + program[place + 8 :])
