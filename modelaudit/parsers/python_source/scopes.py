"""Which names are bound where, and to what. No order of statements: a name may be any of what it is ever set to."""

import ast
from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda

_HELD: Final = 8  # things that one name may be
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Imported(msgspec.Struct):
    """`import a.b as c` and `from a import b`: the dotted name."""

    path: str


class Piece(msgspec.Struct):
    """Item `index` of what `value` gives: `a, b = f(), g()`."""

    value: ast.expr
    index: int


class Passed(msgspec.Struct):
    """What a call hands to a parameter: `value`, as it reads in the `scope` of the call."""

    value: ast.expr
    scope: "Scope"


Bound: TypeAlias = ast.expr | Imported | Piece | Passed | Definition


class Scope(msgspec.Struct, eq=False):
    """The names of one module, class or function. `owner` is None for the module."""

    owner: Definition | None
    parent: "Scope | None"
    names: dict[str, list[Bound]] = msgspec.field(default_factory=dict)
    added: dict[str, list[ast.expr]] = msgspec.field(default_factory=dict)  # by `name += …`, in the order of the text

    def bind(self, name: str, value: Bound) -> None:
        """Add `value` to what `name` may be."""
        held = self.names.setdefault(name, [])
        if len(held) < _HELD:
            held.append(value)

    def find(self, name: str) -> "tuple[list[Bound], Scope] | None":
        """What `name` may be, seen from here, and the scope that binds it."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names and (scope is self or not isinstance(scope.owner, ast.ClassDef)):
                return scope.names[name], scope
            scope = scope.parent
        return None

    @property
    def class_(self) -> "Scope | None":
        """The class whose method this scope lies in."""
        scope: Scope | None = self
        while scope is not None and not isinstance(scope.owner, ast.ClassDef):
            scope = scope.parent
        return scope


class Scopes:
    """All scopes of a tree: `of` gives that of each node that opens one, `returns` what each function gives back."""

    def __init__(self, tree: ast.Module) -> None:
        self.module = Scope(None, None)
        self.of: dict[ast.AST, Scope] = {tree: self.module}
        self.returns: dict[ast.AST, list[ast.expr]] = {}  # by function
        calls: list[tuple[ast.Call, Scope]] = []
        stack: list[tuple[ast.AST, Scope]] = [(child, self.module) for child in reversed(tree.body)]
        while stack:
            node, scope = stack.pop()
            if isinstance(node, ast.Call):
                calls.append((node, scope))
            self._bind(node, scope)
            stack.extend(reversed(list(self.inside(node, scope))))
        for call, scope in calls:
            self._bind_call(call, scope)

    def inside(self, node: ast.AST, scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
        """The children of `node` with the scope that each lies in: defaults and decorators lie outside."""
        if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
            own = self.of.get(node)
            if own is None:
                own = self.of[node] = Scope(node, scope)
            body = node.body if isinstance(node.body, list) else [node.body]
            within = {id(child) for child in body}
            for child in ast.iter_child_nodes(node):
                yield child, own if id(child) in within else scope
        else:
            for child in ast.iter_child_nodes(node):
                yield child, scope

    def _bind(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._bind_import(node, scope)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            scope.bind(node.name, node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind_target(target, node.value, scope)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            self._bind_target(node.target, node.value, scope)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._bind_items(node.target, node.iter, scope)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._bind_target(node.optional_vars, node.context_expr, scope)
        elif isinstance(node, ast.Global):
            for name in node.names:
                scope.names.setdefault(name, self.module.names.setdefault(name, []))
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add) and isinstance(node.target, ast.Name):
            scope.added.setdefault(node.target.id, []).append(node.value)
        elif isinstance(node, ast.Return) and node.value is not None and scope.owner is not None:
            self.returns.setdefault(scope.owner, []).append(node.value)
        elif isinstance(node, ast.Lambda):
            self.returns[node] = [node.body]
        if isinstance(node, _FUNCTIONS):
            self._bind_arguments(node, scope)

    def _bind_import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        for alias in node.names:
            if isinstance(node, ast.Import):
                name = alias.asname or alias.name.partition(".")[0]
                scope.bind(name, Imported(alias.name if alias.asname else name))
            elif alias.name == "*":
                scope.bind("*", Imported(node.module or ""))
            else:
                base = "." * node.level + (node.module or "")
                scope.bind(alias.asname or alias.name, Imported(f"{base}.{alias.name}" if base else alias.name))

    def _bind_target(self, target: ast.expr, value: ast.expr, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            scope.bind(target.id, value)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
            own = scope.class_ if target.value.id in ("self", "cls") else scope
            (own or scope).bind(f"{target.value.id}.{target.attr}", value)
        elif isinstance(target, ast.Tuple | ast.List):
            same = isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts)
            for index, part in enumerate(target.elts[:_HELD]):
                if isinstance(part, ast.Name):
                    scope.bind(part.id, value.elts[index] if same else Piece(value, index))  # type: ignore[attr-defined]

    def _bind_items(self, target: ast.expr, items: ast.expr, scope: Scope) -> None:
        if isinstance(target, ast.Name) and isinstance(items, ast.Tuple | ast.List):
            for item in items.elts[:_HELD]:
                scope.bind(target.id, item)
        elif isinstance(target, ast.Name):
            scope.bind(target.id, Piece(items, -1))

    def _bind_call(self, node: ast.Call, scope: Scope) -> None:
        """What a call of a function of this source hands to its parameters."""
        found: list[Bound] = []
        if isinstance(node.func, ast.Name):
            found = (scope.find(node.func.id) or ([], scope))[0]
        elif isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            own = scope.class_ if node.func.value.id in ("self", "cls") else None
            found = own.names.get(node.func.attr, []) if own is not None else []
        for each in found[:1]:
            function = each
            if isinstance(each, ast.ClassDef):
                function = next(iter(self.of[each].names.get("__init__", ())), each) if each in self.of else each
            if isinstance(function, _FUNCTIONS) and function in self.of:
                self._hand(node, scope, function, own=function is not each or isinstance(node.func, ast.Attribute))

    def _hand(
        self, node: ast.Call, scope: Scope, function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, own: bool
    ) -> None:
        inner = self.of[function]
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        for name, value in zip(names[1:] if own else names, node.args, strict=False):
            if isinstance(value, ast.Starred):
                break
            inner.bind(name, Passed(value, scope))
        names += [each.arg for each in function.args.kwonlyargs]
        for keyword in node.keywords:
            if keyword.arg in names:
                inner.bind(keyword.arg, Passed(keyword.value, scope))

    def _bind_arguments(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope) -> None:
        own = self.of.get(node)
        if own is None:
            own = self.of[node] = Scope(node, scope)
        arguments = [*node.args.posonlyargs, *node.args.args]
        for argument in (*arguments, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg):
            if argument is not None:
                own.names.setdefault(argument.arg, [])
        for argument, default in zip(reversed(arguments), reversed(node.args.defaults), strict=False):
            own.bind(argument.arg, default)
        for argument, keyword in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
            if keyword is not None:
                own.bind(argument.arg, keyword)
