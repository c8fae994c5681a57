"""What values of known keys do to the memory of programs that load them, chiefly llama.cpp."""

from collections.abc import Iterator

from modelaudit.late import late
from modelaudit.model import Evidence, Hit, Severity
from modelaudit.parsers.gguf import ARRAY, FLOAT32, INT8, INT32, KIND_BYTES, KINDS, TOKENS, UINT8, UINT32, Entry, Header

_LAYERS_MOST = 512  # LLAMA_MAX_LAYERS
_ALIGNMENT_MOST = 1 << 20
_TOKEN_BYTES_MOST = 1 << 16  # the longest real tokens have some hundreds
_CHARSMAP = "tokenizer.ggml.precompiled_charsmap"
_CHARSMAP_LEAST_BYTES = 4
# Arrays that llama.cpp reads through a pointer of this type, and whether one element stands for each token.
_TYPED = {
    "tokenizer.ggml.scores": (FLOAT32, True),
    "tokenizer.ggml.token_type": (INT32, True),
    "tokenizer.ggml.suppress_tokens": (INT32, False),
}
_SIGNED = late(rb"<0x[-+ \t\n\v\f\r]")  # what C's number readers take before digits
_ID_ABSENT = 0xFFFFFFFF


def loaders(header: Header) -> Iterator[Hit]:
    """Hits on the values that are known to break loaders."""
    yield from _alignment(header.get("general.alignment"))
    yield from _layers(header)
    yield from _arrays(header)
    yield from _tokens(header)


def _alignment(entry: Entry | None) -> Iterator[Hit]:
    if entry is None:
        return
    value = entry.value
    what = None
    if entry.kind != UINT32:
        what = f"of type {KINDS[entry.kind]}, not u32"
    elif not isinstance(value, int) or value == 0 or value & (value - 1):
        what = f"{value}, which is no power of two"
    elif value > _ALIGNMENT_MOST:
        what = f"{value} bytes"
    if what is not None:
        yield Hit("gguf-alignment", entry.offset, {"what": what})


def _layers(header: Header) -> Iterator[Hit]:
    """Numbers of layers beyond loaders' arrays. A file that has so many layers is an honest one, however large."""
    top = ""
    counts = [entry for entry in header.entries if entry.key.endswith(".block_count") and isinstance(entry.value, int)]
    by_key = {entry.key: entry for entry in counts}
    names = {tensor.name.rpartition("blk.")[2].partition(".")[0] for tensor in header.tensors}
    for entry in counts:
        value, most = int(entry.value or 0), _LAYERS_MOST
        top = entry.key.split(".")[0] + ".block_count"
        if entry.key.endswith((".posnet.block_count", ".convnext.block_count")) and top in by_key:
            most = min(most, int(by_key[top].value or 0))
        if 0 <= value <= most:
            continue
        honest = str(value - 1) in names or header.get("split.count") is not None or most < _LAYERS_MOST
        severity = Severity.WARNING if honest else None
        yield Hit("gguf-block-count", entry.offset, {"key": entry.key, "value": value, "most": most}, severity)


def _arrays(header: Header) -> Iterator[Hit]:
    tokens = header.get(TOKENS)
    for key, (kind, each) in _TYPED.items():
        entry = header.get(key)
        if entry is None:
            continue
        evidence: Evidence = {"key": key, "found": KINDS[entry.element], "expected": KINDS[kind]}
        if entry.kind != ARRAY:
            evidence["found"] = f"no array but {KINDS[entry.kind]}"
            yield Hit("gguf-array-type", entry.offset, evidence, Severity.WARNING)
            continue
        width = KIND_BYTES.get(entry.element, 0)
        if width != KIND_BYTES[kind] or (entry.element == FLOAT32) != (kind == FLOAT32):
            past = width < KIND_BYTES[kind]
            severity = None if past else Severity.WARNING  # wider ones are misread, but within the array
            yield Hit("gguf-array-type", entry.offset, evidence, severity)
        if each and tokens is not None and entry.count < tokens.count:
            counts: Evidence = {"key": key, "count": entry.count, "count_expected": tokens.count}
            yield Hit("gguf-array-count", entry.offset, counts)
    charsmap = header.get(_CHARSMAP)
    if charsmap is not None and charsmap.kind == ARRAY:
        if charsmap.element not in (UINT8, INT8):
            evidence = {"key": _CHARSMAP, "found": KINDS[charsmap.element], "expected": "u8"}
            yield Hit("gguf-array-type", charsmap.offset, evidence, Severity.WARNING)
        elif charsmap.count < _CHARSMAP_LEAST_BYTES:
            yield Hit("gguf-charsmap", charsmap.offset, {"length": charsmap.count})


def _tokens(header: Header) -> Iterator[Hit]:
    tokens = header.get(TOKENS)
    if header.byte_tokens:
        shown = header.byte_tokens[0].decode("utf-8", "backslashreplace")
        signed = any(_SIGNED.match(token) for token in header.byte_tokens)
        evidence: Evidence = {"token": shown, "count": len(header.byte_tokens)}
        yield Hit(
            "gguf-byte-token", None if tokens is None else tokens.offset, evidence, None if signed else Severity.INFO
        )
    if tokens is None:
        return
    if tokens.longest > _TOKEN_BYTES_MOST:
        severity = Severity.CRITICAL if tokens.longest >= 1 << 31 else None
        yield Hit("gguf-token-length", tokens.offset, {"length": tokens.longest}, severity)
    for entry in header.entries:
        if not (entry.key.startswith("tokenizer.ggml.") and entry.key.endswith("_token_id")):
            continue
        if isinstance(entry.value, int) and not 0 <= entry.value < tokens.count and entry.value != _ID_ABSENT:
            evidence = {"key": entry.key, "value": entry.value, "count": tokens.count}
            yield Hit("gguf-special-token", entry.offset, evidence)
