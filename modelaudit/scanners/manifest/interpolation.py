"""Texts that are put together when the configuration is read: `${a.b}` of OmegaConf, in what is to be called."""

import re

from modelaudit.late import late
from modelaudit.parsers.manifest.tree import Pairs, Path, plain, text_of

_MARK = late(r"\$\{([^${}]{1,200})\}")
_MOST_CHARS = 512  # of a name that is called
_ROUNDS = 16  # interpolations in one text, nested ones included


def resolved(root: object, path: Path, text: str) -> str:
    """`text` with its interpolations replaced as far as the tree under `root` says; `path` is where it stands.

    `${oc.env:NAME,default}` becomes its default. What cannot be known stays as it is written.
    """
    unknown = 0
    for _ in range(_ROUNDS):
        match = _MARK.search(text, unknown)
        if match is None or len(text) > _MOST_CHARS:
            break
        value = _value(root, path, match[1].strip())
        if value is None:
            unknown = match.end()
            continue
        text = text[: match.start()] + value + text[match.end() :]
    return text[:_MOST_CHARS]


def _value(root: object, path: Path, written: str) -> str | None:
    name, colon, argument = written.partition(":")
    if colon:
        _, comma, default = argument.partition(",")
        return default.strip(" '\"") if name in ("oc.env", "env") and comma else None
    steps: list[object] = []
    if written.startswith("."):
        while path:
            steps.insert(0, path[1])
            path = path[0]  # type: ignore[assignment]
        up = len(written) - len(written.lstrip("."))
        steps = steps[: max(0, len(steps) - up + 1)]
    node = root
    names = [part for part in re.split(r"[.\[\]]", written.lstrip(".")) if part]
    for step in [*steps, *names]:
        node = plain(node)
        if isinstance(node, Pairs):
            node = node.first(str(step))
        elif isinstance(node, list) and str(step).isdecimal() and int(str(step)[:6]) < len(node):
            node = node[int(str(step)[:6])]
        else:
            return None
    return text_of(node)
