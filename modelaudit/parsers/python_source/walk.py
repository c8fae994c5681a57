"""Every call of a source with the name it resolves to, and when it is made: on import, on loading, or later."""

import ast
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from modelaudit.errors import LimitExceeded
from modelaudit.limits import Limits
from modelaudit.parsers.python_source.meanings import Constant, Here, Path
from modelaudit.parsers.python_source.scopes import Definition, Passed, Piece, Scope, Scopes
from modelaudit.parsers.python_source.shapes import (
    CALLERS,
    INSTALLERS,
    LOADING,
    MODEL_CLASS,
    after_guard,
    handed,
    is_main,
    is_property,
    line_starts,
    made,
    methods,
    one_variable,
    put,
    reduces,
)
from modelaudit.parsers.python_source.tree import parse
from modelaudit.parsers.python_source.values import Evaluator

When = Literal["import", "model", "loading", "script", "call"]

_MARKS: Final = b"()[]{},:;.=+-*/%<>|&^~@\n"  # each begins, ends or joins a node of the tree
_SUBTREE: Final = 400  # nodes of one argument that are looked at
_CHASED: Final = 6  # names in it that are followed to what they are set to


class Act(msgspec.Struct, frozen=True, eq=False):
    """A call of `path` at byte `offset`, made `when`, inside the function `within` ("" for the module).

    `given` is set where the callable is handed to a function that calls it, or returned by `__reduce__`.
    """

    path: Path
    node: ast.Call | ast.Tuple
    scope: Scope
    when: When
    within: str
    offset: int
    given: str = ""


class _Seen(msgspec.Struct, frozen=True, eq=False):
    """A call as the first pass meets it: where, and in which definition (None: the module; `script`: its main part)."""

    node: ast.Call | ast.Tuple
    scope: Scope
    owner: Definition | None
    script: bool


