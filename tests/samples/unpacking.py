"""Archives that harm whoever unpacks them, archives in archives, 7z (B037, B046, B047, B048)."""

import bz2
import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator

from tests.samples.compressed import gz
from tests.samples.sample import UNPROVEN, Payload, Sample, slug
from tests.samples.torchparts import hostile_zip
from tests.samples.zipwriter import Entry, Lies, archive

UNSUPPORTED = frozenset({"skipped", "partial"})
SLIPS = (
    "../evil.pkl",
    "../../../../etc/cron.d/modelaudit-sample",
    "archive/../../evil.txt",
    "archive/a/b/../../../../evil.txt",
    "/etc/modelaudit-sample",
    "//server/share/evil.txt",
    "C:/Windows/evil.txt",
    "C:evil.txt",
    "..\\..\\evil.txt",
    "archive\\..\\..\\evil.txt",
    "\\\\server\\share\\evil.txt",
    "archive/..\\../evil.txt",
    "..",
    "archive/\0/../../../evil.txt",
)


def slips() -> Iterator[Sample]:
    """Names and links that leave the folder they are unpacked to (B046)."""
    no_pickle = f"{UNPROVEN}unpacking, not loading, does the harm."
    for index, name in enumerate(SLIPS):
        yield Sample(
            f"B046-zip-{index:02d}-{slug(name)[:30] or 'dots'}",
            "B046",
            "model.zip",
            lambda _, name=name: archive([Entry("archive/config.json", b"{}"), Entry(name, b"harmless text")]),
            f"A member called {name!r}.{no_pickle}",
            loader="",
        )
    modes = (
        ("symlink-absolute", 0o120777, b"/etc/passwd", "critical"),
        ("symlink-up", 0o120777, b"../../../etc/passwd", "critical"),
        ("symlink-then-write", 0o120777, b"/tmp", "critical"),
        ("character-device", 0o020666, b"", "warning"),
        ("block-device", 0o060666, b"", "warning"),
        ("fifo", 0o010666, b"", "warning"),
    )
    for name, mode, target, expect in modes:
        more = [Entry("archive/link/evil.txt", b"x")] if name == "symlink-then-write" else []
        yield Sample(
            f"B046-zip-{name}",
            "B046",
            "model.zip",
            lambda _, mode=mode, target=target, more=more: archive(
                [Entry("archive/link", target, central=Lies(attributes=mode << 16)), *more]
            ),
            f"A member whose mode is {mode:o}.{no_pickle}",
            expect=expect,
            loader="",
        )
    for name, kind, target in (
        ("traversal", tarfile.REGTYPE, ""),
        ("symlink", tarfile.SYMTYPE, "/etc/passwd"),
        ("hardlink", tarfile.LNKTYPE, "/etc/passwd"),
        ("device", tarfile.CHRTYPE, ""),
    ):
        yield Sample(
            f"B046-tar-{name}",
            "B046",
            "model.tar",
            lambda _, kind=kind, target=target: _tar(kind, target),
            f"A tar with a {name}.{no_pickle}",
            expect="warning" if name == "device" else "critical",
            loader="",
            ends=UNSUPPORTED,
        )


def _tar(kind: bytes, target: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as writer:
        info = tarfile.TarInfo("../../evil" if kind == tarfile.REGTYPE else "link")
        info.type, info.linkname = kind, target
        writer.addfile(info, io.BytesIO(b""))
    return stream.getvalue()


def nests() -> Iterator[Sample]:
    """Archives inside archives (B047), and very many members (B048)."""
    far = f"{UNPROVEN}loaders do not unpack archives in archives."

    def nested(payload: Payload, levels: int, wraps: tuple[Callable[[bytes], bytes], ...]) -> bytes:
        data = payload.pickle()
        for level in range(levels):
            data = wraps[level % len(wraps)](data)
        return data

    stored = (lambda data: archive([Entry("inner.bin", data)]),)
    packed = (lambda data: archive([Entry("readme.txt", b"x"), Entry("inner", data, method=8)]),)
    mixed = (stored[0], gz, packed[0], bz2.compress, lzma.compress)
    for name, wraps in (("stored", stored), ("deflated", packed), ("mixed", mixed)):
        for levels in (2, 3, 5, 12, 40):
            yield Sample(
                f"B047-{name}-{levels}-levels",
                "B047",
                "models.zip",
                lambda p, levels=levels, wraps=wraps: nested(p, levels, wraps),
                f"{levels} containers around a hostile pickle.{far}",
                loader="",
                ends=frozenset({"partial"}) if levels > 8 else frozenset(),
            )
    yield Sample(
        "B047-torch-in-zip",
        "B047",
        "release.zip",
        lambda p: archive([Entry("README.md", b"# Model"), Entry("weights/model.pt", hostile_zip(p), method=8)]),
        f"A hostile torch file in an ordinary zip.{far}",
        loader="",
    )
    for count, method in ((1_000, 8), (12_000, 0)):
        yield Sample(
            f"B048-member-{count + 1}",
            "B048",
            "models.zip",
            lambda p, count=count, method=method: archive(
                [Entry(f"part/{index}", b"0") for index in range(count)] + [Entry("z", p.pickle(), method=method)]
            ),
            f"The hostile pickle is member {count + 1}.",
            loader="zip",
        )


def seven_zip(data: bytes, name: str) -> bytes:
    """A 7z with one stored file, from the format's documentation (7zFormat.txt)."""

    names = name.encode("utf-16-le") + b"\0\0"
    header = (
        b"\x01\x04\x06"
        + b"\x00"
        + _number(1)
        + b"\x09"
        + _number(len(data))
        + b"\x00"
        + b"\x07\x0b"
        + _number(1)
        + b"\x00"
        + _number(1)
        + b"\x01\x00"
        + b"\x0c"
        + _number(len(data))
        + b"\x00"
        + b"\x08\x0a\x01"
        + struct.pack("<I", zlib.crc32(data))
        + b"\x00\x00"
        + b"\x05"
        + _number(1)
        + b"\x11"
        + _number(len(names) + 1)
        + b"\x00"
        + names
        + b"\x00\x00"
    )
    start = struct.pack("<QQI", len(data), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<I", zlib.crc32(start)) + start + data + header


def _number(value: int) -> bytes:
    """A 7z number: the first byte's leading ones count the bytes that follow."""
    if value < 0x80:
        return bytes([value])
    if value < 0x4000:
        return bytes([0x80 | value >> 8, value & 0xFF])
    return bytes([0xC0 | value >> 16]) + struct.pack("<H", value & 0xFFFF)


def sevens() -> Iterator[Sample]:
    """7z around a pickle or a torch file (B037, nullifAI)."""
    table: tuple[tuple[str, Callable[[Payload], bytes], str], ...] = (
        ("pickle", lambda p: p.pickle(), "model.7z"),
        ("torch-as-bin", hostile_zip, "pytorch_model.bin"),
        ("broken-pickle", lambda p: p.pickle()[:-1] + b"\xff", "model.pt"),
    )
    for name, build, filename in table:
        yield Sample(
            f"B037-{name}",
            "B037",
            filename,
            lambda p, build=build: seven_zip(build(p), "data.pkl"),
            f"7z instead of zip: never to be called clean.{UNPROVEN}no loader reads 7z.",
            loader="",
            ends=UNSUPPORTED,
        )


def hostile() -> Iterator[Sample]:
    """All of this family."""
    yield from slips()
    yield from nests()
    yield from sevens()
