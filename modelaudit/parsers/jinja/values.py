"""What the expressions of a template can be, as far as constants tell.

Names are followed from every place that gives them a value, whatever the order: `set`, `for`, `with`, macro
arguments, `namespace`. A value is a tuple of the constants that an expression may be; the empty one is unknown.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, Final

from modelaudit.errors import LimitExceeded
from modelaudit.parsers import folding
from modelaudit.parsers.folding import UNKNOWN
from modelaudit.parsers.jinja import filters
from modelaudit.parsers.jinja.tree import postorder

Values = tuple[object, ...]
Node = Any  # jinja2's nodes have no declared fields

_MOST: Final = 8  # constants that one expression may be
_HELD: Final = 32  # constants that one name may be
_PASSES: Final = 4  # over the tree, so that names given values by names are known; ordinary templates need two


class Folder:
    """The values of all expressions of one tree."""

    def __init__(self, root: Node, most_chars: int) -> None:
        self._most_chars = most_chars  # of all values: a chain of sums makes each longer than the last
        self._of: dict[int, Values] = {}
        self._names: dict[str, dict[str, object]] = {}
        self._macros: dict[str, Node] = {}
        self._nodes = list(postorder(root))
        self.assigned: set[str] = set()
        self._room = most_chars
        for _ in range(_PASSES):
            self._room = most_chars
            before = sum(len(held) for held in self._names.values())
            for node in self._nodes:
                self._visit(node)
            if sum(len(held) for held in self._names.values()) == before:
                break

    def of(self, node: Node) -> Values:
        """The constants that `node` may be."""
        return self._of.get(id(node), ())

    def check(self) -> None:
        """Raise `LimitExceeded` where there were more constants than are kept, so that some are not known."""
        if self._room < 0:
            raise LimitExceeded("template_folded_chars", self._most_chars - self._room, self._most_chars)

    # --- names ------------------------------------------------------------------------------------------------

    def _hold(self, name: str, values: Iterator[object] | Values) -> None:
        held = self._names.setdefault(name, {})
        for value in values:
            if len(held) < _HELD:
                held.setdefault(repr(value)[:256], value)

    def _bind(self, target: Node, values: Values) -> None:
        kind = type(target).__name__
        if kind == "Name":
            self.assigned.add(target.name)
            self._hold(target.name, values)
        elif kind == "NSRef":
            self._hold(f"{target.name}.{target.attr}", values)
        elif kind in ("Tuple", "List"):
            for index, item in enumerate(target.items):
                parts = (folding.item(value, index) for value in values)
                self._bind(item, tuple(part for part in parts if part is not UNKNOWN))

    def _visit(self, node: Node) -> None:
        kind = type(node).__name__
        statement = _STATEMENTS.get(kind)
        if statement is not None:
            statement(self, node)
        expression = _EXPRESSIONS.get(kind)
        if expression is not None and self._room >= 0:
            values = _kept(expression(self, node))
            self._of[id(node)] = values
            self._room -= sum(len(value) for value in values if isinstance(value, str | list | dict))

    def _assign(self, node: Node) -> None:
        self._bind(node.target, self.of(node.node))
        called = node.node
        if type(called).__name__ == "Call" and _name(called.node) == "namespace" and _name(node.target):
            for keyword in called.kwargs:
                self._hold(f"{node.target.name}.{keyword.key}", self.of(keyword.value))

    def _assign_block(self, node: Node) -> None:
        self._bind(node.target, self._body(node.body))

    def _for(self, node: Node) -> None:
        items: list[object] = []
        for value in self.of(node.iter):
            if isinstance(value, str | list | tuple | dict):
                items.extend(list(value)[:_HELD])
        self._bind(node.target, tuple(item for item in items if item is not UNKNOWN))
        self._grown(node)

    def _grown(self, node: Node) -> None:
        """`set x = x ~ c` in a loop over constants: what all rounds make together."""
        for value in self.of(node.iter):
            whole = folding.join("", value)
            for statement in node.body:
                if type(statement).__name__ == "Assign" and _appends(statement, _name(node.target)):
                    self._bind(statement.target, (whole,) if isinstance(whole, str) else ())

    def _with(self, node: Node) -> None:
        for target, value in zip(node.targets, node.values, strict=False):
            self._bind(target, self.of(value))

    def _macro(self, node: Node) -> None:
        self._macros[node.name] = node
        self.assigned.add(node.name)
        for argument, default in zip(reversed(node.args), reversed(node.defaults), strict=False):
            self._bind(argument, self.of(default))
        for argument in node.args:
            self.assigned.add(argument.name)
        self._hold(f"{node.name}()", self._body(node.body))

    def _body(self, body: list[Node]) -> Values:
        """What a block prints, where it only prints."""
        if not body or any(type(statement).__name__ != "Output" for statement in body):
            return ()
        return _kept(self._concatenated([self.of(statement) for statement in body]))

    # --- expressions ------------------------------------------------------------------------------------------

    @staticmethod
    def _concatenated(parts: list[Values]) -> Iterator[object]:
        for combination in _combined(parts):
            yield folding.join("", list(combination))

    def _call(self, node: Node) -> Iterator[object] | Values:
        callee = type(node.node).__name__
        if callee == "Name":
            return self._call_name(node, node.node.name)
        if callee != "Getattr":
            return ()
        arguments = [self.of(argument) or (UNKNOWN,) for argument in node.args]
        named = {keyword.key: next(iter(self.of(keyword.value)), UNKNOWN) for keyword in node.kwargs}
        return (
            folding.method(value, node.node.attr, arguments_, named)
            for value in self.of(node.node.node)
            for arguments_ in _combined(arguments)
        )

    def _call_name(self, node: Node, name: str) -> Iterator[object] | Values:
        macro = self._macros.get(name)
        if macro is not None:
            for parameter, argument in zip(macro.args, node.args, strict=False):
                self._bind(parameter, self.of(argument))
            for keyword in node.kwargs:
                self._hold(keyword.key, self.of(keyword.value))
            return tuple(self._names.get(f"{name}()", {}).values())
        if name == "dict":
            return ({keyword.key: next(iter(self.of(keyword.value)), UNKNOWN) for keyword in node.kwargs},)
        if name == "range":
            return (filters.range_of(combined) for combined in _combined([self.of(each) for each in node.args]))
        return ()

    def _filter(self, node: Node) -> Iterator[object]:
        subject = self.of(node.node) if node.node is not None else ()
        arguments = [self.of(argument) or (UNKNOWN,) for argument in node.args]
        named = {keyword.key: next(iter(self.of(keyword.value)), UNKNOWN) for keyword in node.kwargs}
        for value in subject:
            for combination in _combined(arguments):
                yield filters.applied(node.name, value, combination, named)

    def _getitem(self, node: Node) -> Iterator[object]:
        if type(node.arg).__name__ == "Slice":
            bounds = [
                self.of(part) if part is not None else (None,)
                for part in (node.arg.start, node.arg.stop, node.arg.step)
            ]
            keys: list[object] = [slice(*combination) for combination in _combined(bounds)]
        else:
            keys = list(self.of(node.arg))
        return (folding.item(value, key) for value in self.of(node.node) for key in keys)

    def _getattr(self, node: Node) -> Iterator[object]:
        name = _name(node.node)
        yield from self._names.get(f"{name}.{node.attr}", {}).values() if name else ()
        for value in self.of(node.node):
            if isinstance(value, dict):
                yield value.get(node.attr, UNKNOWN)

    def _name_values(self, node: Node) -> Values:
        return tuple(self._names.get(node.name, {}).values())

    def _items(self, node: Node) -> Values:
        return ([next(iter(self.of(item)), UNKNOWN) for item in node.items],)

    def _dict(self, node: Node) -> Values:
        made: dict[object, object] = {}
        for pair in node.items[: folding.ITEMS]:
            for key in self.of(pair.key):
                if isinstance(key, str | int):
                    made[key] = next(iter(self.of(pair.value)), UNKNOWN)
        return (made,)

    def _binary(self, node: Node, operation: Callable[[object, object], object]) -> Iterator[object]:
        return (operation(left, right) for left, right in _combined([self.of(node.left), self.of(node.right)]))

    def _negated(self, node: Node) -> Iterator[object]:
        return (-value for value in self.of(node.node) if isinstance(value, int | float))


def _name(node: Node) -> str:
    return str(node.name) if type(node).__name__ == "Name" else ""


def _appends(statement: Node, item: str) -> bool:
    value = statement.node
    parts = (
        value.nodes
        if type(value).__name__ == "Concat"
        else [getattr(value, "left", None), getattr(value, "right", None)]
    )
    return bool(item) and len(parts) == 2 and _name(parts[1]) == item


def _combined(parts: list[Values]) -> Iterator[tuple[object, ...]]:
    """Every combination of the parts' values, the first few of them."""
    for count, combination in enumerate(product(*(part[:_HELD] for part in parts))):
        if count >= _HELD:
            return
        yield combination


