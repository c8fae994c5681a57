"""Python source: its tree by `ast`, the names it calls resolved through every alias, and when each call is made."""

from modelaudit.parsers.python_source.tree import TooDeep, encoding, parse
from modelaudit.parsers.python_source.walk import Act, Program

__all__ = ["Act", "Program", "TooDeep", "encoding", "parse"]
