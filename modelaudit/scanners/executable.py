"""Native programs: ELF, PE and Mach-O, told by a header that makes sense and not by a magic alone."""

import struct
from collections.abc import Iterator

from modelaudit.blob import Blob, read
from modelaudit.limits import Limits
from modelaudit.model import Child, Hit
from modelaudit.parsers.zip import ends
from modelaudit.unpack import UnpackedBlob

_ELF_KINDS = {1: "object file", 2: "program", 3: "shared library or program", 4: "core dump"}
_PE_MACHINES = {0x14C: "x86", 0x8664: "x86-64", 0x1C0: "ARM", 0x1C4: "ARM", 0xAA64: "ARM64", 0x200: "Itanium"}
_MACH_MAGICS = {
    b"\xfe\xed\xfa\xce": ">",
    b"\xfe\xed\xfa\xcf": ">",
    b"\xce\xfa\xed\xfe": "<",
    b"\xcf\xfa\xed\xfe": "<",
}
_MACH_MACHINES = {7, 12, 18, 0x01000007, 0x0100000C, 0x01000012}
_SECTIONS_MOST = 96  # what Windows loads
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
    """Say what it is; the zip inside a portable executable and what stands behind a program are looked at as well.

    A warning and not critical, because folders of models hold the libraries that run them, and from its bytes a
    library that belongs there cannot be told from one that does not.
    """
    yield Hit("executable-program", 0, {"kind": _kind(blob)})
    most = limits.small_archive_bytes
    if isinstance(blob, UnpackedBlob) and len(blob.view(0, most + 1)) > most:
        return  # its end cannot be had without unpacking all of it
    found = ends.find(blob)
    if found is not None and not found.empty:
        yield Child("archive", 0, blob.size, format="zip")
        return
    end = _end(blob)
    if end is not None and end < blob.size:
        yield Child("trailing bytes", end, blob.size - end)


def _end(blob: Blob) -> int | None:
    """Where the program itself ends, by its own header. None where that does not say so."""
    head = read(blob, 0, 64)
    if head[:4] == b"\x7fELF" and len(head) == 64:
        order = "<" if head[5] == 1 else ">"
        sections, width, count = struct.unpack_from(order + ("32xI10xHH" if head[4] == 1 else "40xQ10xHH"), head)
        return sections + width * count if sections and count else None
    if head[:2] == b"MZ" and not head.startswith(_APE):
        return _pe_end(blob, int.from_bytes(head[60:64], "little"))
    return None


def _pe_end(blob: Blob, place: int) -> int | None:
    """The end of the last section or of the signature behind it."""
    count, options_bytes = struct.unpack_from("<2xH12xH", read(blob, place + 4, 20).ljust(20, b"\0"))
    options = read(blob, place + 24, options_bytes)
    sections = read(blob, place + 24 + options_bytes, 40 * min(count, _SECTIONS_MOST))
    spans = [struct.unpack_from("<II", sections, at + 16) for at in range(0, len(sections) - 39, 40)]
    ends_at = [start + length for length, start in spans if start]
    directories = {b"\x0b\x01": 96, b"\x0b\x02": 112}.get(options[:2], len(options))
    if len(options) >= directories + 40:
        ends_at.append(sum(struct.unpack_from("<II", options, directories + 32)))  # the signature
    return max(ends_at, default=None)
