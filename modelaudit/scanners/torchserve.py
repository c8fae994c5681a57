"""TorchServe archives: what their `MAR-INF/MANIFEST.json` has the server run.

The archive is a zip (or tar) whose members are all scanned as such, the handler's source among them.
"""

from collections.abc import Iterator

import msgspec

from modelaudit.blob import Blob, read
from modelaudit.limits import KIB, Limits
from modelaudit.model import Asset, Hit
from modelaudit.parsers.zip import names

_MOST_BYTES = 64 * KIB  # a manifest has a dozen lines
_NAMES = ("MANIFEST.json", "")
# Handlers that TorchServe brings along (docs, Default handlers).
_BUILT_IN = frozenset(("image_classifier", "image_segmenter", "object_detector", "text_classifier", "base_handler"))


class _Model(msgspec.Struct, rename="camel"):
    model_name: str = ""
    handler: str = ""
    serialized_file: str = ""
    model_file: str = ""
    requirements_file: str = ""
    extensions: str = ""
    env_file: str = ""
    config_file: str = ""


class _Manifest(msgspec.Struct, rename="camel"):
    model: _Model
    archiver_version: str = ""
    model_server_version: str = ""
    runtime: str = ""


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether this is such a manifest."""
    if blob.place.name not in _NAMES or blob.size > _MOST_BYTES or bytes(blob.view(0, 1)) != b"{":
        return False
    return _manifest(blob) is not None


def _manifest(blob: Blob) -> _Manifest | None:
    try:
        found = msgspec.json.decode(read(blob, 0, blob.size), type=_Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found if found.model.handler and (found.archiver_version or found.model_server_version) else None


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Asset]:
    """What the server runs, and references that lead out of the archive."""
    found = _manifest(blob)
    if found is None:
        return
    model = found.model
    yield Asset("", "torchserve")
    handler = model.handler.rpartition("/")[2].partition(":")[0].removesuffix(".py")
    if handler not in _BUILT_IN:
        yield Hit("torchserve-handler", 0, {"handler": model.handler})
    if model.requirements_file:
        yield Hit("torchserve-requirements", 0, {"file": model.requirements_file})
    for path in (
        model.handler,
        model.serialized_file,
        model.model_file,
        model.requirements_file,
        model.env_file,
        model.config_file,
        *model.extensions.split(","),
    ):
        if names.is_absolute(path) or names.is_drive(path) or names.escapes(path):
            yield Hit("torchserve-reference", 0, {"reference": path})
