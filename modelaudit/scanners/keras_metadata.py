"""keras_metadata.pb: the configurations of layers, from which Keras builds them again, Lambdas with their code too."""

from collections.abc import Iterator

from modelaudit.blob import Blob
from modelaudit.limits import Limits
from modelaudit.model import Asset, Child, Hit, Note
from modelaudit.parsers import keras_metadata as parser


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the head of the blob is an object of a SavedModel with its identifier and metadata."""
    return parser.is_metadata(blob)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child | Asset | Note]:
    """Hand every layer's configuration out to be judged; say what stops the reading."""
    found = parser.parse(blob)
    yield Asset("", "keras_metadata", blob.size)
    for path, text in found.objects:
        yield Child(path, data=text, format="keras_config")
    for start, end in found.unknown:
        yield Child("unknown field", start, end - start)
    if found.cut is not None:
        yield Hit("keras-metadata-truncated", found.cut, {"place": found.cut, "size": blob.size})
    if found.stop is not None:
        place = getattr(found.stop, "offset", None)
        if found.cut is None:
            yield Hit("keras-metadata-malformed", place, {"what": str(found.stop)})
        yield Note("truncated" if found.cut is not None else "broken", f"Keras metadata: {found.stop}", place)
        if place is not None and place < blob.size:
            yield Child("rest", place, blob.size - place)