def _kept(values: Iterator[object] | Values) -> Values:
    kept: dict[str, object] = {}
    for value in values:
        if value is not UNKNOWN and len(kept) < _HELD:
            kept.setdefault(repr(value)[:256] if not isinstance(value, str) else f"s{value}", value)
    return tuple(kept.values())


_STATEMENTS: Final[Mapping[str, Callable[[Folder, Node], None]]] = {
    "Assign": Folder._assign,
    "AssignBlock": Folder._assign_block,
    "For": Folder._for,
    "With": Folder._with,
    "Macro": Folder._macro,
}
_EXPRESSIONS: Final[Mapping[str, Callable[[Folder, Node], Iterator[object] | Values]]] = {
    "Const": lambda folder, node: (folding.bounded(node.value),),
    "TemplateData": lambda folder, node: (folding.bounded(node.data),),
    "Name": Folder._name_values,
    "Output": lambda folder, node: folder._concatenated([folder.of(part) for part in node.nodes]),
    "Concat": lambda folder, node: folder._concatenated([folder.of(part) for part in node.nodes]),
    "Add": lambda folder, node: folder._binary(node, folding.add),
    "Mul": lambda folder, node: folder._binary(node, folding.times),
    "Mod": lambda folder, node: folder._binary(node, folding.percent),
    "Pow": lambda folder, node: folder._binary(node, folding.power),
    "Neg": Folder._negated,
    "Tuple": Folder._items,
    "List": Folder._items,
    "Dict": Folder._dict,
    "CondExpr": lambda folder, node: folder.of(node.expr1) + (folder.of(node.expr2) if node.expr2 else ()),
    "Or": lambda folder, node: folder.of(node.left) + folder.of(node.right),
    "And": lambda folder, node: folder.of(node.left) + folder.of(node.right),
    "Getitem": Folder._getitem,
    "Getattr": Folder._getattr,
    "Call": Folder._call,
    "Filter": Folder._filter,
}
