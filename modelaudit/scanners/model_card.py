"""Cards of models and data sets: the licence in their front matter, and data sets without one.

Source: https://huggingface.co/docs/hub/model-cards, https://huggingface.co/docs/hub/datasets-cards.
"""

import re
from collections.abc import Iterator
from typing import Final

from modelaudit import licensing
from modelaudit.blob import Blob
from modelaudit.errors import ParseError
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Evidence, Hit, License
from modelaudit.parsers.manifest import yaml
from modelaudit.parsers.manifest.tree import Pairs, text_of

_START: Final = late(rb"(?:\xef\xbb\xbf)?---[ \t]*\r?\n")
_END: Final = late(r"^---[ \t]*\r?$", re.MULTILINE)
_FIRST_BYTES: Final = 16
_ENDINGS: Final = (".md", ".markdown")
# Keys that only the card of a data set has.
_OF_DATA: Final = frozenset(
    ("annotations_creators", "configs", "dataset_info", "language_creators", "size_categories", "source_datasets",
     "task_categories", "task_ids")
)  # fmt: skip
_OF_MODELS: Final = frozenset(("base_model", "library_name", "model-index", "pipeline_tag", "datasets", "inference"))
_NAMED: Final = 20


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether Markdown begins with front matter."""
    return blob.place.name.casefold().endswith(_ENDINGS) and _START.match(bytes(blob.view(0, _FIRST_BYTES))) is not None


def scan(blob: Blob, limits: Limits, /) -> Iterator[License | Hit]:
    """Licences, and data sets without one. Raises `ParseError` when the front matter is no YAML."""
    card = _front_matter(blob, limits)
    said = [(key, text) for key in ("license", "license_name") for text in _texts(card.first(key))]
    licenses = list(licensing.in_metadata(said, "card"))
    yield from licenses
    keys = card.names()
    if keys & _OF_DATA and not keys & _OF_MODELS and not licenses:
        yield Hit("model-card-dataset-unlicensed")
    datasets = [name for name in _texts(card.first("datasets")) if name]
    if datasets:
        evidence: Evidence = {"count": len(datasets), "datasets": ", ".join(datasets[:_NAMED])}
        yield Hit("model-card-datasets", None, evidence)


def _front_matter(blob: Blob, limits: Limits) -> Pairs:
    data = bytes(blob.view(0, min(blob.size, limits.license_bytes)))
    start = _START.match(data)
    text = data[start.end() if start else 0 :].decode("utf-8", "replace")
    end = _END.search(text)
    if end is None:
        return Pairs()  # a line across the page and no front matter
    document = yaml.parse(text[: end.start()], limits)
    if document.broken is not None:
        raise ParseError(f"front matter: {document.broken}")
    root = document.roots[0] if document.roots else None
    return root if isinstance(root, Pairs) else Pairs()


def _texts(value: object) -> list[str]:
    """A text, or each text of a list."""
    items = value if isinstance(value, list) and not isinstance(value, Pairs) else [value]
    return [text.strip() for text in map(text_of, items) if text is not None]
