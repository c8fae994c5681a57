"""`python tests/samples demo DIR` writes a small folder of models and harmless attacks to look at.

Also as `python -m tests.samples DIR`. Needs nothing but the standard library.
"""

import sys
from pathlib import Path

if __package__ in (None, ""):  # run by its path: the package's own imports need the repository's root
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.samples import demo


def main(arguments: list[str]) -> int:
    """Write the folder; 2 when the arguments are wrong."""
    words = arguments[1:] if arguments[:1] == ["demo"] else arguments
    if len(words) != 1 or words[0].startswith("-"):
        print("usage: python tests/samples demo DIR", file=sys.stderr)
        return 2
    print(demo.write(Path(words[0])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
