"""Pickle streams as their loaders read them: what they import, call, write to and carry, without running them."""

from modelaudit.parsers.pickle.walk import Ended, Gap, Walk, fits

__all__ = ["Ended", "Gap", "Walk", "fits"]
