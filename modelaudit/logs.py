"""Logs on standard error: for people on a terminal, JSON lines elsewhere. structlog is loaded when there is something
to say: most runs have nothing, and it takes longer to import than a small scan.
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import structlog

# What must never be shown, whatever message it comes in: user and password in a URL, what follows its question mark
# (signatures), named secrets, and tokens and key ids that can be told by their look.
_SECRETS = (
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]*@", re.IGNORECASE), r"\1…@"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s?'\"]*\?)[^\s'\"]+", re.IGNORECASE), r"\1…"),
    (
        re.compile(
            r"\b(authorization|x-[a-z-]*(?:token|api)|[a-z_]*(?:password|secret|token|signature)[a-z_]*)"
            r"(['\"]?\s*[:=]\s*['\"]?(?:bearer |basic )?)[^\s'\"&,;]+",
            re.IGNORECASE,
        ),
        r"\1\2…",
    ),
    (re.compile(r"\b(AKIA|ASIA|hf_|ghp_|glpat-)[A-Za-z0-9_-]{16,}"), r"\1…"),
)
_ACTIVE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def redacted(text: str) -> str:
    """`text` without secrets and without characters that steer a terminal."""
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return _ACTIVE.sub(lambda match: match[0].encode("unicode-escape").decode(), text)


def say(text: str) -> None:
    """Write `text` to standard error, if it is there. When it is full or its terminal gone, nothing more is said."""
    if sys.stderr is None:  # closed by whoever started us
        return
    encoding = sys.stderr.encoding or "utf-8"
    try:
        sys.stderr.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stderr.flush()
    except OSError:
        sys.stderr = None  # what it still holds would fail again at the end, as exit code 120


class Log:
    """The run's log. Warnings are always said, infos with `verbose`; with `quiet` only errors."""

    def __init__(self, *, verbose: bool = False, quiet: bool = False, colour: bool = True) -> None:
        self._least = logging.INFO if verbose else logging.ERROR if quiet else logging.WARNING
        self._colour = colour
        self._bound: structlog.typing.FilteringBoundLogger | None = None
        self._libraries = _Libraries(self)

    def info(self, event: str, **values: object) -> None:
        """Worth knowing for whoever asked for more."""
        self._say(logging.INFO, event, values)

    def asked(self, event: str, **values: object) -> None:
        """Something mild that the user wanted to hear of by an option of its own."""
        self._say(max(logging.INFO, self._least), event, values, logging.INFO)

    def warning(self, event: str, **values: object) -> None:
        """Worth knowing for everybody."""
        self._say(logging.WARNING, event, values)

    def error(self, event: str, **values: object) -> None:
        """Something went wrong that is no object's fault."""
        self._say(logging.ERROR, event, values)

    def _say(self, level: int, event: str, values: dict[str, object], shown: int | None = None) -> None:
        if level >= self._least and sys.stderr is not None:
            self._bound = self._bound or _structlog(sys.stderr.isatty(), self._colour)
            self._bound.log(shown or level, event, **values)

    def __enter__(self) -> "Log":
        """Take over what libraries say through `logging`: warnings and worse, never requests and their headers."""
        logging.getLogger().addHandler(self._libraries)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self._libraries)


class _Libraries(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Pass the record on."""
        cause = record.exc_info[1] if record.exc_info else None
        more = {} if cause is None else {"cause": "".join(traceback.format_exception_only(cause)).strip()}
        self._log._say(record.levelno, record.getMessage(), {"logger": record.name, **more})


class _Stream:
    """Whatever standard error is at the moment: the progress bar puts itself in front of it."""

    def msg(self, message: str) -> None:
        say(message + "\n")

    log = debug = info = warning = error = critical = msg


def _tidy(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What every line has comes first; no value holds a secret."""
    first = ("timestamp", "level", "event")
    ordered = {key: event[key] for key in (*first, *(key for key in event if key not in first))}
    return {key: redacted(value) if isinstance(value, str) else value for key, value in ordered.items()}


def _structlog(terminal: bool, colour: bool) -> "structlog.typing.FilteringBoundLogger":
    import structlog

    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer()
    if terminal:
        renderer = structlog.dev.ConsoleRenderer(colors=colour)
    bound: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        _Stream(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _tidy,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    return bound
