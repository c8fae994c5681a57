"""Native programs: ELF, PE and Mach-O, told by a header that makes sense and not by a magic alone."""

import struct
from collections.abc import Iterator

from modelaudit.blob import Blob, read
from modelaudit.limits import Limits
from modelaudit.model import Child, Hit

_ELF_KINDS = {1: "object file", 2: "program", 3: "shared library or program", 4: "core dump"}
_PE_MACHINES = {0x14C: "x86", 0x8664: "x86-64", 0x1C0: "ARM", 0x1C4: "ARM", 0xAA64: "ARM64", 0x200: "Itanium"}
_MACH_MAGICS = {
    b"\xfe\xed\xfa\xce": ">",
    b"\xfe\xed\xfa\xcf": ">",
    b"\xce\xfa\xed\xfe": "<",
    b"\xcf\xfa\xed\xfe": "<",
}
_MACH_MACHINES = {7, 12, 18, 0x01000007, 0x0100000C, 0x01000012}
_APE = b"MZqFpD="  # Actually Portable Executable: a program that is also a shell script and a zip


def _kind(blob: Blob) -> str | None:
    """What the program is, or None when the header behind the magic makes no sense."""
    head = read(blob, 0, 64)
    if head[:4] == b"\x7fELF" and len(head) >= 52:
        return _elf(head)
    if head[:2] == b"MZ" and len(head) == 64:
        return _pe(blob, head)
    if head[:4] in _MACH_MAGICS and len(head) >= 28:
        machine, _, kind = struct.unpack_from(_MACH_MAGICS[head[:4]] + "III", head, 4)
        return "Mach-O program or library" if machine in _MACH_MACHINES and 1 <= kind <= 12 else None
    if head[:4] == b"\xca\xfe\xba\xbe" and len(head) >= 28:
        count, machine = struct.unpack_from(">II", head, 4)
        return "Mach-O universal program" if 1 <= count <= 20 and machine in _MACH_MACHINES else None
    return None


def _elf(head: bytes) -> str | None:
    width, order, version = head[4:7]
    if width not in (1, 2) or order not in (1, 2) or version != 1:
        return None
    kind, machine = struct.unpack_from("<HH" if order == 1 else ">HH", head, 16)
    return f"ELF {_ELF_KINDS[kind]}" if kind in _ELF_KINDS and machine else None


def _pe(blob: Blob, head: bytes) -> str | None:
    if head.startswith(_APE):
        return "Actually Portable Executable (a program for several systems, such as a llamafile)"
    place = int.from_bytes(head[60:64], "little")
    if not 64 <= place <= min(blob.size - 24, 1 << 20):
        return None
    stub = read(blob, place, 24)
    machine = int.from_bytes(stub[4:6], "little")
    return f"Windows program or library ({_PE_MACHINES[machine]})" if _is_pe(stub) else None


def _is_pe(stub: bytes) -> bool:
    return stub[:4] == b"PE\0\0" and int.from_bytes(stub[4:6], "little") in _PE_MACHINES


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether a header that makes sense stands behind the magic."""
    return _kind(blob) is not None


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child]:
    """Say what it is; the zip inside a portable executable is looked at as one."""
    kind = _kind(blob)
    yield Hit("executable-program", 0, {"kind": kind})
    if read(blob, 0, len(_APE)) == _APE:
        yield Child("archive", 0, blob.size, format="zip")
