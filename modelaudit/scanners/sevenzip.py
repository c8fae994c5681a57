"""7z archives: the header, packed or not, where its files would go, and every file as a child."""

import stat
import zlib
from collections.abc import Iterator, Sequence

from modelaudit.blob import Blob, read
from modelaudit.errors import LimitExceeded
from modelaudit.limits import MIB, Limits
from modelaudit.model import Child, Hit, Note
from modelaudit.parsers import sevenzip
from modelaudit.parsers.sevenzip import Block, File, Header
from modelaudit.parsers.zip import names
from modelaudit.parsers.zip.layout import Gap, Spans
from modelaudit.unpack import Budget, UnpackedBlob, open_child

Item = Hit | Child | Note

_HELD_BYTES = 32 * MIB  # smaller files of a block are unpacked together; larger ones each by itself
_LINK_BYTES = 4096  # PATH_MAX
_NESTED = 4  # headers that are packed, in headers that are packed
_METHODS = {
    "00": "copy", "03": "delta", "21": "lzma2", "030101": "lzma", "04": "x86", "03030103": "x86",
    "05": "powerpc", "03030205": "powerpc", "06": "ia64", "03030401": "ia64", "07": "arm", "03030501": "arm",
    "08": "armthumb", "03030701": "armthumb", "09": "sparc", "03030805": "sparc", "040108": "deflate",
    "040202": "bzip2", "04f71101": "zstd", "04f71104": "lz4",
}  # fmt: skip
_UNSUPPORTED = {"0303011b": "BCJ2", "030401": "PPMd", "040109": "Deflate64", "0a": "ARM64 filter", "04f71102": "Brotli"}
_AES = "06f10701"


def scan(blob: Blob, limits: Limits, /) -> Iterator[Item]:
    """Hits on names and links, and a child for each file and for what belongs to no block."""
    begin = sevenzip.start(blob)
    spans = Spans()
    spans.add(0, sevenzip.START_BYTES)
    if not begin.size:
        yield from _besides(blob, spans)
        return
    if begin.offset + begin.size > blob.size:
        yield Note("truncated", "the 7z archive ends before its header")
        yield Child("packed bytes", sevenzip.START_BYTES, blob.size - sevenzip.START_BYTES)
        return
    if begin.size > limits.header_bytes:
        raise LimitExceeded("header_bytes", begin.size, limits.header_bytes)
    spans.add(begin.offset, begin.offset + begin.size)
    data = read(blob, begin.offset, begin.size)
    if not begin.right or zlib.crc32(data) != begin.crc:
        yield Hit("sevenzip-crc", begin.offset, {})
    found = sevenzip.header(data, limits.members)
    for _ in range(_NESTED):
        if not found.encoded:
            break
        for block in found.blocks:
            _claim(block, spans)
        inner = _unpacked(found.blocks[0], blob, limits) if found.blocks else None
        if inner is None:
            yield from _locked(found, blob, limits)
            return
        found = sevenzip.header(inner, limits.members)
    for block in found.blocks:
        _claim(block, spans)
    yield from _files(found, blob, limits)
    yield from _besides(blob, spans)


def _claim(block: Block, spans: Spans) -> None:
    for offset, size in block.packed:
        spans.add(offset, offset + size)


def _method(method: bytes) -> str | None:
    return _METHODS.get(method.hex())


def _child(name: str, block: Block, part: str = "", size: int | None = None) -> Child | None:
    """The block, or the part of it, as a child for the engine; None when no decoder is here for it."""
    codec = sevenzip.chain(block, _method)
    if codec is None or not block.packed:
        return None
    offset, length = block.packed[0]
    return Child(name, offset, length, codec + part, block.size if size is None else size)


def _unpacked(block: Block, blob: Blob, limits: Limits) -> bytes | None:
    """The packed header; None when it cannot be unpacked. Raises `Missing`, `ParseError`, `LimitExceeded`."""
    child = _child("header", block)
    if child is None:
        return None
    if block.size > limits.header_bytes:
        raise LimitExceeded("header_bytes", block.size, limits.header_bytes)
    return bytes(open_child(blob, child, Budget(limits), limits).view(0, block.size))


def _locked(found: Header, blob: Blob, limits: Limits) -> Iterator[Item]:
    """An archive of which not even the names can be read."""
    for block in found.blocks[:1]:
        yield _reason("the header", block)
    yield Child("packed bytes", sevenzip.START_BYTES, blob.size - sevenzip.START_BYTES)


