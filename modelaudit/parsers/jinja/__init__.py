"""Jinja2 templates: jinja2's own parser gives the tree, and `uses` tells what the template reaches for."""

from modelaudit.parsers.jinja.tree import Tree, parse
from modelaudit.parsers.jinja.uses import Use, uses

__all__ = ["Tree", "Use", "parse", "uses"]
