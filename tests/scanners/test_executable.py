"""Native programs."""

import struct
import sys
from pathlib import Path

import pytest

from tests.scanners.streams import look


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
