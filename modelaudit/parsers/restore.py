"""Functions that metadata names for restoring a checkpoint: who calls them, calls what the file's author chose."""

import re

from modelaudit.catalogue.callables import Level, Verdict
from modelaudit.catalogue.callables.shipped import shipped
from modelaudit.late import late

_KEY = late(
    r"(?:\w+[_.-])?(?:restore|load|loader|deserializ\w*|unpickl\w*|decode|decoder|unpack|reconstruct\w*|transform|post_?load)"
    r"[_-]?(?:fn|func|function|callable|callback|hook|handler|class|method|impl|code)s?"
    r"|restorer|custom_(?:restore|load|loader|restorer)|restore|callback|entry_?point",
    re.IGNORECASE,
)
_PATH = late(r"[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)+")
_OWN = late(
    r"(?:orbax|flax|jax|jaxlib|numpy|optax|tensorstore|grain|clu|chex|haiku)[.:](?!.*(?:callback|eval|exec|pickle))"
)


def is_key(key: str) -> bool:
    """Whether a value under `key` names what restores something."""
    return _KEY.fullmatch(key) is not None


def is_path(text: str) -> bool:
    """Whether `text` is a dotted name, such as `package.module.function`."""
    return len(text) < 1000 and _PATH.fullmatch(text) is not None


def judge(text: str) -> Verdict | None:
    """The verdict on the callable that `text` names; None for the libraries' own, and what is no dotted name."""
    if not is_path(text) or _OWN.match(text):
        return None
    module, _, name = text.replace(":", ".").rpartition(".")
    verdict = shipped().judge(module, name)
    return None if verdict.level is Level.SAFE else verdict
