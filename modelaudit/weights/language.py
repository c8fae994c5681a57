"""Language models, told by names and shapes: what stands out in their weights is ordinary."""

import re
from collections.abc import Sequence

from modelaudit.late import late
from modelaudit.model import Weights

_VOCABULARY = 25_000  # rows of a table that is one of words; the largest list of image classes has 21,843
_WIDTH = 64  # of such a table
_NAMES = late(
    r"lm_head|embed_tokens|embed_positions|(?:^|[./])wte?(?:[./]|$)|(?:^|[./])wpe(?:[./]|$)|tok_embeddings"
    r"|token_embd|token_embedding|word_embedding|embed_in\b|embed_out\b|vocab",
    re.IGNORECASE,
)


def is_language_model(found: Sequence[Weights]) -> bool:
    """Whether one of the tensors is a table of words, or is called so."""
    return any(
        _NAMES.search(one.name) or (max(one.shape, default=0) >= _VOCABULARY and min(one.shape) >= _WIDTH)
        for one in found
        if len(one.shape) == 2
    )
