"""The command line's top: whatever goes wrong is one line for people and an exit code, never a traceback."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from errno import EMFILE, ENFILE

from modelaudit.cli import stopping
from modelaudit.errors import ModelauditError, SinkClosed
from modelaudit.workers.launch import Nursery

_WITHOUT = frozenset(("--dry-run", "--help", "-h"))  # no worker is needed
UNUSABLE = 2  # exit code: something could not be scanned, or the usage was wrong


def guarded(arguments: Sequence[str]) -> int:
    """Run the command line with `arguments` and give the exit code."""
    verbose = bool({"--verbose", "-v"} & set(arguments))
    try:
        return _run(arguments)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # of help or a listing by typer
            return 0
        return end.code if isinstance(end.code, int) else 0
    except (SinkClosed, BrokenPipeError):
        return 0  # whoever reads a listing may stop when they have seen enough
    except KeyboardInterrupt as stop:
        return stopped(stop)
    except Exception as error:  # noqa: BLE001  the command line's top
        explain(error, verbose=verbose)
        return UNUSABLE


def stopped(stop: KeyboardInterrupt) -> int:
    """Say that a signal ended the program before there was anything to end; gives the exit code."""
    tell("terminated" if isinstance(stop, stopping.Terminated) else "interrupted")
    return UNUSABLE


def _run(arguments: Sequence[str]) -> int:
    if arguments == ["--version"]:
        from modelaudit import __version__

        os.write(1, f"modelaudit {__version__}\n".encode())
        return 0
    with ExitStack() as stack:  # around the block whose end may bring a signal
        with stopping.held():
            nursery = _nursery(arguments, stack)
            from modelaudit.cli import quick

            asked = quick.scan_of(arguments)
            if asked is None:
                stack.close()  # typer may answer without a scan, and a scan starts its own
                from modelaudit.cli.app import app
            else:
                from modelaudit.cli.audit import execute
                from modelaudit.settings import resolve
        if asked is None:
            app(args=list(arguments), prog_name="modelaudit")
            return 0
        return execute(resolve(asked.paths, asked.flags, config=asked.config, targets=asked.targets), nursery)


def _nursery(arguments: Sequence[str], stack: ExitStack) -> Nursery | None:
    """Where the workers of a scan come from: it loads what they need while we load the rest. `stack` closes it."""
    if arguments[:1] != ["scan"] or not _WITHOUT.isdisjoint(arguments):
        return None
    try:
        nursery = Nursery()
    except OSError:  # the pool tries again, and says what is wrong
        return None
    stack.callback(nursery.close)
    return nursery


def explain(error: BaseException, *, verbose: bool) -> None:
    """Say what happened: what is ours to say in its own words, anything else with its kind and where to look."""
    from modelaudit.logs import redacted, say

    if verbose and not isinstance(error, ModelauditError):
        import traceback

        say(redacted("".join(traceback.format_exception(error)).replace("\r", "")))
    if isinstance(error, ModelauditError):
        tell(redacted(str(error)))
    elif isinstance(error, OSError) and error.errno in (EMFILE, ENFILE):
        tell("too few file descriptors are allowed to work with; raise the limit (ulimit -n)")
    else:
        text = " ".join(redacted(f"{type(error).__name__}: {error}").split())
        tell(f"unexpected {text}" + ("" if verbose else "; run with --verbose for the traceback, and please report it"))


def tell(sentence: str) -> None:
    """One line on standard error."""
    from modelaudit.logs import say

    say(f"modelaudit: {' '.join(sentence.split())}\n")
