"""The command line: parse, call, choose the exit code. What is slow to import is imported when it is needed."""

import sys


def main() -> None:
    """The console script `modelaudit`."""
    from modelaudit.cli import stopping

    try:
        with stopping.held():
            from modelaudit.cli.trouble import guarded, stopped
        code = guarded(sys.argv[1:])
    except KeyboardInterrupt as stop:
        code = stopped(stop)
    stopping.leave(code)
