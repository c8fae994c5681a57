"""What an expression is, as far as the source tells: a name reached by imports, a constant, something defined here."""

import ast
import builtins
from typing import Final

from modelaudit.parsers import folding
from modelaudit.parsers.folding import UNKNOWN
from modelaudit.parsers.python_source import decoding
from modelaudit.parsers.python_source.meanings import Constant, Here, Path, Value, Values
from modelaudit.parsers.python_source.scopes import Bound, Definition, Imported, Passed, Piece, Scope, Scopes

_DEPTH: Final = 60  # of expressions and names that stand for each other; real code needs ten
_TERMS: Final = 4096  # of one sum
_MOST: Final = 8  # things that one expression may be
_BUILTINS: Final = frozenset(dir(builtins)) | {"execfile", "unicode", "xrange", "raw_input"}


class Evaluator:
    """Values of expressions, each computed once."""

    def __init__(self, scopes: Scopes) -> None:
        self._scopes = scopes
        self._module = scopes.module
        self._known: dict[tuple[int, int], Values] = {}
        self._depth = 0

    def of(self, node: ast.expr, scope: Scope) -> Values:
        """What `node`, standing in `scope`, may be; the empty tuple where that is not known."""
        key = (id(node), id(scope))
        found = self._known.get(key)
        if found is not None:
            return found
        if self._depth >= _DEPTH:
            return ()
        self._known[key] = ()  # what depends on itself is not known
        self._depth += 1
        try:
            method = getattr(self, f"_{type(node).__name__.lower()}", None)
            values = () if method is None else tuple(method(node, scope))[:_MOST]
        finally:
            self._depth -= 1
        self._known[key] = values
        return values

    def constant(self, node: ast.expr, scope: Scope) -> object:
        """The constant that `node` is, or `UNKNOWN`."""
        for value in self.of(node, scope):
            if isinstance(value, Constant):
                return value.value
        return UNKNOWN

    # --- names --------------------------------------------------------------------------------------------------

    def _bound(self, bound: list[Bound], scope: Scope) -> Values:
        values: list[Value] = []
        for each in bound:
            if isinstance(each, Imported):
                values.append(Path(each.path))
            elif isinstance(each, Piece):
                values.extend(self._piece(each, scope))
            elif isinstance(each, Passed):
                values.extend(self.of(each.value, each.scope))
            elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                values.append(Here(each))
            elif isinstance(each, ast.expr):
                values.extend(self.of(each, scope))
        return tuple(values[:_MOST])

    def _added(self, name: str, bound: list[Bound], scope: Scope) -> Values:
        """What `name` is in the end, where it is set once and then added to."""
        added = scope.added.get(name)
        if not added or not bound or not isinstance(bound[0], ast.expr):
            return ()
        return self._sum([(bound[0], scope), *((each, scope) for each in added)])

    def _sum(self, terms: list[tuple[ast.expr, Scope]]) -> Values:
        """All of `terms` added up, where all are constants."""
        total: Constant | None = None
        for node, scope in terms[:_TERMS]:
            term = self._one(node, scope)
            if term is None:
                return ()
            if total is None:
                total = Constant(term.value, decoded=term.decoded)
            else:
                value = folding.add(total.value, term.value)
                total = Constant(value, decoded=total.decoded or term.decoded)
            if total.value is UNKNOWN:
                return ()
        return () if total is None else (total,)

    def _piece(self, piece: Piece, scope: Scope) -> list[Value]:
        values: list[Value] = []
        for value in self.of(piece.value, scope):
            if isinstance(value, Path):
                values.append(Path(f"{value.name}[]", value.hidden))
            elif isinstance(value, Constant) and piece.index >= 0:
                item = folding.item(value.value, piece.index)
                values += [] if item is UNKNOWN else [Constant(item, decoded=value.decoded)]
            elif isinstance(value, Constant) and isinstance(value.value, list | tuple):
                values += [Constant(item, decoded=value.decoded) for item in value.value[:_MOST]]
        return values

    def _name(self, node: ast.Name, scope: Scope) -> Values:
        return self.named(node.id, scope)

    def named(self, name: str, scope: Scope) -> Values:
        """What `name` may be where `scope` is."""
        found = scope.find(name)
        if found is not None:
            return self._bound(*found) + self._added(name, *found)
        if name == "__builtins__":
            return (Path("builtins"),)
        if name in _MODULES:  # text that is run knows the modules of the source that runs it
            return (Path(name),)
        if name in _BUILTINS:
            return (Path(f"builtins.{name}"),)
        return tuple(
            Path(f"{bound.path}.{name}") for bound in self._module.names.get("*", ()) if isinstance(bound, Imported)
        )

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Values:
        values: list[Value] = []
        if isinstance(node.value, ast.Name):
            own = scope.class_ if node.value.id in ("self", "cls") else None
            for key, where in ((f"{node.value.id}.{node.attr}", own or scope), (node.attr, own)):
                found = where.find(key) if where is not None else None
                if found is not None and (key != node.attr or found[1] is own):
                    values.extend(self._bound(*found))
        for value in self.of(node.value, scope):
            if isinstance(value, Path):
                values.append(Path(f"{value.name}.{node.attr}", value.hidden))
            elif isinstance(value, Here) and isinstance(value.node, ast.ClassDef):
                values.extend(_member(value.node, node.attr))
            elif isinstance(value, Constant) and node.attr == "__class__":
                values.append(Path("builtins.type"))
        return tuple(values)

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Values:
        key = self._key(node.slice, scope)
        if isinstance(node.value, ast.Attribute) and node.value.attr in _NAMESPACES and isinstance(key, str):
            return (Path(key if key not in _BUILTINS else f"builtins.{key}", hidden=True),)
        values: list[Value] = list(self._chosen(node.value, scope))
        for value in self.of(node.value, scope):
            if isinstance(value, Constant):
                item = folding.item(value.value, key)
                values += [] if item is UNKNOWN else [Constant(item, decoded=value.decoded)]
            elif isinstance(value, Path):
                values.extend(self._looked_up(value, key, scope))
        return tuple(values)

    def _chosen(self, node: ast.expr, scope: Scope) -> Values:
        """The callables in a list or dictionary that the source writes down: any may be the one that is taken."""
        if isinstance(node, ast.Name):
            found = scope.find(node.id)
            bound = [each for each in found[0] if isinstance(each, ast.expr)] if found is not None else []
            node, scope = (bound[0], found[1]) if bound and found is not None else (node, scope)
        items = (
            node.values if isinstance(node, ast.Dict) else node.elts if isinstance(node, ast.List | ast.Tuple) else []
        )
        taken = [each for each in items if isinstance(each, ast.Name | ast.Attribute | ast.Call)]
        return tuple(v for each in taken[: _MOST * 4] for v in self.of(each, scope) if not isinstance(v, Constant))

    def _looked_up(self, value: Path, key: object, scope: Scope) -> Values:
        """`globals()['f']`, `vars(os)['system']`, `os.__dict__['system']`, `sys.modules['os']`."""
        if not isinstance(key, str):
            return (Path(f"{value.name}[]", value.hidden),)
        if value.name == "sys.modules":
            return (Path(key, hidden=True),)
        if value.name == "builtins":
            return (Path(f"builtins.{key}", hidden=True),)
        if value.name in ("builtins.globals()", "builtins.locals()", "builtins.vars()"):
            found = self.named(key, scope)
            return tuple(Path(each.name, hidden=True) if isinstance(each, Path) else each for each in found)
        if value.name.endswith(".__dict__"):
            return (Path(f"{value.name.removesuffix('.__dict__')}.{key}", hidden=True),)
        return (Path(f"{value.name}[]", value.hidden),)

    def _key(self, node: ast.expr, scope: Scope) -> object:
        if isinstance(node, ast.Slice):
            bounds = [
                self.constant(each, scope) if each is not None else None for each in (node.lower, node.upper, node.step)
            ]
            return slice(*bounds) if folding.known(bounds) else UNKNOWN
        return self.constant(node, scope)

    # --- constants ----------------------------------------------------------------------------------------------

    def _constant(self, node: ast.Constant, scope: Scope) -> Values:
        value = node.value
        if isinstance(value, str | bytes) and len(value) <= decoding.BYTES:
            return (Constant(value, plain=True),)
        kept = folding.bounded(value)
        return () if kept is UNKNOWN else (Constant(kept, plain=True),)

    def _items(self, node: ast.Tuple | ast.List | ast.Set, scope: Scope) -> Values:
        if len(node.elts) > folding.ITEMS * 64 or not all(isinstance(each, ast.Constant) for each in node.elts[64:]):
            return ()
        return (
            Constant(
                [each.value if isinstance(each, ast.Constant) else self.constant(each, scope) for each in node.elts]
            ),
        )

    _tuple = _list = _set = _items

    def _dict(self, node: ast.Dict, scope: Scope) -> Values:
        made: dict[object, object] = {}
        for key, value in zip(node.keys[: folding.ITEMS], node.values, strict=False):
            if isinstance(key, ast.Constant) and isinstance(key.value, str | int):
                made[key.value] = self.constant(value, scope)
        return (Constant(made),)

    def _binop(self, node: ast.BinOp, scope: Scope) -> Values:
        if isinstance(node.op, ast.Div):
            paths = (each for each in self.of(node.left, scope) if isinstance(each, Path))
            return tuple(Path("pathlib.Path()") for each in paths if each.name.startswith("pathlib."))
        if isinstance(node.op, ast.Add):
            terms: list[tuple[ast.expr, Scope]] = []
            left_most: ast.expr = node
            while isinstance(left_most, ast.BinOp) and isinstance(left_most.op, ast.Add) and len(terms) < _TERMS:
                terms.append((left_most.right, scope))
                left_most = left_most.left
            return self._sum([(left_most, scope), *reversed(terms)])
        left, right = self._one(node.left, scope), self._one(node.right, scope)
        if left is None or right is None:
            return ()
        value = decoding.binary(type(node.op), left.value, right.value)
        return () if value is UNKNOWN else (Constant(value, decoded=left.decoded or right.decoded),)

    def _unaryop(self, node: ast.UnaryOp, scope: Scope) -> Values:
        value = self.constant(node.operand, scope)
        return (Constant(-value),) if isinstance(node.op, ast.USub) and isinstance(value, int | float) else ()

    def _one(self, node: ast.expr, scope: Scope) -> Constant | None:
        return next((value for value in self.of(node, scope) if isinstance(value, Constant)), None)

    def _joinedstr(self, node: ast.JoinedStr, scope: Scope) -> Values:
        parts: list[object] = []
        for each in node.values:
            if isinstance(each, ast.FormattedValue):
                parts.append(self.constant(each.value, scope))
            elif isinstance(each, ast.Constant):
                parts.append(each.value)
        text = folding.join("", parts)
        return () if text is UNKNOWN else (Constant(text),)

    def _ifexp(self, node: ast.IfExp, scope: Scope) -> Values:
        return self.of(node.body, scope) + self.of(node.orelse, scope)

    def _boolop(self, node: ast.BoolOp, scope: Scope) -> Values:
        return tuple(value for each in node.values[:_MOST] for value in self.of(each, scope))

    def _namedexpr(self, node: ast.NamedExpr, scope: Scope) -> Values:
        return self.of(node.value, scope)

    def _await(self, node: ast.Await, scope: Scope) -> Values:
        return self.of(node.value, scope)

    def _starred(self, node: ast.Starred, scope: Scope) -> Values:
        return self.of(node.value, scope)

    def _lambda(self, node: ast.Lambda, scope: Scope) -> Values:
        return (Here(node),)

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp, scope: Scope) -> Values:
        generator = node.generators[0]
        if len(node.generators) > 1 or generator.ifs or not isinstance(generator.target, ast.Name):
            return ()
        items = self.constant(generator.iter, scope)
        made = decoding.comprehension(node.elt, generator.target.id, items)
        return () if made is UNKNOWN else (Constant(made, decoded=decoding.computes(node.elt)),)

    _listcomp = _generatorexp = _comprehension

    # --- calls --------------------------------------------------------------------------------------------------

    def _call(self, node: ast.Call, scope: Scope) -> Values:
        values: list[Value] = []
        if isinstance(node.func, ast.Attribute):
            values.extend(self._method(node, node.func, scope))
        for callee in self.of(node.func, scope):
            if isinstance(callee, Path):
                values.extend(self._called(node, callee, scope))
            elif isinstance(callee, Here) and isinstance(callee.node, ast.ClassDef):
                values.append(Here(callee.node, instance=True))
            elif isinstance(callee, Here):
                values.extend(value for each, inner in self.returned(callee.node) for value in self.of(each, inner))
        return tuple(values)

    def returned(self, function: Definition) -> list[tuple[ast.expr, Scope]]:
        """What a function of this source gives back, with the scope that it stands in."""
        inner = self._scopes.of.get(function)
        if inner is None:
            return []
        return [(each, inner) for each in self._scopes.returns.get(function, ())[:_MOST]]

    def _method(self, node: ast.Call, function: ast.Attribute, scope: Scope) -> Values:
        subject = self._one(function.value, scope)
        if subject is None:
            return ()
        arguments = [self.constant(each, scope) for each in node.args]
        named = {each.arg: self.constant(each.value, scope) for each in node.keywords if each.arg}
        value = folding.method(subject.value, function.attr, arguments, named)
        decoded = subject.decoded or any(each.decoded for each in map(lambda a: self._one(a, scope), node.args) if each)
        return () if value is UNKNOWN else (Constant(value, decoded=decoded),)

    def _called(self, node: ast.Call, callee: Path, scope: Scope) -> Values:
        name = callee.name
        if name in _IMPORTERS and node.args:
            module = self.constant(node.args[0], scope)
            if isinstance(module, str):
                whole = name != "builtins.__import__" or any(each.arg == "fromlist" for each in node.keywords)
                return (Path(module if whole or len(node.args) > 3 else module.partition(".")[0], hidden=True),)
        if name == "builtins.getattr" and len(node.args) >= 2:
            return self._getattr(node, scope)
        if name == "builtins.vars" and node.args:
            return tuple(
                Path(f"{each.name}.__dict__") for each in self.of(node.args[0], scope) if isinstance(each, Path)
            )
        if name in ("functools.partial", "functools.partialmethod") and node.args:
            return tuple(each for each in self.of(node.args[0], scope) if not isinstance(each, Constant))
        if name == "builtins.map" and len(node.args) == 2 and Path("builtins.chr") in self.of(node.args[0], scope):
            made = decoding.characters(self.constant(node.args[1], scope))
            return () if made is UNKNOWN else (Constant(made, decoded=True),)
        if (
            name.startswith("operator.attrgetter()")
            and node.args
            and isinstance(node.func, ast.Call)
            and node.func.args
        ):
            attribute = self.constant(node.func.args[0], scope)
            owners = [each for each in self.of(node.args[0], scope) if isinstance(each, Path)]
            return tuple(Path(f"{each.name}.{attribute}", hidden=True) for each in owners)
        if name in decoding.FUNCTIONS:
            arguments = [self.constant(each, scope) for each in node.args]
            value = decoding.decoded(name, arguments)
            if value is not UNKNOWN:
                inner = any(each.decoded for each in map(lambda a: self._one(a, scope), node.args) if each)
                return (
                    Constant(value, decoded=inner or name in decoding.DECODERS or name == "builtins.chr"),
                    Path(f"{name}()", callee.hidden),
                )
        return (Path(f"{name}()", callee.hidden),)

    def _getattr(self, node: ast.Call, scope: Scope) -> Values:
        written = self.of(node.args[1], scope)
        names = [each for each in written if isinstance(each, Constant) and isinstance(each.value, str)]
        unknown = not names or any(each.decoded for each in names)
        values: list[Value] = []
        for each in self.of(node.args[0], scope):
            if isinstance(each, Path):
                values += [Path(f"{each.name}.{name.value}", each.hidden or not name.plain) for name in names]
                if unknown and each.name in _POWERFUL:
                    values.append(Path(f"{each.name}.?", hidden=True))
            elif isinstance(each, Here) and isinstance(each.node, ast.ClassDef):
                values += (value for name in names for value in _member(each.node, str(name.value)))
        return tuple(values)


_NAMESPACES: Final = frozenset(("__globals__", "func_globals", "__builtins__", "f_globals", "f_builtins"))
_MODULES: Final = frozenset(
    ("base64", "builtins", "codecs", "ctypes", "importlib", "marshal", "os", "pickle", "pty", "requests", "shutil",
     "socket", "subprocess", "sys", "urllib", "zlib")
)  # fmt: skip
# Modules of which it matters that a function is taken by a name that cannot be known.
_POWERFUL: Final = frozenset(("builtins", "nt", "os", "posix", "pty", "subprocess"))
_IMPORTERS: Final = frozenset(("builtins.__import__", "importlib.import_module", "importlib.__import__"))


def _member(owner: ast.ClassDef, name: str) -> list[Value]:
    functions = (each for each in owner.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    return [Here(each) for each in functions if each.name == name]
