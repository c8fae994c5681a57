"""Orbax checkpoints: functions that restoring would call, zarr's codecs and dtypes, data that lie elsewhere.

A checkpoint is a folder, and each of its files an object of its own: `_METADATA`, `_CHECKPOINT_METADATA`, `.zarray`,
`zarr.json`, `manifest.ocdbt` and the nodes in `d/` are looked at here; the aggregate `checkpoint` is MessagePack.
Sources: Orbax's and TensorStore's documentation; the OCDBT format for the header of its files.
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

from modelaudit.blob import Blob
from modelaudit.catalogue.callables import Level
from modelaudit.catalogue.callables.shipped import shipped
from modelaudit.errors import LimitExceeded, ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Evidence, Hit, Note
from modelaudit.parsers import restore, telltale, zarr

_MANIFEST, _NODE = b"\x0c\xdb\x3a\x2a", b"\x0c\xdb\x20\xde"
_HEADER_BYTES = 16  # magic, length of the file (8 bytes, little-endian), version, how the rest is compressed
_FITS_BYTES = 4096
_JSON_BYTES = 16 * 1024 * 1024  # of metadata; those of a model with 50,000 arrays have 10 MB
_NODES = 2_000_000  # values of one document
_KEYS = late(
    rb'"(?:tree_metadata|item_handlers|zarr_format|zarr_consolidated_format|array_metadatas|init_timestamp_nsecs|use_zarr3'
    rb'|use_ocdbt|sharding_type|ocdbt|internal_metadata|tensorstore|ts_spec|kvstore|orbax\w*)"\s*:'
)
_NAMES = late(
    r"_METADATA|_CHECKPOINT_METADATA|_ROOT_METADATA|_sharding|_strings\.json|\.zarray|\.zgroup|\.zattrs|\.zmetadata"
    r"|zarr\.json|orbax_metadata\.json|checkpoint_metadata\.json"
)
_MAYBE = frozenset(("metadata.json", "metadata", "checkpoint.json", "checkpoint", "_metadata.json"))
# A key of no ordinary configuration: it makes a document one that restores something, whatever its name.
_RESTORED = late(
    rb'"(?:\w{1,20}[_.-])?(?:restor\w{0,5}|deserializ\w{1,5}|unpickl\w{1,5})[_.-]?'
    rb'(?:fn|func|function|callable|callback|hook|handler|class|method|code)s?"\s*:',
    re.IGNORECASE,
)
_STORES = late(r"(?:ts_spec|tensorstore|kvstore|base|store|url|path)", re.IGNORECASE)
_DRIVERS = frozenset(("http", "https", "s3", "gcs", "gcs_grpc", "file", "ocdbt"))
_OUTSIDE = late(r"(?:https?|s3|gs|gcs|file|ftp)://|/\w|~/|(?:.*[/\\])?\.\.[/\\]|[A-Za-z]:[\\/]|\\\\\w")


def warm() -> None:
    """Load the verdicts on callables before the cage closes."""
    shipped()


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether a JSON object has keys that Orbax, TensorStore or zarr write, or it is a file of a database."""
    head = bytes(blob.view(0, _FITS_BYTES, 1)) if blob.size else b""
    if head[:4] in (_MANIFEST, _NODE):
        return True
    if head.lstrip()[:1] != b"{":
        return False
    name = blob.place.name
    if _NAMES.fullmatch(name) is not None or _KEYS.search(head) is not None:
        return True
    if name in _MAYBE and len(head) < blob.size <= limits.text_bytes:
        head = bytes(blob.view(0, blob.size))
    return _RESTORED.search(head) is not None


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset | Note]:
    """The header of a database, or all of a document."""
    head = bytes(blob.view(0, min(_HEADER_BYTES, blob.size)))
    if head[:4] in (_MANIFEST, _NODE):
        yield from _database(blob, head)
        return
    yield Asset("", "orbax", blob.size)
    if blob.size > _JSON_BYTES:
        raise LimitExceeded("text_bytes", blob.size, _JSON_BYTES)
    try:
        document = msgspec.json.decode(blob.view(0, blob.size))
    except RecursionError:
        raise ParseError("JSON that is nested too deep") from None
    except ValueError as error:
        raise ParseError(f"no JSON: {error}") from None
    if isinstance(document, dict):
        for array in zarr.arrays(document):
            yield from _array(array)
    yield from _values(document)


