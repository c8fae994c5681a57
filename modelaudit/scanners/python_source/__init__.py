"""Python source beside or inside a model: what it starts, runs, decodes and sends, and when.

A model's source is run by whoever loads the model (`trust_remote_code`, a server's handler, `hubconf.py`). Modelling
code starts no program on import, runs no decoded text and hides no name; helpers of libraries do the rest inside
functions, which is worth an info at most.
"""

import re
from collections.abc import Iterator
from posixpath import splitext
from typing import Final

from modelaudit.blob import Blob
from modelaudit.catalogue.callables.shipped import shipped
from modelaudit.errors import LimitExceeded
from modelaudit.late import late
from modelaudit.limits import Limits
from modelaudit.model import Child, Hit
from modelaudit.parsers.python_source import Program, TooDeep, encoding
from modelaudit.scanners.python_source.report import Report

_HEAD_BYTES: Final = 4096
_NAMES: Final = frozenset((".py", ".pyw", ".pyi"))
_CYTHON: Final = frozenset((".pyx", ".pxd", ".pxi"))  # often with Python's first line, and never Python
_SHEBANG: Final = late(rb"#!.{0,80}\bpython")
_STATEMENT: Final = late(
    rb"^(?:import\s+[\w.]+|from\s+[\w.]+\s+import\b|def\s+\w+\s*\(|class\s+\w+\s*[(:]|@\w+|if\s+.+:\s*$)"
    rb"|^(?:try:|async def |with\s)"
    rb"|^\w[\w.\[\]'\"]*\s*=[^=]|^[\w.]+\(|^\s*(?:\"\"\"|\'\'\'|#)|^(?:__import__|exec|eval)\b",
    re.MULTILINE,
)


def warm() -> None:
    """Load the verdicts before the cage closes: afterwards no file can be opened."""
    shipped()


def fits(blob: Blob, limits: Limits, /) -> bool:
    """Whether the name and the text say that it is Python source, or its first line does."""
    head = bytes(blob.view(0, _HEAD_BYTES))
    if b"\0" in head or splitext(blob.place.name)[1].lower() in _CYTHON:
        return False
    if _SHEBANG.match(head):
        return True
    named = splitext(blob.place.name)[1].lower() in _NAMES
    return named and (b"(" in head or _STATEMENT.search(head) is not None)


def scan(blob: Blob, limits: Limits, /) -> Iterator[Hit | Child]:
    """Hits on what the source does; source that it runs from a text is a child. Raises `ParseError`."""
    if blob.size > limits.text_bytes:
        raise LimitExceeded("text_bytes", blob.size, limits.text_bytes)
    data = bytes(blob.view(0, blob.size))
    declared = encoding(data)
    if declared:
        yield Hit("python-source-encoding", 0, {"encoding": declared})
    try:
        program = Program(data, limits)
    except TooDeep:
        yield Hit("python-source-nesting", 0)
        raise
    yield from Report(program).items()
