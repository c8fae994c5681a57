"""safetensors: a header that lies about its data, bytes that belong to no tensor, metadata that is not data."""

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise

from modelaudit import licensing
from modelaudit.blob import Blob
from modelaudit.errors import ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Evidence, Hit, License, Note, Severity, Weights
from modelaudit.parsers import telltale
from modelaudit.parsers.safetensors import (
    HEADER_MOST_BYTES,
    PREFIX_BYTES,
    Header,
    Tensor,
    header_length,
    parse,
)

_MASK_SHOWN = 4
_FLOATS = {"F16": "<f2", "BF16": "<bf16", "F32": "<f4", "F64": "<f8"}
_TEMPLATE = "a template that reaches Python's internals"

# Each is a thing that has no meaning as data: a call or an import in code, a script in a page, dunder access.
_CODE = {
    "Python code": late(
        r"__import__\s*\(|\bos\.(?:system|popen|exec[lv]\w*)\s*\(|\bsubprocess\.\w+\s*\("
        r"|\b(?:eval|exec)(?:\(\s*[^)\s]|\s+\(\s*[\"'])"
        r"|\bpickle\.loads\s*\(|\bimport\s+(?:os\s+as\s+\w|subprocess\b|socket\b|ctypes\b)"
        r"|\bfrom\s+(?:os|posix|subprocess|socket|ctypes)\s+import\b|\bgetattr\s*\(\s*(?:os|__builtins__|builtins)\b"
    ),
    _TEMPLATE: late("__"),  # as far as `telltale.template` says so
    "a script for a browser": late(r"<script\b|javascript:|\bon(?:error|load)\s*=\s*[\"']?\w+\(", re.IGNORECASE),
}
_SECRETS = {
    "an AWS access key": late(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a Hugging Face token": late(r"\bhf_[A-Za-z0-9]{30,}\b"),
    "a GitHub token": late(r"\bgh[pousr]_[A-Za-z0-9]{36,}\b"),
    "a private key": late(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"),
    "an API key": late(r"\bsk-[A-Za-z0-9_-]{32,}\b"),
}
_PATH = late(r"(?:^|[/\\])\.\.(?:[/\\]|$)|^[/\\]|^[A-Za-z]:[/\\]|[\x00-\x1f\x7f]")
_HEX = late(r"(?:[0-9A-Fa-f]{2}){16,}")
_BASE64 = late(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_FITS_BYTES = 512
# An object that is empty, or has a first key with an object or nothing yet behind it.
_OBJECT = late(
    rb"[ \t\r\n]*\{[ \t\r\n]*(?:\}|\"(?:[^\"\\\x00-\x1f]|\\.)*(?:$|\"[ \t\r\n]*(?:$|:[ \t\r\n]*(?:$|[\[{]|null))))"
)
# How pickles and what holds them begin: as they are, and as text that is written in no encoding.
_BEGINNING = late(rb"\x80|[c(\]}]|\x1f\x8b|x[\x01\x5e\x9c\xda]|PK\x03\x04|BZh|\xfd7zXZ")
_WRITTEN = late(rb"[c(][^\n]{0,200}\n")


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether a plausible header length is followed by the start of a JSON object."""
    head = bytes(blob.view(0, _FITS_BYTES))
    prefix, start = head[:PREFIX_BYTES], head[PREFIX_BYTES:]
    if len(prefix) < PREFIX_BYTES or all(byte >= 0x20 or byte in b"\t\r\n" for byte in prefix):
        return False  # eight bytes of text: as a length they are larger than any file
    return _OBJECT.match(start[: int.from_bytes(prefix, "little")]) is not None


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset | License | Note | Weights]:
    """Hold the header against the file's size and against itself. Reads the header only."""
    length = header_length(blob)
    if length > HEADER_MOST_BYTES:
        evidence: Evidence = {"length": length, "size": blob.size, "allowed": HEADER_MOST_BYTES}
        yield Hit("safetensors-header-length", 0, evidence)
    try:
        header = parse(blob)
    except ParseError as error:
        if length <= blob.size - PREFIX_BYTES:  # otherwise the file was cut short, and that is all
            yield Hit("safetensors-malformed", error.offset, {"what": error.message})
        yield Note("broken", error.message, error.offset)
        rest = blob.size - PREFIX_BYTES
        if length <= rest:
            yield Child("header", PREFIX_BYTES, length)
            yield Child("data", PREFIX_BYTES + length, rest - length)
        return
    names = tuple(tensor.name for tensor in header.tensors[: limits.tensors_named])
    yield Asset("", "safetensors", blob.size, names, len(header.tensors))
    yield from _form(header)
    yield from _names(header.tensors)
    yield from _sizes(header.tensors)
    yield from _layout(header, blob.size)
    yield from _metadata(header, limits)
    yield from licensing.in_metadata((key, value) for key, value in header.metadata if isinstance(value, str))
    yield from _weights(header)


def _weights(header: Header) -> Iterator[Weights]:
    for tensor in header.tensors:
        if tensor.dtype in _FLOATS and len(tensor.shape) >= 2 and tensor.bytes_needed == tensor.end - tensor.begin:
            place = header.data_start + tensor.begin
            yield Weights(tensor.name, _FLOATS[tensor.dtype], tensor.shape, place, tensor.end - tensor.begin)


def _form(header: Header) -> Iterator[Hit]:
    if header.duplicates:
        evidence: Evidence = {"name": header.duplicates[0], "count": len(header.duplicates)}
        yield Hit("safetensors-duplicate-key", PREFIX_BYTES, evidence)
    if header.leading:
        yield Hit("safetensors-malformed", PREFIX_BYTES, {"what": "The header begins with white space"})
    if header.padding:
        what = f"The header is padded with {header.padding[:8]!r} instead of spaces"
        harmless = not header.padding.strip(b" \t\r\n")  # the reference reader takes any white space
        yield Hit("safetensors-malformed", header.data_start, {"what": what}, Severity.INFO if harmless else None)
    for what in header.flaws:
        yield Hit("safetensors-malformed", PREFIX_BYTES, {"what": what})
    flawed = [tensor for tensor in header.tensors if tensor.flaw]
    if flawed:
        what = f"{len(flawed)} entries are no tensors; {flawed[0].name!r}: {flawed[0].flaw}"
        yield Hit("safetensors-malformed", PREFIX_BYTES, {"what": what})
    extra = [tensor for tensor in header.tensors if tensor.extra is not None]
    if extra:
        what = f"{len(extra)} tensors have keys that the format does not know; {extra[0].name!r}: {extra[0].extra!r}"
        yield Hit("safetensors-malformed", PREFIX_BYTES, {"what": what})


def _names(tensors: Sequence[Tensor]) -> Iterator[Hit]:
    odd = [tensor.name for tensor in tensors if _PATH.search(tensor.name)]
    if odd:
        yield Hit("safetensors-tensor-name", PREFIX_BYTES, {"tensor": odd[0], "count": len(odd)})


def _sizes(tensors: Sequence[Tensor]) -> Iterator[Hit]:
    unknown = [tensor for tensor in tensors if tensor.bytes_needed is None and not tensor.flaw]
    if unknown:
        evidence: Evidence = {"tensor": unknown[0].name, "dtype": unknown[0].dtype, "count": len(unknown)}
        yield Hit("safetensors-unknown-dtype", PREFIX_BYTES, evidence)
    wrong = [tensor for tensor in tensors if tensor.bytes_needed not in (None, tensor.end - tensor.begin)]
    if wrong:
        first = wrong[0]
        evidence = {
            "tensor": first.name,
            "length": first.end - first.begin,
            "needed": first.bytes_needed,
            "count": len(wrong),
        }
        yield Hit("safetensors-size-mismatch", PREFIX_BYTES, evidence)


def _layout(header: Header, size: int) -> Iterator[Hit | Child]:
    """Whether the tensors cover the data: once, wholly, and nothing but it."""
    data_bytes = size - header.data_start
    # of a name that was written twice, the last counts: that is what most readers take
    tensors = {tensor.name: tensor for tensor in header.tensors}.values()
    spans = sorted((t for t in tensors if t.placed), key=lambda tensor: (tensor.begin, tensor.end))
    outside = [tensor for tensor in spans if tensor.end > data_bytes or tensor.begin > tensor.end]
    if outside:
        yield _outside(outside, spans, data_bytes)
    end, before, overlaps, gaps, stray = 0, "", [], [], []
    for tensor in spans:
        if tensor.begin < end and tensor.end > tensor.begin:
            overlaps.append((tensor, before))
        elif tensor.begin < end and tensor.end == tensor.begin:
            stray.append(tensor)
        elif tensor.begin > end:
            gaps.append((end, tensor.begin - end))
        if tensor.end > end:
            end, before = tensor.end, tensor.name
    if overlaps:
        tensor, other = overlaps[0]
        evidence: Evidence = {"tensor": tensor.name, "other": other, "count": len(overlaps)}
        yield Hit("safetensors-overlap", header.data_start + tensor.begin, evidence)
    if stray:
        what = f"{len(stray)} empty tensors lie inside another; {stray[0].name!r} at byte {stray[0].begin}"
        yield Hit("safetensors-malformed", header.data_start + stray[0].begin, {"what": what})
    for begin, length in gaps[:100]:
        if begin < data_bytes:
            yield Child("gap", header.data_start + begin, min(length, data_bytes - begin))
    if gaps:
        evidence = {"begin": gaps[0][0], "length": gaps[0][1], "count": len(gaps)}
        yield Hit("safetensors-gap", header.data_start + min(gaps[0][0], data_bytes), evidence)
    if end < data_bytes:
        yield Hit("safetensors-trailing", header.data_start + end, {"length": data_bytes - end})
        yield Child("trailing bytes", header.data_start + end, data_bytes - end)


def _outside(outside: Sequence[Tensor], spans: Sequence[Tensor], data_bytes: int) -> Hit:
    """A file that was cut short is told from one whose offsets lie: the former is whole but for its end."""
    contiguous = all(before.end == tensor.begin for before, tensor in pairwise(spans))
    honest = spans[0].begin == 0 and all(t.bytes_needed in (None, t.end - t.begin) for t in spans)
    if contiguous and honest and data_bytes > 0:
        evidence: Evidence = {"data_bytes": data_bytes, "needed": spans[-1].end, "count": len(outside)}
        return Hit("safetensors-truncated", None, evidence)
    first = outside[0]
    evidence = {"tensor": first.name, "begin": first.begin, "end": first.end, "data_bytes": data_bytes}
    return Hit("safetensors-out-of-bounds", PREFIX_BYTES, evidence)


def _metadata(header: Header, limits: Limits) -> Iterator[Hit | Child]:
    for key, value in header.metadata:
        for text in (key, value):
            if not isinstance(text, str):
                continue
            for what, pattern in _CODE.items():
                found = pattern.search(text)
                place = found.span() if found is not None else None
                if what == _TEMPLATE:
                    place = telltale.template(text)
                if place is not None:
                    around = text[max(0, place[0] - 40) : place[1] + 80]
                    for secret in _SECRETS.values():
                        around = secret.sub("…", around)
                    evidence: Evidence = {"key": key, "what": what, "excerpt": around}
                    yield Hit("safetensors-metadata-code", PREFIX_BYTES, evidence)
                    break
            for what, pattern in _SECRETS.items():
                found = pattern.search(text)
                if found:
                    shown = found[0][:_MASK_SHOWN] + "…"
                    yield Hit("safetensors-metadata-secret", PREFIX_BYTES, {"key": key, "what": what, "excerpt": shown})
        if isinstance(value, str) and len(value) <= limits.text_bytes:
            yield from (Child(f"__metadata__.{key}", data=data) for data in _payloads(value.strip()))


def _payloads(text: str) -> Iterator[bytes]:
    """What `text` is in bytes, for each encoding in which a tool might keep bytes there, where it may be a pickle."""
    written = text.encode("utf-8", "surrogatepass")
    if _WRITTEN.match(written):
        yield written
    decoded = []
    with suppress(UnicodeEncodeError):
        if text[:1] in ("\x80", "\x1f", "x"):  # each byte as the character of that number
            decoded.append(text.encode("latin-1"))
    if _HEX.fullmatch(text):
        decoded.append(bytes.fromhex(text))
    coded = "".join(text.rpartition("base64,")[2].split())  # of a data: URL, and without line ends
    if _BASE64.fullmatch(coded):
        standard = coded.rstrip("=").translate(str.maketrans("-_", "+/"))
        with suppress(binascii.Error):
            decoded.append(base64.b64decode(standard + "=" * (-len(standard) % 4)))
    yield from (data for data in decoded if _BEGINNING.match(data))
