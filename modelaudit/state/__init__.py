"""What was scanned before: one SQLite file, so that runs can be resumed, and nightly ones read only what is new."""

from modelaudit.state.entries import Entry, Past
from modelaudit.state.memory import Place, Run, State

__all__ = ["Entry", "Past", "Place", "Run", "State"]