class Program:
    """One source, parsed. Raises `ParseError` where that cannot be done, `LimitExceeded` where it would take long."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        for name, marks, most in (
            ("source_calls", b"(", limits.source_calls),
            ("source_marks", _MARKS, limits.source_marks),
        ):
            count = len(data) - len(data.translate(None, marks))
            if count > most:
                raise LimitExceeded(name, count, most)
        self._limits = limits
        self._data = data
        tree = parse(data)
        self._scopes = Scopes(tree)
        self._evaluator = Evaluator(self._scopes)
        self._seen: list[_Seen] = []
        self._edges: dict[Definition | str, list[Definition]] = {}
        self._classes: dict[Definition, ast.ClassDef] = {}
        self._definitions: list[Definition] = []
        self._properties: set[str] = set()
        self._attributes: list[tuple[ast.Attribute, Scope, Definition | None, bool]] = []
        self._lines: dict[int, int] = {}
        self._steps = 0
        self._collect(tree)

    # --- first pass: what there is ------------------------------------------------------------------------------

    def _collect(self, tree: ast.Module) -> None:
        guarded = after_guard(tree)
        stack: list[tuple[ast.AST, Scope, Definition | None, bool]] = [(tree, self._scopes.module, None, False)]
        while stack:
            node, scope, owner, script = stack.pop()
            call = node if isinstance(node, ast.Call) else put(node)
            if call is not None:
                self._seen.append(_Seen(call, scope, owner, script))
            elif isinstance(node, ast.Attribute):
                self._attributes.append((node, scope, owner, script))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                self._define(node, scope, owner, script)
            elif isinstance(node, ast.ClassDef):
                self._define_class(node, scope, owner, script)
            elif isinstance(node, ast.Return) and reduces(owner) and isinstance(node.value, ast.Tuple):
                self._seen.append(_Seen(node.value, scope, owner, script))
            children: list[tuple[ast.AST, Scope, Definition | None, bool]] = []
            for child, inner in self._scopes.inside(node, scope):
                within = node if inner is not scope and not isinstance(node, ast.ClassDef) else owner
                main = script or is_main(node, child) or child in guarded
                children.append((child, inner, within, main))  # type: ignore[arg-type]
            stack.extend(reversed(children))

    def _define(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda,
        scope: Scope,
        owner: Definition | None,
        script: bool,
    ) -> None:
        self._definitions.append(node)
        if isinstance(scope.owner, ast.ClassDef):
            self._classes[node] = scope.owner
        if not isinstance(node, ast.Lambda):
            self._decorate(node, scope, owner, script)
            if isinstance(scope.owner, ast.ClassDef) and is_property(node):
                self._properties.add(node.name)

    def _decorate(
        self,
        node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
        scope: Scope,
        owner: Definition | None,
        script: bool,
    ) -> None:
        """A decorator is called with what stands under it."""
        for decorator in node.decorator_list:
            call = ast.copy_location(ast.Call(decorator, [], []), decorator)
            self._seen.append(_Seen(call, scope, owner, script))

    def _define_class(self, node: ast.ClassDef, scope: Scope, owner: Definition | None, script: bool) -> None:
        self._decorate(node, scope, owner, script)
        for keyword in node.keywords:
            self._reach(keyword.value, scope, owner, script, how="metaclass")
        for base in node.bases:
            for value in self._evaluator.of(base, scope):
                if isinstance(value, Here) and isinstance(value.node, ast.ClassDef):
                    self._edge(owner, script, methods(value.node, "__init_subclass__"))

    def _reach(self, node: ast.expr, scope: Scope, owner: Definition | None, script: bool, how: str = "") -> None:
        """`node` names something that is called here; `how` it is where that is not by a plain call."""
        for value in self._evaluator.of(node, scope):
            if isinstance(value, Here):
                called: list[Definition] = [value.node]
                if isinstance(value.node, ast.ClassDef):
                    called = methods(value.node, "__call__") if value.instance else made(value.node)
                    if how == "metaclass":
                        called += methods(value.node, "__prepare__")
                    elif how == "installed":
                        called = methods(value.node)
                self._edge(owner, script, called)

    def _edge(self, owner: Definition | None, script: bool, called: list[Definition]) -> None:
        key: Definition | str = owner if owner is not None else ("script" if script else "import")
        self._edges.setdefault(key, []).extend(called)

    # --- second pass: what is called, and when --------------------------------------------------------------------

    def acts(self) -> Iterator[Act]:
        """Every call of something with a name, in the order of the text."""
        for seen in self._seen:
            if isinstance(seen.node, ast.Call):
                self._reach(seen.node.func, seen.scope, seen.owner, seen.script)
                how = self._calls_its_arguments(seen)
                for argument in () if how is None else handed(seen.node):
                    self._reach(argument, seen.scope, seen.owner, seen.script, how or "")
        for attribute, scope, owner, script in self._attributes:
            if attribute.attr in self._properties:
                self._reach(attribute, scope, owner, script)
        loading = [each for each in self._definitions if self._loads(each)]
        times = {
            "import": self._reached(["import"]),
            "model": self._reached([each for each in loading if self._of_model(each)]),
            "loading": self._reached(loading),
            "script": self._reached(["script"]),
        }
        for seen in self._seen:
            yield from self._acts_of(seen, times)

    def _loads(self, node: Definition) -> bool:
        """Whether programs that load or serve models call the function by its name."""
        if isinstance(node, ast.Lambda | ast.ClassDef) or node.name not in LOADING:
            return False
        return node in self._classes or self._scopes.of[node].parent is self._scopes.module

    def _of_model(self, node: Definition) -> bool:
        """Whether the function is a method of a model or handler, or stands alone as a server's hook."""
        owner = self._classes.get(node)
        if owner is None:
            return True
        names = [
            owner.name,
            *(base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in owner.bases),
        ]
        return any(MODEL_CLASS.search(name) for name in names)

    def _calls_its_arguments(self, seen: _Seen) -> str | None:
        """How what is called uses functions that it is given, or None where it does not."""
        assert isinstance(seen.node, ast.Call)  # noqa: S101  # only calls are asked about
        names = {value.name for value in self._evaluator.of(seen.node.func, seen.scope) if isinstance(value, Path)}
        if not names.isdisjoint(INSTALLERS):
            return "installed"
        return None if names.isdisjoint(CALLERS) else ""

    def _reached(self, roots: "list[Definition] | list[str]") -> set[Definition]:
        found: set[Definition] = {root for root in roots if not isinstance(root, str)}
        stack: list[Definition | str] = list(roots)
        while stack:
            for called in self._edges.get(stack.pop(), ()):
                if called not in found:
                    found.add(called)
                    stack.append(called)
        return found

    def _acts_of(self, seen: _Seen, times: dict[str, set[Definition]]) -> Iterator[Act]:
        when: When = "script" if seen.script else "import"
        if seen.owner is not None:
            when = "call"
            for time in ("import", "model", "loading", "script"):
                if seen.owner in times[time]:
                    when = time
                    break
        within = getattr(seen.owner, "name", "a lambda") if seen.owner is not None else ""
        at = self._offset(seen.node)
        if isinstance(seen.node, ast.Tuple):
            for value in self._evaluator.of(seen.node.elts[0], seen.scope) if seen.node.elts else ():
                if isinstance(value, Path):
                    yield Act(value, seen.node, seen.scope, when, within, at, "__reduce__")
            return
        for value in self._evaluator.of(seen.node.func, seen.scope):
            if isinstance(value, Path):
                yield Act(self._by_method(value, seen), seen.node, seen.scope, when, within, at)
        for argument in (*seen.node.args, *(each.value for each in seen.node.keywords)):
            if isinstance(argument, ast.Name | ast.Attribute | ast.Call):
                for value in self._evaluator.of(argument, seen.scope):
                    if isinstance(value, Path) and not value.name.endswith(("()", "[]")):
                        yield Act(value, seen.node, seen.scope, when, within, at, "another function")

    def _by_method(self, callee: Path, seen: _Seen) -> Path:
        """`operator.methodcaller("f")(x)` calls `x.f`."""
        node = seen.node
        if callee.name != "operator.methodcaller()" or not isinstance(node, ast.Call) or not node.args:
            return callee
        maker = node.func
        written = maker.args[:1] if isinstance(maker, ast.Call) else []
        name = next((self._evaluator.constant(each, seen.scope) for each in written), "?")
        owners = (each for each in self._evaluator.of(node.args[0], seen.scope) if isinstance(each, Path))
        return next((Path(f"{each.name}.{name}", hidden=True) for each in owners), callee)

    def _offset(self, node: ast.expr) -> int:
        line = node.lineno
        if not self._lines:
            self._lines = line_starts(self._data)
        return self._lines.get(line, 0) + node.col_offset

    # --- what goes in ---------------------------------------------------------------------------------------------

    def constants(self, act: Act) -> Iterator[Constant]:
        """The constants among the arguments and in their lists."""
        arguments = (
            act.node.elts
            if isinstance(act.node, ast.Tuple)
            else [*act.node.args, *(each.value for each in act.node.keywords)]
        )
        for argument in arguments:
            for value in self._evaluator.of(argument, act.scope):
                if isinstance(value, Constant):
                    yield value

    def named(self, act: Act, name: str) -> object:
        """The constant that is the keyword argument `name`."""
        for each in act.node.keywords if isinstance(act.node, ast.Call) else ():
            if each.arg == name:
                return self._evaluator.constant(each.value, act.scope)
        return None

    def sources(self, act: Act) -> Iterator[Path | Constant]:
        """Everything with a name, and every constant, that the arguments are made from. Raises `LimitExceeded`."""
        roots: list[ast.expr] = list(act.node.args) if isinstance(act.node, ast.Call) else list(act.node.elts)
        if isinstance(act.node, ast.Call):
            roots += [each.value for each in act.node.keywords]
            if isinstance(act.node.func, ast.Attribute):
                roots.append(act.node.func.value)
        stack: list[tuple[ast.AST, Scope, int]] = [(root, act.scope, 0) for root in reversed(roots)]
        seen: set[int] = set()
        for _ in range(_SUBTREE):
            if not stack:
                return
            self._steps += 1
            if self._steps > self._limits.source_steps:
                raise LimitExceeded("source_steps", self._steps, self._limits.source_steps)
            node, scope, chased = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, ast.Call | ast.Attribute | ast.Name | ast.Constant | ast.Subscript | ast.BinOp):
                yield from (each for each in self._evaluator.of(node, scope) if not isinstance(each, Here))
            if chased < _CHASED:
                stack.extend((each, inner, chased + 1) for each, inner in self._behind(node, scope))
            if isinstance(node, ast.Subscript | ast.Call) and one_variable(node):
                continue
            stack.extend((child, scope, chased) for child in reversed(list(ast.iter_child_nodes(node))))

    def _behind(self, node: ast.AST, scope: Scope) -> Iterator[tuple[ast.expr, Scope]]:
        """What a name is set to, and what a function of the source gives back."""
        if isinstance(node, ast.Name):
            found = scope.find(node.id)
            for bound in found[0] if found is not None else ():
                value = bound.value if isinstance(bound, Piece | Passed) else bound
                if isinstance(value, ast.expr) and found is not None:
                    yield value, bound.scope if isinstance(bound, Passed) else found[1]
        elif isinstance(node, ast.Call):
            for callee in self._evaluator.of(node.func, scope):
                if isinstance(callee, Here):
                    yield from self._evaluator.returned(callee.node)
