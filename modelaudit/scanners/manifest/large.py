"""Configuration that is too large to be parsed whole, a tokenizer with its vocabulary mostly: searched in pieces.

What the rules look for has keys and shapes that can be found as bytes; what stands behind such a key is parsed
by itself. A piece that writes plain letters as escapes, which no writer of JSON does, is read without them.
"""

import json
from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.errors import LimitExceeded
from modelaudit.late import late
from modelaudit.limits import KIB, MIB, Limits
from modelaudit.parsers.manifest.tree import Document, Pairs, Tagged
from modelaudit.scanners.manifest import secrets

_WINDOW_BYTES = 4 * MIB
_OVERLAP_BYTES = 64 * KIB  # what a needle and its value may take across the end of a window
_VALUE_CHARS = 256 * KIB  # of one value; chat templates have ten thousand
_AROUND = 400
_HITS = 200  # of one needle in one window: whoever has more was told of
_KEYS = (
    b"auto_map", b"_target_", b"class_path", b"chat_template", b"trust_remote_code", b"custom_pipeline",
    b"loader_module", b"auto_mapping", b"weight_map", b"api_key", b"password", b"secret", b"access_token",
)  # fmt: skip
_TAG = late(rb"!!python/[\w/]{1,20}:[\w.]{1,200}|tag:yaml\.org,2002:python/[\w/]{1,20}:[\w.]{1,200}")
_TOKENS = (
    b"AKIA", b"ASIA", b"ghp_", b"github_pat_", b"hf_", b"xoxb-", b"xoxp-", b"sk-ant-", b"sk-proj-", b"T3BlbkFJ",
    b"AIzaSy", b"hooks.slack.com", b"PRIVATE KEY-----", b"AccountKey=", b"eyJhbGciOi", b"/dev/tcp/",
)  # fmt: skip
_ESCAPE = late(rb"\\u00([2-7][0-9A-Fa-f])")
_COLON = late(rb"[\"']?[ \t\r\n]*:[ \t\r\n]*")


def trees(blob: Blob, limits: Limits) -> Iterator[Document]:
    """What is found, each as a small document. Raises `Missing` and `LimitExceeded` (`stream_text_bytes`)."""
    size = blob.size
    if size > limits.stream_text_bytes:
        raise LimitExceeded("stream_text_bytes", size, limits.stream_text_bytes)
    blob.require([(0, size)])
    told: set[bytes] = set()
    for offset in range(0, size, _WINDOW_BYTES):
        piece = bytes(blob.view(offset, _WINDOW_BYTES + _OVERLAP_BYTES))
        if b"\\u00" in piece:
            piece = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), piece)
        for root in _found(piece):
            key = repr(root).encode()
            if key not in told and len(told) < 10_000:
                told.add(key)
                yield Document("large", [root])


def _found(piece: bytes) -> Iterator[object]:
    for key in _KEYS:
        for at in _places(piece, key):
            colon = _COLON.match(piece, at + len(key))
            if colon is not None and piece[at - 1 : at] in (b'"', b"'", b" ", b"\n", b"_"):
                value = _value(piece[colon.end() : colon.end() + _VALUE_CHARS])
                if value is not None:
                    yield Pairs([(key.decode(), value)])
    for token in _TOKENS:
        for at in _places(piece, token):
            text = piece[max(0, at - _AROUND) : at + _AROUND].decode("utf-8", "replace")
            if token == b"/dev/tcp/" or secrets.in_text(text):
                yield Pairs([("…", text)])
    for tag in _TAG.finditer(piece):
        full = tag[0].decode().replace("!!", "tag:yaml.org,2002:", 1)
        yield Tagged(full, "", piece.count(b"\n", 0, tag.start()) + 1)


def _places(piece: bytes, needle: bytes) -> Iterator[int]:
    at = piece.find(needle)
    for _ in range(_HITS):
        if at < 0:
            return
        yield at
        at = piece.find(needle, at + len(needle))


def _value(raw: bytes) -> object:
    text = raw.decode("utf-8", "replace")
    try:
        return json.JSONDecoder(object_pairs_hook=Pairs, strict=False).raw_decode(text)[0]
    except (ValueError, RecursionError):
        line = text.partition("\n")[0].strip().rstrip(",")
        return line if 0 < len(line) < 512 and line[0] not in '{["' else None
