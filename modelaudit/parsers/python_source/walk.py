"""Every call of a source with the name it resolves to, and when it is made: on import, on loading, or later."""

import ast
import re
from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from modelaudit.errors import LimitExceeded
from modelaudit.limits import Limits
from modelaudit.parsers.python_source.meanings import Constant, Here, Path
from modelaudit.parsers.python_source.scopes import Definition, Piece, Scope, Scopes
from modelaudit.parsers.python_source.tree import parse
from modelaudit.parsers.python_source.values import Evaluator

When = Literal["import", "model", "loading", "script", "call"]

# What the classes that models are made of, and the handlers of servers, are called or derived from.
_MODEL_CLASS: Final = re.compile(r"(?:Module|Model|Layer|Handler|Pipeline|Config|Tokenizer|TokenizerFast|Processor)$")

# Methods and functions that programs call which load or serve a model (TorchServe, SageMaker, MLflow, transformers).
_LOADING: Final = frozenset(
    ("__init__", "__new__", "__call__", "__post_init__", "__setstate__", "__reduce__", "__reduce_ex__", "__del__",
     "__getattr__", "__init_subclass__", "_load_pretrained_model", "forward", "from_pretrained", "handle", "inference",
     "initialize", "input_fn", "load_context", "load_model", "model_fn", "output_fn", "postprocess", "predict",
     "predict_fn", "preprocess", "transform_fn")
)  # fmt: skip
# Functions that call a function that they are given.
_CALLERS: Final = frozenset(
    ("atexit.register", "builtins.map", "builtins.filter", "builtins.list", "threading.Thread", "threading.Timer",
     "multiprocessing.Process", "multiprocessing.context.Process", "_thread.start_new_thread", "builtins.sorted",
     "concurrent.futures.ThreadPoolExecutor().submit", "concurrent.futures.ThreadPoolExecutor().map",
     "functools.reduce",
     "signal.signal", "asyncio.run", "asyncio.get_event_loop().run_until_complete", "sys.setprofile", "sys.settrace",
     "functools.partial().__call__", "builtins.property().fget", "builtins.type",
     "weakref.finalize", "threading.excepthook")
)  # fmt: skip
# Methods that run when an object of the class is made, put into another class, or dropped.
_MADE: Final = ("__init__", "__new__", "__post_init__", "__set_name__", "__del__")
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
        self._lines: dict[int, int] = {}
        self._steps = 0
        self._collect(tree)

    # --- first pass: what there is ------------------------------------------------------------------------------

    def _collect(self, tree: ast.Module) -> None:
        stack: list[tuple[ast.AST, Scope, Definition | None, bool]] = [(tree, self._scopes.module, None, False)]
        while stack:
            node, scope, owner, script = stack.pop()
            if isinstance(node, ast.Call):
                self._seen.append(_Seen(node, scope, owner, script))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                self._define(node, scope, owner, script)
            elif isinstance(node, ast.ClassDef):
                self._define_class(node, scope, owner, script)
            elif isinstance(node, ast.Return) and _reduces(owner) and isinstance(node.value, ast.Tuple):
                self._seen.append(_Seen(node.value, scope, owner, script))
            children: list[tuple[ast.AST, Scope, Definition | None, bool]] = []
            for child, inner in self._scopes.inside(node, scope):
                within = node if inner is not scope and not isinstance(node, ast.ClassDef) else owner
                children.append((child, inner, within, script or _is_main(node, child)))  # type: ignore[arg-type]
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
            self._reach(keyword.value, scope, owner, script, instance=True)
        for base in node.bases:
            for value in self._evaluator.of(base, scope):
                if isinstance(value, Here) and isinstance(value.node, ast.ClassDef):
                    self._edge(owner, script, _methods(value.node, ("__init_subclass__",)))

    def _reach(
        self, node: ast.expr, scope: Scope, owner: Definition | None, script: bool, instance: bool = False
    ) -> None:
        """`node` names something that is called here."""
        for value in self._evaluator.of(node, scope):
            if isinstance(value, Here):
                called: list[Definition] = [value.node]
                if isinstance(value.node, ast.ClassDef):
                    names = ("__call__",) if value.instance else _MADE
                    called = _methods(value.node, (*names, "__prepare__") if instance else names)
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
                if self._calls_its_arguments(seen):
                    for argument in _handed(seen.node):
                        self._reach(argument, seen.scope, seen.owner, seen.script)
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
        if isinstance(node, ast.Lambda | ast.ClassDef) or node.name not in _LOADING:
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
        return any(_MODEL_CLASS.search(name) for name in names)

    def _calls_its_arguments(self, seen: _Seen) -> bool:
        assert isinstance(seen.node, ast.Call)  # noqa: S101  # only calls are asked about
        values = self._evaluator.of(seen.node.func, seen.scope)
        return any(isinstance(value, Path) and value.name in _CALLERS for value in values)

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
            self._lines = _line_starts(self._data)
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
            if isinstance(node, ast.Subscript | ast.Call) and _one_variable(node):
                continue
            stack.extend((child, scope, chased) for child in reversed(list(ast.iter_child_nodes(node))))

    def _behind(self, node: ast.AST, scope: Scope) -> Iterator[tuple[ast.expr, Scope]]:
        """What a name is set to, and what a function of the source gives back."""
        if isinstance(node, ast.Name):
            found = scope.find(node.id)
            for bound in found[0] if found is not None else ():
                value = bound.value if isinstance(bound, Piece) else bound
                if isinstance(value, ast.expr) and found is not None:
                    yield value, found[1]
        elif isinstance(node, ast.Call):
            for callee in self._evaluator.of(node.func, scope):
                if isinstance(callee, Here):
                    yield from self._evaluator.returned(callee.node)


def _handed(node: ast.Call) -> Iterator[ast.expr]:
    """The arguments of a call, and what stands in those that are dictionaries (`type(name, bases, methods)`)."""
    for argument in (*node.args, *(each.value for each in node.keywords)):
        yield argument
        if isinstance(argument, ast.Dict):
            yield from argument.values


def _one_variable(node: ast.Subscript | ast.Call) -> bool:
    """`os.environ['X']`, `os.environ.get('X')`: one variable and not all of them."""
    value = node.value if isinstance(node, ast.Subscript) else node.func
    return isinstance(value, ast.Attribute) and (
        value.attr == "environ" or (isinstance(value.value, ast.Attribute) and value.value.attr == "environ")
    )


def _is_main(node: ast.AST, child: ast.AST) -> bool:
    """Whether `child` is in the body of `if __name__ == "__main__":`."""
    if not isinstance(node, ast.If) or not isinstance(node.test, ast.Compare) or child not in node.body:
        return False
    sides = (node.test.left, node.test.comparators[0])
    named = any(isinstance(side, ast.Name) and side.id == "__name__" for side in sides)
    main = any(isinstance(side, ast.Constant) and side.value == "__main__" for side in sides)
    return named and main and isinstance(node.test.ops[0], ast.Eq)


def _reduces(owner: Definition | None) -> bool:
    return isinstance(owner, ast.FunctionDef) and owner.name in ("__reduce__", "__reduce_ex__")


def _methods(owner: ast.ClassDef, names: tuple[str, ...]) -> list[Definition]:
    return [
        each for each in owner.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and each.name in names
    ]


def _line_starts(data: bytes) -> dict[int, int]:
    starts, at = {1: 0}, 0
    for number, line in enumerate(data.split(b"\n"), 2):
        at += len(line) + 1
        starts[number] = at
    return starts
