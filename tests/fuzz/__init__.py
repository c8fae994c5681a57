"""Fuzzing: every format that is scanned has an entry, and all of them the same contract.

`python -m tests.fuzz FORMAT` mutates known files of the format blindly, for as long as it is told to;
`target(FORMAT)` is the same check as a function of the bytes, for a fuzzer that is guided by coverage.
"""

from tests.fuzz.contract import Broken, check
from tests.fuzz.entries import formats, target

__all__ = ["Broken", "check", "formats", "target"]
