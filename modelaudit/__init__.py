"""modelaudit: an async, concurrent batch scanner for AI model files.

Public: `scan` (places, in caged workers), `inspect` (bytes, in this process), and the values that they give.
They are imported when they are first used, so that `import modelaudit` costs nothing.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["FileReport", "Finding", "Inspection", "Limits", "Severity", "__version__", "inspect", "scan"]

if TYPE_CHECKING:
    from modelaudit.api import scan
    from modelaudit.inprocess import inspect
    from modelaudit.limits import Limits
    from modelaudit.model import FileReport, Finding, Inspection, Severity

_HOMES = {
    "FileReport": "modelaudit.model",
    "Finding": "modelaudit.model",
    "Inspection": "modelaudit.model",
    "Limits": "modelaudit.limits",
    "Severity": "modelaudit.model",
    "inspect": "modelaudit.inprocess",
    "scan": "modelaudit.api",
}


def __getattr__(name: str) -> object:
    import importlib

    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'modelaudit' has no attribute {name!r}")