def _database(blob: Blob, head: bytes) -> Iterator[Hit | Child | Asset | Note]:
    """A manifest fills its file; behind a node there may be values, which are data of arrays."""
    yield Asset("", "orbax", blob.size)
    declared = int.from_bytes(head[4:12], "little")
    if declared > blob.size:
        yield Hit("orbax-manifest-size", 4, {"declared": declared, "size": blob.size})
        yield Note("truncated", "the database is shorter than its header says", 4)
    elif declared < blob.size:
        if head[:4] == _MANIFEST:
            yield Hit("orbax-manifest-size", 4, {"declared": declared, "size": blob.size})
        yield Child("trailing bytes", max(declared, _HEADER_BYTES), max(0, blob.size - max(declared, _HEADER_BYTES)))


def _array(array: zarr.Zarr) -> Iterator[Hit]:
    name = array.name or "the array"
    for codec in dict.fromkeys(array.codecs):
        if codec in zarr.PICKLES:
            yield Hit("orbax-pickle-codec", None, {"name": name, "codec": codec})
        elif codec not in zarr.CODECS:
            yield Hit("orbax-unknown-codec", None, {"name": name, "codec": codec})
    objects = "|O" in array.dtype or array.dtype in ("O", "object")
    if objects and not zarr.OBJECTS & set(array.codecs):
        yield Hit("orbax-object-array", None, {"name": name, "dtype": array.dtype})
    if array.flaw is not None:
        yield Hit("orbax-array-shape", None, {"name": name, "shape": array.flaw})


def _values(document: object) -> Iterator[Hit | Child]:
    """All texts of a document, with the keys that lead to them."""
    waiting: list[tuple[tuple[str, ...], object]] = [((), document)]
    seen = 0
    while waiting:
        path, value = waiting.pop()
        seen += 1
        if seen > _NODES:
            raise LimitExceeded("text_nodes", seen, _NODES)
        if isinstance(value, dict):
            yield from _store(path, value)
            for key, inner in value.items():
                yield from _code((*path, "a key"), key)
                waiting.append(((*path, key), inner))
        elif isinstance(value, list):
            waiting.extend((path, inner) for inner in value)
        elif isinstance(value, str):
            yield from _text(path, value)


def _shown(path: tuple[str, ...]) -> str:
    return ".".join(path[-8:]) or "the document"


def _code(path: tuple[str, ...], text: str) -> Iterator[Hit]:
    found = telltale.code(text) if len(text) > 5 else None
    if found is not None:
        yield Hit("orbax-code", None, {"name": _shown(path), "what": found[0], "excerpt": found[1]})


def _text(path: tuple[str, ...], text: str) -> Iterator[Hit | Child]:
    yield from _code(path, text)
    if path and (restore.is_key(path[-1]) or any("handler" in key.lower() for key in path[-2:])):
        yield from _function(path, text)
    if len(text) >= 20:
        yield from (Child(_shown(path), data=data) for data in telltale.payloads(text))


def _function(path: tuple[str, ...], text: str) -> Iterator[Hit]:
    verdict = restore.judge(text)
    if verdict is None:
        return
    evidence: Evidence = {"name": _shown(path), "function": text, "why": verdict.why}
    if verdict.level is Level.DANGEROUS:
        yield Hit("orbax-restore-function", None, evidence)
    elif restore.is_key(path[-1]):
        yield Hit("orbax-custom-restore", None, evidence)
    else:
        yield Hit("orbax-outside-handler", None, evidence)


def _store(path: tuple[str, ...], value: Mapping[str, object]) -> Iterator[Hit]:
    """A specification of TensorStore, or a part of one, that leads out of the checkpoint."""
    driver = value.get("driver")
    if not isinstance(driver, str) and not (path and path[-1] in ("kvstore", "base", "ts_spec")):
        return
    for key, target in value.items():
        if isinstance(target, str) and _STORES.fullmatch(key) and _OUTSIDE.match(target):
            yield Hit("orbax-outside-store", None, {"name": _shown((*path, key)), "target": target})
            return
    if driver in _DRIVERS - {"file", "ocdbt"}:
        target = value.get("base_url", value.get("bucket", value.get("endpoint", "")))
        yield Hit("orbax-outside-store", None, {"name": _shown(path), "target": f"{driver} {target}"})