def _reason(what: str, block: Block) -> Note:
    """Why `what` cannot be unpacked."""
    methods = [coder.method.hex() for coder in block.coders]
    if _AES in methods:
        return Note("encrypted_member", f"{what}: encrypted, cannot be looked into")
    unknown = [_UNSUPPORTED.get(method, method) for method in methods if method not in _METHODS]
    return Note(
        "unsupported_method", f"{what}: packed by a method that is not supported: {', '.join(unknown) or 'mixed'}"
    )


def _files(found: Header, blob: Blob, limits: Limits) -> Iterator[Item]:
    by_block: dict[int, list[File]] = {}
    for file in found.files:
        yield from _dangers(file)
        if file.size:
            by_block.setdefault(file.block, []).append(file)
    for index, block in enumerate(found.blocks):
        files = by_block.get(index, [])
        if _child("", block) is None:
            yield _reason(files[0].name if files else "a block", block)
            for number, (offset, size) in enumerate(block.packed):
                yield Child(f"block {index} (packed, stream {number})", offset, size)
        else:
            yield from _block(index, block, files, blob, limits)


def _dangers(file: File) -> Iterator[Hit]:
    name = file.name
    if names.is_absolute(name) or names.is_drive(name) or names.escapes(name):
        yield Hit("sevenzip-traversal", None, {"name": name})
    if names.has_control(name):
        yield Hit("sevenzip-control-character", None, {"name": name})
    if file.anti:
        yield Hit("sevenzip-anti-item", None, {"name": name})
    if file.mode and names.is_special(file.mode):
        yield Hit("sevenzip-special", None, {"name": name, "mode": f"{file.mode:o}"})


def _block(index: int, block: Block, files: Sequence[File], blob: Blob, limits: Limits) -> Iterator[Item]:
    """The files of one block: large ones each by itself, small ones together."""
    if all(_method(coder.method) == "copy" for coder in block.chain):
        yield from _stored(block, files, blob)
        return
    covered = sum(file.size for file in files)
    if len(files) == 1 and covered == block.size and not stat.S_ISLNK(files[0].mode):
        child = _child(files[0].name, block)
        yield from [child] if child is not None else []
        return
    if covered < block.size:  # bytes that no file claims
        child = _child(f"block {index}, rest", block, f"+{covered}:{block.size - covered}", block.size - covered)
        yield from [child] if child is not None else []
    small = [file for file in files if file.size <= _HELD_BYTES]
    for file in files:
        if file.size > _HELD_BYTES:
            if file.offset > limits.unpacked_bytes:
                yield Note("unpacked_bytes", f"{file.name}: begins {file.offset} bytes deep in a block")
                continue
            child = _child(file.name, block, f"+{file.offset}:{file.size}", file.size)
            yield from [child] if child is not None else []
    whole = _child(f"block {index}", block)
    if whole is None or not small:
        return
    inner = open_child(blob, whole, Budget(limits), limits)
    for file in small:
        data = bytes(inner.view(file.offset, file.size))
        if stat.S_ISLNK(file.mode):
            yield from _link(file, data)
        if data:
            yield Child(file.name, data=data)
        if len(data) < file.size and isinstance(inner, UnpackedBlob):
            if inner.exceeded is not None:
                raise inner.exceeded
            why = inner.broken.message if inner.broken is not None else "it has fewer bytes than it says"
            yield Note("broken", f"{file.name}: {why}")
            return


def _stored(block: Block, files: Sequence[File], blob: Blob) -> Iterator[Item]:
    """The files of a block that is not packed: they lie in the archive as they are."""
    start, length = block.packed[0]
    claimed = 0
    for file in files:
        claimed = file.offset + file.size
        place = start + file.offset
        here = max(0, min(file.size, length - file.offset, blob.size - place))
        if here < file.size:
            yield Note("truncated", f"{file.name}: {file.size - here} bytes beyond the end")
        if stat.S_ISLNK(file.mode):
            yield from _link(file, read(blob, place, min(here, _LINK_BYTES)))
        yield Child(file.name, place, here)
    if claimed < length:
        yield Child("bytes that no file claims", start + claimed, length - claimed)


def _link(file: File, data: bytes) -> Iterator[Hit]:
    target = data[:_LINK_BYTES].decode("utf-8", "backslashreplace")
    if names.link_escapes(file.name, target):
        yield Hit("sevenzip-link-escape", None, {"name": file.name, "target": target})


def _besides(blob: Blob, spans: Spans) -> Iterator[Child]:
    """Bytes that belong to nothing."""
    for found in spans.sweep(blob.size):
        if isinstance(found, Gap):
            name = "trailing bytes" if found.end == blob.size else f"gap at {found.start}"
            yield Child(name, found.start, found.end - found.start)
