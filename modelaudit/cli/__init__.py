"""The command line: parse, call, choose the exit code. What is slow to import is imported when it is needed."""

import sys


def main() -> None:
    """The console script `modelaudit`."""
    if sys.argv[1:] == ["--version"]:
        from modelaudit import __version__

        sys.stdout.write(f"modelaudit {__version__}\n")
        return
    from modelaudit.cli.trouble import guarded

    sys.exit(guarded(sys.argv[1:]))
