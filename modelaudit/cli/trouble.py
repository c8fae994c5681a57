"""The command line's top: whatever goes wrong is one line for people and an exit code, never a traceback."""

import sys
from collections.abc import Sequence

from modelaudit.errors import ModelauditError, SinkClosed

UNUSABLE = 2  # exit code: something could not be scanned, or the usage was wrong


def guarded(arguments: Sequence[str]) -> int:
    """Run the command line with `arguments` and give the exit code."""
    verbose = bool({"--verbose", "-v"} & set(arguments))
    try:
        return _run(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except SinkClosed:
        return 0  # whoever reads a listing may stop when they have seen enough
    except KeyboardInterrupt:
        tell("interrupted")
        return UNUSABLE
    except Exception as error:  # noqa: BLE001  the command line's top
        explain(error, verbose=verbose)
        return UNUSABLE


def _run(arguments: Sequence[str]) -> int:
    from modelaudit.cli import quick

    asked = quick.scan_of(arguments)
    if asked is None:
        from modelaudit.cli.app import app

        app(args=list(arguments), prog_name="modelaudit")
        return 0
    from modelaudit.cli.audit import execute
    from modelaudit.settings import resolve

    return execute(resolve(asked.paths, asked.flags, config=asked.config, targets=asked.targets))


def explain(error: BaseException, *, verbose: bool) -> None:
    """Say what happened: what is ours to say in its own words, anything else with its kind and where to look."""
    from modelaudit.logs import redacted

    if verbose and not isinstance(error, ModelauditError):
        import traceback

        _write(redacted("".join(traceback.format_exception(error)).replace("\r", "")))
    if isinstance(error, ModelauditError):
        tell(redacted(str(error)))
    else:
        text = " ".join(redacted(f"{type(error).__name__}: {error}").split())
        tell(f"unexpected {text}" + ("" if verbose else "; run with --verbose for the traceback, and please report it"))


def tell(sentence: str) -> None:
    """One line on standard error."""
    _write(f"modelaudit: {' '.join(sentence.split())}\n")


def _write(text: str) -> None:
    if sys.stderr is not None:  # closed by whoever started us
        sys.stderr.write(text.encode(sys.stderr.encoding, "backslashreplace").decode(sys.stderr.encoding))
        sys.stderr.flush()
