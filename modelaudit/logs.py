"""Logs on standard error: for people on a terminal, JSON lines elsewhere. structlog is loaded on first use."""

import sys
from typing import Protocol


class Log(Protocol):
    """The part of a structlog logger that modelaudit uses."""

    def info(self, event: str, **values: object) -> None:
        """Worth knowing with --verbose."""

    def warning(self, event: str, **values: object) -> None:
        """Worth knowing always."""


class _Lazy:
    """Loads structlog when there is something to say: most runs have nothing."""

    def __init__(self, verbose: bool, quiet: bool) -> None:
        self._level = 20 if verbose else 40 if quiet else 30
        self._log: Log | None = None

    def info(self, event: str, **values: object) -> None:
        self._say(20, "info", event, values)

    def warning(self, event: str, **values: object) -> None:
        self._say(30, "warning", event, values)

    def _say(self, level: int, name: str, event: str, values: dict[str, object]) -> None:
        if level >= self._level:
            self._log = self._log or _configured()
            getattr(self._log, name)(event, **values)


def _configured() -> Log:
    import structlog

    terminal = sys.stderr.isatty()
    renderer = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    log: Log = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
    )
    return log


def logger(*, verbose: bool = False, quiet: bool = False) -> Log:
    """The run's log: warnings, with `verbose` also infos, with `quiet` nothing below an error."""
    return _Lazy(verbose, quiet)
