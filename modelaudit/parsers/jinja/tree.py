"""A template's tree, by jinja2's own parser with the tags that model libraries add. Never compiled, never rendered.

jinja2 is imported inside the functions: a run that meets no template must not pay for it.
Source: jinja2 3.1 parser.py and nodes.py; `transformers` utils/chat_template_utils.py for `generation`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from modelaudit.errors import ParseError
from modelaudit.late import late

if TYPE_CHECKING:
    from jinja2 import Environment, nodes

_LINE: Final = late(rb"\r\n|\r|\n")


class Tree(msgspec.Struct, frozen=True):
    """The parsed template, and the byte offset of each of its lines."""

    root: "nodes.Template"
    lines: tuple[int, ...]

    def offset(self, line: int) -> int:
        """Where line `line` (from 1) begins, in bytes."""
        return self.lines[min(max(line, 1), len(self.lines)) - 1]


class TooDeep(ParseError):
    """The template nests deeper than the parser can follow."""


def parse(data: bytes) -> Tree:
    """The tree of the template `data`, UTF-8.

    Raises `ParseError` where it is no template, and `TooDeep` where it nests deeper than any template does.
    """
    from jinja2 import TemplateError
    from jinja2.parser import Parser

    lines = (0, *(match.end() for match in _LINE.finditer(data)))
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ParseError("the template is not UTF-8", error.start) from None
    try:
        return Tree(Parser(_environment(), text).parse(), lines)
    except RecursionError:
        raise TooDeep("the template nests deeper than the parser goes") from None
    except TemplateError as error:
        line = min(getattr(error, "lineno", 1), len(lines))
        raise ParseError(f"not a template: {error.message}", lines[line - 1]) from None
    except (ValueError, OverflowError, SyntaxError, AssertionError) as error:  # literals that Python refuses
        raise ParseError(f"not a template: {error}") from None


def _environment() -> "Environment":
    from jinja2 import Environment, nodes
    from jinja2.ext import Extension, InternationalizationExtension, debug, do, loopcontrols
    from jinja2.parser import Parser

    class Generation(Extension):
        """`{% generation %}…{% endgeneration %}`: marks what the assistant says, for training."""

        tags = {"generation"}  # noqa: RUF012  # jinja2 declares it so

        def parse(self, parser: Parser) -> nodes.Node:
            line = next(parser.stream).lineno
            return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)

    extensions = [loopcontrols, do, debug, InternationalizationExtension, Generation]
    # Nothing is rendered, so nothing needs escaping.
    return Environment(extensions=extensions, trim_blocks=True, lstrip_blocks=True)  # noqa: S701


def postorder(root: "nodes.Node") -> Iterator["nodes.Node"]:
    """Every node below `root` and it, children before parents, in the order of the text; without recursion."""
    stack: list[tuple[nodes.Node, Iterator[nodes.Node]]] = [(root, root.iter_child_nodes())]
    while stack:
        node, children = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            yield node
        else:
            stack.append((child, child.iter_child_nodes()))
