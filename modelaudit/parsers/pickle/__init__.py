"""Pickle streams as their loaders read them: what they import, call, write to and carry, without running them."""

from modelaudit.parsers.pickle.probe import is_pickle
from modelaudit.parsers.pickle.walk import Ended, Gap, Walk

__all__ = ["Ended", "Gap", "Walk", "is_pickle"]
